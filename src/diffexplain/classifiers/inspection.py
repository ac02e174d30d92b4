"""A classifier looked at before anything is made with it: pictures made by formula go through it.

What cannot be explained is refused here: no score for each class, no finite answer, another answer to the same picture,
values that are not what they were said to be. What is a plain fact is handed on: the kind of output, and whether
gradients pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from diffexplain.classifiers.classifier import Classifier
from diffexplain.classifiers.output import AUTO, KEY, Inspection, Scoring, Taken, at_limit, check_word, usual
from diffexplain.classifiers.units import device_of
from diffexplain.errors import UserError
from diffexplain.target import ResolvedTarget

SIDE = 224
"""Of the built-in pictures in pixels; the classifier makes of them what it needs."""
SUM_TOLERANCE = 1e-4
"""Rows whose sums are as near to 1 as this hold the probabilities of classes that exclude each other."""
REPEATED = 1e-4
"""Two answers to the same pictures may differ by this share of their spread: some kernels add in any order."""
BATCHED = 0.05
"""And those in another batch by this one: quantised networks scale by what else is in the batch."""
_FEW = 2


def inspect_classifier(classifier: Classifier, output: str = AUTO) -> Inspection:
    """Look at a classifier where it is, and settle how its output is read: its ``scoring`` and ``inspection``.

    ``output``: what the configuration says, one of `diffexplain.classifiers.output.CHOICES`.

    Raises:
        UserError: it cannot be explained as it is, or its values do not tell what they are.
    """
    check_word(output)
    pictures = built_in_pictures().to(device_of(classifier))
    with torch.no_grad():
        table = classifier.outputs(pictures)
        _check_finite(classifier, table)
        _check_alike(classifier, table, classifier.outputs(pictures), REPEATED, "twice")
        _check_alike(classifier, table, classifier.outputs(pictures[:_FEW]), BATCHED, "in another batch")
    scoring, taken = settle(table, output, classifier.stated, classifier.name)
    classifier.scoring = scoring
    gradient = _gradient(lambda images: classifier.outputs(images)[:, 0], pictures[-_FEW:])
    # An answer that is the same for all pictures has a gradient of 0, which is no fault of the way to it.
    passes = gradient is not None and bool(gradient.any() or (table == table[:1]).all())
    found = Inspection(scoring.output, scoring.exclusive, taken, passes, _notes(table, scoring))
    classifier.inspection = found
    return found


def settle(table: Tensor, said: str, stated: Scoring | None, name: str) -> tuple[Scoring, Taken]:
    """How numbers (B, C) are read, and what says so: ``said`` by the configuration, ``stated`` by the source.

    Raises:
        UserError: the values are not of the kind that was said, or do not tell whether they are probabilities.
    """
    within = bool(((table >= 0) & (table <= 1)).all())
    summing = table.shape[1] > 1 and bool(((table.sum(dim=1) - 1).abs() <= SUM_TOLERANCE).all())
    proper = within and summing
    logits = stated or usual(table.shape[1])
    if said == "probabilities":
        if not within:
            low, high = (value.item() for value in table.aminmax())
            message = f"{name} gives no probabilities: its values for built-in pictures lie in [{low:.3g}, {high:.3g}]."
            raise UserError(message, given=f"{KEY}={said}", accepted=(AUTO, logits.output))
        return Scoring("probabilities", exclusive=summing), "asked for"
    if said == "softmax" and table.shape[1] == 1:
        message = f"{name} gives one number a picture, and a softmax of one number is always 1."
        raise UserError(message, given=f"{KEY}={said}", accepted=(AUTO, "sigmoid", "probabilities"))
    if said != AUTO and proper:
        message = f"{name} gives probabilities already: the values for each of the built-in pictures sum to 1."
        raise UserError(message, given=f"{KEY}={said}", accepted=(AUTO, "probabilities"))
    if said == "softmax":
        return Scoring("softmax", exclusive=True), "asked for"
    if said == "sigmoid":
        return Scoring("sigmoid", exclusive=False), "asked for"
    if proper:
        return Scoring("probabilities", exclusive=True), "found"
    if within:
        raise UserError(
            f"The values of {name} for all built-in pictures lie in [0, 1] and do not sum to 1: they may be "
            f"probabilities ({KEY}=probabilities), or logits that happen to lie there ({KEY}={logits.output}). "
            "Say which.",
            given=f"{KEY}={said}",
            accepted=("probabilities", logits.output),
        )
    return logits, "usual" if stated is None else "stated by its source"


def passes_gradient(classifier: Classifier, target: ResolvedTarget) -> bool:
    """Whether `target` has a gradient in a picture's pixels: a class as it was inspected, a unit by a pass of its own.

    A unit may lie before what ends the gradient, and it may be silent: a gradient of zero counts against it only where
    the classifier's answer has none either.
    """
    passes = classifier.inspection is None or classifier.inspection.passes_gradient
    module, channel = target.module, target.channel
    if module is None or channel is None:
        return passes
    pictures = built_in_pictures().to(device_of(classifier))
    gradient = _gradient(lambda images: classifier.activation(images, module, channel), pictures)
    return gradient is not None and (passes or bool(gradient.any()))


def _gradient(answer: Callable[[Tensor], Tensor], pictures: Tensor) -> Tensor | None:
    """How the answers change with the pixels of pictures (N, 3, H, W); None where no gradient arrives."""
    with torch.enable_grad():
        leaf = pictures.clone().requires_grad_()
        answers = answer(leaf * 1)  # A network may write into what it is given.
        if not answers.requires_grad:
            return None
        try:
            (gradient,) = torch.autograd.grad(answers.sum(), leaf, allow_unused=True)
        except RuntimeError:  # An operation whose derivative torch does not have.
            return None
    return gradient


def built_in_pictures() -> Tensor:
    """Eight pictures (8, 3, SIDE, SIDE) in [0, 1] made by formula: dark, bright, gradients, shapes, stripes and noise.

    None is of one colour alone: some preprocessing divides by a picture's own deviation, and no prior makes such one.
    """
    down, across = torch.meshgrid(*(torch.linspace(0, 1, SIDE),) * 2, indexing="ij")
    middle = ((down - 0.5).square() + (across - 0.5).square()).sqrt()

    def coloured(*channels: Tensor | float) -> Tensor:
        return torch.stack([channel + torch.zeros_like(down) for channel in channels])

    disc, bars, corner = middle < 0.3, (8 * across).floor() % 2 == 1, (down > 0.55) & (across < 0.45)
    red, green, blue = coloured(0.9, 0.1, 0.1), coloured(0.1, 0.6, 0.2), coloured(0.15, 0.3, 0.9)
    noise = np.random.Generator(np.random.Philox(key=0)).random((2, 3, 28, 28), dtype=np.float32)
    coarse, fine = torch.nn.functional.interpolate(torch.from_numpy(noise), (SIDE, SIDE), mode="nearest")
    return torch.stack(
        [
            coloured(0.02 * down, 0.02 * down, 0.02 * across),
            1 - coloured(0.02 * across, 0.02 * down, 0.02 * down),
            coloured(down, across, 1 - down),
            torch.where(disc, red, coloured(0.5 + 0.4 * down, 0.7, 0.9)),
            torch.where(bars, blue, coloured(0.9, 0.85, 0.2)),
            torch.where(corner, green, coloured(0.6, 0.6 * across, 0.5 + 0.5 * (6 * math.pi * down).sin())),
            coarse,
            0.5 * fine + 0.5 * coloured(across, 0.3, 1 - middle.clamp(max=1)),
        ]
    ).clamp(0, 1)


def _check_finite(classifier: Classifier, table: Tensor) -> None:
    bad = int((~table.isfinite()).any(dim=1).sum())
    if bad:
        message = f"{classifier.name} gives no finite answer to {bad} of {len(table)} built-in pictures."
        raise UserError(message, given="NaN" if table.isnan().any() else "infinity")


def _check_alike(classifier: Classifier, table: Tensor, again: Tensor, share: float, how: str) -> None:
    """``again``: the answers to the first pictures once more."""
    apart = float((table[: len(again)] - again).abs().max())
    spread = float((table - table.mean(dim=0)).abs().max())
    if apart <= share * spread + 1e-5 * float(table.abs().max()) + 1e-6:
        return
    raise UserError(
        f"{classifier.name} answers differently to the same picture {how}: dropout that stays on, or statistics of "
        "the batch that is being read. Its answer must depend on the picture alone.",
        given=f"answers with a spread of {spread:.3g} that differ by up to {apart:.3g}",
    )


def _notes(table: Tensor, scoring: Scoring) -> tuple[str, ...]:
    if scoring.output != "probabilities":
        return ()
    limited = int(at_limit(table, scoring).sum())
    note = "Log-odds of probabilities end where float32 does: differences beyond are not seen."
    if limited:
        note += f" Exactly 0 or 1 was given to {limited} of {len(table)} built-in pictures."
    return (note,)
