"""Concepts without a language model: the phrases of a vocabulary that fit the images, by CLIP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffexplain.concepts.grouping import grouped
from diffexplain.concepts.hierarchy import Hierarchy
from diffexplain.concepts.merging import finished, merged
from diffexplain.concepts.proposer import subject_of
from diffexplain.concepts.vocabulary import Phrase, Vocabulary
from diffexplain.errors import UserError
from diffexplain.statistics.tests import benjamini_hochberg, p_mean_above
from diffexplain.target import ResolvedTarget
from diffexplain.weights.paths import resolve_folder

if TYPE_CHECKING:
    from torch import Tensor

    from diffexplain.concepts.matching import Clip

MINIMUM_IMAGES = 4


class ClipProposer:
    """Proposes the phrases that fit the images more than the neutral sentence does.

    For every image, the cosine with "a photo of a bee with a flower" less that with "a photo of a bee": a phrase fits
    if the mean gain is above 0 by a one-sided t test, adjusted for all phrases tried (Benjamini-Hochberg). The kinds
    of an object that fits come with it, in the vocabulary's order: which of them matters is what the ranking is for.

    Args:
        folder: a CLIP in transformers' format.
        vocabulary: the phrases.
        more_phrases: a file with more of them, or None.
        domain: the phrase of what the images show; empty: the target's class.
        significance: largest adjusted p of a phrase that fits.
        most: phrases taken at most, those with the largest gain; their kinds are not counted.

    Raises:
        UserError: a file is missing or wrong.
    """

    def __init__(
        self,
        folder: str,
        vocabulary: str,
        more_phrases: str | None = None,
        domain: str = "",
        significance: float = 0.05,
        most: int = 40,
    ) -> None:
        self.folder = resolve_folder(folder)
        self.vocabulary = Vocabulary.load(vocabulary, more_phrases)
        self.domain = domain
        self.significance = significance
        self.most = most

    def propose(self, images: Tensor | None, target: ResolvedTarget) -> Hierarchy:
        """The phrases that fit, best first within their categories; see `Proposer`."""
        if images is None or len(images) < MINIMUM_IMAGES:
            message = f"Phrases that fit are found by looking at {MINIMUM_IMAGES} images at least."
            raise UserError(message, given=0 if images is None else len(images))
        from diffexplain.concepts.matching import Clip

        subject = subject_of(self.domain, target)
        tried = [
            phrase
            for phrase in self.vocabulary.phrases
            if phrase.kind != "sub-type" and phrase.text.casefold() != (subject or "").casefold()
        ]
        fitting = self._fitting(Clip.load(self.folder), images, subject, tried)
        if not fitting:
            message = "No phrase of the vocabulary fits the images more than the neutral sentence."
            raise UserError(message, given=subject)
        names = {phrase.text for phrase in fitting}
        kinds = [phrase for phrase in self.vocabulary.phrases if phrase.of in names]
        drafts = grouped([*fitting, *kinds], self.vocabulary)
        return Hierarchy(self.domain, finished(merged(drafts)))

    def _fitting(self, clip: Clip, images: Tensor, subject: str | None, tried: list[Phrase]) -> list[Phrase]:
        neutral = [] if subject is None else [Phrase(subject)]
        sentences = [self.vocabulary.describe([*neutral, phrase]) for phrase in tried]
        texts = clip.texts([self.vocabulary.describe(neutral), *sentences])
        cosines = (clip.images(images) @ texts.T).cpu().double().numpy()
        gains = cosines[:, 1:] - cosines[:, :1]
        adjusted = benjamini_hochberg([p_mean_above(gain, 0.0) for gain in gains.T])
        order = (-gains.mean(axis=0)).argsort(kind="stable")
        return [tried[index] for index in order if adjusted[index] <= self.significance][: self.most]
