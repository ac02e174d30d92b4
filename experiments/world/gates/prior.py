"""The prior's gates: does it draw what held-out captions say, as the oracle reads it?"""

from __future__ import annotations

import numpy as np
import torch

from diffexplain.diffusion import load_prior
from diffexplain.world.held_out import scenes_and_seeds
from diffexplain.world.scenes import ATTRIBUTES, COMPANIONS, Scene
from experiments.world.captions import Caption, caption
from experiments.world.common import prior_steps
from experiments.world.gates.row import Row, at_least
from experiments.world.oracle import Answers, load_oracle, read, score

CAPTIONS = 1000
GATES = {
    "subject": 0.95,
    "setting": 0.97,
    "colour": 0.93,
    "texture": 0.90,
    "weather": 0.90,
    "size": 0.85,
    "position": 0.85,
}
PRESENT_GATE = 0.93
ABSENT_GATE = 0.95
SUBTYPE_GATE = 0.90
PART = "prior"


def asked_by(text: Caption) -> set[str]:
    """The oracle's questions whose answer a caption gives; presence of companions is counted apart."""
    return {name for name in text.named if name in ATTRIBUTES or name.startswith("subtype:")}


def companion_counts(answers: Answers, scenes: list[Scene]) -> dict[str, tuple[int, int]]:
    """(right, asked): "present" (as a whole, and in captions with "one" and with "two" of them) and "absent" over
    (picture, kind), and "nothing else" over pictures."""
    seen = np.stack([answers[f"companion:{kind}"] == 1 for kind in COMPANIONS], axis=1)
    wanted = np.array([[scene.has(kind) for kind in COMPANIONS] for scene in scenes])
    unasked = (seen & ~wanted).any(axis=1)
    number = wanted.sum(axis=1)
    return {
        "one": (int((seen & wanted)[number == 1].sum()), int((number == 1).sum())),
        "two": (int((seen & wanted)[number == 2].sum()), 2 * int((number == 2).sum())),
        "present": (int((seen & wanted).sum()), int(wanted.sum())),
        "absent": (int((~seen & ~wanted).sum()), int((~wanted).sum())),
        "nothing else": (int((~unasked).sum()), len(scenes)),
    }


def prior_rows(count: int = CAPTIONS, steps: int | None = None, folder: str = "embedded:prior") -> list[Row]:
    """Share of pictures in which each named attribute is as the caption says; ``steps``: the default's."""
    oracle = load_oracle()
    prior = load_prior(folder, steps=steps or prior_steps())
    scenes, seeds = scenes_and_seeds(count, stream=3)
    texts = [caption(scene, seed) for scene, seed in zip(scenes, seeds, strict=True)]
    noise = np.random.default_rng(seeds[0]).standard_normal((count, *prior.latent_shape), dtype=np.float32)
    images = prior.generate([text.text for text in texts], torch.from_numpy(noise))
    answers = read(oracle, images)
    found = score(answers, scenes, [asked_by(text) for text in texts])
    companions = companion_counts(answers, scenes)

    def row(measure: str, counts: tuple[int, int], gate: float) -> Row:
        return at_least(PART, measure, counts[0] / max(counts[1], 1), gate, counts[1])

    rows = [row(name, found[name], gate) for name, gate in GATES.items()]
    subtypes = [found[name] for name in found if name.startswith("subtype:")]
    rows.append(row("sub-type", (sum(r for r, _ in subtypes), sum(n for _, n in subtypes)), SUBTYPE_GATE))
    rows.append(row("companion present when asked", companions["present"], PRESENT_GATE))
    rows.append(row("companion absent when not asked", companions["absent"], ABSENT_GATE))
    for many in ("one", "two"):
        right, n = companions[many]
        rows.append(Row(PART, f"companion present, {many} asked for", right / max(n, 1), "report", n=n))
    right, n = companions["nothing else"]
    rows.append(Row(PART, "pictures without any companion not asked for", right / n, "report", n=n))
    return rows
