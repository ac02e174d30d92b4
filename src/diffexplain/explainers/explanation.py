"""What an explainer found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from diffexplain.prompts.soft_prompt import Word


@dataclass(frozen=True)
class Explanation:
    """The prompt that activates the target, and how it was found.

    Attributes:
        embeddings: the prompt's token embeddings, (n, E), on the CPU.
        condition: the text encoder's hidden states of prefix and tokens, (1, T, D), on the CPU.
        prefix: the text before the tokens.
        words: for each token the nearest words of the vocabulary, nearest first.
        curve: one row for each optimisation step: ``step``, ``loss``, ``score`` (mean class
            probability or activation of the step's images), ``smoothed``, ``gradient_norm``,
            ``words`` (the nearest of each token) and, at some steps, ``image``.
        best_step: the step whose prompt this is.
        best_score: its smoothed score.
        steps: optimisation steps made.
        stopped_early: whether the threshold was reached before the last step.
        images: names of the pictures made meanwhile, inside the run's directory.
        prompt_file: name of the textual-inversion file inside the run's directory; None where the prior
            has no embeddings.
    """

    embeddings: Tensor
    condition: Tensor
    prefix: str
    words: tuple[tuple[Word, ...], ...]
    curve: tuple[dict[str, Any], ...]
    best_step: int
    best_score: float
    steps: int
    stopped_early: bool
    images: tuple[str, ...]
    prompt_file: str | None

    @property
    def text(self) -> str:
        """Prefix and the nearest word of each token: a reading of the prompt, not the prompt."""
        return " ".join(filter(None, [self.prefix, *(token[0].text for token in self.words)]))


@dataclass(frozen=True)
class FoundImages:
    """Pictures that activate a target.

    Attributes:
        images: (N, 3, H, W) in [0, 1] on the CPU, rounded to 256 values: what a file of them holds.
        curve: for each step ``step``, and the means over all pictures of ``loss`` (of the activation alone) and
            ``score`` (class probability or activation).
    """

    images: Tensor
    curve: tuple[dict[str, Any], ...]
