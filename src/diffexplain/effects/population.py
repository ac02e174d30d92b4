"""What classifiers and checks make of edited images, each edit made once and kept in the run's directory."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby
from pathlib import Path as FilePath
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from diffexplain.classifiers.target_scores import TargetReader, TargetScores, same_answer
from diffexplain.editing import Change, Composition, Editor, ExchangingEditor, State, changed_states
from diffexplain.editing.editor import PURPOSE, SUBJECT
from diffexplain.effects.bank import Bank
from diffexplain.effects.devices import Devices, OneDevice
from diffexplain.effects.edits import ChecksLike, Made, Maker, Pair
from diffexplain.effects.records import SEPARATOR, Record, key_of, path_of
from diffexplain.effects.results import Path
from diffexplain.errors import UserError
from diffexplain.progress import progress
from diffexplain.runs.draws import Draws
from diffexplain.statistics.estimates import SameAnswer
from diffexplain.weights.documents import read_json

DIGEST = "sha256"
"""Key under which a file of records holds that of all else in it."""
FOLDER = "effects"
DRAWN_FROM = 1_000_000
"""The index of the first image that is drawn for itself: none of the population's noise is its."""


@dataclass(frozen=True)
class Images:
    """The images behind one concept's effect.

    Attributes:
        indices: of the images, from one on without a gap.
        tested: whether they had no part in choosing the concept.
        rivals: the first ``rivals`` of them show each of a value's rivals in its place, the others one that is drawn.
    """

    indices: range
    tested: bool
    rivals: int


Shares = Mapping[Path, Images]


class Files(Protocol):
    """Where the records go; a run's directory fits."""

    @property
    def directory(self) -> FilePath: ...

    @property
    def draws(self) -> Draws: ...

    def write_json(self, name: str, value: Any, /) -> FilePath: ...


class Pictures(Protocol):
    """Images under changes; `Population` makes them."""

    composition: Composition

    def records(self, changes: Sequence[Change], indices: Sequence[int], /) -> list[Record]: ...


