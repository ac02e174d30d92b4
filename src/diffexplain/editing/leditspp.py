"""LEDITS++ (Brack et al., arXiv 2311.16711): real images, inverted once, then edited in as many ways as are asked for.

The inversion is diffusers' own (``LEditsPPPipelineStableDiffusion.invert``). Its editing call takes one list of
concepts for all images, assumes four latent channels, and, for more than one image, mixes their attention maps; so
the editing loop is ours. It makes what diffusers makes where that is right (one image, four channels), and edits many
images at a time, each with concepts of its own.

A prior that predicts velocity is edited as exactly as one that predicts noise: at given latents the one is an affine
function of the other, so that guidance is the same, and the masks look at sizes relative to each other. The second
order SDE solver converts either; diffusers' inversion for DDIM takes every prediction for noise, so it is not used.

What is put in is said together with the subject ("a flagpole with a flag"): by "a flag" alone the guidance leads away
from the flagpole. What is taken out is said alone, or the subject would go with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from diffusers import DPMSolverMultistepScheduler, LEditsPPPipelineStableDiffusion
from diffusers.pipelines.ledits_pp.pipeline_leditspp_stable_diffusion import (
    LEDITSCrossAttnProcessor,
    LeditsGaussianSmoothing,
)
from torch import Tensor
from torch.nn import functional

from diffexplain.diffusion.prior import Prior
from diffexplain.editing.composition import Composition, Path, State
from diffexplain.editing.editor import INVERT, PURPOSE, CountingEditor, Prepared, drawn_kinds
from diffexplain.errors import UserError
from diffexplain.progress import progress
from diffexplain.runs.draws import Draws

COARSE = 4
"""Attention is read where its maps are this much smaller than the latents: 16 x 16 of Stable Diffusion's 64 x 64."""
EARLY = 800
"""Above this timestep the mask is the attention's alone: the guidance is not yet about any one place."""


@dataclass(frozen=True)
class Inverted:
    """What is kept of images.

    Attributes:
        latents: at the first of ``timesteps``, (n, C, h, w).
        noises: that each step adds, (T, n, C, h, w).
        timesteps: of the steps that are made, (T,).
        length: steps of the whole schedule, those left out at its noisy end included.
        kinds: of each image, the sub-type that stands for an object.
    """

    composition: Composition
    latents: Tensor
    noises: Tensor
    timesteps: Tensor
    length: int
    kinds: tuple[dict[Path, Path], ...]


@dataclass(frozen=True)
class Term:
    """One concept of one edit.

    Attributes:
        text: that the network is given.
        words: those of the text whose attention tells where the concept is.
        sign: 1 to add it, -1 to remove it.
    """

    text: str
    words: str
    sign: float


