"""Editing without an input image: the same noise under two descriptions that differ in the concept alone.

For domains where a phrase is all there is. Each image of the population has a description of its own, in which the
attributes, the setting and perhaps a companion are drawn from the hierarchy, so that an effect is an average over
them; putting a concept in, or taking it out, changes its own words and leaves the noise as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from diffexplain.diffusion.editing.composition import Composition, Path, State
from diffexplain.diffusion.editing.editor import BASE, NOISE, PURPOSE, Counter, Prepared
from diffexplain.diffusion.prior import Prior
from diffexplain.errors import UserError
from diffexplain.runs.draws import Draws


class Paired:
    """The same noise with and without the concept in the prompt.

    Args:
        prior: draws the images.
        stated: so many things with values (colour, setting, ...) are stated in a description at most; which, is
            drawn for each image.
        companion_share: share of the images that show one of the hierarchy's objects beside the subject to begin with.
    """

    def __init__(self, prior: Prior, *, stated: int = 8, companion_share: float = 0.7) -> None:
        self.prior = prior
        self.stated = stated
        self.companion_share = companion_share
        self._counter = Counter(prior.pipeline.unet)

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
        """Draw descriptions and make their images; those are the null edits.

        Raises:
            UserError: images are given, or a description is too long for the text encoder.
        """
        if images is not None:
            raise UserError("This editor makes its own images; choose editor=leditspp to edit given ones.")
        described = states or [self._draw(composition, draws, index) for index in indices]
        shape = self.prior.latent_shape
        noise = torch.stack([draws.normal(PURPOSE, NOISE, shape, index) for index in indices])
        kept = (composition, noise)
        empty = Prepared(tuple(indices), torch.empty(0), tuple(described), kept)
        null = self.edit(empty, range(len(indices)), described)
        return Prepared(tuple(indices), null, tuple(described), kept)

    def edit(self, prepared: Prepared, places: Sequence[int], states: Sequence[State]) -> Tensor:
        """Images under the states' descriptions, from the images' own noise.

        Raises:
            UserError: a description is too long for the text encoder.
        """
        composition, noise = prepared.kept
        prompts = [composition.sentence(state) for state in states]
        for prompt in prompts:
            self._check_length(prompt)
        with self._counter.listening():
            return self.prior.generate(prompts, noise[list(places)].to(self.prior.device)).float().cpu()

    def _check_length(self, prompt: str) -> None:
        length = len(self.prior.pipeline.tokenizer(prompt).input_ids)
        if length > self.prior.token_limit:
            raise UserError(
                f"The description has {length} tokens, and the text encoder reads {self.prior.token_limit}; lower "
                "editor.stated.",
                given=prompt,
            )

    def _draw(self, composition: Composition, draws: Draws, index: int) -> State:
        """What image ``index`` shows before any edit: a value of each thing that has several, perhaps one object."""
        generator = draws.generator(PURPOSE, BASE, index)
        groups: dict[tuple[Path, str], list[Path]] = {}
        objects: list[Path] = []
        for path in composition.tops():
            kind = composition.concepts[path].kind
            if kind == "object":
                objects.append(path)
            else:
                groups.setdefault((path[:-1], kind), []).append(path)
        several = [values for values in groups.values() if len(values) > 1]
        chosen = sorted(generator.permutation(len(several))[: self.stated])
        state = {several[place][int(generator.integers(len(several[place])))] for place in chosen}
        if objects and generator.random() < self.companion_share:
            state.add(objects[int(generator.integers(len(objects)))])
        return frozenset(state)
