"""The denoiser of the embedded prior: v-prediction on the autoencoder's latents, told by the frozen text tower.

`--stage base`: denoising with 10 % empty captions, at a constant learning rate, so that it may be stopped at any
checkpoint. `--stage distil`: the student learns in one pass what the base model says with guidance
(v = v_empty + w (v_text - v_empty), Meng et al. 2023, arXiv 2210.03142, their first stage), so that few steps
without guidance suffice; the learning rate anneals here.
"""

from __future__ import annotations

import argparse
import math

import torch
import torch.nn.functional as F
from common import CHECKPOINTS, WEIGHTS, Training, arguments, model_card, pictures, scenes, tidy
from coupling import choices_of, directions, paired_noise
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor
from train_autoencoder import linear_latents, principal_components
from train_clip import tokens
from transformers import CLIPTextModel, CLIPTokenizer

from diffexplain.world.captions import caption
from diffexplain.world.sampler import World
from diffexplain.world.scenes import Scene

FOLDER = WEIGHTS / "prior"
EMPTY_CAPTIONS = 0.1
FRESH = 0.4
"""Share of a batch that is new; the rest comes again from the pool of latents already made."""
POOL = 60_000
FIRST_STEP = 0.35
"""Share of a batch at the first step of sampling."""
GUIDANCE = 2.5


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
    """Latents and token ids of captioned scenes; a pool lets most of a batch come at no cost."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.world = World()
        self.components = [part.to(options.device) for part in principal_components()]
        self.tokenizer = CLIPTokenizer.from_pretrained(FOLDER / "tokenizer")
        self.text = (
            CLIPTextModel.from_pretrained(FOLDER / "text_encoder", dtype=torch.float32).to(options.device).eval()
        )
        self.latents: list[Tensor] = []
        self.seeds: list[tuple[Scene, int]] = []
        self.parts: list[Tensor] = []
        self.along = directions().to(options.device)
        self.generator = torch.Generator().manual_seed(options.seed + 5 + options.rank)

    @torch.no_grad()
    def batch(self, step: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Latents and noise (count, 16, 16, 16), text states and those of the empty caption (count, 32, 128)."""
        count = self.options.batch
        fresh = count if len(self.latents) < 40 * count else round(FRESH * count)
        if len(self.latents) >= POOL:
            fresh = 0
        new, seeds = (
            scenes(self.world, fresh, self.options.seed + 3 + 10 * self.options.rank, step) if fresh else ([], [])
        )
        if new:
            made = linear_latents(pictures(new, seeds, self.options.device) * 2 - 1, *self.components)
            self.latents += list(made.cpu())
            self.seeds += list(zip(new, seeds, strict=True))
            self.parts += [torch.from_numpy(choices_of(*pair)) for pair in zip(new, seeds, strict=True)]
        old = torch.randint(len(self.latents), (count - fresh,), generator=self.generator).tolist()
        chosen = [*range(len(self.latents) - fresh, len(self.latents)), *old]
        # A scene of the pool is told anew each time it comes.
        said = [caption(self.seeds[i][0], self.seeds[i][1] + 7919 * step).text for i in chosen]
        states = self.text(tokens(self.tokenizer, [*said, ""], self.options.device)).last_hidden_state
        latents = torch.stack([self.latents[i] for i in chosen]).to(self.options.device)
        parts = torch.stack([self.parts[i] for i in chosen]).to(self.options.device)
        noise = paired_noise(torch.randn_like(latents), parts, self.along)
        return latents, noise, states[:-1], states[-1:].expand(count, -1, -1)


