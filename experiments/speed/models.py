"""The models of a measured step, with random weights: the real architectures at full size, or the same in small."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as functional
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from torch import Tensor
from torchvision.models import resnet50
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from diffexplain.diffusion import MemorySettings, Prior
from diffexplain.diffusion.architectures import SCHEDULER_SD, TAESD, TEXT_CLIP_L, UNET_SD15, VAE_SD
from diffexplain.weights.paths import resolve_folder


@dataclass(frozen=True)
class Size:
    """How large the networks are; what is not named is as at full size."""

    name: str
    unet: dict[str, Any] = field(default_factory=dict)
    vae: dict[str, Any] = field(default_factory=dict)
    tiny: dict[str, Any] = field(default_factory=dict)
    text: dict[str, Any] = field(default_factory=dict)
    classifier_side: int = 224

    @property
    def pixels(self) -> int:
        """Side of an image."""
        return 8 * int((UNET_SD15 | self.unet)["sample_size"])


_SMALL_TEXT = {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 4, "num_attention_heads": 4}
SIZES = {
    size.name: size
    for size in (
        Size("full"),
        # A quarter of the channels of denoiser and decoders, a quarter of the pixels.
        Size(
            "reduced",
            {"sample_size": 32, "block_out_channels": (80, 160, 320, 320), "norm_num_groups": 16,
             "cross_attention_dim": 256},
            {"block_out_channels": (32, 64, 128, 128)},
            {"encoder_block_out_channels": (16, 16, 16, 16), "decoder_block_out_channels": (16, 16, 16, 16)},
            _SMALL_TEXT,
        ),
        Size(
            "least",
            {"sample_size": 8, "block_out_channels": (16, 16, 16, 16), "attention_head_dim": 2,
             "norm_num_groups": 8, "cross_attention_dim": 256, "layers_per_block": 1},
            {"block_out_channels": (8, 8, 8, 8), "norm_num_groups": 4, "layers_per_block": 1},
            {"encoder_block_out_channels": (4, 4, 4, 4), "decoder_block_out_channels": (4, 4, 4, 4)},
            _SMALL_TEXT | {"num_hidden_layers": 1},
            32,
        ),
    )
}  # fmt: skip


class WithValues(EulerDiscreteScheduler):
    """Keeps its schedule on the CPU: computed on the meta device it would have no values."""

    def set_timesteps(self, num_inference_steps: int, device: Any = None) -> None:
        super().set_timesteps(num_inference_steps, device="cpu")


class Models:
    """A prior and a ResNet-50, frozen, with random weights.

    Args:
        device: ``meta`` has shapes and no values: enough to count operations.
    """

    def __init__(self, size: Size, device: str, dtype: torch.dtype) -> None:
        self.size = size
        scheduler = WithValues if device == "meta" else EulerDiscreteScheduler
        with torch.device(device):
            torch.manual_seed(0)
            unet = UNet2DConditionModel(**UNET_SD15 | size.unet)
            vae = AutoencoderKL(**VAE_SD | size.vae)
            text_encoder = CLIPTextModel(CLIPTextConfig(**TEXT_CLIP_L | size.text, attn_implementation="eager"))
            self.tiny_decoder = AutoencoderTiny(**TAESD | size.tiny).to(dtype)
            self.classifier = resnet50().requires_grad_(False).eval().to(dtype)
        self.pipeline = StableDiffusionPipeline(
            vae=vae.to(dtype),
            text_encoder=text_encoder.to(dtype),
            # The words of the embedded world; which tokens they are makes no difference to the cost.
            tokenizer=CLIPTokenizer.from_pretrained(
                resolve_folder("embedded:prior") / "tokenizer", model_max_length=77
            ),
            unet=unet.to(dtype),
            scheduler=scheduler.from_config(SCHEDULER_SD, timestep_spacing="trailing"),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )

    def prior(self, steps: int, *, tiny: bool) -> Prior:
        """The prior with so many sampler steps, decoding with its full or its tiny decoder."""
        return Prior(self.pipeline, steps=steps, tiny_decoder=self.tiny_decoder.eval() if tiny else None)

    def arranged(self, memory: MemorySettings) -> Models:
        """Both decoders and the denoiser as the settings say; returns self."""
        self.prior(1, tiny=True).arrange(memory)
        return self

    @property
    def weight_bytes(self) -> int:
        """Bytes of the weights of all networks."""
        networks = (*self.prior(1, tiny=True)._modules(), self.classifier)
        return sum(p.numel() * p.element_size() for network in networks for p in network.parameters())

    def objective(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Cross entropy of class 0 of the ResNet-50."""
        side = self.size.classifier_side
        pixels = functional.interpolate(images, (side, side), mode="bilinear").to(self.pipeline.unet.dtype)
        log_probability = functional.log_softmax(self.classifier(pixels).float(), dim=1)[:, 0]
        return -log_probability.mean(), log_probability.detach().exp()
