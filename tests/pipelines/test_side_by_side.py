"""Finished runs compared on the pictures that all of them have: as if one run had made them for all."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.explainers.known_effects import (
    BASES,
    FIRST,
    SECOND,
    Checks,
    Classifier,
    Editor,
    effects_of,
    population_of,
)
from tests.report import samples

from diffexplain.effects.results import Difference
from diffexplain.errors import UserError
from diffexplain.explainers import RandomisedPrompts
from diffexplain.pipelines.comparable import comparable
from diffexplain.pipelines.side_by_side import Recorded
from diffexplain.report import Summary
from diffexplain.runs.draws import Draws


@pytest.mark.parametrize("others", [12, 6])
def test_differences_are_those_of_one_run_that_compares_both(tmp_path: Path, others: int) -> None:
    method = RandomisedPrompts(pictures=16, others=others, tested=2, pairs=0)

    def run(name: str, *classifiers: Classifier) -> tuple[Difference, ...]:
        editor = Editor(BASES)
        return effects_of(
            tmp_path / name, *classifiers, method=method, editor=editor, checks=Checks(), chunk=4
        ).differences

    together = {one.path: one.effect.score for one in run("together", FIRST, SECOND)}
    run("first", FIRST)
    run("second", SECOND)
    population, studied, engine = population_of(tmp_path / "none", FIRST, SECOND)
    recorded = Recorded(
        [tmp_path / "first", tmp_path / "second"], population.composition, Draws(0, "class:flagpole"), 4
    )
    shares = {path: recorded.images(path, 0, 12) for path in population.composition.concepts}
    known = {path: those for path, those in shares.items() if those is not None}
    assert known.keys() == together.keys()
    apart = {one.path: one.effect.score for one in engine.differences(recorded, studied, known)}
    same = [path for path in apart if apart[path].n == together[path].n]
    assert same and all(apart[path] == together[path] for path in same)
    # What one run alone has tested on all its pictures is compared on those that the other has, too.
    assert all(apart[path].n >= 6 for path in apart) and (others < 12 or len(same) == len(apart))


def test_runs_of_other_pictures_are_refused(tmp_path: Path) -> None:
    def written(name: str, summary: Summary) -> str:
        (tmp_path / name).mkdir()
        (tmp_path / name / "summary.json").write_text(summary.to_json())
        return str(tmp_path / name)

    base = samples.summary_of(samples.run_in(tmp_path / "run"), samples.evaluation())
    first = written("first", base)
    other = written("other", replace(base, settings={**base.settings, "seed": 9}))
    nothing = written("nothing", replace(base, effects=None))
    with pytest.raises(UserError, match="seed differ"):
        comparable([first, other])
    with pytest.raises(UserError, match="effects of concepts on a class"):
        comparable([first, nothing])
    for runs in ([], [first]):
        with pytest.raises(UserError, match="two finished runs"):
            comparable(runs)
