"""Editing by instruction: "add a flag", "remove the flag".

By InstructPix2Pix (Brooks et al., arXiv 2211.09800), or by FLUX.2 [klein], which draws pictures of texts and edits the
one that it is given. Other pipelines of diffusers take an ``image``, too, but their call does not tell what it is to
them (an outline to fill, a picture to draw over): those that follow instructions are known here by their class.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    Flux2KleinPipeline,
    StableDiffusionInstructPix2PixPipeline,
    UNet2DConditionModel,
)
from torch import Tensor, nn
from transformers import CLIPTextModel

from diffexplain.diffusion import AnyPrior, TextPrior
from diffexplain.diffusion.loading import QUIETLY, assemble
from diffexplain.diffusion.pipelines import check_call, read_pipeline
from diffexplain.editing.composition import Composition, Path, State
from diffexplain.editing.editor import NOISE, PURPOSE, CountingEditor, Prepared
from diffexplain.errors import UserError
from diffexplain.progress import progress
from diffexplain.runs.draws import Draws
from diffexplain.weights.documents import read_json
from diffexplain.weights.files import load_whole
from diffexplain.weights.store import Node, source_path

PATCH = 2
"""Latents along the side of what FLUX.2's network is given as one."""
MULTIPLE, SMALLEST, LARGEST = 16, 64, 1024
"""Of pictures that FLUX.2 [klein] edits as they are: what their sides are multiples of, the least, and that of a square
of as many pixels as may be."""
_ARTICLES = ("a ", "an ", "some ")


