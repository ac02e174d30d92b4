"""CLIPSeg's gates: the masks of what is there, and dark ones for what is not."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from diffexplain.segmentation.clipseg import Segmenter
from diffexplain.world.held_out import renderings, scenes_and_seeds
from diffexplain.world.render import Rendering
from diffexplain.world.scenes import COMPANIONS, Scene
from experiments.world.captions import COMPANION_NOUNS, SETTING_PHRASES, SUBJECT_NOUNS, article
from experiments.world.gates.row import Row, at_least
from experiments.world.oracle import VISIBLE_PIXELS

SCENES = 400
THRESHOLD = 0.5
WIDE_PIXELS = 4.0
WIDE_GATE = 0.75
THIN_GATE = 0.55
ABSENT_GATE = 0.95
PART = "CLIPSeg"


def width(mask: NDArray[np.bool_]) -> float:
    """Width in pixels of the widest place of a mask: twice the largest distance to its outside, less one."""
    return float(2 * distance_transform_edt(np.pad(mask, 1)).max() - 1)


def elements(scene: Scene, rendering: Rendering, with_subtype: bool) -> dict[str, NDArray[np.bool_]]:
    """Phrase and mask of every visible element: subject, companions, setting."""
    found = {article(SUBJECT_NOUNS[scene.subject][0]): rendering.masks["subject"]}
    for companion in scene.companions:
        subtype = companion.subtype if with_subtype else ""
        phrase = article(f"{subtype} {COMPANION_NOUNS[companion.kind][0]}".strip())
        found[phrase] = rendering.masks[companion.kind]
    found[SETTING_PHRASES[scene.setting][0]] = rendering.masks["setting"]
    return {phrase: mask for phrase, mask in found.items() if mask.sum() >= VISIBLE_PIXELS}


def overlap(found: NDArray[np.bool_], mask: NDArray[np.bool_]) -> float:
    """Intersection over union."""
    return float((found & mask).sum() / max((found | mask).sum(), 1))


@torch.no_grad()
def clipseg_rows(count: int = SCENES, folder: str = "embedded:clipseg") -> list[Row]:
    """Mean overlap by width, and by sort of element for information; silence for an absent companion."""
    segmenter = Segmenter.load(folder)
    scenes, seeds = scenes_and_seeds(count, stream=5)
    images, drawn = renderings(scenes, seeds)
    generator = np.random.default_rng(seeds[0])
    overlaps: dict[str, list[float]] = {"wide": [], "thin": [], "subject": [], "companion": [], "setting": []}
    silent = 0
    for index, (scene, rendering) in enumerate(zip(scenes, drawn, strict=True)):
        there = elements(scene, rendering, with_subtype=index % 2 == 1)
        kinds = [kind for kind in COMPANIONS if not scene.has(kind)]
        absent = article(COMPANION_NOUNS[kinds[int(generator.integers(len(kinds)))]][0])
        masks = segmenter.masks(images[index : index + 1], [*there, absent])[0].numpy() > THRESHOLD
        for (phrase, mask), found in zip(there.items(), masks[:-1], strict=True):
            score = overlap(found, mask)
            overlaps["wide" if width(mask) >= WIDE_PIXELS else "thin"].append(score)
            if phrase in SETTING_PHRASES[scene.setting]:
                overlaps["setting"].append(score)
            else:
                overlaps["subject" if mask is rendering.masks["subject"] else "companion"].append(score)
        silent += not masks[-1].any()

    def mean(name: str) -> float:
        return float(np.mean(overlaps[name])) if overlaps[name] else 0.0

    rows = [
        at_least(PART, "mean IoU, at least 4 px wide", mean("wide"), WIDE_GATE, len(overlaps["wide"])),
        at_least(PART, "mean IoU, thinner", mean("thin"), THIN_GATE, len(overlaps["thin"])),
        at_least(PART, "absent phrase: no pixel", silent / count, ABSENT_GATE, count),
    ]
    return rows + [
        Row(PART, f"mean IoU, {name}", mean(name), "report", n=len(overlaps[name]))
        for name in ("subject", "companion", "setting")
    ]
