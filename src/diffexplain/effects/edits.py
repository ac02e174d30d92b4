"""Edited images, and what classifiers and checks make of them; of the images nothing is kept but what edits need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from diffexplain.classifiers.target_scores import TargetReader, check_images
from diffexplain.editing import Composition, Editor, ExchangingEditor, Prepared, State
from diffexplain.editing.checks import by_mask, by_similarity
from diffexplain.effects.bank import Bank, Block
from diffexplain.effects.records import SEPARATOR, Record, key_of, path_of
from diffexplain.effects.results import Path
from diffexplain.runs.draws import Draws

Pair = tuple[int, State]
"""An image's index, and what it is to show."""
Made = tuple[list[Any], int]
"""What there is to write down of each item, plain values in the items' order, and what the editor's network cost."""


class Seeing(Protocol):
    """`diffexplain.editing.checks.Look`, or a fake."""

    def rows(self, places: Sequence[int], /) -> Seeing: ...

    def seen(self, path: Path, /) -> NDArray[np.bool_]: ...

    def inside(self, path: Path, /) -> NDArray[np.float64]: ...

    def fits(self, place: int, /) -> dict[Path, float]: ...

    def strayed(self, before: Any, paths: Sequence[Path], /) -> NDArray[np.float64]: ...


class ChecksLike(Protocol):
    """`diffexplain.editing.checks.Checks`, or a fake."""

    def look(
        self, composition: Composition, images: Tensor, masked: Sequence[Path], similar: Sequence[Path], /
    ) -> Seeing: ...


