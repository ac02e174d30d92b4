"""What comes along with the class in labelled data: attribute frequencies among confident predictions.

A thousand pictures of the classifier's own world, none wrongly labelled, with every attribute written beside them,
which no auditor has: that is to the method's advantage. What it cannot tell is whether the classifier answers to an
attribute or to the object that comes along with it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from math import sqrt
from pathlib import Path

import torch
from scipy.stats import fisher_exact

from diffexplain.statistics.estimates import Estimate
from diffexplain.statistics.tests import benjamini_hochberg, wilson
from diffexplain.world.scenes import SUBJECTS, Scene
from experiments.shortcut_bench.explained import Counter, Explained, Finding, Studied, concepts
from experiments.shortcut_bench.pictures import images_of, test_pictures
from experiments.shortcut_bench.specification import Value

SCENES = 1000
CONFIDENT = 0.9
FALSE_DISCOVERIES = 0.05
FIRST_SEED = 1_900_000_000


class Correlation:
    """How much more, or less, often confident predictions of the class show an attribute than other pictures do."""

    needs: tuple[str, ...] = ()
    shares_edits = False

    def __init__(self, name: str) -> None:
        self.name = name

    def explain(
        self, studied: Sequence[Studied], seed: int, folder: Path, earlier: Mapping[str, Mapping[str, Explained]]
    ) -> Iterator[Explained]:
        for one in studied:
            started = time.monotonic()
            pictures = test_pictures(one.specification, SCENES)
            images = images_of(one.specification, pictures, FIRST_SEED + seed * SCENES)
            counter = Counter(None, one.model)
            with counter.counting(), torch.no_grad():
                pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
                probability = torch.cat([one.model(part).softmax(dim=1) for part in pixels.split(250)])
            chosen = (probability[:, SUBJECTS.index(one.specification.class_name)] >= CONFIDENT).tolist()
            findings = tuple(compared([picture.scene for picture in pictures], chosen))
            yield Explained(
                self.name,
                one.specification.name,
                findings,
                counter.spent(time.monotonic() - started),
                extra={"confident": sum(chosen)},
            )


def compared(scenes: Sequence[Scene], chosen: Sequence[bool]) -> Iterator[Finding]:
    """The difference of the shares of each concept, and whether Fisher's exact test, adjusted, finds one."""
    values = list(concepts().values())
    sums, p_values = [], []
    for value in values:
        there = [shows(scene, value) for scene in scenes]
        inside = sum(t for t, c in zip(there, chosen, strict=True) if c)
        outside = sum(there) - inside
        n_inside = sum(chosen)
        n_outside = len(scenes) - n_inside
        sums.append((inside, n_inside, outside, n_outside))
        table = [[inside, n_inside - inside], [outside, n_outside - outside]]
        p_values.append(float(fisher_exact(table).pvalue))
    for value, (inside, n_inside, outside, n_outside), p in zip(
        values, sums, benjamini_hochberg(p_values), strict=True
    ):
        if not n_inside or not n_outside:
            yield Finding(value, 0.0, reported=False)
            continue
        difference = share_difference(wilson(inside, n_inside), wilson(outside, n_outside))
        yield Finding(value, difference.value, p <= FALSE_DISCOVERIES)


def shows(scene: Scene, value: Value) -> bool:
    """Whether the scene has the value."""
    if not value.companion:
        return bool(getattr(scene, value.attribute) == value.value)
    there = scene.companion(value.companion)
    return there is not None and (not value.subtype or there.subtype == value.subtype)


def share_difference(first: Estimate, second: Estimate) -> Estimate:
    """``first - second`` of two independent shares with Newcombe's interval, made of their Wilson intervals.

    ``n`` is the smaller of the two counts.
    """
    value = first.value - second.value
    below = sqrt((first.value - first.low) ** 2 + (second.high - second.value) ** 2)
    above = sqrt((first.high - first.value) ** 2 + (second.value - second.low) ** 2)
    return Estimate(value, max(-1.0, value - below), min(1.0, value + above), min(first.n, second.n))
