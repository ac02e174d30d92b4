"""What a classifier answers to images: how strongly they activate the target, and which do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffexplain.classifiers.classifier import Classifier
from diffexplain.classifiers.output import assigned, log_odds, probabilities
from diffexplain.errors import UserError
from diffexplain.memory import MicroBatches
from diffexplain.statistics.estimates import SameAnswer
from diffexplain.target import Kind, ResolvedTarget

UNIT_QUANTILE = 0.99
SAME_LOG_ODDS = 1e-3
"""Answers whose log-odds lie within so many nats of each other are the same: probabilities 0.00025 apart at most."""
_ROUNDING = 1e-4
"""By how much a picture's values may leave [0, 1]."""
SAME_ACTIVATION = 1e-6
"""And a unit's, if they lie within this share of the largest."""


@dataclass(frozen=True)
class TargetScores:
    """The classifier's answer to N images, each array (N,).

    ``score``: class probability, or the unit's activation; a calibrated reader counts that in standard deviations from
    its mean on neutral images. ``activates``: classified as the class (where classes
    exclude each other the likeliest, else above one half), or above the unit's threshold. ``probability`` and
    ``log_odds`` of the class, log(p / (1 - p)); None for a unit without a class.
    """

    score: NDArray[np.float64]
    activates: NDArray[np.bool_]
    probability: NDArray[np.float64] | None
    log_odds: NDArray[np.float64] | None


class TargetReader:
    """Reads one target off a classifier.

    Args:
        threshold: a unit activates above it; unused for a class.
        mean: of a unit on neutral images, from which its score is counted.
        deviation: and its standard deviation there, in which it is counted.
    """

    def __init__(
        self,
        classifier: Classifier,
        target: ResolvedTarget,
        batch_size: int,
        device: torch.device,
        threshold: float | None = None,
        mean: float = 0.0,
        deviation: float = 1.0,
    ) -> None:
        self.classifier = classifier
        self.target = target
        self.batch_size = batch_size
        self.device = device
        self.threshold = threshold
        self.mean = mean
        self.deviation = deviation
        self._at_once = MicroBatches(None)

    def calibrated(self, neutral_images: Tensor) -> TargetReader:
        """For a unit, the reader that counts in standard deviations from its mean activation on these images.

        The unit activates above the 99th percentile there. One that does not vary is counted as it is.
        """
        if self.target.kind == "class":
            return self
        raw = TargetReader(self.classifier, self.target, self.batch_size, self.device).read(
            neutral_images, "neutral pictures"
        )
        mean, deviation = float(raw.score.mean()), float(raw.score.std())
        deviation = deviation if deviation > SAME_ACTIVATION * float(np.abs(raw.score).max()) else 1.0
        threshold = (float(np.quantile(raw.score, UNIT_QUANTILE)) - mean) / deviation
        return TargetReader(self.classifier, self.target, self.batch_size, self.device, threshold, mean, deviation)

    @torch.no_grad()
    def read(self, images: Tensor, shown: str | Sequence[str] = "a picture") -> TargetScores:
        """What the classifier answers to images (N, 3, H, W) in [0, 1], which may lie on the CPU.

        ``shown``: what they are, all of them or each, for the message.

        Raises:
            UserError: an answer is NaN or infinite; the message says to how many images, and what the first is.
        """
        parts = [read for block in images.split(self.batch_size) for read in self._read_block(block)]
        score, activates, probability, odds = (torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True))
        named = self.target.class_index is not None
        self._check_finite(np.isfinite(score) & (np.isfinite(odds) | (not named)), shown)
        return TargetScores(
            score.astype(np.float64),
            activates.astype(np.bool_),
            probability.astype(np.float64) if named else None,
            odds.astype(np.float64) if named else None,
        )

    def _check_finite(self, finite: NDArray[np.bool_], shown: str | Sequence[str]) -> None:
        bad = np.flatnonzero(~finite)
        if not len(bad):
            return
        name = getattr(self.classifier, "name", "The classifier")
        first = shown if isinstance(shown, str) else shown[bad[0]]
        raise UserError(
            f"{name} gave no finite answer to {len(bad)} of {len(finite)} pictures. What was made before is kept, and "
            "the same command goes on from there once the classifier answers every picture.",
            given=f"NaN or infinity, for {first}",
        )

    def _read_block(self, images: Tensor) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """What decides the bits is the block: it is read in smaller parts only where it does not fit."""
        return self._at_once.run(len(images), lambda part: self._read(images[part].to(self.device)))

    def _read(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        scores, index = self.classifier(images).float(), self.target.class_index
        exclusive = self.classifier.exclusive
        absent = torch.full_like(scores[:, 0], torch.nan)
        probability = absent if index is None else probabilities(scores, exclusive)[:, index]
        odds = absent if index is None else log_odds(scores, index, exclusive)
        if self.target.kind == "class":
            assert index is not None
            return probability, assigned(scores, exclusive)[:, index], probability, odds
        assert self.target.module is not None
        assert self.target.channel is not None
        activation = self.classifier.activation(images, self.target.module, self.target.channel)
        score = (activation.double() - self.mean) / self.deviation
        threshold = torch.inf if self.threshold is None else self.threshold
        return score, score > threshold, probability, odds


def check_images(images: Tensor, shown: str | Sequence[str]) -> None:
    """Refuse what is no picture in RGB (N, 3, H, W): whoever made it says what no classifier was asked.

    Raises:
        UserError: values are NaN, infinite or outside [0, 1]; the message says of how many, and their range.
    """
    low, high = images.detach().flatten(1).float().aminmax(dim=1)
    bad = (~((low >= -_ROUNDING) & (high <= 1 + _ROUNDING))).nonzero().flatten().tolist()  # NaN is neither
    if bad:
        first = shown if isinstance(shown, str) else shown[bad[0]]
        raise UserError(
            f"{len(bad)} of {len(images)} pictures are none: a picture's values are finite and in [0, 1]. Where a "
            "prior or editor makes them in half precision, diffusion.dtype=float32 may help.",
            given=f"values from {low[bad[0]]:.3g} to {high[bad[0]]:.3g}, for {first}",
        )


def same_answer(readings: Sequence[TargetScores], kind: Kind) -> SameAnswer | None:
    """What the target answers to all of these images alike; None where answers differ, or there are fewer than two.

    Args:
        readings: of the images.
        kind: of the target. A unit with a class needs answers of both.
    """
    scores = np.concatenate([reading.score for reading in readings])
    if len(scores) < 2:
        return None
    same = kind == "unit" and float(np.ptp(scores)) <= SAME_ACTIVATION * float(np.abs(scores).max())
    odds = [reading.log_odds for reading in readings if reading.log_odds is not None]
    same = same or (bool(odds) and float(np.ptp(np.concatenate(odds))) <= SAME_LOG_ODDS)
    return SameAnswer(float(scores.mean()), len(scores)) if same else None