class Population:
    """The population under changes: edits, reads and checks what is not known yet.

    A unit of work is one lot of images under one set of changes. Each is a file, written whole when it is done, so
    that a run resumed anywhere reads what an uninterrupted one knew at that point, and goes on with equal bytes. Where
    several devices share the work, each knows all of it.

    Args:
        editor: makes the edits.
        composition: subject and concepts.
        readers: of each classifier and target.
        checks: None leaves edits unchecked.
        files: the run.
        images: given photographs, (N, 3, H, W) in [0, 1]; None where the editor makes its own.
        count: size of the population.
        chunk: images that are prepared together.
        devices: make the edits; this process alone if None.
        others: objects that may stand in the subject's place, as noun phrases.
        bank: pictures that were made for other classifiers; None makes all.
    """

    def __init__(
        self,
        editor: Editor,
        composition: Composition,
        readers: Sequence[TargetReader],
        checks: ChecksLike | None,
        files: Files,
        images: Tensor | None,
        count: int,
        chunk: int,
        devices: Devices | None = None,
        others: Sequence[str] = (),
        bank: Bank | None = None,
    ) -> None:
        self.others = tuple(others)
        self.composition = composition
        self.readers = tuple(readers)
        self.files = files
        self.images = images
        self.count = count
        self.chunk = chunk
        self.devices = devices or OneDevice()
        self.evaluations = 0
        self.preparing = 0
        self.screening = 0
        self.made = 0
        self.read = 0
        self._records: dict[tuple[int, str], Record] = {}
        self._maker = Maker(editor, composition, readers, checks, files.draws, images, bank)
        self._states: dict[int, State] = {}
        self._original: dict[int, Record] = {}
        self._exchanged: dict[int, Record] = {}

    def start(self, upto: int) -> None:
        """See to it that the first ``upto`` images are prepared and their null edits known."""
        numbers = [number for number in range(-(-upto // self.chunk)) if number * self.chunk not in self._states]
        for number in progress(numbers, f"pictures without edits, {self.chunk} at a time"):
            self._start_chunk(number)

    def records(self, changes: Sequence[Change], indices: Sequence[int]) -> list[Record]:
        """Those images under the changes; what is not known yet is made now.

        Raises:
            ValueError: images beyond those that were started.
        """
        states = self._changed(changes, indices)
        missing = [
            (index, state)
            for index, state in zip(indices, states, strict=True)
            if (index, key_of(state)) not in self._records
        ]
        if missing:
            self._unit(changes, missing)
        return [self._records[index, key_of(state)] for index, state in zip(indices, states, strict=True)]

    def states(self, indices: Sequence[int]) -> list[State]:
        """What those images show before any edit.

        Raises:
            ValueError: images beyond those that were started.
        """
        if any(index not in self._states for index in indices):
            raise ValueError("these images are not started yet")
        return [self._states[index] for index in indices]

    def null(self, indices: Sequence[int]) -> list[Record]:
        """The null edits."""
        return self.records((), indices)

    def same_answer(self, who: int) -> SameAnswer | None:
        """What one classifier answered to all images that it was given, edited or not; None where answers differ."""
        known = [*self._records.values(), *self._original.values()]
        odds = [record.log_odds[who] for record in known]
        reading = TargetScores(
            score=np.asarray([record.scores[who] for record in known]),
            activates=np.zeros(len(known), dtype=np.bool_),
            probability=None,
            log_odds=None if None in odds else np.asarray(odds, dtype=np.float64),
        )
        return same_answer([reading], self.readers[who].target.kind)

    def originals(self, indices: Sequence[int]) -> list[Record] | None:
        """The given images as they are; None where the editor made its own."""
        return None if self.images is None else [self._original[index] for index in indices]

    @property
    def can_exchange(self) -> bool:
        """Whether another object can be put in the subject's place."""
        return bool(self.others) and isinstance(self._maker.editor, ExchangingEditor)

    def exchanged(self, indices: Sequence[int]) -> list[Record]:
        """The null edits with one of the ``others`` in the subject's place, drawn for each image.

        Raises:
            ValueError: images beyond those that were started, or there is nothing to exchange.
        """
        if not self.can_exchange:
            raise ValueError("nothing can stand in the subject's place")
        self.states(indices)
        for number in sorted({index // self.chunk for index in indices}):
            if number * self.chunk not in self._exchanged:
                self._exchange_chunk(number)
        return [self._exchanged[index] for index in indices]

    def drawn(self, states: Sequence[State], noises: Sequence[int] | None = None) -> list[Record]:
        """Images of their own that show these states, none of them of the population; what classifiers make of them.

        Args:
            states: what each shows.
            noises: the number of each one's noise, from 0; each has its own by default.
        """
        pairs = [(DRAWN_FROM + noise, state) for noise, state in zip(noises or range(len(states)), states, strict=True)]
        records: list[Record] = []
        starts = range(0, len(pairs), self.chunk)
        for start in progress(starts, f"pictures of a screen, {self.chunk} at a time"):
            part = pairs[start : start + self.chunk]
            name = f"{FOLDER}/drawn-{_digest(part)}.json"
            content = self._read(name)
            if content is None:
                made, evaluations = self.devices.make(self._maker.drawn, [part])
                shown = [key_of(state) for _, state in part]
                content = self._write(name, {"evaluations": evaluations, "states": shown, "records": made})
            self.screening += content["evaluations"]
            self.read += len(part)
            records += [Record.from_json(record) for record in content["records"]]
        return records

    def pictures(self, changes: Sequence[Change], indices: Sequence[int]) -> Tensor:
        """Those images of the first lot under the changes, (n, 3, H, W) in [0, 1]: to be shown, not recorded."""
        pairs = list(zip(indices, self._changed(changes, indices), strict=True))
        return self._maker.shown(self._indices(0), pairs)

    def _changed(self, changes: Sequence[Change], indices: Sequence[int]) -> list[State]:
        return changed_states(self.composition, self.states(indices), indices, changes, self.files.draws)

    def _start_chunk(self, number: int) -> None:
        indices = self._indices(number)
        name = f"{FOLDER}/null-{number:03d}.json"
        content = self._read(name)
        if content is None:
            made, evaluations = self.devices.make(self._begin, [[(index,) for index in indices]])
            content = {
                "evaluations": evaluations,
                "states": [one["state"] for one in made],
                "records": [one["record"] for one in made],
                "originals": [one["original"] for one in made if one["original"] is not None],
            }
            content = self._write(name, content)
        self.preparing += content["evaluations"]
        self.read += len(content["records"]) + len(content["originals"])
        for place, index in enumerate(indices):
            state = frozenset(path_of(text) for text in content["states"][place])
            self._states[index] = state
            self._records[index, key_of(state)] = Record.from_json(content["records"][place])
            if content["originals"]:
                self._original[index] = Record.from_json(content["originals"][place])

    def _exchange_chunk(self, number: int) -> None:
        indices = self._indices(number)
        name = f"{FOLDER}/exchanged-{number:03d}.json"
        content = self._read(name)
        if content is None:
            generators = [self.files.draws.generator(PURPOSE, SUBJECT, index) for index in indices]
            subjects = [self.others[int(one.integers(len(self.others)))] for one in generators]
            made, evaluations = self.devices.make(self._exchange, [list(zip(indices, subjects, strict=True))])
            content = self._write(name, {"evaluations": evaluations, "subjects": subjects, "records": made})
        self.evaluations += content["evaluations"]
        self.made += len(content["records"])
        self.read += len(content["records"])
        for index, record in zip(indices, content["records"], strict=True):
            self._exchanged[index] = Record.from_json(record)

    def _unit(self, changes: Sequence[Change], missing: Sequence[Pair]) -> None:
        name = f"{FOLDER}/edits-{_digest(missing)}.json"
        content = self._read(name)
        if content is None:
            # What was prepared together is edited together.
            batches = [list(batch) for _, batch in groupby(missing, lambda pair: pair[0] // self.chunk)]
            records, evaluations = self.devices.make(self._edit, batches)
            content = {
                "changes": [[SEPARATOR.join(change.path), change.reverse] for change in changes],
                "evaluations": evaluations,
                "edits": [
                    {"index": index, "state": key_of(state), "record": record}
                    for (index, state), record in zip(missing, records, strict=True)
                ],
            }
            content = self._write(name, content)
        self.evaluations += content["evaluations"]
        self.made += len(content["edits"])
        self.read += len(content["edits"])
        for edit in content["edits"]:
            self._records[edit["index"], edit["state"]] = Record.from_json(edit["record"])

    def _begin(self, items: Sequence[tuple[int]]) -> Made:
        return self._maker.begin(tuple(index for (index,) in items))

    def _edit(self, pairs: Sequence[Pair]) -> Made:
        number = pairs[0][0] // self.chunk
        return self._maker.edit(self.devices.own(self._indices(number)), pairs)

    def _exchange(self, subjects: Sequence[tuple[int, str]]) -> Made:
        return self._maker.exchange(self.devices.own(self._indices(subjects[0][0] // self.chunk)), subjects)

    def _indices(self, number: int) -> tuple[int, ...]:
        return tuple(range(number * self.chunk, min((number + 1) * self.chunk, self.count)))

    def _read(self, name: str) -> dict[str, Any] | None:
        """What was written; None where nothing was, or what is there is something else."""
        path = self.files.directory / name
        try:
            return read_records(path)
        except FileNotFoundError:
            return None
        except UserError:
            pass
        message = f"{path} is damaged, or of an earlier version: what it holds is made again."
        warnings.warn(message, stacklevel=2)
        return None

    def _write(self, name: str, content: dict[str, Any]) -> dict[str, Any]:
        """Write it with its own SHA-256, and give back what reading it would."""
        self.files.write_json(name, {**content, DIGEST: _digest_of(content)})
        written: dict[str, Any] = json.loads(json.dumps(content))
        return written


def recorded_edits(directory: FilePath) -> Iterator[dict[str, Any]]:
    """Every edit of the run in ``directory``, as it was recorded: ``index``, ``state`` and ``record``.

    Raises:
        UserError: a file is not as it was written.
    """
    for file in sorted((directory / FOLDER).glob("edits-*.json")):
        yield from read_records(file)["edits"]


def read_records(path: FilePath) -> dict[str, Any]:
    """A file of records, whole.

    Raises:
        FileNotFoundError: there is none.
        UserError: it is not as it was written.
    """
    try:
        content: dict[str, Any] = read_json(path)
        if content.pop(DIGEST, None) == _digest_of(content):
            return content
    except FileNotFoundError:
        raise
    except (OSError, ValueError, AttributeError, TypeError):
        pass
    raise UserError("These records are damaged.", given=path)


def _digest_of(content: Mapping[str, Any]) -> str:
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _digest(pairs: Sequence[Pair]) -> str:
    """Images and states as the part of a file's name."""
    return sha256(json.dumps([[index, key_of(state)] for index, state in pairs]).encode()).hexdigest()[:16]
