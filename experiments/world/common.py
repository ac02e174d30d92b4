"""What the recipes of the world's trained parts share: endless scenes, a schedule, checkpoints, model cards."""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from diffexplain.config import configuration
from diffexplain.world.render import render_images
from diffexplain.world.sampler import World
from diffexplain.world.scenes import Scene

WEIGHTS = Path(__file__).parents[2] / "src" / "diffexplain" / "world" / "weights"
CHECKPOINTS = Path(__file__).parents[2] / "outputs" / "world"
HELD_OUT_SEED = 900_000_000
"""Scenes and renderings from this seed on are never trained on."""


def prior_steps() -> int:
    """Of the sampler, as the prior is used by default."""
    return int(configuration.without_digests()["diffusion"]["steps"])


def arguments(description: str, **stages: tuple[int, int, float]) -> argparse.Namespace:
    """The command line that all recipes share.

    `stages`: for each stage of the recipe the steps, batch and peak learning rate of the shipped weights.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", choices=list(stages), default=next(iter(stages)))
    parser.add_argument("--steps", type=int, help="of the optimiser")
    parser.add_argument("--batch", type=int, help="scenes a step")
    parser.add_argument("--rate", type=float, help="peak learning rate of AdamW")
    parser.add_argument("--go-on", action="store_true", help="start from the shipped weights, not from nothing")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    for name, default in zip(("steps", "batch", "rate"), stages[options.stage], strict=True):
        if getattr(options, name) is None:
            setattr(options, name, default)
    torch.set_num_threads(options.threads)
    if "WORLD_SIZE" in os.environ:  # started by torchrun: several processes share each step
        dist.init_process_group("nccl" if options.device == "cuda" else "gloo")
    options.rank = dist.get_rank() if dist.is_initialized() else 0
    options.processes = dist.get_world_size() if dist.is_initialized() else 1
    torch.manual_seed(options.seed + 1_000 * options.rank)
    return options


def scenes(world: World, batch: int, seed: int, step: int) -> tuple[list[Scene], list[int]]:
    """The scenes of one training step and the seeds to render and caption them with."""
    key = (seed * 1_000_003 + step) % HELD_OUT_SEED
    return world.sample(batch, key), [key * 1009 + index for index in range(batch)]


def pictures(batch: list[Scene], seeds: list[int], device: str = "cpu") -> Tensor:
    """Float images (count, 3, 64, 64) in [0, 1]."""
    return torch.from_numpy(render_images(batch, seeds)).to(device).permute(0, 3, 1, 2).float() / 255


def held_out(count: int, world: World | None = None) -> tuple[list[Scene], list[int]]:
    """Scenes that no recipe trains on, and their seeds."""
    seeds = [(HELD_OUT_SEED + index) * 1009 for index in range(count)]
    return (world or World()).sample(count, HELD_OUT_SEED), seeds


def sum_over_processes(tensors: Sequence[Tensor]) -> None:
    """Make each tensor the sum of what all processes have in its place, in one message."""
    if not dist.is_initialized():
        return
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    dist.all_reduce(flat)
    for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
        tensor.copy_(part.view_as(tensor))


class Training:
    """A loop over steps with one-cycle learning rate, moving average and a checkpoint that it resumes from.

    The moving average of the weights is what is saved in the end; `loss` is called with the step number. What a
    training that goes on draws at random is not what it drew at its beginning.
    """

    def __init__(
        self,
        name: str,
        module: nn.Module,
        options: argparse.Namespace,
        average: float = 0.999,
        optimizer: torch.optim.Optimizer | None = None,
        checkpoints: Path | None = None,
    ) -> None:
        self.name, self.module, self.options, self.average = name, module, options, average
        self.parameters = [p for p in module.parameters() if p.requires_grad]
        self.optimizer = optimizer or torch.optim.AdamW(
            self.parameters, lr=options.rate, weight_decay=0.01, betas=(0.9, 0.99)
        )
        self.mean = {n: p.detach().clone() for n, p in module.named_parameters() if p.requires_grad}
        self.checkpoint = (checkpoints or CHECKPOINTS) / f"{name}.pt"
        self.seconds = 0.0

    def rate(self, step: int) -> float:
        warmup = max(1, min(200, self.options.steps // 20))
        if step < warmup:
            return float(self.options.rate * (step + 1) / warmup)
        progress = (step - warmup) / max(1, self.options.steps - warmup)
        return float(self.options.rate * (0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * progress))))

    def run(
        self,
        loss: Callable[[int], tuple[Tensor, Mapping[str, float]]],
        every: int = 100,
        inspect: Callable[[], None] | None = None,
    ) -> None:
        start = self._load()
        began, shown = time.time(), time.time()
        sums: dict[str, float] = {}
        for step in range(start, self.options.steps):
            for group in self.optimizer.param_groups:
                group["lr"] = self.rate(step)
            value, figures = loss(step)
            self.optimizer.zero_grad(set_to_none=True)
            value.backward()
            self._average_gradients()
            torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
            self.optimizer.step()
            decay = min(self.average, (1 + step) / (10 + step))
            with torch.no_grad():
                for name, parameter in self.module.named_parameters():
                    if parameter.requires_grad:
                        self.mean[name].lerp_(parameter, 1 - decay)
            for key, figure in {"loss": float(value.detach()), **figures}.items():
                sums[key] = sums.get(key, 0.0) + figure
            if self.options.rank == 0 and ((step + 1) % every == 0 or step + 1 == self.options.steps):
                speed = every * self.options.batch * self.options.processes / (time.time() - shown)
                shown = time.time()
                text = " ".join(f"{key} {figure / every:.4f}" for key, figure in sums.items())
                print(f"{self.name} {step + 1}/{self.options.steps} {text} ({speed:.0f} a second)", flush=True)
                sums = {}
                self._save(step + 1, began)
                if inspect is not None and (step + 1) % (10 * every) == 0:
                    inspect()
                    shown = time.time()
        self.seconds += time.time() - began
        with torch.no_grad():
            for name, parameter in self.module.named_parameters():
                if parameter.requires_grad:
                    parameter.copy_(self.mean[name])

    def _average_gradients(self) -> None:
        gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        sum_over_processes(gradients)
        if self.options.processes > 1:
            for gradient in gradients:
                gradient.div_(self.options.processes)

    def _save(self, step: int, began: float) -> None:
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        state = {
            "step": step, "module": self.module.state_dict(), "optimizer": self.optimizer.state_dict(),
            "mean": self.mean, "seconds": self.seconds + time.time() - began,
        }  # fmt: skip
        temporary = self.checkpoint.with_suffix(".tmp")
        torch.save(state, temporary)
        os.replace(temporary, self.checkpoint)

    def _load(self) -> int:
        if not self.checkpoint.exists():
            return 0
        state = torch.load(self.checkpoint, weights_only=True, map_location=self.options.device)
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.mean, self.seconds = state["mean"], state["seconds"]
        torch.manual_seed(torch.initial_seed() + state["step"])
        print(f"{self.name} goes on at step {state['step']}", flush=True)
        return int(state["step"])


def model_card(
    folder: Path, title: str, options: argparse.Namespace, seconds: float, about: str, **facts: object
) -> None:
    """Write README.md into the folder of a trained part: data, seed, steps, time, machine, what was reached."""
    rows = {
        "data": "scenes of the independent world, drawn as they are needed", "seed": options.seed,
        "steps": options.steps, "batch": options.batch, "peak learning rate": options.rate,
        "minutes": round(seconds / 60, 1), "threads": options.threads,
        "machine": f"{platform.machine()}, {options.device}, torch {torch.__version__}", **facts,
    }  # fmt: skip
    table = "\n".join(f"| {key} | {value} |" for key, value in rows.items())
    gates = "Gates: `make world-check` measures them anew."
    text = f"---\nlicense: apache-2.0\n---\n# {title}\n\n{about}\n\n| | |\n|---|---|\n{table}\n\n{gates}\n"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "README.md").write_text(text)


def tidy(folder: Path) -> None:
    """Take out of the saved configurations where on this machine they were loaded from."""
    for path in folder.rglob("*.json"):
        if path.name.endswith("config.json"):
            config = json.loads(path.read_text(encoding="utf-8"))
            if config.pop("_name_or_path", None) is not None:
                write_json(path, config)


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")
