"""Grad-CAM, the paper's baseline, on rendered scenes: how much of a class's map lies on each companion and setting."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from diffexplain.weights.atomic import write_json
from experiments.world.captions import COMPANION_NOUNS, SETTING_PHRASES, article

IMAGES = 48
"""Rendered scenes of a class, as many as DiffEx has images."""
STREAM = 4100
ELEMENTS = {article(nouns[0]): ("companion", kind) for kind, nouns in COMPANION_NOUNS.items()} | {
    phrases[0]: ("setting", name) for name, phrases in SETTING_PHRASES.items()
}
"""What the segmenter is asked for, and what the truth tables call it: all that has a mask."""

Lifts = dict[tuple[str, str, str, str], float]
"""By classifier, class, attribute and value: share of the map on it, over its share of the pixels."""


def lifts(places: Iterable[tuple[str, str]], folder: Path) -> Lifts:
    """Of classifiers (`shortcut_cnn`) and classes; what is in the folder is not measured again."""
    found: Lifts = {}
    for name, class_name in places:
        file = folder / f"{name}-{class_name}-{IMAGES}.json"
        if not file.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            write_json(file, measured(name, class_name))
        for phrase, lift in json.loads(file.read_text(encoding="utf-8")).items():
            found[name, class_name, *ELEMENTS[phrase]] = lift
    return found


def measured(name: str, class_name: str) -> dict[str, float]:
    """The lift of each element that is seen in an image at least, by phrase."""

    from diffexplain.classifiers.classifier import load_classifier
    from diffexplain.segmentation import Segmenter
    from diffexplain.segmentation.detections import detect
    from diffexplain.target import Target
    from diffexplain.world.held_out import renderings, scenes_and_seeds
    from diffexplain.world.sampler import World
    from experiments.attribution import GradCAM, element_scores

    classifier = load_classifier(f"embedded:classifiers/{name}")
    images, _ = renderings(*scenes_and_seeds(IMAGES, STREAM, World(subjects=(class_name,))))
    sight = detect(Segmenter.load("embedded:clipseg"), images, list(ELEMENTS), IMAGES)
    maps = GradCAM(classifier).maps(images, Target.parse(f"class:{class_name}").resolve(classifier.labels))
    scores = element_scores(maps, sight, list(ELEMENTS))
    return {score.phrase: score.lift.value for score in scores if score.lift is not None}
