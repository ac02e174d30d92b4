"""Rules on the effect of a concept, ``a flag > 0.1``, by which a finished run passes or fails; imports no torch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from diffexplain.errors import UserError, nearest

if TYPE_CHECKING:
    from diffexplain.effects.results import ConceptEffect, Untested
    from diffexplain.report.summary import Summary

FAIL_IF = "fail_if"
"""The configuration's key; it changes nothing of a run."""
EXAMPLE = f"{FAIL_IF}='a flag > 0.1'"
_RULE = re.compile(r"\s*(.+?)\s*([<>])\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*(?:,|$)", re.IGNORECASE | re.DOTALL)


Concept = tuple[tuple[str, ...], str]
"""Path and text."""


class Answer(IntEnum):
    """What a rule comes to, as an exit status: the interval lies beyond its bound, or holds it, or lies before it."""

    HOLDS = 4
    OPEN = 5
    DOES_NOT = 0


@dataclass(frozen=True)
class Rule:
    """That the effect of a concept is above a bound, or below it."""

    concept: str
    above: bool
    bound: float

    def __str__(self) -> str:
        return f"{self.concept} {'>' if self.above else '<'} {self.bound:g}"

    def meant(self, concepts: Sequence[Concept]) -> list[Concept]:
        """Those that it may mean: the one of that text, else all whose path ends in it."""
        name = self.concept.casefold()
        exact = [one for one in concepts if one[1].casefold() == name]
        return exact or [one for one in concepts if one[0][-1].casefold() == name]

    def judge(self, summary: Summary) -> tuple[Answer, str]:
        """What it comes to in a finished run, by the 95 % interval of the effect, and a sentence that says so."""
        from diffexplain.effects.results import Untested, Verdict
        from diffexplain.report import wording

        tested = {(tuple(one.path), one.text): one for one in _every(summary)}
        meant = self.meant(list(tested))
        if summary.same_answer is not None:
            return Answer.OPEN, f"{self}: not told. {wording.same_answer(summary, summary.same_answer)}"
        if not meant:
            near = ", ".join(nearest(self.concept, [text for _, text in tested]))
            return Answer.OPEN, f"{self}: not tested. The concept was not proposed; nearest: {near or 'none'}."
        if len(meant) > 1:
            return Answer.OPEN, f"{self}: not told. It may mean {' or '.join(text for _, text in meant)}."
        found = tested[meant[0]]
        if isinstance(found, Untested) or found.verdict is Verdict.NOT_TESTED:
            return Answer.OPEN, f"{self}: not tested. {wording.capital(found.reason or 'no reason is known')}."
        score = found.over_all.score
        low, high = (score.low, score.high) if self.above else (-score.high, -score.low)
        bound = self.bound if self.above else -self.bound
        answer = Answer.HOLDS if low > bound else Answer.DOES_NOT if high <= bound else Answer.OPEN
        said = {Answer.HOLDS: "holds", Answer.DOES_NOT: "does not hold", Answer.OPEN: "undecided"}[answer]
        return answer, f"{self}: {said}. The effect is {wording.stated(score, 3)}."


def parse(given: Any) -> tuple[Rule, ...]:
    """The rules of ``fail_if``: a text with commas between them, or a list of such; none for None.

    Raises:
        UserError: a rule is not written as concept, ``>`` or ``<``, and number.
    """
    rules: list[Rule] = []
    for text in [] if given is None else given if isinstance(given, list) else [given]:
        begin = 0
        while begin < len(str(text)) or not begin:
            found = _RULE.match(str(text), begin)
            if found is None:
                message = f"A rule of {FAIL_IF} is a concept, > or <, and a number; commas stand between several."
                raise UserError(message, given=text, accepted=[EXAMPLE])
            rules.append(Rule(found[1], found[2] == ">", float(found[3])))
            begin = found.end()
    return tuple(rules)


def check(rules: Sequence[Rule], concepts: Sequence[Concept]) -> None:
    """Refuse rules on concepts that are not among those that a run will propose, with path and text of each.

    Raises:
        UserError: there is no such concept, or there are several.
    """
    hint = "diffexplain list concepts, and the overrides of the run"
    for rule in rules:
        meant = rule.meant(concepts)
        if not meant:
            message = f"{FAIL_IF} names no concept of this run."
            raise UserError(message, given=rule.concept, accepted=[text for _, text in concepts], hint=hint)
        if len(meant) > 1:
            message = f"{FAIL_IF} names several concepts of this run."
            raise UserError(message, given=rule.concept, accepted=[text for _, text in meant], hint=hint)


def worst(answers: Sequence[Answer]) -> Answer:
    """One that holds goes before one that is open."""
    return next((answer for answer in (Answer.HOLDS, Answer.OPEN) if answer in answers), Answer.DOES_NOT)


def _every(summary: Summary) -> Iterator[ConceptEffect | Untested]:
    if summary.effects is not None:
        yield from summary.effects.rankings[0].concepts
        yield from summary.effects.rankings[0].untested
