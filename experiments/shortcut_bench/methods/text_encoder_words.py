"""The default run's discovery and test without a list: words of the prior's text encoder in the place of a hierarchy.

Which concept a word stands for is said in `words`, and only after everything was found.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffexplain.concepts import Hierarchy
from diffexplain.config.instantiate import build
from diffexplain.diffusion import Prior
from diffexplain.effects.results import Ranking
from diffexplain.target import ResolvedTarget
from experiments.shortcut_bench.explained import Account, Explained, Finding, Studied, WordFinding, concepts
from experiments.shortcut_bench.methods.default import Default
from experiments.shortcut_bench.methods.edits import BEHIND, extra_of
from experiments.shortcut_bench.specification import Value
from experiments.shortcut_bench.words import WORDS, weight


class Words(Default):
    """`Default` with ``concepts=words``."""

    def __init__(self, name: str, *overrides: str) -> None:
        super().__init__(name, "concepts=words", *overrides)

    def proposed(self, config: Mapping[str, Any], prior: Prior, target: ResolvedTarget) -> Hierarchy:
        found: Hierarchy = build(config["concepts"], where="concepts").propose_from(prior, target)
        return found

    def answer(self, one: Studied, ranking: Ranking, account: Account) -> Explained:
        said = words_of(ranking)
        findings = findings_of(said, verdicts_of(ranking), one.specification.class_name)
        name = one.specification.name
        return Explained(self.name, name, findings, account, extra=extra_of(ranking), words=tuple(said.values()))


def words_of(ranking: Ranking) -> dict[str, WordFinding]:
    """What is said of each word, tested or not."""
    said = {}
    for concept in ranking.concepts:
        effect = concept.over_all
        stated = (effect.score.value, effect.score.low, effect.score.high)
        said[concept.text] = WordFinding(concept.text, effect.score.value, effect.significant, *stated)
    return said | {
        one.text: WordFinding(one.text, BEHIND * (one.screened or 0.0), reported=False) for one in ranking.untested
    }


def verdicts_of(ranking: Ranking) -> dict[str, tuple[int, str]]:
    """Pairs behind each word that was tested, and its verdict."""
    return {concept.text: (concept.over_all.n, concept.verdict.value) for concept in ranking.concepts}


def findings_of(
    said: Mapping[str, WordFinding], verdicts: Mapping[str, tuple[int, str]], class_name: str
) -> tuple[Finding, ...]:
    """One finding for each concept: of the word with the largest score of those that may stand for it.

    A word with several readings has half its score, and nothing is reported of any one of them.
    """
    findings = []
    for value in concepts().values():
        named = [one for word, one in said.items() if value in WORDS.get(word, ())]
        if not named:
            findings.append(Finding(value, 0.0, reported=False, verdict="not tested"))
            continue
        first = max(named, key=lambda one: abs(one.score) * weight(one.word, class_name))
        findings.append(_finding(value, first, verdicts.get(first.word), weight(first.word, class_name)))
    return tuple(findings)


def _finding(value: Value, one: WordFinding, verdict: tuple[int, str] | None, counts: float) -> Finding:
    if verdict is None:
        return Finding(value, one.score * counts, reported=False, verdict="not tested")
    if counts < 1:
        return Finding(value, one.score * counts, reported=False, verdict="undecided")
    return Finding(value, one.score, one.reported, one.effect, one.low, one.high, *verdict)
