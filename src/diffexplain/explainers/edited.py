"""What classifiers and checks make of edited images, each edit made once and kept in the run's directory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path as FilePath
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from diffexplain.diffusion.editing import Change, Composition, Editor, Prepared, State, changed_states
from diffexplain.diffusion.editing.checks import SUBJECT, by_mask, by_similarity
from diffexplain.evaluation.activation import Reader
from diffexplain.evaluation.effect_results import Path
from diffexplain.explainers.records import SEPARATOR, Record, key_of, path_of
from diffexplain.runs.draws import Draws

FOLDER = "diffex"


class ChecksLike(Protocol):
    """`diffexplain.diffusion.editing.checks.Checks`, or a fake."""

    def seen(self, composition: Composition, images: Tensor, paths: Sequence[Path], /) -> NDArray[np.bool_]: ...

    def fits(self, composition: Composition, images: Tensor, paths: Sequence[Path], /) -> NDArray[np.float64]: ...

    def strayed(
        self, composition: Composition, before: Tensor, after: Tensor, paths: Sequence[Path], /
    ) -> NDArray[np.float64]: ...


class Files(Protocol):
    """Where the records go; a run's directory fits."""

    @property
    def directory(self) -> FilePath: ...

    @property
    def draws(self) -> Draws: ...

    def write_json(self, name: str, value: Any, /) -> FilePath: ...


