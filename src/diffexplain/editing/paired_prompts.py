"""Editing without an input image: the same noise under two descriptions that differ in the concept alone.

For domains where a phrase is all there is. Each image of the population has a description of its own, in which the
attributes, the setting and perhaps a companion are drawn from the hierarchy, so that an effect is an average over
them; putting a concept in, or taking it out, changes its own words and leaves the noise as it is.
An object that has sub-types is described as one of them, drawn for each image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from diffexplain.diffusion import AnyPrior
from diffexplain.editing.composition import Composition, Path, State
from diffexplain.editing.editor import BASE, NOISE, PURPOSE, CountingEditor, Prepared, drawn_kinds
from diffexplain.errors import UserError
from diffexplain.runs.draws import Draws


class Paired(CountingEditor):
    """The same noise with and without the concept in the prompt.

    Args:
        prior: draws the images.
        stated: so many things with values (colour, setting, ...) are stated in a description at most; which, is
            drawn for each image.
        companion_share: share of the images that show one of the hierarchy's objects beside the subject to begin with.
    """

    def __init__(self, prior: AnyPrior, *, stated: int = 5, companion_share: float = 0.7) -> None:
        self.prior = prior
        self.stated = stated
        self.companion_share = companion_share
        super().__init__(prior.network)

    def check(self, composition: Composition, changes: int) -> None:
        """Refuse a hierarchy whose longest description the text encoder would cut off.

        Raises:
            UserError: it is too long.
        """
        self._check_length(
            longest_description(composition, self.stated, self.companion_share > 0, changes, self.prior.token_count)
        )

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
        described = states or [
            drawn_description(composition, draws, index, stated=self.stated, companion_share=self.companion_share)
            for index in indices
        ]
        shape = self.prior.latent_shape
        noise = torch.stack([draws.normal(PURPOSE, NOISE, shape, index) for index in indices])
        kept = (composition, noise, drawn_kinds(composition, draws, indices))
        empty = Prepared(tuple(indices), torch.empty(0), tuple(described), kept)
        null = self.edit(empty, range(len(indices)), described)
        return Prepared(tuple(indices), null, tuple(described), kept)

    def edit(self, prepared: Prepared, places: Sequence[int], states: Sequence[State]) -> Tensor:
        """Images under the states' descriptions, from the images' own noise.

        Raises:
            UserError: a description is too long for the text encoder.
        """
        composition = prepared.kept[0]
        return self._images(prepared, places, states, [composition] * len(places))

    def exchange(self, prepared: Prepared, places: Sequence[int], subjects: Sequence[str]) -> Tensor:
        """The images as they are described, from the images' own noise, but of other subjects.

        Raises:
            UserError: a description is too long for the text encoder.
        """
        composition = prepared.kept[0]
        others = [Composition(composition.hierarchy, subject, composition.opening) for subject in subjects]
        return self._images(prepared, places, [prepared.states[place] for place in places], others)

    def _images(
        self, prepared: Prepared, places: Sequence[int], states: Sequence[State], compositions: Sequence[Composition]
    ) -> Tensor:
        _, noise, kinds = prepared.kept
        prompts = [
            composition.sentence(frozenset(kinds[place].get(path, path) for path in state), prepared.states[place])
            for place, state, composition in zip(places, states, compositions, strict=True)
        ]
        for prompt in prompts:
            self._check_length(prompt)
        with self._counter.listening():
            return self.prior.generate(prompts, noise[list(places)].to(self.prior.device)).float().cpu()

    def _check_length(self, prompt: str) -> None:
        length = self.prior.token_count(prompt)
        if length > self.prior.token_limit:
            raise UserError(
                f"The description has {length} tokens, and the text encoder reads {self.prior.token_limit}; lower "
                "editor.stated or explainer.largest, or shorten the texts of the hierarchy.",
                given=prompt,
            )


def drawn_description(
    composition: Composition, draws: Draws, index: int, *, stated: int = 5, companion_share: float = 0.7
) -> State:
    """What image ``index`` shows before any edit: a value of each thing that has several, perhaps one object."""
    generator = draws.generator(PURPOSE, BASE, index)
    state = composition.draw_values(generator, stated)
    _, objects = composition.choices()
    if objects and generator.random() < companion_share:
        state |= {objects[int(generator.integers(len(objects)))]}
    return state


def longest_description(
    composition: Composition, stated: int, companion: bool, changes: int, length: Callable[[str], int]
) -> str:
    """The longest sentence that is asked for, as far as adding what is longest one by one finds it.

    Args:
        composition: subject and concepts.
        stated: values in a description to begin with at most.
        companion: whether one object may be in it, too.
        changes: concepts that are put in together at most.
        length: of a sentence, in tokens.
    """
    several, objects = composition.choices()
    things = [*objects, *(kind for path in objects for kind in composition.subtypes(path))]

    def longest(state: State, paths: Sequence[Path]) -> State:
        """With the one of the paths that says most."""
        states = [state, *(composition.put(state, path) for path in paths)]
        return max(states, key=lambda one: length(composition.sentence(one)))

    found = []
    for start in [frozenset[Path](), *(frozenset([path]) for path in things if companion)]:
        state, left = start, list(several)
        for _ in range(min(stated, len(several))):
            state = longest(state, [path for values in left for path in values])
            left = [values for values in left if state.isdisjoint(values)]
        for _ in range(changes):
            state = longest(state, list(composition.concepts))
        found.append(composition.sentence(state))
    return max(found, key=length)
