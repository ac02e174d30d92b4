"""What does an optimisation step cost, beside one made as DEXTER's released code makes it?

Side by side in one process, in turns, with the real architectures and random weights, so that nothing is downloaded:

- DEXTER-equivalent: four steps, the unconditional branch computed at guidance 1 where it has no effect, the full
  decoder, one image. (Its released code also decodes one to three times more for logging; that is left out.)
- ours at equal model and steps, with the full and with the tiny decoder (TAESD),
- ours at one step with TAESD, one image and eight.

Operations are counted at full size on any machine, from shapes alone. Seconds and memory are those of full size on a
GPU, and of networks a quarter as wide on a quarter of the pixels on a CPU. `RESULTS.md` says which, and gets the table.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from diffexplain.diffusion import MemorySettings
from diffexplain.diffusion.gradients import AttentionOnly, Backpropagation, Exact
from diffexplain.diffusion.memory import PeakMemory
from diffexplain.diffusion.sampling import Denoiser
from diffexplain.prompts import FreePrompt
from diffexplain.runs.draws import Draws
from experiments.marked import write_between
from experiments.speed.models import SIZES, Models

RESULTS = Path(__file__).parent / "RESULTS.md"
BEGIN, END = "<!-- speed: begin -->", "<!-- speed: end -->"
WORDS = ("flag", "snow", "bee")


class DexterEquivalent(AttentionOnly):
    """The network called on both branches although guidance 1 keeps nothing of the unconditional one."""

    def sample(self, denoiser: Denoiser, condition: Tensor, noise: Tensor, steps: int) -> Tensor:
        # Whatever the unconditional states are, they cost the same.
        return super().sample(replace(denoiser, unconditional=condition[:1].detach()), condition, noise, steps)


@dataclass(frozen=True)
class Variant:
    """One way to make a step, ``ours`` or not; cost is given for an image."""

    name: str
    gradient: Backpropagation
    steps: int
    tiny: bool
    batch: int = 1
    ours: bool = True


VARIANTS = (
    Variant("DEXTER-equivalent: 4 steps, both branches, full decoder", DexterEquivalent(), 4, False, ours=False),
    Variant("ours: 4 steps, full decoder", Exact(), 4, False),
    Variant("ours: 4 steps, TAESD", Exact(), 4, True),
    Variant("ours: 1 step, TAESD", Exact(), 1, True),
    Variant("ours: 1 step, TAESD, 8 images", Exact(), 1, True, batch=8),
)
"""What is measured; the first is what the others are compared with."""


def prepared(models: Models, variant: Variant) -> Callable[[], None]:
    """One optimisation step of ``variant``: forward, backward to the prompt, update."""
    prior = models.prior(variant.steps, tiny=variant.tiny)
    draws = Draws(0, "speed")
    prompt = FreePrompt(prior, WORDS, draws, tokens=1)
    optimiser = torch.optim.AdamW(prompt.parameters(), lr=0.1)
    latents = draws.normals("optimise", 0, variant.batch, prior.latent_shape)

    def step() -> None:
        optimiser.zero_grad()
        variant.gradient.estimate(prompt, prior, latents, models.objective, draws, 0).loss.backward()
        optimiser.step()

    return step


def operations(size: str, todo: Sequence[Variant] = VARIANTS) -> list[float]:
    """Floating-point operations of a step for each image, counted from shapes alone; a multiply-add is two."""
    models = Models(SIZES[size], "meta", torch.bfloat16)
    counted = []
    for variant in todo:
        step = prepared(models, variant)
        # Attention as matrix multiplications, which the counter knows on every device.
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            step()
        counted.append(counter.get_total_flops() / variant.batch)
    return counted


@dataclass(frozen=True)
class Cost:
    """Of a step: seconds, each round's, and peak memory in bytes, weights aside."""

    seconds: list[float]
    memory: int


