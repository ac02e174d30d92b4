"""What every soft prompt is: n trainable token embeddings after an optional fixed prefix."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from diffexplain.diffusion import AnyPrior
from diffexplain.errors import UserError


@dataclass(frozen=True)
class Word:
    """A word near a token of a prompt; ``nearness`` is at most 1, larger is nearer."""

    text: str
    nearness: float


class SoftPrompt(nn.Module, ABC):
    """n token embeddings that carry gradients; the prior that reads them is held, not owned.

    Subclasses say how the embeddings come from their one parameter.

    Args:
        prior: whose text encoder reads the prompt.
        words: the vocabulary that the prompt is compared with, each word once.
        tokens: n, at least 1.
        prefix: text before the tokens, for example "a texture of".
        learning_rate: what suits the scale of the strategy's parameter.

    Raises:
        UserError: no words, no tokens, or more tokens than the text encoder reads.
    """

    word_embeddings: Tensor
    needs_of_prior: ClassVar[str] = "hidden states of what is no text"
    made_of_words: ClassVar[bool] = False

    def __init__(
        self, prior: AnyPrior, words: Sequence[str], *, tokens: int, prefix: str, learning_rate: float
    ) -> None:
        super().__init__()
        if tokens < 1:
            raise UserError("A prompt has at least one token.", given=f"prompt.tokens={tokens}")
        if not words:
            raise UserError("The prompt's vocabulary is empty.")
        self._prior = prior
        self.words = tuple(words)
        self.tokens = tokens
        self.prefix = prefix
        self.learning_rate = learning_rate
        self.register_buffer("word_embeddings", prior.word_embeddings(self.words), persistent=False)
        width = self.word_embeddings.shape[1]
        prior.encode_embeddings(torch.zeros(tokens, width, device=prior.device), prefix)

    def forward(self, mixed: bool = False) -> Tensor:
        """The text encoder's hidden states of prefix and tokens, (1, T, D); ``mixed``: with `mixture` as the tokens."""
        return self._prior.encode_embeddings(self.mixture() if mixed else self.embeddings(), self.prefix)

    @abstractmethod
    def embeddings(self) -> Tensor:
        """The tokens' embeddings (n, E), differentiable in the parameter."""

    def mixture(self) -> Tensor:
        """Embeddings (n, E) to take differences of, where `embeddings` jump from word to word."""
        return self.embeddings()

    def said(self) -> tuple[int, ...] | None:
        """Which words the tokens are, if they are words and change in jumps; only steps that say the same compare."""
        return None

    @abstractmethod
    def lean(self, log_weights: Tensor) -> None:
        """Begin nearer to the words that weigh more at each token: ``log_weights`` (n, V), in nats."""

    def observe(self, loss: Tensor) -> None:
        """What the images of the present step came to, before `penalty` is asked for."""

    def penalty(self, progress: float) -> Tensor:
        """What the strategy adds to the loss when ``progress`` (0 to 1) of the run is done."""
        return self.word_embeddings.new_zeros(())

    def nearness(self) -> Tensor:
        """How near each token is to each word, (n, V): cosine to the words' mean as origin."""
        centre = self.word_embeddings.mean(dim=0)
        tokens = functional.normalize(self.embeddings() - centre, dim=1)
        return tokens @ functional.normalize(self.word_embeddings - centre, dim=1).T

    @torch.no_grad()
    def nearest_words(self, k: int = 5) -> tuple[tuple[Word, ...], ...]:
        """For each token the ``k`` nearest words, nearest first."""
        values, indices = self.nearness().cpu().topk(min(k, len(self.words)), dim=1)
        return tuple(
            tuple(Word(self.words[i], float(v)) for i, v in zip(row_i, row_v, strict=True))
            for row_i, row_v in zip(indices.tolist(), values.tolist(), strict=True)
        )
