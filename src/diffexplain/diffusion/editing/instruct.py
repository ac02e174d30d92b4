"""Editing by instruction (InstructPix2Pix, Brooks et al., arXiv 2211.09800): "add a flag", "remove the flag"."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers import EulerDiscreteScheduler, StableDiffusionInstructPix2PixPipeline
from torch import Tensor

from diffexplain.diffusion.editing.composition import Composition, Path, State
from diffexplain.diffusion.editing.editor import NOISE, PURPOSE, Counter, Prepared
from diffexplain.diffusion.prior import Prior
from diffexplain.errors import UserError
from diffexplain.paths import resolve_folder
from diffexplain.runs.draws import Draws
from diffexplain.weights_file import check_folder

_ARTICLES = ("a ", "an ", "some ")


class Instruct:
    """An editor that follows instructions; diffusers' pipeline, with noise that a run can repeat.

    Args:
        pipeline: its denoising network takes the image's latents beside the noisy ones.
        steps: of the sampler.
        guidance: towards the instruction; above 1, and then three calls of the network a step.
        image_guidance: towards the image, at least 1.
        micro_batch: images edited at a time; it changes their last bits.
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
        self._counter = Counter(pipeline.unet)

    @property
    def evaluations(self) -> int:
        return self._counter.count

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
            for start in range(0, len(images), self.micro_batch):
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
    prior: Prior,
    *,
    folder: str,
    steps: int = 20,
    guidance: float = 7.5,
    image_guidance: float = 1.5,
    micro_batch: int = 4,
) -> Instruct:
    """The editor of a folder in diffusers' format; it has a denoising network of its own.

    Args:
        prior: the run's, whose device and dtype the editor takes.
        folder: such as InstructPix2Pix's, safetensors alone.
        steps, guidance, image_guidance, micro_batch: as `Instruct`.

    Raises:
        UserError: it is not there, or is no such pipeline.
    """
    path = resolve_folder(folder)
    if not (path / "model_index.json").is_file():
        raise UserError(f"{path} is not a pipeline that follows instructions: model_index.json is missing.")
    check_folder(path)
    pipeline = StableDiffusionInstructPix2PixPipeline.from_pretrained(
        path,
        local_files_only=True,
        use_safetensors=True,
        dtype=prior.dtype,
        low_cpu_mem_usage=False,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).to(prior.device)
    return Instruct(pipeline, steps=steps, guidance=guidance, image_guidance=image_guidance, micro_batch=micro_batch)


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
