"""DiffEx on the concepts that DiffExplainer's pictures and words suggest: the one proposes, the other tests."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from explained import Account, Explained, Finding, Studied, concepts

from diffexplain.effects.engine import Engine, Images
from methods.edits import cost, population, ranked

CANDIDATES = 8


class Seeded:
    """The first of another method's concepts are tested with every picture; the others come behind them, untested."""

    shares_edits = True

    def __init__(self, name: str, proposer: str) -> None:
        self.name = name
        self.needs: tuple[str, ...] = (proposer,)
        self.engine = Engine(policy="uniform")

    def explain(
        self, studied: Sequence[Studied], seed: int, folder: Path, earlier: Mapping[str, Mapping[str, Explained]]
    ) -> Iterator[Explained]:
        (proposer,) = self.needs
        edited = population(tuple(studied), seed, folder)
        edited.start(edited.count)
        paths = {value: path for path, value in concepts().items()}
        for who, one in enumerate(studied):
            started = time.monotonic()
            proposed = earlier[proposer].get(one.specification.name)
            if proposed is None:
                continue  # the edits are of all classifiers, the proposals perhaps of some
            first = sorted(proposed.findings, key=lambda finding: -finding.score)[:CANDIDATES]
            chosen = {paths[finding.value] for finding in first if finding.score > 0}
            everything = Images(range(edited.count), tested=True)
            shares = {path: everything for path in edited.composition.concepts if path in chosen}
            tested = {finding.value: finding for finding in ranked(self.engine, edited, who, shares)} if shares else {}
            findings = tuple(
                tested.get(finding.value, Finding(finding.value, UNTESTED * finding.score, reported=False))
                for finding in proposed.findings
            )
            spent = cost(edited, shares, time.monotonic() - started) if shares else Account()
            yield Explained(
                self.name,
                one.specification.name,
                findings,
                replace(proposed.account) + spent,
                proposed.object_absent,
                {"tested": [list(value) for value in tested]},
            )


UNTESTED = 1e-3
"""What was not tested is ordered as it was proposed, but close to no effect."""
