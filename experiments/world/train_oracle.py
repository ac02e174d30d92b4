"""Trains the oracle from nothing: `python -m experiments.world.train_oracle`.

It learns from renders of the independent world, blurred and made noisy at random; where the embedded
autoencoder exists, a share of the pictures has gone through it. A checkpoint is kept, so that a stopped
training goes on.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from diffexplain.weights.paths import EMBEDDED_ROOT
from diffexplain.world.render import render
from diffexplain.world.sampler import World
from experiments.world.model_cards import write_oracle_card
from experiments.world.muon import Muon
from experiments.world.oracle import QUESTIONS, WEIGHTS_FILE, OracleNetwork, true_answers, visible_questions
from experiments.world.pixels import degrade, to_tensor

SEED_START = 300_000_000
HIDDEN = -100  # cross_entropy's own mark for "not scored"
LEARNING_RATE = 3e-3
RECONSTRUCTED_SHARE = 0.2


def training_set(count: int, seed: int) -> tuple[np.ndarray, Tensor]:
    """uint8 images `(N, 64, 64, 3)` and answers `(N, questions)`, `HIDDEN` where the picture cannot tell."""
    scenes = World().sample(count, seed)
    images = np.empty((count, 64, 64, 3), np.uint8)
    answers = torch.full((count, len(QUESTIONS)), HIDDEN)
    for index, scene in enumerate(scenes):
        rendering = render(scene, SEED_START + index)
        images[index] = rendering.image
        visible = visible_questions(scene, rendering)
        truth = true_answers(scene)
        for column, name in enumerate(QUESTIONS):
            if name in visible:
                answers[index, column] = truth[name]
    return images, answers


@torch.no_grad()
def reconstruct(images: np.ndarray, folder: Path) -> np.ndarray:
    """The images after the embedded autoencoder."""
    from diffusers import AutoencoderKL

    autoencoder = AutoencoderKL.from_pretrained(folder, use_safetensors=True).eval()
    parts = []
    for start in range(0, len(images), 64):
        latents = autoencoder.encode(to_tensor(images[start : start + 64]) * 2 - 1).latent_dist.mode()
        decoded = (autoencoder.decode(latents).sample / 2 + 0.5).clamp(0, 1)
        parts.append((decoded.permute(0, 2, 3, 1) * 255).round().to(torch.uint8).numpy())
    return np.concatenate(parts)


def main() -> None:
    """Train, or go on training, and save in half precision."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=40_000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--root", type=Path, default=EMBEDDED_ROOT, help="folder of the embedded parts")
    parser.add_argument("--checkpoint", type=Path, default=Path("outputs/world/oracle.pt"))
    arguments = parser.parse_args()

    started = time.monotonic()
    torch.manual_seed(arguments.seed)
    images, answers = training_set(arguments.scenes, arguments.seed + 1)
    vae = arguments.root / "prior" / "vae"
    reconstructed = int(RECONSTRUCTED_SHARE * len(images)) if vae.is_dir() else 0
    if reconstructed:
        images[:reconstructed] = reconstruct(images[:reconstructed], vae)
    print(f"{len(images)} scenes, {reconstructed} reconstructed, {time.monotonic() - started:.0f} s", flush=True)

    oracle = OracleNetwork().to(memory_format=torch.channels_last)
    steps_per_epoch = len(images) // arguments.batch
    steps = arguments.epochs * steps_per_epoch
    optimiser = Muon(oracle, LEARNING_RATE, ("trunk.0.", "heads"), weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, LEARNING_RATE, total_steps=steps, pct_start=0.15, cycle_momentum=False
    )
    first = 0
    if arguments.checkpoint.is_file():
        state = torch.load(arguments.checkpoint, weights_only=True)
        oracle.load_state_dict(state["oracle"])
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
        first = state["step"]
    arguments.checkpoint.parent.mkdir(parents=True, exist_ok=True)
    for step in range(first, steps):
        epoch, position = divmod(step, steps_per_epoch)
        order = np.random.default_rng((arguments.seed, epoch)).permutation(len(images))
        chosen = order[position * arguments.batch : (position + 1) * arguments.batch]
        batch = degrade(to_tensor(images[chosen]), np.random.default_rng((arguments.seed, 1, step)))
        logits = oracle(batch)
        losses = [
            functional.cross_entropy(logits[name], answers[chosen, column], ignore_index=HIDDEN)
            for column, name in enumerate(QUESTIONS)
        ]
        loss = torch.stack([part for part in losses if part.isfinite()]).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 100 == 99:
            print(
                f"step {step + 1}/{steps} loss {loss.item():.3f} {time.monotonic() - started:.0f} s",
                flush=True,
            )
        if step % 250 == 249:
            state = {
                "oracle": oracle.state_dict(),
                "optimiser": optimiser.state_dict(),
                "schedule": schedule.state_dict(),
                "step": step + 1,
            }
            torch.save(state, arguments.checkpoint)

    folder = arguments.root / "oracle"
    folder.mkdir(parents=True, exist_ok=True)
    half = {name: value.contiguous().half() for name, value in oracle.state_dict().items() if value.is_floating_point()}
    save_file(half, folder / WEIGHTS_FILE)
    (folder / WEIGHTS_FILE).chmod(0o644)  # safetensors makes it private
    card = {
        "scenes": len(images),
        "reconstructed": reconstructed,
        "epochs": arguments.epochs,
        "steps": steps,
        "seed": arguments.seed,
        "seconds": round(time.monotonic() - started),
        "parameters": sum(parameter.numel() for parameter in oracle.parameters()),
    }
    (folder / "training.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    write_oracle_card(folder)
    arguments.checkpoint.unlink(missing_ok=True)
    print(json.dumps(card))


if __name__ == "__main__":
    main()
