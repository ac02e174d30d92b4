"""The denoiser of the embedded prior: v-prediction on the autoencoder's latents, told by the frozen text tower.

What makes few steps enough, and two CPU cores:
- noise that holds what the caption leaves open (`coupling.py`), so that the first step has one picture to predict;
- a part of each batch goes on from the model's own first estimate, as the sampler does;
- Muon (`muon.py`) in place of AdamW, and more weight on subject and companions than on the background.

`--stage export` writes the newest checkpoint's averaged weights as the pipeline, while the training goes on.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from diffexplain.world.render import Rendering, render
from diffexplain.world.sampler import World
from diffexplain.world.scenes import Scene
from experiments.world.captions import caption
from experiments.world.common import CHECKPOINTS, WEIGHTS, Training, arguments, model_card, scenes, tidy
from experiments.world.coupling import OPEN, choices_of, directions, paired_noise, told_choices
from experiments.world.muon import Muon
from experiments.world.train_autoencoder import linear_latents, read_encoder
from experiments.world.train_clip import tokens

FOLDER = WEIGHTS / "prior"
EMPTY_CAPTIONS = 0.1
POOL = 100_000
"""Scenes that are drawn, by each process."""
FIRST_STEP = 0.5
"""Share of a batch at the first step of sampling."""
OWN_STEPS, OWN_STEPS_FROM = 0.2, 1500
"""Share of a batch that starts from the model's own first estimate, and the step from which on."""
SAMPLED = torch.tensor([749, 499, 249])
"""The times at which four steps meet the picture after the first."""
FOREGROUND = 4.0
"""What a place of the subject weighs more; one of a companion, which is smaller, twice as much."""
LOUD_FROM = 0.4
"""Share of the training after which the noise has its full size."""


def build() -> UNet2DConditionModel:
    """Cross-attention at 8x8 and 4x4 latents; LEDITS++ reads it at 4x4."""
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=16,
        out_channels=16,
        block_out_channels=(64, 96, 128),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=128,
        attention_head_dim=(2, 3, 4),
        norm_num_groups=16,
        # The text as a whole, beside the time: what is to be drawn reaches every layer.
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
    )


def scheduler() -> DDIMScheduler:
    return DDIMScheduler(
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        steps_offset=1,
        clip_sample=False,
    )


class Latents:
    """Captioned scenes as latents: a pool drawn once, told anew each time they come."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        autoencoder = AutoencoderKL.from_pretrained(FOLDER / "vae", dtype=torch.float32)
        components = [part.to(options.device) for part in read_encoder(autoencoder)]
        self.tokenizer = CLIPTokenizer.from_pretrained(FOLDER / "tokenizer")
        self.text = (
            CLIPTextModel.from_pretrained(FOLDER / "text_encoder", dtype=torch.float32).to(options.device).eval()
        )
        self.along = directions().to(options.device)
        self.seeds: list[tuple[Scene, int]] = []
        latents, masks, parts = [], [], []
        for index in range(max(1, min(POOL, options.steps * options.batch) // 1000)):
            batch, seeds = scenes(World(), 1000, options.seed + 3 + 10 * options.rank, index)
            drawn = [render(scene, seed) for scene, seed in zip(batch, seeds, strict=True)]
            images = torch.from_numpy(np.stack([rendering.image for rendering in drawn])).to(options.device)
            latents.append(linear_latents(images.permute(0, 3, 1, 2).float() / 127.5 - 1, *components).half().cpu())
            weights = np.stack([importance(*pair) for pair in zip(batch, drawn, strict=True)])
            masks.append(weights.reshape(-1, 16, 4, 16, 4).mean((2, 4)).astype(np.float16))
            parts.append(np.stack([choices_of(*pair) for pair in zip(batch, seeds, strict=True)]))
            self.seeds += zip(batch, seeds, strict=True)
        self.latents = torch.cat(latents)
        # Pictures with more things are harder: with one companion twice, with two thrice as often as with none.
        self.shares = torch.tensor([1.0 + len(scene.companions) for scene, _ in self.seeds])
        self.masks = torch.from_numpy(np.concatenate(masks))
        self.parts = torch.from_numpy(np.concatenate(parts))

    @torch.no_grad()
    def batch(self, step: int, loudness: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Latents and noise (count, 16, 16, 16), masks (count, 1, 16, 16), text states (count, 32, 128).

        One caption in ten is empty.
        """
        count, device = self.options.batch, self.options.device
        chosen = torch.multinomial(self.shares, count)
        said = [caption(self.seeds[i][0], self.seeds[i][1] + 7919 * step) for i in chosen.tolist()]
        empty = torch.rand(count) < EMPTY_CAPTIONS
        texts = ["" if silent else told.text for told, silent in zip(said, empty, strict=True)]
        states = self.text(tokens(self.tokenizer, texts, device)).last_hidden_state
        latents = self.latents[chosen].to(device).float()
        parts = self.parts[chosen].clone()
        for index, told in enumerate(said):
            if not empty[index]:
                parts[index, told_choices(told.named, self.seeds[int(chosen[index])][0])] = OPEN
        noise = paired_noise(torch.randn_like(latents), parts.to(device), self.along, loudness)
        return latents, noise, self.masks[chosen].to(device).float().unsqueeze(1), states


