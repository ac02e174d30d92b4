"""The oracle's own gate: every attribute of held-out renders."""

from __future__ import annotations

from diffexplain.world.held_out import renderings, scenes_and_seeds
from experiments.world.gates.row import Row, at_least
from experiments.world.oracle import load_oracle, read, score, visible_questions

SCENES = 3000
GATE = 0.99


def oracle_rows(folder: str = "embedded:oracle") -> list[Row]:
    """One row for each question: the share of visible cases that the oracle reads right."""
    oracle = load_oracle(folder)
    scenes, seeds = scenes_and_seeds(SCENES, stream=1)
    images, drawn = renderings(scenes, seeds)
    asked = [visible_questions(scene, rendering) for scene, rendering in zip(scenes, drawn, strict=True)]
    found = score(read(oracle, images), scenes, asked)
    return [at_least("oracle", name, right / max(n, 1), GATE, n) for name, (right, n) in found.items()]
