"""DiffEx's effects beside the truth tables of the embedded world, for the tables that are made of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from diffexplain.effects.results import Ranking
from diffexplain.statistics.estimates import Estimate
from experiments.papers.paper_tables import Made

RESAMPLES = 2000


def rankings(run: Made) -> tuple[Ranking, ...]:
    """One for each classifier of a run of DiffEx.

    Raises:
        ValueError: the run is of another method.
    """
    if run.summary.effects is None:
        raise ValueError(f"{run.directory} is no run of DiffEx")
    return run.summary.effects.rankings


def concepts_of(runs: Iterable[Made]) -> list[Any]:
    """Every concept of every ranking beside its true effect, a `Row` of `experiments/diffex/world.py` each."""
    from experiments.diffex import world

    rows = []
    for run in runs:
        assert run.summary.effects is not None
        result = run.summary.effects.to_json()
        for ranking in result["rankings"]:
            ranking["classifier"] = ranking["classifier"].removeprefix("world_")
        rows += world.rows_of(result | {"class": run.class_name, "seed": run.summary.seeds["run"]})
    return rows


def clustered_share(answers: Mapping[Any, Sequence[bool]]) -> Estimate | None:
    """The share of right answers with a percentile interval by the bootstrap over clusters; None without answers.

    Args:
        answers: by cluster, as (classifier, class), whose answers belong together.
    """
    counts = np.array([[sum(given), len(given)] for given in answers.values() if given])
    if not len(counts):
        return None
    value = float(counts[:, 0].sum() / counts[:, 1].sum())
    picks = np.random.default_rng(0).integers(0, len(counts), size=(RESAMPLES, len(counts)))
    drawn = counts[picks].sum(axis=1)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
    return Estimate(value, min(float(low), value), max(float(high), value), int(counts[:, 1].sum()))
