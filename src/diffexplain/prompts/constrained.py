"""A prompt of real words: each token is one word of the vocabulary, and a mixture of words has the gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from diffexplain.diffusion import AnyPrior
from diffexplain.prompts.soft_prompt import SoftPrompt
from diffexplain.runs.draws import Draws


class ConstrainedPrompt(SoftPrompt):
    """The parameter is a logit for each (token, word); a token is its likeliest word, with the gradient of a mixture.

    That is the straight-through estimator (Bengio et al., arXiv 1308.3432). With the words' embeddings w_v and a
    token's logits l at temperature T:

        forward: w_(argmax l)        backward: d/dl  sum_v softmax(l / T)_v w_v

    So what is scored at a step is a prompt that a person can read and type, of pictures that the prior can draw, and is
    what is kept of the step. This is a design choice of ours, not of the paper.

    Args:
        initial_noise: standard deviation of the logits at the start; small means that each token's gradient is of all
            words alike.
        temperature: of the softmax; lower comes to a single word sooner.
        entropy_weight: pulls each token towards a single word, in units of the loss, from nothing
            at the start to the whole at the end of the run.
    """

    made_of_words: ClassVar[bool] = True

    def __init__(
        self,
        prior: AnyPrior,
        words: Sequence[str],
        draws: Draws,
        *,
        tokens: int = 4,
        prefix: str = "",
        learning_rate: float = 0.5,
        initial_noise: float = 2.0,
        temperature: float = 0.7,
        entropy_weight: float = 0.1,
    ) -> None:
        super().__init__(prior, words, tokens=tokens, prefix=prefix, learning_rate=learning_rate)
        self.temperature = temperature
        self.entropy_weight = entropy_weight
        noise = draws.normal("prompt", 0, (tokens, len(self.words)))
        self.logits = nn.Parameter((initial_noise * noise).to(self.word_embeddings))

    def nearness(self) -> Tensor:
        """The mixture's weights (n, V): each row sums to 1."""
        return (self.logits / self.temperature).softmax(dim=1)

    def embeddings(self) -> Tensor:
        mixture = self.mixture()
        # The difference is zero and has the mixture's gradient.
        return self.word_embeddings[self.logits.argmax(dim=1)] + (mixture - mixture.detach())

    def mixture(self) -> Tensor:
        return self.nearness() @ self.word_embeddings

    def said(self) -> tuple[int, ...]:
        return tuple(self.logits.argmax(dim=1).tolist())

    @torch.no_grad()
    def lean(self, log_weights: Tensor) -> None:
        self.logits.add_(self.temperature * log_weights)

    def penalty(self, progress: float) -> Tensor:
        """Mean entropy of the tokens' mixtures as a share of the largest possible, weighted."""
        log_weights = (self.logits / self.temperature).log_softmax(dim=1)
        entropy = -(log_weights.exp() * log_weights).sum(dim=1).mean()
        return self.entropy_weight * progress * entropy / max(math.log(len(self.words)), 1.0)
