"""Proposers that know of earlier runs: what a finished run found, so that DiffEx can check it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from diffexplain.concepts.concept import Kind, name_of
from diffexplain.concepts.file import load_hierarchy
from diffexplain.concepts.grouping import grouped
from diffexplain.concepts.hierarchy import Hierarchy
from diffexplain.concepts.merging import Draft, drafts_of, finished, merged, normal_form
from diffexplain.concepts.proposer import subject_of
from diffexplain.concepts.vocabulary import Phrase, Vocabulary
from diffexplain.config.instantiate import TARGET, build, locate
from diffexplain.effects.results import ConceptEffect, Untested, Verdict
from diffexplain.errors import UserError
from diffexplain.report.summary import Summary
from diffexplain.target import ResolvedTarget
from diffexplain.weights.paths import resolve_folder

if TYPE_CHECKING:
    from torch import Tensor

_NOTHING = (Verdict.NO_EFFECT, Verdict.UNDECIDED, Verdict.NOT_TESTED)
"""Verdicts that find nothing."""


class RunProposer:
    """Proposes the concepts that a run found to move its target, and the words nearest to its prompt.

    Args:
        from_run: the run's directory, which holds ``summary.json``.
        words: nearest words taken of each token.
        verdicts: only concepts with one of these verdicts, such as spurious; None: all that were found to matter.
        domain: the phrase of what the images show that the concepts are tried on; empty: the target's class.

    Raises:
        UserError: there is no finished run, it tested nothing and has no words, or it came to none of these verdicts.
    """

    def __init__(self, from_run: str, words: int = 3, verdicts: Sequence[str] | None = None, domain: str = "") -> None:
        self.summary = Summary.load(resolve_folder(from_run))
        found = self.summary.words
        if found is None and self.summary.effects is None:
            message = "concepts.from_run is a run that tested concepts; this one did not, and found no words."
            raise UserError(message, given=from_run)
        self.nearest = () if found is None else found.nearest
        self.words = words
        self._domain = domain
        known = [verdict.value for verdict in Verdict if verdict not in _NOTHING]
        for verdict in verdicts or ():
            if verdict not in known:
                raise UserError("There is no such verdict.", given=verdict, accepted=known)
        asked = [Verdict(verdict) for verdict in (known if verdicts is None else verdicts)]
        self._found = self.summary.having(*asked)
        if verdicts is not None and not self._found and not (words and self.nearest):
            named = " or ".join(verdicts)
            raise UserError(f"That run found nothing {named}, so there is nothing to try.", given=from_run)

    def propose(self, images: Tensor | None, target: ResolvedTarget) -> Hierarchy:
        """What the run found, the concepts with the largest effect first, then the words; see `Proposer`."""
        drafts = merged(self.drafts(target))
        if not drafts:
            raise UserError("The run found nothing that could be tried.", given=self.summary.target.text)
        return Hierarchy(self._domain, finished(drafts))

    def drafts(self, target: ResolvedTarget) -> list[Draft]:
        """The same before duplicates are merged; the target's own phrase is no concept of it."""
        subject, vocabulary = subject_of("", target), self._vocabulary()
        own = None if subject is None else normal_form(subject)
        found = [concept for concept in self._found if normal_form(concept.text) != own]
        said = [phrase for phrase in self._said(vocabulary) if normal_form(phrase.text) != own]
        return [*self._tree(found), *grouped(list(dict.fromkeys(said)), vocabulary)]

    def _tree(self, found: Sequence[ConceptEffect]) -> list[Draft]:
        """The concepts as the run's hierarchy had them, with what stands above each."""
        effects = self.summary.effects
        ranking = None if effects is None else effects.rankings[0]
        every: list[ConceptEffect | Untested] = [] if ranking is None else [*ranking.concepts, *ranking.untested]
        by_path = {one.path: one for one in every}
        drafts: dict[tuple[str, ...], Draft] = {}
        roots: list[Draft] = []
        for concept in found:
            for depth in range(1, len(concept.path) + 1):
                path = concept.path[:depth]
                if path in drafts:
                    continue
                one = by_path.get(path)
                kind = one.kind if one is not None else concept.kind
                drafts[path] = Draft(name_of(path[-1]), "" if one is None else one.text, cast(Kind, kind))
                (drafts[path[:-1]].children if depth > 1 else roots).append(drafts[path])
        return roots

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


class FileProposer:
    """Proposes what a file says, whatever the images.

    Args:
        hierarchy: a name of the package's, or a path.
        from_run: the directory of a finished run, whose findings come on top.

    Raises:
        UserError: a file is missing or wrong.
    """

    def __init__(self, hierarchy: str, from_run: str | None = None) -> None:
        self.hierarchy = load_hierarchy(hierarchy)
        self.found = None if from_run is None else RunProposer(from_run)

    def propose(self, images: Tensor | None, target: ResolvedTarget) -> Hierarchy:
        """The file's concepts, then those of the run that the file has not; see `Proposer`."""
        if self.found is None:
            return self.hierarchy
        own = drafts_of(self.hierarchy.roots)
        drafts = merged([*own, *self.found.drafts(target)], fixed=len(own))
        return Hierarchy(self.hierarchy.domain, finished(drafts))


def known_concepts(config: Mapping[str, Any], target: ResolvedTarget) -> list[tuple[tuple[str, ...], str]] | None:
    """Path and text of every concept that a run proposes, where files alone say which; None where a model does.

    Raises:
        UserError: its method proposes none, or a file is missing or wrong.
    """
    node, plugins = config.get("concepts"), tuple(config["plugins"])
    if node is None:
        raise UserError("This method tests no concepts.", given=f"explainer={config['explainer']['name']}")
    if locate(str(node[TARGET]), plugins, "concepts") not in (FileProposer, RunProposer):
        return None
    proposed = build(node, plugins=plugins, where="concepts").propose(None, target)
    return [(path, concept.text) for path, concept in proposed.concepts()]
