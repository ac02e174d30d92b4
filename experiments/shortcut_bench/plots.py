"""The benchmark's plots: who finds what, at which price, and how true stated effects are."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot

from experiments.shortcut_bench.measures import Answer, auroc, mean_over
from experiments.shortcut_bench.tables import TITLES, shortcut

RESOLUTION = 110
LABELLED = ("default", "diffex")
COLOURS = 10
"""Matplotlib's own, after which they come again, with another mark."""
MARKS = "os^"


def plot_cost(folder: Path, answers: Mapping[str, Mapping[str, Answer]]) -> None:
    """`cost.png` in ``folder``: who finds what, at which price."""
    figure, axes = pyplot.subplots(figsize=(8.2, 3.6), layout="constrained")
    for place, (method, of_method) in enumerate(answers.items()):
        estimate = mean_over(shortcut(of_method), auroc)
        if estimate is None:
            continue
        cost = max(1, statistics.median(answer.explained.account.denoiser for answer in of_method.values()))
        error = [[estimate.value - estimate.low], [estimate.high - estimate.value]]
        mark = MARKS[place // COLOURS]
        axes.errorbar(cost, estimate.value, error, fmt=mark, color=f"C{place}", capsize=3, label=TITLES[method])
    axes.set(xscale="log", xlabel="denoiser evaluations for a classifier (1: none)", ylabel="AUROC, there or absent")
    axes.axhline(0.5, color="0.7", linewidth=1, zorder=0)
    figure.legend(fontsize=8, loc="outside right upper")
    figure.savefig(folder / "cost.png", dpi=RESOLUTION)
    pyplot.close(figure)


def plot_effects(folder: Path, answers: Mapping[str, Mapping[str, Answer]]) -> None:
    """`effects.png` in ``folder``: stated beside true effects; a method without answers is left out."""
    chosen = [method for method in LABELLED if answers.get(method)]
    if not chosen:
        return
    figure, panels = pyplot.subplots(
        1, len(chosen), figsize=(3.6 * len(chosen), 3.6), layout="constrained", squeeze=False, sharey=True
    )
    for panel, method in zip(panels[0], chosen, strict=True):
        points = [
            (answer.true[one.value], one.effect)
            for answer in answers[method].values()
            for one in answer.explained.findings
            if one.effect is not None
        ]
        panel.plot([-0.6, 1], [-0.6, 1], color="0.8", linewidth=1, zorder=0)
        panel.scatter(*zip(*points, strict=True), s=4, alpha=0.35, linewidths=0)
        panel.set(xlabel="true effect")
        panel.set_title(f"{TITLES[method]}, n {len(points)}", fontsize=9)
    panels[0][0].set(ylabel="stated effect")
    figure.savefig(folder / "effects.png", dpi=RESOLUTION)
    pyplot.close(figure)