class Instructed(CountingEditor, ABC):
    """An editor that follows instructions; a pipeline of diffusers, with noise that a run can repeat.

    Args:
        pipeline: frozen from here on.
        network: of the pipeline; denoises.
        noise: channels of its noise, and the pixels of the image that one cell of it stands for, along a side.
        micro_batch: images edited at a time.
    """

    def __init__(self, pipeline: Any, network: nn.Module, noise: tuple[int, int], micro_batch: int) -> None:
        pipeline.set_progress_bar_config(disable=True)
        for part in (network, pipeline.vae, pipeline.text_encoder):
            part.requires_grad_(False).eval()
        self.pipeline = pipeline
        self.micro_batch = micro_batch
        self._channels, self._cell = noise
        super().__init__(network)

    def prepare(
        self,
        composition: Composition,
        draws: Draws,
        indices: Sequence[int],
        images: Tensor | None = None,
        states: Sequence[State] | None = None,
    ) -> Prepared:
        """Draw each image's noise; the null edit follows an empty instruction.

        Raises:
            UserError: no images.
        """
        if images is None:
            raise UserError("Instructions edit given images: name a folder of them, or choose editor=paired.")
        shape = (self._channels, images.shape[-2] // self._cell, images.shape[-1] // self._cell)
        noise = torch.stack([draws.normal(PURPOSE, NOISE, shape, index) for index in indices])
        known = tuple(states) if states is not None else (frozenset(),) * len(images)
        null = self._edit(images, noise, [""] * len(images))
        return Prepared(tuple(indices), null, known, (composition, images, noise))

    def edit(self, prepared: Prepared, places: Sequence[int], states: Sequence[State]) -> Tensor:
        """The images after one instruction each, which says all that is to change."""
        composition, images, noise = prepared.kept
        instructions = [
            instruction(composition, prepared.states[place], state) for place, state in zip(places, states, strict=True)
        ]
        return self._edit(images[list(places)], noise[list(places)], instructions)

    def _edit(self, images: Tensor, noise: Tensor, instructions: Sequence[str]) -> Tensor:
        edited = []
        like = next(self._counter.network.parameters())
        with self._counter.listening():
            for start in progress(range(0, len(images), self.micro_batch), f"edits, {self.micro_batch} at a time"):
                part = slice(start, start + self.micro_batch)
                made = self._follow(list(instructions[part]), images[part], noise[part].to(like.device, like.dtype))
                edited.append(made.float().cpu().clamp(0, 1))
        return torch.cat(edited)

    @abstractmethod
    def _follow(self, instructions: list[str], images: Tensor, noise: Tensor) -> Tensor:
        """The images (B, 3, H, W) after an instruction each, from noise on the network's device."""


class Instruct(Instructed):
    """InstructPix2Pix.

    Args:
        pipeline: its denoising network takes the image's latents beside the noisy ones.
        steps: of the sampler.
        guidance: towards the instruction; above 1, and then three calls of the network a step.
        image_guidance: towards the image, at least 1.
        micro_batch: images edited at a time; it changes their last bits.

    Raises:
        UserError: a guidance is out of its range.
    """

    def __init__(
        self,
        pipeline: StableDiffusionInstructPix2PixPipeline,
        *,
        steps: int = 20,
        guidance: float = 7.5,
        image_guidance: float = 1.5,
        micro_batch: int = 4,
    ) -> None:
        if guidance <= 1 or image_guidance < 1:
            given = f"editor.guidance={guidance}, editor.image_guidance={image_guidance}"
            raise UserError("Instructions need a guidance above 1 and an image guidance of at least 1.", given=given)
        # The one that it comes with draws noise at every step; this one draws none.
        pipeline.scheduler = EulerDiscreteScheduler.from_config(pipeline.scheduler.config)
        self.steps = steps
        self.guidance = guidance
        self.image_guidance = image_guidance
        noise = (pipeline.vae.config.latent_channels, pipeline.vae_scale_factor)
        super().__init__(pipeline, pipeline.unet, noise, micro_batch)

    def _follow(self, instructions: list[str], images: Tensor, noise: Tensor) -> Tensor:
        made: Tensor = self.pipeline(
            instructions,
            images,
            num_inference_steps=self.steps,
            guidance_scale=self.guidance,
            image_guidance_scale=self.image_guidance,
            latents=noise,
            output_type="pt",
        ).images
        return made


class Flux2Klein(Instructed):
    """FLUX.2 [klein]: a picture stands beside the noise that it is made of, in one call of the network a step.

    All texts of a call are given the same pictures, so one image is edited at a time, whatever it is edited with.

    Args:
        pipeline: as its users call it.
        steps: of the sampler.
        guidance: scale; above 1 two calls of the network a step. One that is distilled takes none.
        options: of the pipeline's call besides.

    Raises:
        UserError: it does not take an option.
    """

    def __init__(
        self,
        pipeline: Flux2KleinPipeline,
        *,
        steps: int = 4,
        guidance: float = 1.0,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        check_call(type(pipeline), options or {})
        self.steps = steps
        self.guidance = guidance
        self.options = dict(options or {})
        noise = (pipeline.transformer.config.in_channels, PATCH * pipeline.vae_scale_factor)
        super().__init__(pipeline, pipeline.transformer, noise, micro_batch=1)

    def _follow(self, instructions: list[str], images: Tensor, noise: Tensor) -> Tensor:
        made: Tensor = self.pipeline(
            image=self.pipeline.image_processor.postprocess(images, "pil", [False]),
            prompt=instructions,
            num_inference_steps=self.steps,
            guidance_scale=self.guidance,
            latents=noise,
            output_type="pt",
            **self.options,
        ).images
        return made


def load_instruct(
    prior: AnyPrior,
    *,
    model: str,
    weights: Sequence[Node],
    steps: int = 20,
    guidance: float = 7.5,
    image_guidance: float = 1.5,
    micro_batch: int = 4,
) -> Instruct:
    """The editor of a pipeline in diffusers' format; it has a denoising network of its own.

    Args:
        prior: the run's, whose device and dtype the editor takes.
        model: the repository, or a folder in its place; for messages.
        weights: one source, the repository, or a folder in its place; safetensors alone.
        steps, guidance, image_guidance, micro_batch: as `Instruct`.

    Raises:
        UserError: it is not there, not whole, or no such pipeline.
    """
    path = source_path(weights[0], command=_fetch("instruct", model))
    if _kind(path) != StableDiffusionInstructPix2PixPipeline.__name__:
        raise UserError("This is no pipeline that follows instructions, as InstructPix2Pix is.", given=path)
    networks = {
        "unet": load_whole(UNet2DConditionModel, path / "unet", dtype=prior.dtype, **QUIETLY),
        "text_encoder": load_whole(CLIPTextModel, path / "text_encoder", dtype=prior.dtype),
        "vae": load_whole(AutoencoderKL, path / "vae", dtype=prior.dtype, **QUIETLY),
    }
    pipeline = assemble(StableDiffusionInstructPix2PixPipeline, path, networks).to(prior.device)
    return Instruct(pipeline, steps=steps, guidance=guidance, image_guidance=image_guidance, micro_batch=micro_batch)


def load_flux2_klein(
    prior: AnyPrior,
    *,
    model: str,
    weights: Sequence[Node],
    steps: int = 4,
    guidance: float = 1.0,
    options: Mapping[str, Any] | None = None,
) -> Flux2Klein:
    """The editor of a pipeline in diffusers' format; the prior's own, where that is read from the same files.

    Args:
        prior: the run's, whose device and dtype the editor takes, and whose size the photographs have.
        model: the repository, or a folder in its place; for messages.
        weights: one source, the repository, or a folder in its place; safetensors alone.
        steps, guidance, options: as `Flux2Klein`.

    Raises:
        UserError: it is not there, not whole, or no such pipeline; or it does not take photographs of that size.
    """
    path = source_path(weights[0], command=_fetch("flux2_klein", model))
    if _kind(path) != Flux2KleinPipeline.__name__:
        raise UserError("This is no pipeline that edits as FLUX.2 [klein] does.", given=path)
    height, width = prior.image_size
    if height % MULTIPLE or width % MULTIPLE or min(height, width) < SMALLEST or height * width > LARGEST**2:
        fit = f"sides are multiples of {MULTIPLE}, from {SMALLEST}x{SMALLEST} to {LARGEST}x{LARGEST} pixels"
        message = f"FLUX.2 [klein] edits pictures whose {fit}; photographs are given the prior's size."
        raise UserError(message, given=f"{height}x{width}")
    shared = isinstance(prior, TextPrior) and prior.pipeline.name_or_path == path  # It would be in memory twice.
    pipeline = prior.pipeline if shared else read_pipeline(path, options or {}, prior.dtype).to(prior.device)
    return Flux2Klein(pipeline, steps=steps, guidance=guidance, options=options)


def _fetch(editor: str, model: str) -> str:
    return f"diffexplain fetch explainer=diffex editor={editor} editor.model={model}"


def _kind(folder: FilePath) -> str | None:
    """The class of the pipeline in a folder; None if there is none."""
    try:
        index = read_json(folder / "model_index.json")
    except (OSError, ValueError):
        return None
    return index.get("_class_name") if isinstance(index, dict) else None


def instruction(composition: Composition, before: State, after: State) -> str:
    """What to tell the editor: "add a flag and put it in the snow"."""
    added = [path for path in composition.ordered(after) if not composition.shows(before, path)]
    removed = [path for path in composition.ordered(before) if not composition.shows(after, path)]
    said = [_add(composition, path) for path in added]
    # What a rival takes the place of goes by itself.
    said += [
        f"remove the {_bare(composition.concepts[path].text)}"
        for path in removed
        if all(composition.compatible(path, other) for other in added)
    ]
    return " and ".join(said)


def _add(composition: Composition, path: Path) -> str:
    text = composition.concepts[path].text
    role = composition.role(path)
    if role == "attribute":
        return f"make the {_bare(composition.subject)} {text}"
    return f"put it {text}" if role == "setting" else f"add {text}"


def _bare(text: str) -> str:
    return next((text[len(article) :] for article in _ARTICLES if text.startswith(article)), text)
