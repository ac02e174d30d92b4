"""The found prompt in words: the short phrase that activates the target most, found greedily."""

from __future__ import annotations

from collections.abc import Sequence

from diffexplain.classifiers.target_scores import TargetReader
from diffexplain.concepts.vocabulary import Phrase, Vocabulary
from diffexplain.evaluation.image_source import ImageSource, Seeds, summarise
from diffexplain.evaluation.results import PhraseScore, Words
from diffexplain.evaluation.settings import EvaluationSettings
from diffexplain.progress import progress


def candidates(
    nearest: Sequence[Sequence[str]], seen: Sequence[Phrase], vocabulary: Vocabulary, limit: int
) -> list[Phrase]:
    """Phrases worth trying alone: those said with the tokens' nearest words, then those seen in the images.

    A nearest word that no phrase is said with is tried as it is. ``seen``: the largest lift first. The two
    sources take turns, since either may be the one that knows.
    """
    near: list[Phrase] = []
    depth = max((len(words) for words in nearest), default=0)
    for rank in range(depth):
        for words in nearest:
            if rank < len(words):
                near += vocabulary.said_with(words[rank]) or [Phrase(words[rank].casefold())]
    mixed: list[Phrase] = []
    for position in range(max(len(near), len(seen))):
        mixed += [*seen[position : position + 1], *near[position : position + 1]]
    return list(dict.fromkeys(mixed))[:limit]


def best_phrase(
    nearest: Sequence[Sequence[str]],
    seen: Sequence[Phrase],
    vocabulary: Vocabulary,
    studio: ImageSource,
    reader: TargetReader,
    settings: EvaluationSettings,
) -> Words:
    """Try phrases alone, then the best with each of the next; score the winner again on other seeds."""
    tokens = tuple(tuple(words) for words in nearest)
    singles = candidates(nearest, seen, vocabulary, settings.candidates)
    if not singles:
        return Words(tokens, (), None, "no phrase was tried")
    count = settings.choosing_images
    tried = [
        ((phrase,), _score(vocabulary.describe([phrase]), count, studio, reader, settings))
        for phrase in progress(singles, "phrases to try")
    ]
    tried.sort(key=lambda pair: _rank(pair[1]))
    (first,), *_ = (things for things, _ in tried)
    partners = [things[0] for things, _ in tried[1 : 1 + settings.pairs_of_phrases]]
    scores = [score for _, score in tried]
    for partner in progress(partners, "pairs of phrases to try"):
        text = vocabulary.describe([first, partner])
        scores.append(_score(text, count, studio, reader, settings))
    scores.sort(key=_rank)
    winner = scores[0].text
    again = reader.read(studio.images([winner], Seeds.RESCORE, settings.rescoring_images), f"the prompt {winner!r}")
    return Words(tokens, tuple(scores), summarise("best phrase", winner, again, studio.draws, settings))


def _score(
    text: str, count: int, studio: ImageSource, reader: TargetReader, settings: EvaluationSettings
) -> PhraseScore:
    reading = reader.read(studio.images([text], Seeds.CHOOSE, count), f"the prompt {text!r}")
    row = summarise("", text, reading, studio.draws, settings)
    return PhraseScore(text, row.share, row.mean)


def _rank(score: PhraseScore) -> tuple[float, float, int, str]:
    """Highest activation score first; then by mean, then the shorter phrase."""
    return (-score.share.value, -score.mean.value, len(score.text), score.text)
