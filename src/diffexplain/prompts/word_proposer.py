"""Words of the prior's own text encoder: concepts that nobody listed.

A word is what the tokenizer knows as one token and the encoder was taught: of tokens that stand in no text it has seen,
such as the ends that longer words were put together from, the embedding is no longer than that of bytes which no text
holds (after Land & Bartolo, arXiv 2405.05417). Of a large vocabulary, words stand for those near them.

What a word does to a picture depends on its place: "a yellow bee" is yellow, "a bee, yellow" hardly, and "a teapot bee"
is a teapot. The text encoder tells which words describe: with one of those before it, a thing is still that thing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from diffexplain.concepts.concept import Concept, Kind
from diffexplain.concepts.content_words import content_words
from diffexplain.concepts.hierarchy import Hierarchy
from diffexplain.concepts.proposer import required_subject
from diffexplain.concepts.vocabulary import class_phrase, described
from diffexplain.diffusion.prior import Prior
from diffexplain.errors import UserError
from diffexplain.runs.draws import Draws
from diffexplain.target import ResolvedTarget

END = "</w>"
"""Ends a token that ends a word, in CLIP's tokenizers."""
SHORTEST = 3
"""Letters of a word at least."""
IN_NO_TEXT = tuple(chr(byte) + end for byte in (0xC0, 0xC1, *range(0xF5, 0x100)) for end in ("", END))
"""The tokens of the bytes that UTF-8 never uses, as byte-level tokenizers write them."""
TOLD_BY_LENGTH = 0.25
"""Of all tokens that could be words, the share that must be longer than those of no text; by chance few are."""
WITH_MARKS = 3
"""Tokens of a word that is one, between those that mark beginning and end."""
OPENING = "a photo of"
THINGS = 16
"""Words that stand for what may be described, about so many."""
ROUNDS = 50
"""Of k-means at most."""

Values = NDArray[np.float32]


@runtime_checkable
class PriorProposer(Protocol):
    """Says which concepts might matter by what the prior itself knows, and looks at no image."""

    def propose_from(self, prior: Prior, target: ResolvedTarget) -> Hierarchy:
        """The concepts to be tried; as `Proposer.propose`.

        Args:
            prior: that makes the images.
            target: what is explained.
        """


class WordProposer:
    """Proposes the words of the prior's text encoder, less the class's own; looks at no image and reads no file.

    Args:
        clusters: of a vocabulary with more words than this, so many that stand for those near them.
        domain: the phrase of what the images show; empty: the target's class.

    Raises:
        UserError: fewer than one word is asked for.
    """

    needs_of_prior: ClassVar[str] = "the words of its text encoder"

    def __init__(self, clusters: int = 256, domain: str = "") -> None:
        if clusters < 1:
            raise UserError("There must be at least one word.", given=f"concepts.clusters={clusters}")
        self.clusters = clusters
        self.domain = domain

    def propose_from(self, prior: Prior, target: ResolvedTarget) -> Hierarchy:
        """A flat hierarchy of words in alphabetical order, one half of them modifiers; see `PriorProposer`."""
        own = content_words([required_subject(self.domain, target)])
        vocabulary: Mapping[str, int] = prior.pipeline.tokenizer.get_vocab()
        lengths = prior.pipeline.text_encoder.get_input_embeddings().weight.detach().float().norm(dim=1).cpu().numpy()
        words = [word for word in content_words(whole_words(vocabulary, lengths)) if word not in own]
        spelled = prior.pipeline.tokenizer(words).input_ids if words else []
        words = [word for word, tokens in zip(words, spelled, strict=True) if len(tokens) == WITH_MARKS]
        if not words:
            raise UserError("The prior's tokenizer knows no whole words as CLIP's do.", given=prior.name)
        if len(words) > self.clusters:
            states = prior.text_states(words).cpu().numpy()
            words = [words[place] for place in representatives(states, self.clusters)]
        words = sorted(words)
        kinds: list[Kind] = ["modifier" if one else "word" for one in describing(prior, words)]
        return Hierarchy(self.domain, tuple(Concept(*each) for each in zip(words, words, kinds, strict=True)))


def whole_words(vocabulary: Mapping[str, int], lengths: Values) -> list[str]:
    """The words of at least three plain letters that are one token, in alphabetical order.

    Args:
        vocabulary: tokens as the tokenizer writes them, with their places.
        lengths: of the tokens' embeddings, (V,).
    """
    tokens = {token.removesuffix(END): place for token, place in vocabulary.items() if token.endswith(END)}
    words = sorted(word for word in tokens if word.isascii() and word.isalpha() and len(word) >= SHORTEST)
    untaught = [lengths[vocabulary[token]] for token in IN_NO_TEXT if token in vocabulary]
    taught = [word for word in words if lengths[tokens[word]] > max(untaught, default=np.inf)]
    # Where an encoder lets embeddings stay long that it never used, their length tells nothing.
    return taught if len(taught) >= TOLD_BY_LENGTH * len(words) else words


def describing(prior: Prior, words: Sequence[str]) -> NDArray[np.bool_]:
    """Whether each word describes what it stands before rather than take its place: true of the half that does so most.

    The text encoder's state behind "a photo of a yellow teapot" is compared with those behind "a photo of a teapot" and
    "a photo of a yellow", less what such phrases have in common, and so with other words in the teapot's place.

    Args:
        prior: whose text encoder is asked.
        words: of one token each.
    """
    alone = _states(prior, words)
    common = alone.mean(axis=0)
    alone = _directions(alone - common)
    found = np.zeros(len(words))
    for thing in range(0, len(words), max(1, len(words) // THINGS)):
        together = _directions(_states(prior, words, thing=words[thing]) - common)
        found += (together * (alone[thing] - alone)).sum(axis=1)
    return np.asarray(found > np.median(found))


def _states(prior: Prior, words: Sequence[str], thing: str = "") -> Values:
    """The text encoder's state behind a photo of each word, or of each word before a thing, (N, D)."""
    phrases = [described(class_phrase(thing), [word]) if thing else class_phrase(word) for word in words]
    states: Values = prior.text_states([f"{OPENING} {phrase}" for phrase in phrases]).cpu().numpy()
    return states


def representatives(states: Values, count: int) -> list[int]:
    """The rows nearest to the centres of ``count`` clusters of (N, D), in order: spherical k-means, always the same.

    What all rows have in common is taken off first. A cluster that comes to hold no row has no representative.
    """
    rows = _directions(states - states.mean(axis=0))
    first = Draws(0, "words").generator("clusters").permutation(len(rows))[:count]
    centres, nearest = rows[np.sort(first)], np.full(len(rows), -1)
    for _ in range(ROUNDS):
        before, nearest = nearest, (rows @ centres.T).argmax(axis=1)
        if (before == nearest).all():
            break
        members = (nearest == np.arange(len(centres))[:, None]).astype(np.float32)
        held = members.any(axis=1)
        centres[held] = _directions(members[held] @ rows)
    cosines = rows @ centres.T
    groups = (np.flatnonzero(nearest == cluster) for cluster in range(len(centres)))
    return sorted(int(group[cosines[group, cluster].argmax()]) for cluster, group in enumerate(groups) if len(group))


def _directions(rows: Values) -> Values:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: Values = rows / np.maximum(lengths, np.finfo(np.float32).tiny)
    return scaled
