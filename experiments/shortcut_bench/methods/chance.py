"""Chance: the concepts in an order drawn by lot, none of them reported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from diffexplain.runs.draws import Draws
from experiments.shortcut_bench.explained import Account, Explained, Finding, Studied, concepts


class Chance:
    """What any method has to beat."""

    needs: tuple[str, ...] = ()
    shares_edits = False

    def __init__(self, name: str) -> None:
        self.name = name

    def explain(
        self, studied: Sequence[Studied], seed: int, folder: Path, earlier: Mapping[str, Mapping[str, Explained]]
    ) -> Iterator[Explained]:
        for one in studied:
            generator = Draws(seed, one.specification.name).generator("chance")
            findings = tuple(Finding(value, float(generator.random()), reported=False) for value in concepts().values())
            yield Explained(self.name, one.specification.name, findings, Account())
