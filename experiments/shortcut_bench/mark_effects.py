"""What a mark does: the same picture with it and without. No truth table has a row for what no word names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffexplain.world.render import render_images
from experiments.shortcut_bench.marks import Mark, paint
from experiments.shortcut_bench.pairs import stratified
from experiments.world.truth import Logits, Model, base_scenes, logits_of, paired_effect

MARK_EFFECTS_FILE = "mark_effects.json"


def measure_mark(
    models: Mapping[str, Model], mark: Mark, subject: str, count: int, seed: int
) -> dict[str, dict[str, Logits]]:
    """Logits `(count, K)`, `painted` and `plain`, for each model, of the truth table's scenes that show the subject."""
    plain = render_images(*base_scenes(subject, count, seed))
    images = {"painted": paint(plain, mark), "plain": plain}
    return {model: {state: logits_of(run, shown) for state, shown in images.items()} for model, run in models.items()}


def mark_effects(logits: Mapping[str, Mapping[str, Logits]], class_name: str, mark: Mark) -> dict[str, Any]:
    """The row of one mark.

    Args:
        logits: of `measure_mark`, by subject, of one model.
        class_name: the class that is measured.
        mark: what was painted.

    Returns:
        `mark`, and what `stratified` gives: the effect of painting it.
    """
    row = stratified(logits, class_name, lambda at: paired_effect(at["painted"], at["plain"]))
    return {"mark": list(mark), **row}
