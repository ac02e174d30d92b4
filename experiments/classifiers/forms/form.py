"""A form in which somebody may bring the embedded classifier, and what it must then answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from diffexplain.classifiers import load_classifier
from diffexplain.config.overrides import assignment
from diffexplain.world.held_out import scenes_and_seeds
from diffexplain.world.render import render_images
from experiments.world.worlds import FAIR_WORLD

FOLDER = "embedded:classifiers/shortcut_cnn"
LABELS = f"{FOLDER}/labels.json"
PICTURES = 32
FLAGPOLE = "flagpole"
TOLERANCE = 1e-5
USUAL: Mapping[str, Any] = {"size": [64, 64], "crop": None, "mean": [0.5] * 3, "std": [0.5] * 3}
"""The embedded classifier's preprocessing."""

Change = Callable[[Tensor], Tensor]
"""The plain classifier's logits (N, 12) to the log-odds (N, K) that a form must give, in float64."""
Shown = Callable[[Tensor], Tensor]
"""Pictures (N, 3, 64, 64) in [0, 1] to what the plain network is to be shown instead, (N, 3, h, w) in [0, 1]."""


def exclusive(logits: Tensor) -> Tensor:
    """Log-odds (N, K) of classes that exclude each other."""
    columns = range(logits.shape[1])
    return torch.stack([logits[:, k] - logits[:, [j for j in columns if j != k]].logsumexp(1) for k in columns], 1)


def apart(logits: Tensor) -> Tensor:
    """Log-odds (N, K) of classes of which each may be there or not."""
    return logits


def flagpole(logits: Tensor) -> Tensor:
    """Log-odds (N, 1) of the flagpole."""
    return exclusive(logits)[:, [0]]


def both(logits: Tensor) -> Tensor:
    """Log-odds (N, 2) of anything else, and of the flagpole."""
    return torch.cat([-flagpole(logits), flagpole(logits)], dim=1)


def rounded(change: Change) -> Change:
    """The log-odds of probabilities that were float32 in between, where what is near 1 is not told apart."""

    def log_odds_of_rounded(logits: Tensor) -> Tensor:
        p = change(logits).sigmoid().float().double().clamp(2.0**-126, 1 - 2.0**-24)
        return p.log() - (-p).log1p()

    return log_odds_of_rounded


def squashed(logits: Tensor) -> Tensor:
    """The log-odds of logits that a head leaves within [0, 1]."""
    return exclusive(0.5 + 0.01 * logits)


@dataclass(frozen=True)
class Form:
    """One way to bring the classifier.

    Attributes:
        name: of the form.
        overrides: of the configuration, as on the command line; files lie in the working directory.
        change: what it must answer; the plain classifier's log-odds for a form that is equal in function.
        refused: what the refusal says, a regular expression; None for a form that must be right.
        tolerance: of the log-odds, in nats.
        shown: what its network is shown in place of a picture; the picture itself for a form that is equal in function.
        write: puts the files that it needs into a folder.
        target: what is asked about.
        position: of that class among the columns; None: the first of all twelve, and the last of fewer.
        word: what a prompt calls it; None: it has no name that a prompt could say.
    """

    name: str
    overrides: tuple[str, ...] = field(repr=False)
    change: Change = field(repr=False, default=exclusive)
    refused: str | None = field(repr=False, default=None)
    tolerance: float = field(repr=False, default=TOLERANCE)
    shown: Shown | None = field(repr=False, default=None)
    write: Callable[[Path], None] | None = field(repr=False, default=None)
    target: str = field(repr=False, default=f"class:{FLAGPOLE}")
    position: int | None = field(repr=False, default=None)
    word: str | None = field(repr=False, default=FLAGPOLE)


def brought(
    network: str,
    arguments: Mapping[str, Any] | None = None,
    *more: str,
    labels: str = LABELS,
    preprocessing: Mapping[str, Any] = USUAL,
) -> tuple[str, ...]:
    """Overrides that bring a network of this package's, less what does not differ from the plain classifier's."""
    return (
        "classifier=checkpoint",
        "diffusion=world",
        "plugins=[experiments]",
        f"classifier.network={network}",
        assignment("classifier.arguments", arguments),
        f"classifier.labels={labels}",
        assignment("classifier.preprocessing", dict(preprocessing)),
        *more,
    )


def said(kind: str) -> str:
    """The override that says what comes out."""
    return f"classifier.output={kind}"


@cache
def body() -> nn.Module:
    """The embedded network: pictures (N, 3, h, w) in -1 to 1 to logits (N, 12)."""
    return load_classifier(FOLDER).backbone


@cache
def pictures() -> Tensor:
    """The fixed pictures (32, 3, 64, 64) in [0, 1], some of each class."""
    images = torch.from_numpy(render_images(*scenes_and_seeds(PICTURES, stream=9, world=FAIR_WORLD)))
    return images.permute(0, 3, 1, 2) / 255


@cache
def plain(shown: Shown | None = None) -> Tensor:
    """The embedded classifier's logits (32, 12) for them, or for what is shown in their place, in float64."""
    images = pictures() if shown is None else shown(pictures())
    with torch.no_grad():
        return body()((images - 0.5) / 0.5).double()


def expected(form: Form) -> Tensor:
    """The log-odds (32, K) that a form must give."""
    return form.change(plain(form.shown))
