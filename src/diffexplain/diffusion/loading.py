"""Loading a prior from disk: a Stable-Diffusion-format folder, with what its configuration puts in place of parts.

Nothing is fetched here and no pickle is read. All files are known to be there and whole before any is loaded.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, StableDiffusionPipeline, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextModel

from diffexplain.diffusion.lora import merge_lora
from diffexplain.diffusion.prior import SCHEDULERS, Prior
from diffexplain.errors import UserError
from diffexplain.weights.documents import read_json
from diffexplain.weights.files import (
    beside,
    check_folder,
    library_reads,
    load_whole,
    read_shapes,
    read_weights,
    shapes_of,
)
from diffexplain.weights.paths import resolve_folder
from diffexplain.weights.store import local

DTYPES = ("float32", "bfloat16", "float16")
UNET_FILE = "diffusion_pytorch_model.safetensors"
QUIETLY = {"low_cpu_mem_usage": False}
"""For diffusers' loading: True needs another package, and the library says so each time."""
PARTS = ("pipeline", "unet", "lora", "tiny_decoder")
"""What a source under ``weights`` may be, by its key ``part``."""


def load_prior(
    folder: str | None = None,
    *,
    steps: int,
    guidance: float = 1.0,
    scheduler: str | None = None,
    scheduler_options: Mapping[str, Any] | None = None,
    micro_batch: int = 16,
    gradient_micro_batch: int | None = None,
    dtype: str = "float32",
    weights: Sequence[Mapping[str, Any]] | None = None,
    tiny_decoder_folder: str | None = None,
    full_decoder: str | None = None,
) -> Prior:
    """Load a prior from a folder, or from the parts that ``diffexplain fetch`` has brought.

    Args:
        folder: ``embedded:prior`` or a path; ``None`` where ``weights`` names a pipeline.
        steps: sampler steps.
        guidance: classifier-free guidance scale; 1 means none.
        scheduler: one of ``SCHEDULERS`` in place of the pipeline's own (its schedule is kept).
        scheduler_options: keys of the scheduler's configuration to set, such as ``timestep_spacing``.
        micro_batch: images generated at a time where no gradient is needed. It changes the last
            bits of images.
        gradient_micro_batch: images at a time where one is needed, unless ``memory.micro_batch`` says; ``None``: all.
        dtype: ``float32``, ``bfloat16`` or ``float16``.
        weights: sources of files, each with a ``part``: ``pipeline``, ``unet`` (a denoiser in place of the
            pipeline's), ``lora`` (merged into the denoiser) or ``tiny_decoder``.
        tiny_decoder_folder: an ``AutoencoderTiny``, where ``weights`` names none.
        full_decoder: folder inside the pipeline of its full autoencoder, where ``vae`` is a tiny one.

    Raises:
        UserError: a file is missing or damaged, not a pipeline, or an option that cannot be had.
    """
    if dtype not in DTYPES:
        raise UserError("No such dtype.", given=dtype, accepted=DTYPES)
    if scheduler is not None and scheduler not in SCHEDULERS:
        raise UserError("No such scheduler.", given=scheduler, accepted=tuple(SCHEDULERS))
    parts = _Parts.find(folder, weights or (), tiny_decoder_folder)
    wanted_type = getattr(torch, dtype)

    def autoencoder(kind: Any, path: Path) -> Any:
        return load_whole(kind, path, dtype=wanted_type, **QUIETLY)

    networks = {
        "unet": _denoiser(parts, wanted_type),
        "text_encoder": load_whole(CLIPTextModel, parts.pipeline / "text_encoder", dtype=wanted_type),
        "vae": autoencoder(parts.full_autoencoder(full_decoder), parts.pipeline / (full_decoder or "vae")),
    }
    tiny_folder = parts.tiny_decoder or (None if full_decoder is None else parts.pipeline / "vae")
    tiny = None if tiny_folder is None else autoencoder(AutoencoderTiny, tiny_folder)
    pipeline = assemble(StableDiffusionPipeline, parts.pipeline, networks)
    if pipeline.tokenizer.model_max_length > pipeline.text_encoder.config.max_position_embeddings:
        message = f"The tokenizer in {parts.pipeline} says nothing of how long a text may be, or more than is read."
        raise UserError(message, hint=f"ls {parts.pipeline / 'tokenizer'}")
    if scheduler is not None or scheduler_options:
        wanted = type(pipeline.scheduler) if scheduler is None else SCHEDULERS[scheduler]
        options = dict(scheduler_options or {})
        if "clip_sample" in inspect.signature(wanted).parameters:
            options.setdefault("clip_sample", False)  # Latents go beyond 1, and DDIM would cut them off there.
        pipeline.scheduler = wanted.from_config(pipeline.scheduler.config, **options)
    name = folder or str(parts.pipeline)
    return Prior(
        pipeline,
        steps=steps,
        guidance=guidance,
        micro_batch=micro_batch,
        gradient_micro_batch=gradient_micro_batch,
        name=name,
        tiny_decoder=tiny,
    )


