"""A run's networks by their shapes: what a call of each costs in operations, memory and time, with no weights read.

They are built from their configurations on the meta device. How long a call takes here is measured with zeros for
weights. What was found once is kept beside the fetched weights.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cached_property, partial
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPSegConfig, CLIPSegForImageSegmentation, CLIPTextConfig, CLIPTextModel

from diffexplain.config.configuration import COMPARED
from diffexplain.config.instantiate import TARGET, build, locate
from diffexplain.diffusion import load_prior
from diffexplain.diffusion.architectures import PUBLISHED, TAESD, Architecture
from diffexplain.diffusion.memory import PeakMemory
from diffexplain.errors import RetryableError, UserError
from diffexplain.pipelines.calls import (
    CLASSIFIER,
    DECODER,
    DENOISER,
    ENCODER,
    MASKS,
    SEGMENTER,
    SIMILARITY,
    TEXT,
    TINY_DECODER,
)
from diffexplain.pipelines.parts import loading
from diffexplain.weights import atomic
from diffexplain.weights.documents import read_json
from diffexplain.weights.files import library_reads
from diffexplain.weights.paths import resolve_folder
from diffexplain.weights.store import measured_file, source_path

T = TypeVar("T")
_MAY_MAKE: ContextVar[bool] = ContextVar("may_make", default=True)
CLIPSEG_SIDE = 352
"""Pixels at which the published CLIPSeg is used, whose positions are for fewer."""
LONG_CALL, REPEATS = 1.0, 3
"""Seconds of one sample from which on it alone is measured; else the median of so many batches."""


@dataclass(frozen=True)
class Network:
    """One network.

    Attributes:
        make: builds it.
        inputs: shapes, of one sample.
        call: what it gives for them.
        batch: samples at once, in a run.
        dtype: of weights and inputs.
    """

    make: Callable[[], Any]
    inputs: tuple[tuple[int, ...], ...]
    call: Callable[..., Tensor]
    batch: int
    dtype: torch.dtype = torch.float32

    @cached_property
    def shapes(self) -> nn.Module:
        """The network without weights."""
        with torch.device("meta"):
            return nn.Module.to(self.make(), self.dtype).requires_grad_(False).eval()

    @property
    def bytes(self) -> int:
        """Of its weights."""
        return sum(weight.numel() * weight.element_size() for weight in self.shapes.parameters())

    @property
    def copies(self) -> float:
        """Bytes that are there besides while its weights are read: the file's, and single precision before rounding."""
        single = 4.0 * self.bytes / self.dtype.itemsize
        return single if self.dtype == torch.float32 else 1.5 * single

    @cached_property
    def key(self) -> str:
        """By which it is remembered."""
        return sha256(repr((str(self.shapes), self.inputs, self.dtype)).encode()).hexdigest()[:16]

    def output(self, module: nn.Module, samples: int, *, gradient: bool = False) -> Tensor:
        """Of one call on zeros, where the module is."""
        device = next(module.parameters()).device
        with torch.set_grad_enabled(gradient):
            given = [
                torch.zeros(samples, *shape, device=device, dtype=self.dtype, requires_grad=gradient)
                for shape in self.inputs
            ]
            return self.call(module, *given)

    def operations(self) -> list[float]:
        """Floating-point operations of a sample, and of its backward pass; a multiply-add is two."""

        def both() -> list[float]:
            # Attention as matrix multiplications, which the counter knows on every device.
            with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
                output = self.output(self.shapes, 1, gradient=True)
                forward = float(counter.get_total_flops())
                output.float().sum().backward()
            return [forward, float(counter.get_total_flops()) - forward]

        return remembered(f"operations {self.key}", both)

    def seconds(self, device: str, where: str) -> float:
        """Of a sample without gradient on a device of this machine, which messages call ``where``."""

        def timed(module: nn.Module, samples: int) -> float:
            began = time.perf_counter()
            self.output(module, samples).sum().item()  # Waits for a card.
            return (time.perf_counter() - began) / samples

        def measured() -> float:
            module = _zeroed(self.make, self.dtype, device)
            timed(module, 1)
            once = timed(module, 1)
            return once if once > LONG_CALL else statistics.median(timed(module, self.batch) for _ in range(REPEATS))

        return remembered(f"seconds {self.key} {self.batch} {where}", measured)


def _zeroed(make: Callable[[], Any], dtype: torch.dtype, device: str) -> nn.Module:
    with torch.device("meta"):
        module: nn.Module = nn.Module.to(make(), dtype)
    module = module.to_empty(device=device).requires_grad_(False).eval()
    for tensor in (*module.parameters(), *module.buffers()):
        tensor.zero_()
    return module