def main(options: argparse.Namespace, stage: str) -> None:
    data, noising = Latents(options), scheduler()
    student = build()
    if options.go_on:
        student.load_state_dict(UNet2DConditionModel.from_pretrained(FOLDER / "unet").float().state_dict())
    base = CHECKPOINTS / "prior-base.pt"
    if stage == "distil":
        student.load_state_dict(torch.load(base, weights_only=True)["mean"])
    teacher = build()
    teacher.load_state_dict(student.state_dict())
    teacher.requires_grad_(False).eval()
    student.to(options.device, memory_format=torch.channels_last)
    teacher.to(options.device, memory_format=torch.channels_last)

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        latents, noise, told, empty = data.batch(step)
        count = len(latents)
        # Stratified times; but a good part of the batch at the very beginning, where the picture is decided.
        times = ((torch.arange(count) + torch.rand(count)) / count * 1000).long().clamp(max=999)
        times = times[torch.randperm(count)]
        # Half of the others at the times where four steps meet the picture.
        times[: count // 3] = (times[: count // 3] // 250) * 250 + 249
        times[-round(FIRST_STEP * count) :] = 999
        # Editing starts from other noise than the picture's own: later steps meet both.
        own = (times >= 900) | (torch.rand(count) < 0.5)
        times, own = times.to(options.device), own.to(options.device)
        noise = torch.where(own[:, None, None, None], noise, torch.randn_like(noise))
        noised = noising.add_noise(latents, noise, times).contiguous(memory_format=torch.channels_last)
        silent = torch.rand(count, device=options.device) < EMPTY_CAPTIONS
        states = torch.where(silent[:, None, None], empty, told)
        if stage == "base":
            target = noising.get_velocity(latents, noise, times)
        else:
            with torch.no_grad():
                without, within = teacher(
                    torch.cat([noised, noised]), torch.cat([times, times]), torch.cat([empty, states])
                ).sample.chunk(2)
            target = without + GUIDANCE * (within - without)  # equal to `without` where the caption is empty
        predicted = student(noised, times, states).sample
        return F.mse_loss(predicted, target), {}

    training = Training(f"prior-{stage}", student, options, average=0.9995 if stage == "base" else 0.998)
    if stage == "base":
        # Constant for the first half, so that the length may still be decided, then the cosine to nearly nothing.
        def rate(step: int) -> float:
            progress = max(0.0, 2 * step / options.steps - 1)
            return float(options.rate * min(1.0, (step + 1) / 200) * (0.02 + 0.49 * (1 + math.cos(math.pi * progress))))

        training.rate = rate  # type: ignore[method-assign]
    training.run(loss)
    if options.rank:
        return
    save(student, options, stage, training.seconds)


def save(student: UNet2DConditionModel, options: argparse.Namespace, stage: str, seconds: float) -> None:
    """The whole pipeline, in half precision, with its card."""
    pipeline = StableDiffusionPipeline(
        vae=AutoencoderKL.from_pretrained(FOLDER / "vae", dtype=torch.float16),
        tokenizer=CLIPTokenizer.from_pretrained(FOLDER / "tokenizer"),
        text_encoder=CLIPTextModel.from_pretrained(FOLDER / "text_encoder", dtype=torch.float16),
        unet=student.half(), scheduler=scheduler(), safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
    )  # fmt: skip
    pipeline.save_pretrained(FOLDER)
    about = "The embedded prior, in Stable Diffusion's format, trained by `experiments/world/train_prior.py`."
    facts = {"stage": stage, "guidance distilled": GUIDANCE if stage == "distil" else "none"}
    model_card(FOLDER, "Prior", options, seconds, about, **facts)
    tidy(FOLDER)


def export(options: argparse.Namespace) -> None:
    """The averaged weights of the newest checkpoint, while the training goes on."""
    stage = "distil" if (CHECKPOINTS / "prior-distil.pt").exists() else "base"
    state = torch.load(CHECKPOINTS / f"prior-{stage}.pt", weights_only=True)
    student = build()
    student.load_state_dict(state["mean"])
    options.steps = state["step"]
    save(student, options, stage, state["seconds"])


if __name__ == "__main__":
    options = arguments(__doc__ or "", base=(9000, 24, 1e-3), distil=(1500, 24, 6e-4), export=(0, 24, 1e-3))
    export(options) if options.stage == "export" else main(options, options.stage)
