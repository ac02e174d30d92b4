"""Finished runs of several classifiers compared on the pictures that all of them were shown; nothing is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import combinations
from pathlib import Path as FilePath
from typing import Any

from diffexplain.concepts import Hierarchy
from diffexplain.editing import Change, Composition, State, changed_states
from diffexplain.effects.budget import policy_named
from diffexplain.effects.engine import Engine, Studied, interventions
from diffexplain.effects.population import FOLDER, Images, read_records, recorded_edits
from diffexplain.effects.records import Record, key_of, path_of
from diffexplain.effects.results import Difference, Path
from diffexplain.report.summary import Summary
from diffexplain.runs.draws import Draws


@dataclass(frozen=True)
class Compared:
    """What several runs say of the same pictures.

    Attributes:
        names: of the classifiers, in the runs' order; the runs' directories where these are no names.
        summaries: of the runs.
        differences: of every two, on the pictures that both were shown; of concepts that both tested.
    """

    names: tuple[str, ...]
    summaries: tuple[Summary, ...]
    differences: tuple[Difference, ...]


class Recorded:
    """What runs wrote down of their pictures, ``chunk`` of them prepared together: a population that makes none."""

    def __init__(self, directories: Sequence[FilePath], composition: Composition, draws: Draws, chunk: int) -> None:
        self.composition, self._draws = composition, draws
        self._states: dict[int, State] = {}
        known = [self._known(directory, chunk) for directory in directories]
        shared = set.intersection(*map(set, known))
        self._records = {
            key: replace(
                known[0][key],
                scores=tuple(one[key].scores[0] for one in known),
                activates=tuple(one[key].activates[0] for one in known),
                log_odds=tuple(one[key].log_odds[0] for one in known),
            )
            for key in shared
        }

    def records(self, changes: Sequence[Change], indices: Sequence[int]) -> list[Record]:
        """Those images under the changes.

        Raises:
            KeyError: not all runs have them.
        """
        before = [self._states[index] for index in indices]
        after = changed_states(self.composition, before, indices, changes, self._draws)
        return [self._records[index, key_of(state)] for index, state in zip(indices, after, strict=True)]

    def images(self, path: Path, begin: int, count: int) -> Images | None:
        """The images from ``begin`` on that all runs have of a concept, rivals with it; None: fewer than two."""

        def known(index: int, rivals: int) -> bool:
            try:
                one = Images(range(index, index + 1), True, rivals)
                for changes, those in interventions(self.composition, path, one):
                    self.records(changes, those)
            except KeyError:
                return False
            return True

        ends = [next((k for k in range(begin, count) if not known(k, rivals)), count) for rivals in (0, 1)]
        return Images(range(begin, ends[0]), True, ends[1] - begin) if ends[0] - begin > 1 else None

    def _known(self, directory: FilePath, chunk: int) -> dict[tuple[int, str], Record]:
        found: dict[tuple[int, str], Record] = {}
        for file in sorted((directory / FOLDER).glob("null-*.json")):
            content = read_records(file)
            first = int(file.stem.rpartition("-")[2]) * chunk
            for place, (state, record) in enumerate(zip(content["states"], content["records"], strict=True)):
                self._states[first + place] = frozenset(map(path_of, state))
                found[first + place, key_of(self._states[first + place])] = Record.from_json(record)
        for edit in recorded_edits(directory):
            found[int(edit["index"]), str(edit["state"])] = Record.from_json(edit["record"])
        return found


def compare(
    runs: Sequence[str], directories: Sequence[FilePath], summaries: Sequence[Summary], hierarchy: Hierarchy
) -> Compared:
    """The effects of two or more finished runs, and their differences on the same pictures.

    Args:
        runs: as they were named.
        directories, summaries, hierarchy: what `comparable` gave of them.
    """
    names = tuple(summary.classifier.name for summary in summaries)
    names = names if len(set(names)) == len(names) else tuple(runs)
    settings: Mapping[str, Any] = summaries[0].settings["effects"]
    engine = Engine(**{one.name: settings[one.name] for one in fields(Engine) if one.name in settings})
    effects = summaries[0].effects
    assert effects is not None
    composition = Composition(hierarchy, effects.subject, engine.opening)
    draws = Draws(int(summaries[0].settings["seed"]), summaries[0].target.text)
    differences: list[Difference] = []
    for first, second in combinations(range(len(runs)), 2):
        population = Recorded([directories[first], directories[second]], composition, draws, engine.chunk)
        shares = {}
        for path in composition.concepts:
            begin = max(_begin(summaries[who], engine) for who in (first, second))
            those = population.images(path, begin, engine.images)
            if those is not None and len(those.indices) >= engine.smallest:
                shares[path] = those
        studied = [Studied(names[who], None, summaries[who].target) for who in (first, second)]  # type: ignore[arg-type]
        differences += engine.differences(population, studied, shares)
    return Compared(names, tuple(summaries), tuple(differences))


def _begin(summary: Summary, engine: Engine) -> int:
    """The first image that had no part in choosing concepts."""
    assert summary.effects is not None
    return (
        0
        if summary.effects.budget.policy != engine.policy
        else policy_named(engine.policy).testing(engine.images).start
    )
