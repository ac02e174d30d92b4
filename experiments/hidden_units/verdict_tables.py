"""The tables of the hidden units' verdicts, made of what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from diffexplain.evaluation.presence import Threshold, youden_threshold
from diffexplain.statistics.estimates import Estimate
from diffexplain.statistics.tests import mean_interval, wilson
from experiments.hidden_units.pixels import PixelVerdict, pixel_verdict
from experiments.hidden_units.salient_imagenet import RESAMPLES, auroc, clustered_auroc
from experiments.shortcut_bench.specification import CONTROLS

BOOTSTRAP_SEED = 0
NOTHING = "–"
VERDICTS = (PixelVerdict.CORE, PixelVerdict.MIXED, PixelVerdict.SPURIOUS)


@dataclass(frozen=True)
class Row:
    """One unit of one class: the truth, and the shares of attribution inside the object's region by method."""

    class_name: str
    classifier: str
    half: str
    truth: str | None
    shares: dict[str, list[float]]

    @property
    def architecture(self) -> str:
        return next(kind for kind in ("cnn", "vit", "random_features") if self.classifier.endswith(kind))

    @property
    def fair(self) -> bool:
        """Whether the classifier has learned no planted shortcut, by its name."""
        return self.classifier.startswith(CONTROLS)

    def score(self, method: str) -> float:
        """The higher, the rather spurious; a unit without a map has none of its attribution inside."""
        return -float(np.mean(self.shares[method])) if self.shares[method] else 0.0


def rows_of(result: Mapping[str, Any]) -> list[Row]:
    return [
        Row(result["class"], unit["classifier"], unit["half"], unit["truth"], unit["shares"])
        for unit in result["units"]
    ]


def measured(rows: Sequence[Row], method: str) -> Estimate | None:
    """AUROC over the units whose truth is known, its interval over (classifier, class)."""
    known = [row for row in rows if row.truth is not None]
    return clustered_auroc(
        [row.score(method) for row in known],
        [row.truth == "spurious" for row in known],
        [(row.classifier, row.class_name) for row in known],
        np.random.default_rng(BOOTSTRAP_SEED),
    )


def choose(rows: Sequence[Row], methods: Sequence[str]) -> str:
    """The method with the largest AUROC on the development half, the first of equals."""
    known = [row for row in rows if row.half == "development" and row.truth is not None]
    spurious = [row.truth == "spurious" for row in known]
    return max(methods, key=lambda method: auroc([row.score(method) for row in known], spurious) or 0.0)


def bound_of(rows: Sequence[Row], method: str) -> Threshold:
    """The bound of the mean share that tells core from spurious units of the development half best."""
    known = [row for row in rows if row.half == "development"]
    core, spurious = ([-row.score(method) for row in known if row.truth == kind] for kind in ("core", "spurious"))
    return youden_threshold(core, spurious)


def table(results: Sequence[dict[str, Any]], methods: Sequence[str], settings: str) -> str:
    """All tables, as text."""
    rows = [row for result in results for row in rows_of(result)]
    held_out = [row for row in rows if row.half == "held_out"]
    development = [row for row in rows if row.half == "development"]
    kinds = {row.truth for row in development}
    if not {"core", "spurious"} <= kinds:
        return "The development half holds no unit of one of the kinds: nothing can be chosen."
    best = choose(rows, methods)
    parts = {
        "of CNNs": [row for row in held_out if row.architecture == "cnn"],
        "of transformers": [row for row in held_out if row.architecture == "vit"],
        "of classifiers with shortcuts": [row for row in held_out if not row.fair],
        "of controls": [row for row in held_out if row.fair],
    }
    lines = [f"| attribution | development | held out | {' | '.join(parts)} |", "|---|---|---|" + "---|" * len(parts)]
    for method in methods:
        name = f"**{method}** (chosen)" if method == best else method
        groups = [development, held_out, *parts.values()]
        lines.append(f"| {name} | {' | '.join(shown(measured(group, method)) for group in groups)} |")
    lines += ["", counts("development", development), counts("held out", held_out), ""]
    lines += [*verdicts(held_out, best, bound_of(rows, best)), "", *seeing(results), "", settings]
    lines.append(
        f"Intervals of AUROC: bootstrap over (classifier, class), {RESAMPLES} resamples, seed {BOOTSTRAP_SEED}."
    )
    return "\n".join(lines)


def counts(name: str, rows: Sequence[Row]) -> str:
    """How many units of which kind."""
    number = {kind: sum(row.truth == kind for row in rows) for kind in ("spurious", "core", None)}
    where = len({(row.classifier, row.class_name) for row in rows if row.truth == "spurious"})
    return (
        f"Units, {name}: {number['spurious']} truly spurious (of {where} pairs of classifier and class), "
        f"{number['core']} truly core, {number[None]} neither for sure and left out.  "
    )


def verdicts(rows: Sequence[Row], method: str, bound: Threshold) -> list[str]:
    """Verdict beside truth, on the held-out half."""
    lines = [f"| held out, {method} | {' | '.join(VERDICTS)} | right of those said |", "|---|---|---|---|---|"]
    for kind in ("core", "spurious"):
        mine = [row for row in rows if row.truth == kind and len(row.shares[method]) > 1]
        given = [pixel_verdict(mean_interval(row.shares[method]), bound.value) for row in mine]
        number = {verdict: sum(one is verdict for one in given) for verdict in VERDICTS}
        said = number[PixelVerdict.CORE] + number[PixelVerdict.SPURIOUS]
        right = shown(wilson(number[PixelVerdict(kind)], said)) if said else NOTHING
        lines.append(f"| truly {kind} | {' | '.join(str(number[verdict]) for verdict in VERDICTS)} | {right} |")
    lines += [
        "",
        f"Bound of the mean share: {bound.value:.3f}, which maximises Youden's J on the development half "
        f"(core above it: {shown(bound.sensitivity)}; spurious below it: {shown(bound.specificity)}).",
    ]
    return lines


def seeing(results: Sequence[dict[str, Any]]) -> list[str]:
    """How often the object is seen in the units' images that show it, and in those that do not."""
    seen = [image for result in results for image in result["seen"]]
    lines = ["| object seen by | in images with it | in images without it |", "|---|---|---|"]
    for name, looks in (("CLIPSeg", ("segmenter",)), ("CLIP", ("clip",)), ("both", ("segmenter", "clip"))):
        cells = []
        for shows in (True, False):
            mine = [image for image in seen if image["shows"] is shows]
            found = sum(all(image[look] for look in looks) for image in mine)
            cells.append(shown(wilson(found, len(mine))) if mine else NOTHING)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def shown(estimate: Estimate | None) -> str:
    if estimate is None:
        return NOTHING
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}], n {estimate.n}"