def measured(theirs: Models, ours: Models, device: str, rounds: int, todo: Sequence[Variant] = VARIANTS) -> list[Cost]:
    """All variants in turns, after one untimed round each, in which a CPU's memory is watched."""
    steps = [prepared(ours if variant.ours else theirs, variant) for variant in todo]
    seconds: list[list[float]] = [[] for _ in todo]
    peaks = [0] * len(todo)
    for number in range(-1, rounds):
        for index, (variant, step) in enumerate(zip(todo, steps, strict=True)):
            if device == "cuda":
                torch.cuda.reset_peak_memory_stats()
                before = torch.cuda.memory_allocated()
            began = time.perf_counter()
            if number < 0 and device == "cpu":
                with PeakMemory() as watch:
                    step()
                peaks[index] = watch.peak
            else:
                step()
            if device == "cuda":
                torch.cuda.synchronize()
                peaks[index] = torch.cuda.max_memory_allocated() - before
            if number >= 0:
                seconds[index].append((time.perf_counter() - began) / variant.batch)
    return [Cost(*pair) for pair in zip(seconds, peaks, strict=True)]


def matrix_rate(device: str, dtype: torch.dtype, side: int, repeats: int = 5) -> float:
    """Operations a second of large square matrix products: the best of some."""
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(repeats + 1):
        began = time.perf_counter()
        left @ right
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - began)
    return 2.0 * side**3 / best


def table(
    size: str,
    device: str,
    dtype: torch.dtype,
    rounds: int,
    memory: MemorySettings,
    counted: str = "full",
    todo: Sequence[Variant] = VARIANTS,
) -> tuple[str, list[float]]:
    """Everything measured, as Markdown; and of each variant the share of the operation floor.

    Args:
        counted: the size whose operations the table gives.
        todo: the first is what the others are compared with.
    """
    full = operations(counted, todo)
    here = full if size == counted else operations(size, todo)
    theirs, ours = (Models(SIZES[size], device, dtype) for _ in range(2))
    costs = measured(theirs, ours.arranged(memory), device, rounds, todo)
    rate = matrix_rate(device, dtype, 8192 if device == "cuda" else 1024)
    medians = [statistics.median(cost.seconds) for cost in costs]
    lines = [
        f"| step | operations at {counted} size, TF an image | fewer | seconds an image | faster "
        "| peak memory beside the weights, MiB | lower | share of the operation floor |",
        "|---|---|---|---|---|---|---|---|",
    ]
    shares = [operations / rate / seconds for operations, seconds in zip(here, medians, strict=True)]
    for index, variant in enumerate(todo):
        cost = costs[index]
        lines.append(
            f"| {variant.name} | {full[index] / 1e12:.2f} | {full[0] / full[index]:.1f}x | {medians[index]:.4f} "
            f"| {medians[0] / medians[index]:.1f}x | {cost.memory / 2**20:.0f} | {costs[0].memory / cost.memory:.1f}x "
            f"| {shares[index]:.0%} |"
        )
    machine = torch.cuda.get_device_name() if device == "cuda" else f"{platform.machine()} CPU"
    lines += [
        "",
        f"Seconds, memory and share: {size} size ({SIZES[size].pixels}x{SIZES[size].pixels} pixels, "
        f"{str(dtype).removeprefix('torch.')}), medians of {rounds} rounds in turns, on {machine}, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__.partition('+')[0]}. Weights of all networks: "
        f"{ours.weight_bytes / 2**20:.0f} MiB. The floor is the counted operations at the rate of large matrix "
        f"products measured in the same process, {rate / 1e12:.2f} TF/s.",
    ]
    return "\n".join(lines), shares


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    size = "full" if device == "cuda" else "reduced"
    parser.add_argument("--size", choices=SIZES, default=size, help="default: full on a GPU, reduced on a CPU")
    parser.add_argument("--rounds", type=int, default=20 if device == "cuda" else 5)
    parser.add_argument("--compile", action="store_true", help="ours compiled; minutes more at the start")
    parser.add_argument("--print", action="store_true", help="leave RESULTS.md as it is")
    options = parser.parse_args(arguments)
    memory = MemorySettings(channels_last=device == "cuda", compile=options.compile)
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    text, _ = table(options.size, device, dtype, options.rounds, memory)
    print(text)
    if not options.print:
        write_between(RESULTS, BEGIN, END, text)


if __name__ == "__main__":
    main()
