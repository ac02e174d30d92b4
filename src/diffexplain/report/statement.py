"""The verdict in writing: a paragraph made of the numbers alone, and its rewording by a model that may add nothing."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from diffexplain.effects.results import ConceptEffect, Verdict
from diffexplain.errors import RetryableError, UserError
from diffexplain.report import findings, wording
from diffexplain.report.summary import Statement, Summary

if TYPE_CHECKING:
    from diffexplain.concepts.asking import Respondent

TEMPLATE = "template"

_FIGURE = re.compile(rf"(?:(?<![\w.]){wording.MINUS}|(?<![\w.\-–])-)?\d+(?:[.,]\d+)*%?")
_WORDS = (
    "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|"
    "eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|million|dozen|half|third|"
    "quarter|twice|double|triple"
)
_NUMBER_WORD = re.compile(rf"\b(?:{_WORDS})s?\b", re.IGNORECASE)

_QUESTION = (
    "Reword this report on an image classifier as one plain paragraph for a reader who knows no statistics. Keep every "
    "figure exactly as it is written, in digits. Add no figure, fact, cause or advice that is not in it. Name "
    "every concept that it calls spurious. Answer with one JSON object whose only key, text, holds the paragraph.\n\n"
)


class Unfaithful(Exception):
    """Why a rewording is not the same statement."""


def stated(summary: Summary, respondent: Respondent | None = None) -> Summary:
    """``summary`` with its statement, reworded by ``respondent`` if there is one.

    Where the rewording says other figures or concepts, or none comes, the template's text stays, with the reason.
    """
    text = template(summary)
    if respondent is None:
        return replace(summary, statement=Statement(text, TEMPLATE, None))
    try:
        reworded = _reworded(text, respondent)
        check(text, reworded, summary)
    except Unfaithful as fault:
        reason = f"{respondent.name}'s rewording was not taken: {fault}"
    except (UserError, RetryableError) as error:
        reason = f"{respondent.name} gave no rewording: {' '.join(str(error).split())}"
    else:
        return replace(summary, statement=Statement(reworded, respondent.name, None))
    return replace(summary, statement=Statement(text, TEMPLATE, reason))


def template(summary: Summary) -> str:
    """What was found, how sure that is, and what the prior and the control show."""
    sentences = ["".join(text for text, _ in findings.headline(summary))]
    found = [text for _, text in findings.findings(summary)]
    if summary.same_answer is None and summary.activation:
        found[bool(summary.concepts) : bool(summary.concepts)] = [_compared(summary), _written_out(summary)]
    sentences += found
    if summary.same_answer is None:
        sentences.append(findings.prior_sentence(summary) or "")
        sentences.append(findings.control_sentence(summary) or "No control classifier was asked.")
    return " ".join(sentence for sentence in sentences if sentence).replace("\N{NO-BREAK SPACE}", " ")


def check(text: str, reworded: str, summary: Summary) -> None:
    """Whether ``reworded`` says no figure and no concept that ``text`` does not, and every spurious one that it does.

    More cannot be checked: a sentence may still be turned round.

    Raises:
        Unfaithful: it does, with the first fault.
    """
    for found in (_figures, _number_words):
        new = sorted(found(reworded) - found(text))
        if new:
            raise Unfaithful(f"it says {wording.listed(new)}, which the numbers do not")
    new = sorted(_named(summary.concepts, reworded) - _named(summary.concepts, text))
    if new:
        raise Unfaithful(f"it speaks of {wording.listed(new)}, which the template does not")
    spurious = summary.having(Verdict.SPURIOUS)
    lost = sorted(_named(spurious, text) - _named(spurious, reworded))
    if lost:
        raise Unfaithful(f"it leaves out {wording.listed(lost)}")


def _reworded(text: str, respondent: Respondent) -> str:
    from pydantic import BaseModel, ConfigDict  # reading a run back needs neither this nor the proposers

    from diffexplain.concepts.asking import Turn, ask

    class Reworded(BaseModel):
        model_config = ConfigDict(extra="forbid")
        text: str

    try:
        answer = ask(respondent, Turn("user", _QUESTION + text), Reworded)
    finally:
        line = respondent.close()
        if line:
            print(f"wording: {line}", file=sys.stderr, flush=True)
    paragraph = " ".join(answer.text.split())
    if not paragraph:
        raise Unfaithful("it is empty")
    return paragraph


def _compared(summary: Summary) -> str:
    """The found prompt beside the class's own name."""
    found = next((one for one in summary.comparisons if one.name == summary.found.name), None)
    other = None if found is None else next((row for row in summary.baselines if row.name == found.than), None)
    if found is None or other is None:
        return ""
    return (
        f"{wording.capital(wording.quoted(other.text))} does so in {wording.count(other.share)}: a difference of "
        f"{wording.stated(found.difference)}."
    )


def _written_out(summary: Summary) -> str:
    best = None if summary.words is None else summary.words.best
    if best is None:
        return ""
    return f"Written out, the best phrase is {wording.quoted(best.text)}, with {wording.count(best.share)} pictures."


def _figures(text: str) -> set[str]:
    """The figures in ``text``, with their sign; a hyphen between two of them is a range and no sign."""
    return {found.group().replace("-", wording.MINUS) for found in _FIGURE.finditer(text)}


def _number_words(text: str) -> set[str]:
    return {found.group().casefold() for found in _NUMBER_WORD.finditer(text)}


def _named(concepts: Iterable[ConceptEffect], text: str) -> set[str]:
    """Those of the concepts that ``text`` speaks of, an article or "in the" in front or not."""
    return {concept.text for concept in concepts if wording.speaks_of(text, wording.bare(concept))}
