"""DEXTER's prompt of whole words (arXiv 2510.14741): masks in a template, each filled with one word of the vocabulary.

Each mask i has a distribution over the vocabulary; a word is drawn by straight-through Gumbel softmax, so that the text
encoder reads a real word and the gradient reaches the distribution. A mask is also pulled to a pseudo-label y_i, the
word whose images have so far activated the target best:

    (4)  L = l(n) - sum_i log s_(i, y_i)
    (5)  y_i becomes the word that was drawn when the mean of the losses with it falls below the one stored for y_i

Ours differs in what fills the masks: a logit for each (mask, word) where the paper has BERT read one learnable vector,
so words need no tokens of BERT's. One target is explained, so all masks share its loss (3).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from diffexplain.diffusion import AnyPrior
from diffexplain.prompts.soft_prompt import SoftPrompt
from diffexplain.runs.draws import Draws

PURPOSE = "hard words"
FIRST_CONNECTIVE, NEXT_CONNECTIVES = "with", "and"


class HardWordsPrompt(SoftPrompt):
    """The text "<prefix> <word> with <word> and <word> ...", the words drawn anew at each step.

    In eval mode, and so in what is evaluated, each mask has its pseudo-label.

    Args:
        initial_range: the logits begin uniform in ±this.
        temperature: of the Gumbel softmax.
        label_weight: of the pseudo-labels' term in the loss.
    """

    needs_of_prior: ClassVar[str] = ""
    made_of_words: ClassVar[bool] = True
    connectives: Tensor
    labels: Tensor
    label_losses: Tensor
    loss_sums: Tensor
    draws_made: Tensor
    step: Tensor

    def __init__(
        self,
        prior: AnyPrior,
        words: Sequence[str],
        draws: Draws,
        *,
        tokens: int = 4,
        prefix: str = "a picture of a",
        learning_rate: float = 0.1,
        initial_range: float = 1.0,
        temperature: float = 1.0,
        label_weight: float = 1.0,
    ) -> None:
        super().__init__(prior, words, tokens=tokens, prefix=prefix, learning_rate=learning_rate)
        # Words and connectives take turns, so the text is longer than its masks.
        prior.encode_embeddings(torch.zeros(2 * tokens - 1, self.word_embeddings.shape[1], device=prior.device), prefix)
        self.draws = draws
        self.temperature = temperature
        self.label_weight = label_weight
        uniform = draws.generator(PURPOSE).uniform(-initial_range, initial_range, (tokens, len(self.words)))
        self.logits = nn.Parameter(torch.from_numpy(uniform).to(self.word_embeddings))
        connectives = prior.word_embeddings((FIRST_CONNECTIVE, NEXT_CONNECTIVES))
        self.register_buffer("connectives", connectives, persistent=False)
        # What has been drawn, and how it went: kept with the parameter, so that a resumed run goes on with it.
        self.register_buffer("labels", torch.full((tokens,), -1, device=prior.device))
        self.register_buffer("label_losses", torch.full((tokens,), torch.inf, device=prior.device))
        self.register_buffer("loss_sums", torch.zeros(tokens, len(self.words), device=prior.device))
        self.register_buffer("draws_made", torch.zeros(tokens, len(self.words), device=prior.device))
        self.register_buffer("step", torch.zeros((), dtype=torch.long, device=prior.device))

    def embeddings(self) -> Tensor:
        """Of words and connectives in turn, (2n - 1, E)."""
        words = self.chosen() @ self.word_embeddings
        rows = [words[:1]]
        for place in range(1, self.tokens):
            connective = self.connectives[:1] if place == 1 else self.connectives[1:]
            rows += [connective, words[place : place + 1]]
        return torch.cat(rows)

    def chosen(self) -> Tensor:
        """One word for each mask, (n, V) of zeros and ones; in training drawn, with the gradient of the softmax."""
        if not self.training:
            likeliest = self.logits.argmax(dim=1)
            settled = torch.where(self.labels >= 0, self.labels, likeliest)
            return functional.one_hot(settled, len(self.words)).to(self.logits)
        soft = ((self.logits + self._gumbel()) / self.temperature).softmax(dim=1)
        hard = functional.one_hot(soft.argmax(dim=1), len(self.words)).to(soft)
        return hard + soft - soft.detach()

    def nearness(self) -> Tensor:
        """The distributions (n, V): each row sums to 1; in eval mode, the word of each mask alone."""
        return self.logits.softmax(dim=1) if self.training else self.chosen()

    @torch.no_grad()
    def lean(self, log_weights: Tensor) -> None:
        self.logits.add_(log_weights)

    @torch.no_grad()
    def observe(self, loss: Tensor) -> None:
        drawn = self.chosen().argmax(dim=1)
        rows = torch.arange(self.tokens, device=drawn.device)
        self.loss_sums[rows, drawn] += loss
        self.draws_made[rows, drawn] += 1
        means = self.loss_sums[rows, drawn] / self.draws_made[rows, drawn]
        better = means < self.label_losses
        self.labels[better] = drawn[better]
        self.label_losses[better] = means[better]
        self.step += 1

    def penalty(self, progress: float) -> Tensor:
        known = self.labels >= 0
        if not known.any():
            return super().penalty(progress)
        return self.label_weight * functional.cross_entropy(self.logits[known], self.labels[known], reduction="sum")

    def _gumbel(self) -> Tensor:
        """Of this step; asked for again within it, the same."""
        noise = self.draws.generator(PURPOSE, 1 + int(self.step)).gumbel(size=self.logits.shape)
        return torch.from_numpy(noise).to(self.logits)