def importance(scene: Scene, rendering: Rendering) -> np.ndarray:
    """(64, 64): 0 where the setting is in view, 1 for the subject, 2 for a companion."""
    weights = (~rendering.masks["setting"]).astype(np.float32)
    for companion in scene.companions:
        weights += rendering.masks[companion.kind]
    return weights


def loss_weights(masks: Tensor) -> Tensor:
    """(count, 1, 16, 16): more where subject and companions are; they are a fifth of a picture."""
    weights = 1 + FOREGROUND * masks
    return weights / weights.mean()


def main(options: argparse.Namespace, checkpoints: Path | None = None, into: Path = FOLDER) -> None:
    """Train, or go on from the checkpoint in `checkpoints`, by default the recipes' own; the pipeline goes `into`."""
    student = build()
    if options.go_on:
        student.load_state_dict(UNet2DConditionModel.from_pretrained(FOLDER / "unet").float().state_dict())
    student.to(options.device, memory_format=torch.channels_last)
    optimizer = Muon(student, options.rate, outer=("conv_in", "conv_out", "embedding"))
    training = Training("prior", student, options, 0.9985, optimizer, checkpoints)
    data, noising = Latents(options), scheduler()
    alphas = noising.alphas_cumprod.to(options.device)

    def clean_estimate(noised: Tensor, velocity: Tensor, times: Tensor) -> Tensor:
        kept = alphas[times].view(-1, 1, 1, 1)
        return kept.sqrt() * noised - (1 - kept).sqrt() * velocity

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        # The noise beside the open choices grows to its full size: drawing is learned before reading.
        loudness = 1.0 if options.go_on else min(1.0, 0.2 + 0.8 * step / (LOUD_FROM * options.steps))
        latents, noise, masks, states = data.batch(step, loudness)
        count = len(latents)
        own_steps = round(OWN_STEPS * count) if options.go_on or step >= OWN_STEPS_FROM else 0
        # Stratified times; but half of the batch at the very beginning, where the picture is decided.
        times = ((torch.arange(count) + torch.rand(count)) / count * 1000).long().clamp(max=999)
        times = times[torch.randperm(count)]
        times[-round(FIRST_STEP * count) :] = 999
        times[:own_steps] = SAMPLED[torch.randint(len(SAMPLED), (own_steps,))]
        # Editing starts from other noise than the picture's own: later steps meet both.
        own = (times >= 900) | (torch.rand(count) < 0.5)
        own[:own_steps] = True
        times, own = times.to(options.device), own.to(options.device)
        noise = torch.where(own[:, None, None, None], noise, torch.randn_like(noise))
        noised = noising.add_noise(latents, noise, times)
        target = noising.get_velocity(latents, noise, times)
        weights = loss_weights(masks)
        if own_steps:
            # Where the sampler comes from its own first estimate, not from the picture, the picture is still the aim.
            with torch.no_grad():
                start, last = noise[:own_steps], torch.full_like(times[:own_steps], 999)
                first = noising.add_noise(latents[:own_steps], start, last)
                estimate = clean_estimate(first, student(first, last, states[:own_steps]).sample, last)
                noised[:own_steps] = noising.add_noise(estimate, start, times[:own_steps])
                kept = alphas[times[:own_steps]].view(-1, 1, 1, 1)
                target[:own_steps] = (kept.sqrt() * noised[:own_steps] - latents[:own_steps]) / (1 - kept).sqrt()
                weights[:own_steps] *= 1 - kept  # counts the error of the picture, not of the velocity
        noised = noised.contiguous(memory_format=torch.channels_last)
        errors = (student(noised, times, states).sample - target).square() * weights
        return errors.mean(), {"first": float(errors[-round(FIRST_STEP * count) :].detach().mean())}

    # Constant for the first half, so that the length may still be decided, then the cosine to nearly nothing.
    def rate(step: int) -> float:
        progress = max(0.0, 2 * step / options.steps - 1)
        return float(options.rate * min(1.0, (step + 1) / 200) * (0.02 + 0.49 * (1 + math.cos(math.pi * progress))))

    training.rate = rate  # type: ignore[method-assign]
    training.run(loss)
    if options.rank == 0:
        save(student, options, training.seconds, into)


def save(student: UNet2DConditionModel, options: argparse.Namespace, seconds: float, into: Path = FOLDER) -> None:
    """The whole pipeline, in half precision, with its card."""
    pipeline = StableDiffusionPipeline(
        vae=AutoencoderKL.from_pretrained(FOLDER / "vae", dtype=torch.float16),
        tokenizer=CLIPTokenizer.from_pretrained(FOLDER / "tokenizer"),
        text_encoder=CLIPTextModel.from_pretrained(FOLDER / "text_encoder", dtype=torch.float16),
        unet=student.half(), scheduler=scheduler(), safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
    )  # fmt: skip
    pipeline.save_pretrained(into)
    about = "The embedded prior, in Stable Diffusion's format, trained by `experiments/world/train_prior.py`."
    model_card(into, "Prior", options, seconds, about)
    tidy(into)


def export(options: argparse.Namespace) -> None:
    """The averaged weights of the newest checkpoint, while the training goes on."""
    state = torch.load(CHECKPOINTS / "prior.pt", weights_only=True)
    student = build()
    student.load_state_dict(state["mean"])
    options.steps = state["step"]
    save(student, options, state["seconds"])


if __name__ == "__main__":
    options = arguments(__doc__ or "", train=(9000, 32, 3e-3), export=(0, 32, 3e-3))
    export(options) if options.stage == "export" else main(options)