def peak(chain: Sequence[tuple[Network, int]], *, gradient: bool = False, again: bool = False) -> float:
    """Bytes that are alive at the same time at most while networks are called one after the other, weights aside.

    Args:
        chain: networks and samples.
        gradient: what the backward pass needs is kept until all have been called.
        again: blocks keep their inputs alone, and are computed again.
    """

    def watched() -> float:
        way = "enable_gradient_checkpointing" if again else "disable_gradient_checkpointing"
        for network, _ in chain:
            getattr(network.shapes, way, lambda: None)()
        with PeakMemory() as watch, patch.object(functional, "scaled_dot_product_attention", _fused):
            outputs = [network.output(network.shapes, samples, gradient=gradient) for network, samples in chain]
            while gradient and outputs:
                outputs.pop().float().sum().backward()
        return float(watch.peak)

    key = " ".join(f"{network.key} {samples}" for network, samples in chain)
    return remembered(f"peak {key} {gradient} {again}", watched)


def _fused(query: Tensor, key: Tensor, value: Tensor, *_rest: Any, **_more: Any) -> Tensor:
    """In place of attention that never holds its matrix: what stays in memory are inputs and output."""
    return query * (key * value).mean(dim=-2, keepdim=True)


@contextmanager
def nothing_new() -> Iterator[None]:
    """Within the block what is not remembered is a `LookupError`: to find it may take minutes."""
    token = _MAY_MAKE.set(False)
    try:
        yield
    finally:
        _MAY_MAKE.reset(token)


def remembered(key: str, make: Callable[[], T]) -> T:
    """What was made under ``key`` by these versions on this machine; else it is made now, and kept."""
    path, key = measured_file(), f"torch {torch.__version__} {key}"

    def known() -> dict[str, Any]:
        try:
            return dict(read_json(path))
        except (OSError, ValueError, TypeError):
            return {}

    def digest(value: Any) -> str:
        return sha256(json.dumps([key, value]).encode()).hexdigest()

    before = known().get(key)
    if isinstance(before, dict) and before.get("sha256") == digest(before.get("made")):
        found: T = before["made"]
        return found
    if not _MAY_MAKE.get():
        raise LookupError(key)
    made = make()
    with suppress(OSError, RetryableError):  # A folder that cannot be written to costs the time again.
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_bytes(path, atomic.to_json({**known(), key: {"made": made, "sha256": digest(made)}}).encode())
    return made


def networks(config: Mapping[str, Any]) -> dict[str, Network]:
    """The networks of a run by their names in `calls`, those of compared classifiers by their own beside it; without
    classifiers that show no shapes.

    Raises:
        UserError: the prior is of another kind, or its configuration is not here.
    """
    plugins = tuple(config["plugins"])
    if locate(str(config["diffusion"][TARGET]), plugins, "diffusion") is not load_prior:
        raise UserError(
            "Of such a prior it is not known before the run.", given=f"diffusion={config['diffusion']['name']}"
        )
    architecture = architecture_of(config["diffusion"])
    found = _of_prior(architecture, config["diffusion"])
    if "segmenter" in config:
        found |= _of_segmenter(config["segmenter"])
    size = picture_size(architecture)
    batch = int((config.get("effects") or config["explainer"]).get("batch_size", 25))
    asked = {CLASSIFIER: config["classifier"]}
    asked |= {f"{CLASSIFIER} {name}": node for name, node in config.get(COMPARED, {}).items()}
    for name, node in asked.items():
        with suppress(UserError):  # It cannot be made without its weights.
            load = loading(node, plugins, meta=True)
            classifier = Network(
                partial(build, load, plugins=plugins, where="classifier"),
                ((3, *size),),
                lambda module, images: module.backbone(module.preprocess(images)),
                batch,
            )
            if classifier.bytes and all(weight.is_meta for weight in classifier.shapes.parameters()):
                found[name] = classifier
    return found


def architecture_of(diffusion: Mapping[str, Any]) -> Architecture:
    """The prior's, as published, or as its folder has it.

    Raises:
        UserError: it was not fetched.
    """
    parts = {str(source.get("part")): source for source in diffusion.get("weights") or ()}
    if diffusion.get("folder") is None and parts.get("pipeline", {}).get("repository") in PUBLISHED:
        published = PUBLISHED[str(parts["pipeline"]["repository"])]
        tiny = published.tiny_decoder
        if diffusion.get("full_decoder", "") is None and tiny is not None:  # which is then its only one
            return replace(published, decoder=tiny, tiny_decoder=None)
        return published
    if diffusion.get("folder") is not None:
        folder = resolve_folder(str(diffusion["folder"]))
    elif "pipeline" in parts:
        folder = source_path(parts["pipeline"], command=f"diffexplain fetch diffusion={diffusion['name']}")
    else:
        raise UserError("Name the folder of a Stable Diffusion pipeline: diffusion.folder=<folder>.")
    full, own = diffusion.get("full_decoder"), diffusion.get("tiny_decoder_folder")
    tiny = None if own is None else _read(resolve_folder(str(own)))
    if tiny is None and (full or "tiny_decoder" in parts):
        tiny = _read(folder / "vae") if full else TAESD
    read = [_read(folder / part) for part in ("unet", "text_encoder", str(full or "vae"))]
    return Architecture(read[0], read[1], read[2], tiny)


