"""What every editor does: keep what an image needs once, then edit it in as many ways as are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from diffexplain.diffusion.sampling import first_sample
from diffexplain.editing.composition import Change, Composition, Path, State
from diffexplain.runs.draws import Draws

PURPOSE = "edit"
BASE, EXCHANGE, NOISE, INVERT, KIND, SUBJECT = range(6)
"""The purposes of an editor's draws, their `step`; the index is the image's."""


@dataclass(frozen=True)
class Prepared:
    """Images ready to be edited, and what was kept for that.

    Attributes:
        indices: of the images in the population; draws are keyed by them.
        null: the null edit, (n, 3, H, W) in [0, 1] on the CPU: edited with no change at all.
        states: what each image shows, as far as it is known.
        kept: the editor's own.
    """

    indices: tuple[int, ...]
    null: Tensor
    states: tuple[State, ...]
    kept: Any = None


class Editor(Protocol):
    """Puts concepts into images and takes them out.

    ``evaluations`` counts the samples that the denoising network has been called on so far, every item of a batch
    and every branch of guidance: what an edit costs.
    """

    @property
    def evaluations(self) -> int: ...

    def check(self, composition: Composition, changes: int) -> None:
        """Refuse what could not be edited, before anything is made.

        Args:
            composition: the subject and its concepts.
            changes: concepts that are put in together at most.

        Raises:
            UserError: a text would be cut off.
        """
        ...

    def prepare(
        self,
        composition: Composition,
        draws: Draws,
        indices: Sequence[int],
        images: Tensor | None = None,
        states: Sequence[State] | None = None,
    ) -> Prepared:
        """Keep what the edits of these images have in common.

        Args:
            composition: the subject and its concepts.
            draws: of the run.
            indices: of the images in the population.
            images: (n, 3, H, W) in [0, 1], one for each index; None where the editor makes its own.
            states: what the images show, where they are given.
        """
        ...

    def edit(self, prepared: Prepared, places: Sequence[int], states: Sequence[State]) -> Tensor:
        """Images (m, 3, H, W) in [0, 1] on the CPU, each with one state in place of what it shows.

        Args:
            prepared: by this editor.
            places: which of the prepared images, (m,).
            states: what each is to show; several concepts at once are one pass.
        """
        ...


@runtime_checkable
class ExchangingEditor(Editor, Protocol):
    """One that can put another object in the subject's place, too."""

    def exchange(self, prepared: Prepared, places: Sequence[int], subjects: Sequence[str]) -> Tensor:
        """The images (m, 3, H, W) in [0, 1] on the CPU as they are, but of other subjects.

        Args:
            prepared: by this editor.
            places: which of the prepared images, (m,).
            subjects: noun phrases, (m,).
        """
        ...


def changed_states(
    composition: Composition, states: Sequence[State], indices: Sequence[int], changes: Sequence[Change], draws: Draws
) -> list[State]:
    """What images show after the changes, given what they show; where that is the same, no edit is needed.

    What stands in the place of a value that is taken out is drawn for each image, the same whatever else is asked.
    """
    return [
        composition.apply(state, changes, draws.generator(PURPOSE, EXCHANGE, index))
        for state, index in zip(states, indices, strict=True)
    ]


def drawn_kinds(composition: Composition, draws: Draws, indices: Sequence[int]) -> tuple[dict[Path, Path], ...]:
    """For every object with sub-types, the one that each image shows where nothing else is said.

    Of what a description leaves open, priors of few steps draw a mixture ("a flag" that is half striped); so an
    object's effect is the mean over those of its sub-types.
    """
    several = [(path, kinds) for path in composition.concepts if (kinds := composition.subtypes(path))]
    generators = [draws.generator(PURPOSE, KIND, index) for index in indices]
    return tuple({path: kinds[int(one.integers(len(kinds)))] for path, kinds in several} for one in generators)


class CountingEditor:
    """An editor that counts what its network is called on, and refuses nothing beforehand.

    Args:
        network: denoises.
    """

    def __init__(self, network: nn.Module) -> None:
        self._counter = Counter(network)

    @property
    def evaluations(self) -> int:
        return self._counter.count

    def check(self, composition: Composition, changes: int) -> None:
        """Nothing to refuse: no text says more than the changes themselves."""


class Counter:
    """Counts the samples that a network is called on while it is `listening`."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.count = 0
        self._lock = Lock()  # A CPU's batches are made side by side.

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Within the block every call counts as many samples as its batch has."""
        handle = self.network.register_forward_pre_hook(self._hear, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()

    def _hear(self, _network: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        with self._lock:
            self.count += len(first_sample(arguments, named))
