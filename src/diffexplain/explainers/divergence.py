"""When a loss or gradient stops being a number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffexplain.errors import DivergedError

if TYPE_CHECKING:
    from diffexplain.explainers.explanation import Explanation


def unanswered(bad: int, pictures: int) -> str:
    """What a loss that is no number most often comes from; empty where all pictures were answered."""
    return f", since the classifier gave no finite answer to {bad} of {pictures} pictures" if bad else ""


class Diverged(DivergedError):
    """``cause`` was not finite at ``step``; that step was not applied.

    ``explanation`` is the best found before it, or ``None`` if the first step failed.
    """

    def __init__(self, step: int, cause: str) -> None:
        self.step = step
        self.cause = cause
        self.explanation: Explanation | None = None
        super().__init__(
            f"Diverged, and stopped at step {step}: {cause}. The step was not applied; the best prompt before it is "
            "kept. If the classifier answers every picture, try a lower prompt.learning_rate, another seed, or "
            "diffusion.dtype=float32."
        )

    def __reduce__(self) -> tuple[type[Exception], tuple[int, str]]:
        return (Diverged, (self.step, self.cause))