@dataclass(frozen=True)
class Told:
    """What checks say of one image; see `Record`."""

    seen: Mapping[Path, bool] = field(default_factory=dict)
    fits: Mapping[Path, float] = field(default_factory=dict)
    strayed: float | None = None
    inside: Mapping[Path, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return Record((), (), (), self.seen, self.fits, self.strayed, self.inside).to_json()

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> Told:
        """What `to_json` wrote."""
        known = Record.from_json(content)
        return Told(known.seen, known.fits, known.strayed, known.inside)


class Maker:
    """Prepares images, edits them, and records what classifiers and checks make of them.

    Args:
        editor: makes the edits.
        composition: subject and concepts.
        readers: of each classifier and target.
        checks: None leaves edits unchecked.
        draws: of the run.
        images: given photographs, (N, 3, H, W) in [0, 1]; None where the editor makes its own.
        bank: what was made for other classifiers; None makes all.
    """

    def __init__(
        self,
        editor: Editor,
        composition: Composition,
        readers: Sequence[TargetReader],
        checks: ChecksLike | None,
        draws: Draws,
        images: Tensor | None,
        bank: Bank | None = None,
    ) -> None:
        self.editor = editor
        self.composition = composition
        self.readers = tuple(readers)
        self.checks = checks
        self.draws = draws
        self.images = images
        self.bank = bank
        self._asked = [composition.hierarchy.to_yaml(), composition.subject, composition.opening]
        self._prepared: dict[tuple[int, ...], Prepared] = {}
        self._looked: dict[tuple[int, ...], Seeing] = {}

    def begin(self, indices: tuple[int, ...]) -> Made:
        """Prepare images; of each its ``state``, the ``record`` of its null edit, and of the ``original`` if given."""

        def make() -> Block:
            before = self.editor.evaluations
            prepared = self.prepared(indices)
            evaluations = self.editor.evaluations - before
            # Of null edits all is looked for, so that "not seen without" can be said of any concept but words, of which
            # it is not said.
            told = self._told(len(indices), self._null(indices), all_but_words(self.composition))
            states = [sorted(SEPARATOR.join(path) for path in state) for state in prepared.states]
            return Block(prepared.null, [[one.to_json() for one in told], states], evaluations)

        block = self._block("null", indices, (), make)
        told, states = block.said
        sentences = [self.composition.sentence(frozenset(map(path_of, state))) for state in states]
        records = self._records(block.images, sentences, told)
        given = None if self.images is None else self.images[list(indices)]
        originals = [None] * len(indices) if given is None else self._photographs(given)
        made = [
            {
                "state": state,
                "record": record.to_json(),
                "original": None if original is None else original.to_json(),
            }
            for state, record, original in zip(states, records, originals, strict=True)
        ]
        return made, block.evaluations

    def edit(self, indices: tuple[int, ...], pairs: Sequence[Pair]) -> Made:
        """Make edits of images that are prepared together as ``indices``; the record of each."""

        def make() -> Block:
            prepared = self.prepared(indices)
            places = [indices.index(index) for index, _ in pairs]
            before = self.editor.evaluations
            images = self.editor.edit(prepared, places, [state for _, state in pairs])
            evaluations = self.editor.evaluations - before
            looked = [
                looked_for(self.composition, prepared.states[k], state)
                for k, (_, state) in zip(places, pairs, strict=True)
            ]
            told = self._compared(images, self._null(indices), places, looked)
            return Block(images, [one.to_json() for one in told], evaluations)

        block = self._block("edit", indices, [(index, key_of(state)) for index, state in pairs], make)
        sentences = [self.composition.sentence(state) for _, state in pairs]
        return [record.to_json() for record in self._records(block.images, sentences, block.said)], block.evaluations

    def shown(self, indices: tuple[int, ...], pairs: Sequence[Pair]) -> Tensor:
        """The same edits, to be looked at by a person alone."""

        def make() -> Block:
            prepared = self.prepared(indices)
            before, places = self.editor.evaluations, [indices.index(index) for index, _ in pairs]
            images = self.editor.edit(prepared, places, [state for _, state in pairs])
            return Block(images, [], self.editor.evaluations - before)

        return self._block("shown", indices, [(index, key_of(state)) for index, state in pairs], make).images

    def drawn(self, pairs: Sequence[Pair]) -> Made:
        """Images that show these states from the start, none of them of the population; the scores of each."""
        indices, states = [index for index, _ in pairs], [state for _, state in pairs]

        def make() -> Block:
            before = self.editor.evaluations
            prepared = self.editor.prepare(self.composition, self.draws, indices, None, states)
            return Block(prepared.null, [], self.editor.evaluations - before)

        block = self._block("drawn", indices, [(index, key_of(state)) for index, state in pairs], make)
        sentences = [self.composition.sentence(state) for state in states]
        return [record.to_json() for record in self._records(block.images, sentences)], block.evaluations

    def exchange(self, indices: tuple[int, ...], subjects: Sequence[tuple[int, str]]) -> Made:
        """Images that are prepared together as ``indices`` with another object as their subject; the record of each.

        The editor can exchange the subject.
        """
        editor = self.editor
        assert isinstance(editor, ExchangingEditor)

        def make() -> Block:
            prepared = self.prepared(indices)
            before, places = editor.evaluations, [indices.index(index) for index, _ in subjects]
            images = editor.exchange(prepared, places, [subject for _, subject in subjects])
            return Block(images, [], editor.evaluations - before)

        block = self._block("exchange", indices, subjects, make)
        records = self._records(block.images, [subject for _, subject in subjects])
        return [record.to_json() for record in records], block.evaluations

    def _block(self, kind: str, indices: Sequence[int], items: Sequence[Any], make: Callable[[], Block]) -> Block:
        """What is made together, perhaps by an earlier run."""
        return make() if self.bank is None else self.bank.block([self._asked, kind, indices, items], make)

    def prepared(self, indices: tuple[int, ...]) -> Prepared:
        """These images, prepared together, now or before."""
        if indices not in self._prepared:
            given = None if self.images is None else self.images[list(indices)]
            states = None if given is None else self._shown(given)
            self._prepared[indices] = self.editor.prepare(self.composition, self.draws, indices, given, states)
        return self._prepared[indices]

    def _shown(self, images: Tensor) -> list[State]:
        """What given images show: the objects and settings that are seen, as far as anything can look."""
        if self.checks is None:
            return [frozenset()] * len(images)
        paths = [path for path in self.composition.tops() if self.composition.role(path) != "attribute"]
        shown = self.checks.look(self.composition, images, paths, [])
        seen = {path: shown.seen(path) for path in paths}
        return [frozenset(path for path in paths if seen[path][place]) for place in range(len(images))]

    def _null(self, indices: tuple[int, ...]) -> Seeing | None:
        """What is seen in null edits that are prepared together, looked at once; None where nothing looks."""
        if self.checks is not None and indices not in self._looked:
            null = self.prepared(indices).null
            # All at once, so that what is seen does not depend on what was asked before.
            self._looked[indices] = self._look(self.checks, null, all_but_words(self.composition))
        return self._looked.get(indices)

    def _look(self, checks: ChecksLike, images: Tensor, paths: Sequence[Path]) -> Seeing:
        things = [path for path in paths if by_mask(self.composition, path)]
        others = [path for path in paths if by_similarity(self.composition, path)]
        return checks.look(self.composition, images, things, others)

    def _compared(
        self, images: Tensor, null: Seeing | None, places: Sequence[int], looked: Sequence[Sequence[Path]]
    ) -> list[Told]:
        """What is seen of the concepts that each edit changed, and beside them."""
        told = [Told()] * len(images)
        if null is None or self.checks is None:
            return told
        for paths in dict.fromkeys(tuple(paths) for paths in looked):
            mine = [k for k, other in enumerate(looked) if tuple(other) == paths]
            now = self._look(self.checks, images[mine], paths)
            found = self._told(len(mine), now, paths, null.rows([places[k] for k in mine]))
            for k, one in zip(mine, found, strict=True):
                told[k] = one
        return told

    def _told(self, count: int, now: Seeing | None, paths: Sequence[Path], before: Seeing | None = None) -> list[Told]:
        """What is seen of concepts in each of ``count`` images, and what was moved since before."""
        if now is None:
            return [Told()] * count
        things = [path for path in paths if by_mask(self.composition, path)]
        seen = {path: now.seen(path) for path in things}
        inside = {} if before is None else {path: now.inside(path) for path in things}
        # What of an image a word may change, nobody has said.
        free = before is None or any(self.composition.role(path) == "word" for path in paths)
        far = None if before is None or free else now.strayed(before, paths)
        return [
            Told(
                {path: bool(values[k]) for path, values in seen.items()},
                now.fits(k),
                None if far is None else float(far[k]),
                {path: float(values[k]) for path, values in inside.items() if seen[path][k]},
            )
            for k in range(count)
        ]

    def _photographs(self, images: Tensor) -> list[Record]:
        """Of given images as they are, what the classifiers answer."""
        return self._records(images, ["a photograph"] * len(images))

    def _records(self, images: Tensor, shown: Sequence[str], said: Sequence[Mapping[str, Any]] = ()) -> list[Record]:
        """What the classifiers answer to images, beside what is seen in them."""
        told = [Told.from_json(one) for one in said] or [Told()] * len(images)
        named = [repr(text) for text in shown]
        check_images(images, named)
        readings = [reader.read(images, named) for reader in self.readers]
        return [
            Record(
                scores=tuple(float(reading.score[place]) for reading in readings),
                activates=tuple(bool(reading.activates[place]) for reading in readings),
                log_odds=tuple(None if r.log_odds is None else float(r.log_odds[place]) for r in readings),
                seen=one.seen,
                fits=one.fits,
                strayed=one.strayed,
                inside=one.inside,
            )
            for place, one in enumerate(told)
        ]


def looked_for(composition: Composition, before: State, after: State) -> list[Path]:
    """The concepts that an edit changed, their parents and sub-types, and what stands in the place of each."""
    changed: set[Path] = set()
    for path in before ^ after:
        prefixes = [path[:depth] for depth in range(1, len(path) + 1)]
        for known in (prefix for prefix in prefixes if prefix in composition.concepts):
            below = {other for other in composition.concepts if other[:-1] == known}
            changed |= {known, *composition.rivals(known), *below}
    return composition.ordered(frozenset(changed))


def all_but_words(composition: Composition) -> list[Path]:
    """The concepts that are looked for in null edits."""
    return [path for path in composition.concepts if composition.role(path) != "word"]