class Edited:
    """The population under changes: edits, reads and checks what is not known yet.

    A unit of work is one lot of images under one set of changes. Each is a file, written whole when it is done, so
    that a run resumed anywhere reads what an uninterrupted one knew at that point, and goes on with equal bytes.

    Args:
        editor: makes the edits.
        composition: subject and concepts.
        readers: of each classifier and target.
        checks: None leaves edits unchecked.
        files: the run.
        images: given photographs, (N, 3, H, W) in [0, 1]; None where the editor makes its own.
        count: size of the population.
        chunk: images that are prepared together.
    """

    def __init__(
        self,
        editor: Editor,
        composition: Composition,
        readers: Sequence[Reader],
        checks: ChecksLike | None,
        files: Files,
        images: Tensor | None,
        count: int,
        chunk: int,
    ) -> None:
        self.editor = editor
        self.composition = composition
        self.readers = tuple(readers)
        self.checks = checks
        self.files = files
        self.images = images
        self.count = count
        self.chunk = chunk
        self.evaluations = 0
        self.preparing = 0
        self.made = 0
        self.read = 0
        self._records: dict[tuple[int, str], Record] = {}
        self._prepared: dict[int, Prepared] = {}
        self._states: dict[int, State] = {}
        self._original: dict[int, Record] = {}

    def start(self, upto: int) -> None:
        """See to it that the first ``upto`` images are prepared and their null edits known."""
        for number in range(-(-upto // self.chunk)):
            if number * self.chunk not in self._states:
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

    def originals(self, indices: Sequence[int]) -> list[Record] | None:
        """The given images as they are; None where the editor made its own."""
        return None if self.images is None else [self._original[index] for index in indices]

    def pictures(self, changes: Sequence[Change], indices: Sequence[int]) -> Tensor:
        """Those images of the first lot under the changes, (n, 3, H, W) in [0, 1]: to be shown, not recorded."""
        if 0 not in self._prepared:
            self._prepare(0)
        return self.editor.edit(self._prepared[0], list(indices), self._changed(changes, indices))

    def _changed(self, changes: Sequence[Change], indices: Sequence[int]) -> list[State]:
        return changed_states(self.composition, self.states(indices), indices, changes, self.files.draws)

    def _start_chunk(self, number: int) -> None:
        indices = self._indices(number)
        name = f"{FOLDER}/null-{number:03d}.json"
        content = self._read(name)
        if content is None:
            before = self.editor.evaluations
            prepared = self._prepare(number)
            evaluations = self.editor.evaluations - before
            # Of null edits all is looked for, so that "not seen without" can be said of any concept.
            paths = list(self.composition.concepts)
            records = self._look(prepared.null, None, [paths] * len(indices))
            originals = [] if self.images is None else self._look(self.images[list(indices)], None, [[]] * len(indices))
            content = {
                "evaluations": evaluations,
                "states": [sorted(SEPARATOR.join(path) for path in state) for state in prepared.states],
                "records": [record.to_json() for record in records],
                "originals": [record.to_json() for record in originals],
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

    def _unit(self, changes: Sequence[Change], missing: Sequence[tuple[int, State]]) -> None:
        digest = sha256(json.dumps([[index, key_of(state)] for index, state in missing]).encode()).hexdigest()[:16]
        name = f"{FOLDER}/edits-{digest}.json"
        content = self._read(name)
        if content is None:
            records, evaluations = self._make(missing)
            content = {
                "changes": [[SEPARATOR.join(change.path), change.reverse] for change in changes],
                "evaluations": evaluations,
                "edits": [
                    {"index": index, "state": key_of(state), "record": record.to_json()}
                    for (index, state), record in zip(missing, records, strict=True)
                ],
            }
            content = self._write(name, content)
        self.evaluations += content["evaluations"]
        self.made += len(content["edits"])
        self.read += len(content["edits"])
        for edit in content["edits"]:
            self._records[edit["index"], edit["state"]] = Record.from_json(edit["record"])

    def _make(self, missing: Sequence[tuple[int, State]]) -> tuple[list[Record], int]:
        records: list[Record] = []
        evaluations = 0
        for number in sorted({index // self.chunk for index, _ in missing}):
            mine = [(index, state) for index, state in missing if index // self.chunk == number]
            if number not in self._prepared:
                self._prepare(number)
            prepared = self._prepared[number]
            places = [prepared.indices.index(index) for index, _ in mine]
            before = self.editor.evaluations
            images = self.editor.edit(prepared, places, [state for _, state in mine])
            evaluations += self.editor.evaluations - before
            looked = [self._looked_for(prepared.states[k], state) for k, (_, state) in zip(places, mine, strict=True)]
            records += self._look(images, prepared.null[places], looked)
        return records, evaluations

    def _prepare(self, number: int) -> Prepared:
        indices = self._indices(number)
        given = None if self.images is None else self.images[list(indices)]
        states = None if given is None else self._shown(given)
        self._prepared[number] = self.editor.prepare(self.composition, self.files.draws, indices, given, states)
        return self._prepared[number]

    def _shown(self, images: Tensor) -> list[State]:
        """What given images show: the objects and settings that are seen, as far as anything can look."""
        if self.checks is None:
            return [frozenset()] * len(images)
        paths = [path for path in self.composition.tops() if self.composition.role(path) != "attribute"]
        seen = self.checks.seen(self.composition, images, paths)
        return [frozenset(path for path, there in zip(paths, row, strict=True) if there) for row in seen]

    def _looked_for(self, before: State, after: State) -> list[Path]:
        """The concepts that an edit changed, their parents and sub-types, and what stands in the place of each."""
        changed: set[Path] = set()
        for path in before ^ after:
            prefixes = [path[:depth] for depth in range(1, len(path) + 1)]
            for known in (prefix for prefix in prefixes if prefix in self.composition.concepts):
                below = {other for other in self.composition.concepts if other[:-1] == known}
                changed |= {known, *self.composition.rivals(known), *below}
        return self.composition.ordered(frozenset(changed))

    def _look(self, images: Tensor, null: Tensor | None, looked: Sequence[Sequence[Path]]) -> list[Record]:
        readings = [reader.read(images) for reader in self.readers]
        seen: list[dict[Path, bool]] = [{} for _ in images]
        fits: list[dict[Path, float]] = [{} for _ in images]
        strayed: list[float | None] = [None for _ in images]
        for paths in dict.fromkeys(tuple(paths) for paths in looked):
            if self.checks is None:
                break
            places = [place for place, mine in enumerate(looked) if tuple(mine) == paths]
            part = images[places]
            things = [path for path in paths if by_mask(self.composition, path)]
            others = [path for path in paths if by_similarity(self.composition, path)]
            others = [SUBJECT, *others] if others else []
            table = self.checks.seen(self.composition, part, things)
            similar = self.checks.fits(self.composition, part, others)
            far = None if null is None else self.checks.strayed(self.composition, null[places], part, paths)
            for row, place in enumerate(places):
                seen[place] = dict(zip(things, map(bool, table[row]), strict=True))
                fits[place] = dict(zip(others, map(float, similar[row]), strict=True))
                strayed[place] = None if far is None else float(far[row])
        return [
            Record(
                scores=tuple(float(reading.score[place]) for reading in readings),
                logits=tuple(None if r.logit is None else float(r.logit[place]) for r in readings),
                seen=seen[place],
                fits=fits[place],
                strayed=strayed[place],
            )
            for place in range(len(images))
        ]

    def _indices(self, number: int) -> tuple[int, ...]:
        return tuple(range(number * self.chunk, min((number + 1) * self.chunk, self.count)))

    def _read(self, name: str) -> dict[str, Any] | None:
        path = self.files.directory / name
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None

    def _write(self, name: str, content: dict[str, Any]) -> dict[str, Any]:
        """Write it, and give back what reading it would."""
        self.files.write_json(name, content)
        written: dict[str, Any] = json.loads(json.dumps(content))
        return written
