"""A prompt whose token embeddings may go anywhere, as in the paper."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from diffexplain.diffusion import AnyPrior
from diffexplain.prompts.soft_prompt import SoftPrompt
from diffexplain.runs.draws import Draws


class FreePrompt(SoftPrompt):
    """The parameter is the offset from the words' mean embedding, in units of the words' spread.

    In these units a learning rate means the same for every text encoder. Nothing keeps the prompt
    near real words; in a pilot one free prompt in eight left them and explained nothing.

    Args:
        initial_noise: standard deviation of the offset at the start, in the same units.
    """

    centre: Tensor
    spread: Tensor

    def __init__(
        self,
        prior: AnyPrior,
        words: Sequence[str],
        draws: Draws,
        *,
        tokens: int = 4,
        prefix: str = "",
        learning_rate: float = 0.1,
        initial_noise: float = 0.1,
    ) -> None:
        super().__init__(prior, words, tokens=tokens, prefix=prefix, learning_rate=learning_rate)
        self.register_buffer("centre", self.word_embeddings.mean(dim=0), persistent=False)
        self.register_buffer("spread", (self.word_embeddings - self.centre).square().mean().sqrt(), persistent=False)
        noise = draws.normal("prompt", 0, (tokens, self.word_embeddings.shape[1]))
        self.offset = nn.Parameter((initial_noise * noise).to(self.word_embeddings))

    def embeddings(self) -> Tensor:
        return self.centre + self.spread * self.offset

    @torch.no_grad()
    def lean(self, log_weights: Tensor) -> None:
        self.offset.add_((log_weights.softmax(dim=1) @ self.word_embeddings - self.centre) / self.spread)