def picture_size(architecture: Architecture) -> tuple[int, int]:
    """(H, W) in pixels."""
    decoder = architecture.decoder
    levels = decoder.get("block_out_channels") or decoder["decoder_block_out_channels"]
    height, width = _cells(architecture)
    return height * 2 ** (len(levels) - 1), width * 2 ** (len(levels) - 1)


def _cells(architecture: Architecture) -> tuple[int, int]:
    size = architecture.denoiser["sample_size"]
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def _of_prior(architecture: Architecture, diffusion: Mapping[str, Any]) -> dict[str, Network]:
    latents = (int(architecture.denoiser["in_channels"]), *_cells(architecture))
    text, scale = architecture.text_encoder, architecture.denoiser.get("time_cond_proj_dim")
    states = (int(text["max_position_embeddings"]), int(text["hidden_size"]))
    dtype, batch = getattr(torch, str(diffusion.get("dtype", "float32"))), int(diffusion.get("micro_batch", 16))

    def denoised(module: Any, noisy: Tensor, said: Tensor, *guidance: Tensor) -> Tensor:
        step, embedded = torch.zeros((), dtype=torch.long, device=said.device), guidance[0] if guidance else None
        output: Tensor = module(noisy, step, encoder_hidden_states=said, timestep_cond=embedded, return_dict=False)[0]
        return output

    def autoencoder(config: Mapping[str, Any]) -> Callable[[], Any]:
        kind = AutoencoderTiny if "decoder_block_out_channels" in config else AutoencoderKL
        return lambda: kind.from_config(dict(config))

    def decoder(config: Mapping[str, Any]) -> Network:
        return Network(
            autoencoder(config), (latents,), lambda m, given: m.decode(given, return_dict=False)[0], batch, dtype
        )

    found = {
        # By embeddings, through which a gradient can go.
        TEXT: Network(
            lambda: CLIPTextModel(CLIPTextConfig(**text)),
            (states,),
            lambda m, x: _layers(m)(inputs_embeds=x)[0],
            batch,
            dtype,
        ),
        DENOISER: Network(
            lambda: UNet2DConditionModel.from_config(dict(architecture.denoiser)),
            (latents, states, *([] if scale is None else [(int(scale),)])),
            denoised,
            batch,
            dtype,
        ),
        DECODER: decoder(architecture.decoder),
        ENCODER: Network(
            autoencoder(architecture.decoder),
            ((3, *picture_size(architecture)),),
            lambda m, x: m.encoder(x),
            batch,
            dtype,
        ),
    }
    if architecture.tiny_decoder is not None:
        found[TINY_DECODER] = decoder(architecture.tiny_decoder)
    return found


def _layers(module: Any) -> Any:
    return getattr(module, "text_model", module).encoder


def _of_segmenter(node: Mapping[str, Any]) -> dict[str, Network]:
    """Its vision network at the size of masks and at CLIP's own, and its decoder of a phrase's mask."""
    config, side = CLIPSegConfig(use_complex_transposed_convolution=True), CLIPSEG_SIDE  # as published
    if node.get("folder") is not None:
        folder = resolve_folder(str(node["folder"]))
        config, side = CLIPSegConfig.from_pretrained(folder, local_files_only=True), _side(folder)
    vision = config.vision_config
    cells = ((side // vision.patch_size) ** 2 + 1, vision.hidden_size)

    def made() -> Any:
        return CLIPSegForImageSegmentation(config)

    def look(side: int) -> Network:
        def looked(module: Any, images: Tensor) -> Tensor:
            return module.clip.vision_model(images, interpolate_pos_encoding=True)[0]

        return Network(made, ((3, side, side),), looked, 16)

    inputs = (*[cells] * len(config.extract_layers), (config.projection_dim,))
    pairs = int(node.get("pairs_at_once", 64))
    return {
        SEGMENTER: look(side),
        SIMILARITY: look(int(vision.image_size)),
        MASKS: Network(made, inputs, lambda m, *given: m.decoder(given[:-1], given[-1]).logits, pairs),
    }


def _side(folder: Path) -> int:
    for name in ("processor_config.json", "preprocessor_config.json"):
        if (folder / name).is_file():
            content = _read(folder, name)
            size = content.get("image_processor", content)["size"]
            return int(size["height"] if "height" in size else size["shortest_edge"])
    return CLIPSEG_SIDE


def _read(folder: Path, name: str = "config.json") -> dict[str, Any]:
    with library_reads(f"{folder / name} cannot be read"):
        return dict(read_json(folder / name))
