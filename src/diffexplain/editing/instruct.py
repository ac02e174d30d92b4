"""Editing by instruction (InstructPix2Pix, Brooks et al., arXiv 2211.09800): "add a flag", "remove the flag"."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path as FilePath

import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    StableDiffusionInstructPix2PixPipeline,
    UNet2DConditionModel,
)
from torch import Tensor
from transformers import CLIPTextModel

from diffexplain.diffusion import AnyPrior
from diffexplain.diffusion.loading import QUIETLY, assemble
from diffexplain.editing.composition import Composition, Path, State
from diffexplain.editing.editor import NOISE, PURPOSE, CountingEditor, Prepared
from diffexplain.errors import UserError
from diffexplain.progress import progress
from diffexplain.runs.draws import Draws
from diffexplain.weights.documents import read_json
from diffexplain.weights.files import load_whole
from diffexplain.weights.store import Node, source_path

_ARTICLES = ("a ", "an ", "some ")


class Instruct(CountingEditor):
    """An editor that follows instructions; diffusers' pipeline, with noise that a run can repeat.

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
        pipeline.set_progress_bar_config(disable=True)
        for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder):
            part.requires_grad_(False).eval()
        self.pipeline = pipeline
        self.steps = steps
        self.guidance = guidance
        self.image_guidance = image_guidance
        self.micro_batch = micro_batch
        super().__init__(pipeline.unet)

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
        scale = self.pipeline.vae_scale_factor
        shape = (self.pipeline.vae.config.latent_channels, images.shape[-2] // scale, images.shape[-1] // scale)
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
        with self._counter.listening():
            for start in progress(range(0, len(images), self.micro_batch), f"edits, {self.micro_batch} at a time"):
                part = slice(start, start + self.micro_batch)
                made = self.pipeline(
                    list(instructions[part]),
                    images[part],
                    num_inference_steps=self.steps,
                    guidance_scale=self.guidance,
                    image_guidance_scale=self.image_guidance,
                    latents=noise[part].to(self.pipeline.unet.device, self.pipeline.unet.dtype),
                    output_type="pt",
                )
                edited.append(made.images.float().cpu().clamp(0, 1))
        return torch.cat(edited)


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
    path = source_path(weights[0], command=f"diffexplain fetch explainer=diffex editor=instruct editor.model={model}")
    if _kind(path) != StableDiffusionInstructPix2PixPipeline.__name__:
        raise UserError("This is no pipeline that follows instructions, as InstructPix2Pix is.", given=path)
    networks = {
        "unet": load_whole(UNet2DConditionModel, path / "unet", dtype=prior.dtype, **QUIETLY),
        "text_encoder": load_whole(CLIPTextModel, path / "text_encoder", dtype=prior.dtype),
        "vae": load_whole(AutoencoderKL, path / "vae", dtype=prior.dtype, **QUIETLY),
    }
    pipeline = assemble(StableDiffusionInstructPix2PixPipeline, path, networks).to(prior.device)
    return Instruct(pipeline, steps=steps, guidance=guidance, image_guidance=image_guidance, micro_batch=micro_batch)


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