class LeditsPP(CountingEditor):
    """LEDITS++ through the prior's parts.

    Args:
        prior: inverts and edits; its scheduler gives the noise schedule alone.
        steps: of the inversion, and of each edit.
        skip: share of the first, noisiest steps that is left out; more keeps more of the image.
        guidance: scale of each concept's guidance.
        threshold: share of the image that a concept leaves as it is, in [0, 1).
        micro_batch: images edited at a time; it changes their last bits.

    Raises:
        UserError: a setting is out of its range, or the prior has no noise schedule that the inversion knows.
    """

    needs_of_prior: ClassVar[str] = "its network and autoencoder, in Stable Diffusion's format"

    def __init__(
        self,
        prior: Prior,
        *,
        steps: int = 50,
        skip: float = 0.1,
        guidance: float = 10.0,
        threshold: float = 0.75,
        micro_batch: int = 4,
    ) -> None:
        if steps < 2:
            raise UserError("LEDITS++ needs at least two steps.", given=f"editor.steps={steps}")
        for name, share in (("skip", skip), ("threshold", threshold)):
            if not 0 <= share < 1:
                raise UserError(f"editor.{name} is a share, at least 0 and below 1.", given=share)
        pipeline = prior.pipeline
        if getattr(pipeline.scheduler.config, "prediction_type", None) not in ("epsilon", "v_prediction", "sample"):
            raise UserError(
                "LEDITS++ inverts priors that diffuse by a schedule of noise; this one is trained by flow matching.",
                given=type(pipeline.scheduler).__name__,
                hint="diffexplain run editor=paired",
            )
        self.prior = prior
        self.steps = steps
        self.skip = skip
        self.guidance = guidance
        self.threshold = threshold
        self.micro_batch = micro_batch
        scheduler = DPMSolverMultistepScheduler.from_config(
            pipeline.scheduler.config, algorithm_type="sde-dpmsolver++", solver_order=2
        )
        self.ledits = LEditsPPPipelineStableDiffusion(
            vae=pipeline.vae,
            text_encoder=pipeline.text_encoder,
            tokenizer=pipeline.tokenizer,
            unet=pipeline.unet,
            scheduler=scheduler,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        self.ledits.set_progress_bar_config(disable=True)
        super().__init__(pipeline.unet)

    def prepare(
        self,
        composition: Composition,
        draws: Draws,
        indices: Sequence[int],
        images: Tensor | None = None,
        states: Sequence[State] | None = None,
    ) -> Prepared:
        """Invert the images, and make their null edits.

        Raises:
            UserError: no images, or their size is not the prior's.
        """
        if images is None:
            raise UserError("LEDITS++ edits given images: name a folder of them, or choose editor=paired.")
        if tuple(images.shape[-2:]) != self.prior.image_size:
            size = "x".join(map(str, self.prior.image_size))
            raise UserError(f"The images to edit must have the prior's size, {size} pixels.", given=tuple(images.shape))
        # An image's noise is its own whatever its batch; torch keeps 32 bits of a seed, enough for photographs.
        seeds = [int(draws.generator(PURPOSE, INVERT, index).integers(2**31)) for index in indices]
        parts = []
        with self._borrowed(), self._counter.listening():
            for start in progress(range(0, len(images), self.micro_batch), f"pictures, {self.micro_batch} at a time"):
                part = slice(start, start + self.micro_batch)
                generators = [torch.Generator().manual_seed(seed) for seed in seeds[part]]
                self.ledits.invert(
                    images[part],
                    source_prompt="",
                    num_inversion_steps=self.steps,
                    skip=self.skip,
                    generator=generators,
                )
                parts.append((self.ledits.init_latents.cpu(), self.ledits.zs.cpu()))
        kept = Inverted(
            composition,
            torch.cat([latents for latents, _ in parts]),
            torch.cat([noises for _, noises in parts], dim=1),
            self.ledits.inversion_steps,
            len(self.ledits.scheduler.timesteps),
            drawn_kinds(composition, draws, indices),
        )
        known = tuple(states) if states is not None else (frozenset(),) * len(images)
        null = self.carry_out(kept, list(range(len(images))), [[] for _ in images])
        return Prepared(tuple(indices), null, known, kept)

    def edit(self, prepared: Prepared, places: Sequence[int], states: Sequence[State]) -> Tensor:
        """The images with what their states lack put in, and what they have more taken out, in one pass."""
        wanted = [
            terms(prepared.kept.composition, prepared.states[place], state, prepared.kept.kinds[place])
            for place, state in zip(places, states, strict=True)
        ]
        edited: list[Tensor | None] = [None] * len(wanted)
        # Of one pass all images have equally many concepts.
        for count in sorted({len(mine) for mine in wanted}):
            rows = [row for row, mine in enumerate(wanted) if len(mine) == count]
            made = self.carry_out(prepared.kept, [places[row] for row in rows], [wanted[row] for row in rows])
            for row, image in zip(rows, made, strict=True):
                edited[row] = image
        return torch.stack([image for image in edited if image is not None])

    @torch.no_grad()
    def carry_out(self, kept: Inverted, places: Sequence[int], terms: Sequence[Sequence[Term]]) -> Tensor:
        """The inverted images at ``places``, each with its terms, of which all have equally many."""
        images = []
        with self._borrowed(), self._counter.listening():
            for start in progress(range(0, len(places), self.micro_batch), f"edits, {self.micro_batch} at a time"):
                part = slice(start, start + self.micro_batch)
                latents = self._denoise(kept, list(places[part]), terms[part])
                decoded = self.prior.pipeline.vae.decode(
                    latents / self.prior.pipeline.vae.config.scaling_factor, return_dict=False
                )[0]
                images.append((decoded.float() / 2 + 0.5).clamp(0, 1).cpu())
        return torch.cat(images)

    def _denoise(self, kept: Inverted, places: list[int], terms: Sequence[Sequence[Term]]) -> Tensor:
        """Latents (B, C, h, w) after the edit; every image has as many terms, E."""
        scheduler, unet, device = self.ledits.scheduler, self.prior.pipeline.unet, self.prior.device
        count = len(terms[0])
        latents = kept.latents[places].to(device)
        noises = kept.noises[:, places].to(device)
        concepts = [[mine[concept] for mine in terms] for concept in range(count)]
        texts = [[term.text for term in group] for group in concepts]
        condition = torch.cat([self.prior.encode(group) for group in [[""] * len(places), *texts]])
        attention = _Attention(1 + count, len(places), latents.shape[-2] // COARSE, latents.shape[-1] // COARSE)
        if count:
            self._listen(attention)
        scheduler.set_timesteps(kept.length, device=device)
        for step, timestep in enumerate(kept.timesteps.to(device)):
            prediction = unet(
                torch.cat([latents] * (1 + count)), timestep, encoder_hidden_states=condition, return_dict=False
            )[0]
            without, *with_concept = prediction.chunk(1 + count)
            maps = attention.collect() if count else None
            guided = without
            for concept, towards in enumerate(with_concept):
                # Eq. 6-8: guidance of the concept, where its tokens are attended to and where it is strongest.
                signs = torch.tensor([mine[concept].sign for mine in terms]).to(without).view(-1, 1, 1, 1)
                guidance = self.guidance * signs * (towards - without)
                assert maps is not None
                mask = self._attended(maps[concept], concepts[concept], guidance)
                if timestep <= EARLY:
                    mask = mask * self._strongest(guidance)
                guided = guided + guidance * mask
            latents = scheduler.step(guided, timestep, latents, variance_noise=noises[step], return_dict=False)[0]
        return latents

    def _attended(self, maps: Tensor, terms: Sequence[Term], like: Tensor) -> Tensor:
        """M1: the cells (B, 1, h, w) that attend most to the words of the concept; maps (B, h/4, w/4, tokens)."""
        places = [self.places(term) for term in terms]
        summed = torch.stack([one[:, :, mine].sum(-1) for one, mine in zip(maps, places, strict=True)])
        smooth = LeditsGaussianSmoothing(summed.device)(functional.pad(summed[:, None], (1, 1, 1, 1), mode="reflect"))
        chosen = smooth.float() >= _quantile(smooth, self.threshold)
        return functional.interpolate(chosen.to(like), like.shape[-2:])

    def places(self, term: Term) -> slice:
        """Where the words stand among the text's tokens."""
        tokenizer, limit = self.prior.pipeline.tokenizer, self.prior.token_limit
        text, words = (tokenizer(one).input_ids[1:-1] for one in (term.text, term.words))
        found = [k for k in range(len(text)) if text[k : k + len(words)] == words]
        first, length = (found[0], len(words)) if found else (0, len(text))
        return slice(1 + first, 1 + min(first + length, limit - 2))

    def _strongest(self, guidance: Tensor) -> Tensor:
        """M2: the cells (B, 1, h, w) in which the guidance is strongest."""
        strength = guidance.abs().sum(dim=1, keepdim=True)
        return (strength.float() >= _quantile(strength, self.threshold)).to(guidance)

    def _listen(self, attention: _Attention) -> None:
        processors = dict(self.prior.pipeline.unet.attn_processors)
        for name in processors:
            place = name.split("_")[0]
            if "attn2" in name and place in ("down", "up"):
                processors[name] = LEDITSCrossAttnProcessor(attention, place, False, attention.branches - 1)
        self.prior.pipeline.unet.set_attn_processor(processors)

    @contextmanager
    def _borrowed(self) -> Iterator[None]:
        """The prior's network, whose attention is as it was afterwards."""
        unet = self.prior.pipeline.unet
        processors = dict(unet.attn_processors)
        try:
            yield
        finally:
            unet.set_attn_processor(processors)


class _Attention:
    """Collects the coarse cross-attention maps of one call of the network."""

    def __init__(self, branches: int, batch: int, height: int, width: int) -> None:
        self.branches = branches
        self.batch = batch
        self.height = height
        self.width = width
        self._maps: list[Tensor] = []

    def __call__(self, attention: Tensor, **_where: Any) -> None:
        """Attention (branches · batch · heads, queries, tokens)."""
        if attention.shape[1] == self.height * self.width:
            split = attention.view(self.branches, self.batch, -1, self.height, self.width, attention.shape[-1])
            self._maps.append(split[1:])

    def collect(self) -> Tensor:
        """Their mean over layers and heads for each concept, (E, B, height, width, tokens)."""
        if not self._maps:
            raise UserError(f"The prior has no cross-attention at {self.height}x{self.width}, which LEDITS++ reads.")
        mean = torch.cat(self._maps, dim=2).mean(dim=2)
        self._maps.clear()
        return mean


def terms(composition: Composition, before: State, after: State, kinds: Mapping[Path, Path]) -> list[Term]:
    """What is added to an image, and what is removed from it, in the hierarchy's order.

    A value that makes room for another needs no removing of its own.
    """
    shows = composition.shows
    new = [kinds.get(path, path) for path in composition.ordered(after) if not shows(before, path)]
    gone = [
        composition.phrase(path)
        for path in composition.ordered(before)
        if not shows(after, path) and not any(shows(after, rival) for rival in composition.rivals(path))
    ]
    added = [Term(composition.sentence(frozenset({path})), composition.concepts[path].text, 1.0) for path in new]
    return added + [Term(phrase, phrase, -1.0) for phrase in gone]


def _quantile(values: Tensor, share: float) -> Tensor:
    """Of each image's values (B, 1, h, w), as (B, 1, 1, 1)."""
    return torch.quantile(values.float().flatten(1), share, dim=1).view(-1, 1, 1, 1)
