"""The true effects of a classifier, where a truth table lies beside its weights: how far a report is to be trusted."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

from diffexplain.effects.results import ConceptEffect, Path, without_mirrors
from diffexplain.errors import UserError
from diffexplain.report import wording
from diffexplain.report.summary import Summary
from diffexplain.statistics.estimates import Estimate
from diffexplain.weights.paths import resolve_folder
from diffexplain.world.truth_table import TRUTH_TABLE_FILE, TruthTable, truth_name


@dataclass(frozen=True)
class TrueEffect:
    """What a concept really does, and whether the stated interval holds it."""

    effect: Estimate
    held: bool


def true_effects(summary: Summary) -> dict[Path, TrueEffect]:
    """Known effects by concept: of a class, on pictures of it that a prior made, of the weights that were measured."""
    effects, table = summary.effects, _table(summary)
    if effects is None or effects.confirmation is not None or table is None or summary.target.kind != "class":
        return {}
    rows = {(row["attribute"], row["value"]): row for row in table.rows if row["class"] == summary.target.class_name}
    found = {}
    for concept in summary.concepts:
        row = rows.get(truth_name(concept.path)) if len(concept.path) > 1 else None
        if row is not None:
            measured = row["shows_target"]["probability"]
            known = Estimate(measured["effect"], measured["low"], measured["high"], row["shows_target"]["n"])
            stated = concept.over_all.score
            found[concept.path] = TrueEffect(known, stated.low <= known.value <= stated.high)
    return found


def _table(summary: Summary) -> TruthTable | None:
    try:
        folder = resolve_folder(summary.classifier.source)
        if not (folder / TRUTH_TABLE_FILE).exists():
            return None
    except UserError:
        return None  # no folder, or one that has moved
    try:
        table = TruthTable.load(folder)
    except UserError as error:
        warnings.warn(f"True effects are not shown: {error}", stacklevel=2)
        return None
    return table if table.weights_sha256 in summary.weights.values() else None


def truth_sentence(concepts: tuple[ConceptEffect, ...], true: Mapping[Path, TrueEffect]) -> str | None:
    """How the stated effects compare with the known ones; None where none is known."""
    if not true:
        return None
    moving = [concept for concept in concepts if concept.over_all.significant and concept.path in true]
    right = sum(concept.over_all.score.value * true[concept.path].effect.value > 0 for concept in moving)
    held = sum(known.held for known in true.values())
    text = f"This classifier\N{RIGHT SINGLE QUOTATION MARK}s true effects are known: {held} of {len(true)} intervals "
    text += "hold the true effect"
    if moving:
        first, _ = without_mirrors(moving)[0]
        known = true[first.path].effect
        text += (
            f", and {right} of the {len(moving)} effects found have its sign. The largest, {wording.named(first)}: "
            f"stated {wording.signed(first.over_all.score.value)}, true {wording.signed(known.value)}"
        )
    return f"{text}."
