"""A tiny Stable-Diffusion-format pipeline and a tiny classifier, with random weights made in a second.

Same library classes as the embedded prior, same schedule, everything smaller: images 32x32, latents 4x8x8,
text 16 tokens of width 16.
"""

from __future__ import annotations

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from diffexplain.diffusion.prior import Prior
from diffexplain.target import Label, Labels

WORDS = ("flagpole", "flag", "bee", "flower", "dog", "snow", "grass", "night", "red", "small", "with", "a")
CLASSES = ("flagpole", "bee", "dog_sled")
TOKENS = 16
WIDTH = 16


def tiny_tokenizer(words: tuple[str, ...] = WORDS) -> CLIPTokenizer:
    """Every word of ``words`` is one token; any other text falls back on single bytes."""
    symbols = _byte_symbols()
    vocabulary = [*symbols, *[symbol + "</w>" for symbol in symbols]]
    merges: list[tuple[str, str]] = []
    for word in words:
        parts = [*word[:-1], word[-1] + "</w>"]
        while len(parts) > 1:
            # From the right, so that no merge of one word swallows the beginning of another.
            pair = (parts[-2], parts[-1])
            if pair not in merges:
                merges.append(pair)
            parts = [*parts[:-2], pair[0] + pair[1]]
            if parts[-1] not in vocabulary:
                vocabulary.append(parts[-1])
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    table = {token: index for index, token in enumerate(vocabulary)}
    return CLIPTokenizer(vocab=table, merges=merges, model_max_length=TOKENS)


def tiny_pipeline(seed: int = 0) -> StableDiffusionPipeline:
    """Random weights; global random state is left as it was."""
    tokenizer = tiny_tokenizer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        text_encoder = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokenizer),
                hidden_size=WIDTH,
                intermediate_size=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                max_position_embeddings=TOKENS,
                projection_dim=WIDTH,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
                # A fresh CLIP's embeddings are so small that no text would differ from another.
                initializer_factor=5.0,
            )
        )
        unet = UNet2DConditionModel(
            sample_size=8,
            in_channels=4,
            out_channels=4,
            block_out_channels=(8, 16),
            layers_per_block=1,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            cross_attention_dim=WIDTH,
            attention_head_dim=2,
            norm_num_groups=4,
        )
        vae = AutoencoderKL(
            block_out_channels=(8, 8, 8),
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            latent_channels=4,
            norm_num_groups=4,
            layers_per_block=1,
            sample_size=32,
            scaling_factor=0.7,
        )
    scheduler = DDIMScheduler(
        prediction_type="v_prediction",
        beta_schedule="squaredcos_cap_v2",
        timestep_spacing="trailing",
        clip_sample=False,
        steps_offset=1,
    )
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def tiny_prior(steps: int = 2, guidance: float = 1.0, micro_batch: int = 16) -> Prior:
    """A prior around ``tiny_pipeline``."""
    return Prior(tiny_pipeline(), steps=steps, guidance=guidance, micro_batch=micro_batch, name="tiny")


class TinyClassifier(nn.Module):
    """Answers to mean colour: class 0 to red, 1 to green, 2 to blue; unit ``colours`` to the channels."""

    exclusive = True

    def __init__(self, sharpness: float = 20.0) -> None:
        super().__init__()
        self.name = "tiny"
        self.labels = Labels("tiny", tuple(Label(index, name) for index, name in enumerate(CLASSES)))
        self.sharpness = sharpness

    def forward(self, images: Tensor) -> Tensor:
        return self.sharpness * images.mean(dim=(2, 3))

    def activation(self, images: Tensor, module: str, channel: int) -> Tensor:
        assert module == "colours"
        return images.mean(dim=(2, 3))[:, channel]


def tiny_images(count: int, side: int = 32, seed: int = 0) -> Tensor:
    """Smooth random images (count, 3, side, side) in [0, 1]."""
    coarse = np.random.default_rng(seed).random((count, 3, 4, 4), dtype=np.float32)
    return nn.functional.interpolate(torch.from_numpy(coarse), (side, side), mode="bilinear").clamp(0, 1)


def _byte_symbols() -> list[str]:
    """The 256 printable stand-ins for bytes that byte-level BPE uses (GPT-2's table)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + index) for index in range(len(hidden))]