def assemble(kind: Any, folder: Path, networks: Mapping[str, Any]) -> Any:
    """The pipeline of a folder around networks that are loaded whole.

    By itself the library would go on with random values in place of tensors that a file lacks.

    Args:
        kind: a class of Stable Diffusion pipelines.
        folder: in diffusers' format.
        networks: denoiser, text encoder and autoencoder, by the pipeline's names.

    Raises:
        UserError: another part is missing.
    """
    with library_reads(f"{folder} lacks a part"):
        return kind.from_pretrained(
            folder,
            **networks,
            **QUIETLY,
            local_files_only=True,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )


@dataclass(frozen=True)
class _Parts:
    """Where the parts of a prior are; folders, but for the two that are single files."""

    pipeline: Path
    unet: Path | None
    lora: Path | None
    tiny_decoder: Path | None

    def full_autoencoder(self, folder: str | None) -> type[nn.Module]:
        """The class of the autoencoder that makes final images; a folder may have a tiny one as its only one."""
        with library_reads(f"{self.pipeline} is no pipeline"):
            tiny = read_json(self.pipeline / "model_index.json").get("vae", [None, None])[1] == "AutoencoderTiny"
        return AutoencoderTiny if tiny and folder is None else AutoencoderKL

    @staticmethod
    def find(folder: str | None, weights: Sequence[Mapping[str, Any]], tiny_decoder_folder: str | None) -> _Parts:
        """Look all of them up, and see that each is there and whole."""
        found: dict[str, Path] = {}
        for source in weights:
            part = str(source.get("part"))
            if part not in PARTS:
                raise UserError("A source under diffusion.weights has a part.", given=part, accepted=PARTS)
            found[part] = local(source)
            if part in ("unet", "lora"):
                found[part] = _single_file(found[part], source)
        if folder is not None:
            found["pipeline"] = resolve_folder(folder)
        if tiny_decoder_folder is not None:
            found["tiny_decoder"] = resolve_folder(tiny_decoder_folder)
        if "pipeline" not in found:
            raise UserError("Name the folder of a Stable Diffusion pipeline: diffusion.folder=<folder>.")
        if not (found["pipeline"] / "model_index.json").is_file():
            raise UserError(f"{found['pipeline']} is not a Stable Diffusion pipeline: model_index.json is missing.")
        for path in found.values():
            check_folder(path) if path.is_dir() else read_shapes(path)
        return _Parts(found["pipeline"], found.get("unet"), found.get("lora"), found.get("tiny_decoder"))


def _single_file(folder: Path, source: Mapping[str, Any]) -> Path:
    """The one file of a source; of a pickle, the safetensors file that was made of it."""
    (name,) = source["files"]
    path = folder / name
    return path if path.suffix == ".safetensors" else beside(path)


def _denoiser(parts: _Parts, dtype: torch.dtype) -> UNet2DConditionModel:
    """The denoiser, put together in single precision, so that an adapter is merged before anything is rounded."""
    folder = parts.pipeline / "unet"
    # On the meta device no time is lost on random weights.
    with library_reads(f"{folder} holds no denoiser"), torch.device("meta"):
        unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(folder, local_files_only=True))
    weights = read_weights(parts.unet or folder / UNET_FILE, shapes_of(unet))
    unet.load_state_dict({name: value.float() for name, value in weights.items()}, assign=True)
    if parts.lora is not None:
        merge_lora(unet, parts.lora)
    return nn.Module.to(unet, dtype)  # The library's own `to` warns of layers that this network has not.
