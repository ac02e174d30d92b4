"""What DiffExplainer found in a finished run, as concepts, so that DiffEx can check it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from diffexplain.concepts.grouping import grouped
from diffexplain.concepts.hierarchy import Hierarchy
from diffexplain.concepts.merging import Draft, finished, merged, normal_form
from diffexplain.concepts.proposer import subject_of
from diffexplain.errors import UserError
from diffexplain.evaluation.results import Element, Verdict
from diffexplain.evaluation.vocabulary import Phrase, Vocabulary
from diffexplain.paths import resolve_folder
from diffexplain.target import ResolvedTarget

if TYPE_CHECKING:
    from torch import Tensor

_JUDGED = (Verdict.CORE, Verdict.SPURIOUS)


class RunProposer:
    """Proposes the elements that a run saw more often in activating images, and the words nearest to its prompt.

    Args:
        from_run: the run's directory, which holds ``summary.json``.
        words: nearest words taken of each token.
        verdicts: only elements with one of these verdicts, such as spurious; None: all that matter.
        domain: the phrase of what the images show that the concepts are tried on; empty: the target's class.

    Raises:
        UserError: there is no finished run, it is one of another method, or it came to none of these verdicts.
    """

    def __init__(self, from_run: str, words: int = 3, verdicts: Sequence[str] | None = None, domain: str = "") -> None:
        from diffexplain.report.summary import Summary  # the report imports concepts, which must not import it back

        self.summary = Summary.load(resolve_folder(from_run))
        found = self.summary.words
        if found is None:
            raise UserError("concepts.from_run is a run of DiffExplainer; this one found no words.", given=from_run)
        self.nearest = found.nearest
        self.words = words
        self._domain = domain
        self._elements = [element for element in self.summary.elements if _matters(element)]
        if verdicts is not None:
            known = [verdict.value for verdict in Verdict]
            for verdict in verdicts:
                if verdict not in known:
                    raise UserError("There is no such verdict.", given=verdict, accepted=known)
            self._elements = [element for element in self._elements if element.verdict.value in verdicts]
            if not self._elements and not words:
                named = " or ".join(verdicts)
                raise UserError(f"That run found nothing {named}, so there is nothing to try.", given=from_run)

    def propose(self, images: Tensor | None, target: ResolvedTarget) -> Hierarchy:
        """What the run found, the elements in the order of its verdicts, then the words; see `Proposer`."""
        drafts = merged(self.drafts(target))
        if not drafts:
            raise UserError("The run found nothing that could be tried.", given=self.summary.target.text)
        return Hierarchy(self._domain, finished(drafts))

    def drafts(self, target: ResolvedTarget) -> list[Draft]:
        """The same before duplicates are merged; the target's own phrase is no concept of it."""
        own = subject_of("", target)
        vocabulary = self._vocabulary()
        phrases = [vocabulary.find(element.phrase) or _phrase(element) for element in self._elements]
        phrases += self._said(vocabulary)
        others = [phrase for phrase in phrases if own is None or normal_form(phrase.text) != normal_form(own)]
        return grouped(list(dict.fromkeys(others)), vocabulary)

    def _said(self, vocabulary: Vocabulary) -> Iterator[Phrase]:
        """The phrases that are said with the words found; a word that none is said with stands for itself."""
        for words in self.nearest:
            for word in words[: self.words]:
                yield from vocabulary.said_with(word) or [Phrase(word.casefold())]

    def _vocabulary(self) -> Vocabulary:
        """The run's own, from its configuration; empty if its file is no longer there."""
        with suppress(UserError, KeyError, TypeError):
            classifier = self.summary.settings["classifier"]
            return Vocabulary.load(classifier["vocabulary"], classifier.get("more_phrases"))
        return Vocabulary(())


def _matters(element: Element) -> bool:
    seen_more = element.lift is not None and element.lift.value > 0 and element.verdict is not Verdict.NOT_SEEN
    return seen_more or element.verdict in _JUDGED


def _phrase(element: Element) -> Phrase:
    """Of an element whose vocabulary is no longer there: kinds of an object stand alone."""
    if element.kind == "description":
        return Phrase(element.phrase, "description", element.of)
    return Phrase(element.phrase, "setting" if element.kind == "setting" else "object")
