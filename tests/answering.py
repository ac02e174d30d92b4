"""Networks for the boxes of ``tests.evaluation.toy``, as people may bring them; a plugin for tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

import torch
from tests.evaluation import toy
from torch import Tensor, nn

BROKEN = "DIFFEXPLAIN_TEST_BROKEN"
"""Environment variable: the word in whose pictures `broken` gives no number, if there is one."""


def share(images: Tensor, word: str) -> Tensor:
    """How much of each image (B, 3, H, W) is of the word's colour, (B,)."""
    return toy.pixels(images, word).float().mean(dim=(-2, -1))


def flag(images: Tensor) -> Tensor:
    """The logit of a classifier that answers to the flag alone, (B,)."""
    return 60 * share(images, "a flag") - 4


def broken(images: Tensor) -> Tensor:
    """The same, but no number where the word in `BROKEN` is seen."""
    word = os.environ.get(BROKEN)
    seen = torch.zeros(len(images), dtype=torch.bool) if word is None else share(images, word) > 0
    return torch.where(seen, torch.nan, flag(images))


def without_a_file(images: Tensor) -> Tensor:
    """The same, but a file that is missing is opened where the word in `BROKEN` is seen."""
    if not broken(images).isfinite().all():
        raise FileNotFoundError(2, "No such file or directory", "norms.txt")
    return flag(images)


def failing(images: Tensor) -> Tensor:
    raise ZeroDivisionError("a bug of the user's")


ANSWERS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "one_logit": flag,
    "sigmoids": lambda images: torch.stack([flag(images), -1 - 2 * flag(images)], dim=1).sigmoid(),
    "constant": lambda images: flag(0 * images),
    "broken": broken,
    "without_a_file": without_a_file,
    "failing": failing,
}


class Network(nn.Module):
    def __init__(self, answer: str) -> None:
        super().__init__()
        self.answer = ANSWERS[answer]

    def forward(self, images: Tensor) -> Tensor:
        return self.answer(images)


def build(answer: str) -> nn.Module:
    """One of `ANSWERS` as a network."""
    return Network(answer)
