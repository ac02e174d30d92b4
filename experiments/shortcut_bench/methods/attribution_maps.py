"""Attribution maps and the segmenter's masks: how much of what drives the class falls on each thing in the picture.

On rendered scenes that show the class, one set for all classifiers of it. Companions, their kinds and settings have
masks; of the rest of the concepts a map cannot speak, and they are left at chance, between more and less than chance.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path

import torch
from torch import Tensor

from diffexplain.classifiers.classifier import Classifier
from diffexplain.concepts.vocabulary import Phrase, Vocabulary
from diffexplain.segmentation import Segmenter
from diffexplain.segmentation.detections import Detections, detect
from diffexplain.target import Target
from diffexplain.world.held_out import renderings, scenes_and_seeds
from diffexplain.world.sampler import World
from diffexplain.world.scenes import SUBJECTS
from experiments.attribution import Attribution, element_scores
from experiments.shortcut_bench.explained import Counter, Explained, Finding, Studied, concepts, texts
from experiments.shortcut_bench.specification import Value

IMAGES = 100
FIRST_STREAM = 5_000
"""Of the scenes; the gates and the other experiments use earlier streams."""
VOCABULARY = "embedded:vocabulary.yaml"


class AttributionMaps:
    """One kind of map."""

    needs: tuple[str, ...] = ()
    shares_edits = False

    def __init__(self, name: str, make: Callable[[Classifier], Attribution]) -> None:
        self.name = name
        self.make = make

    def explain(
        self, studied: Sequence[Studied], seed: int, folder: Path, earlier: Mapping[str, Mapping[str, Explained]]
    ) -> Iterator[Explained]:
        class_name = studied[0].specification.class_name
        started = time.monotonic()
        images, sight = seen(class_name, seed)
        shared = (time.monotonic() - started) / len(studied)
        phrases = phrases_of_values()
        for one in studied:
            started = time.monotonic()
            counter = Counter(None, one.model)
            with counter.counting():
                maps = self.make(one.model).maps(images, Target.parse(f"class:{class_name}").resolve(one.model.labels))
            scores = {score.phrase: score for score in element_scores(maps, sight, list(phrases.values()))}
            findings = []
            for value in concepts().values():
                score = scores.get(phrases.get(value, ""))
                if score is None or score.lift is None:
                    findings.append(Finding(value, 0.0, reported=False))
                else:
                    findings.append(Finding(value, score.lift.value - 1, score.found))
            account = counter.spent(shared + time.monotonic() - started)
            yield Explained(self.name, one.specification.name, tuple(findings), account)


@lru_cache(maxsize=1)
def seen(class_name: str, seed: int) -> tuple[torch.Tensor, Detections]:
    """Pictures of the class, (N, 3, H, W) in [0, 1], and what the segmenter sees in them."""
    stream = FIRST_STREAM + 100 * SUBJECTS.index(class_name) + seed
    images, _ = renderings(*scenes_and_seeds(IMAGES, stream, World(subjects=(class_name,))))
    wanted = set(phrases_of_values().values())
    phrases = [phrase for phrase in Vocabulary.load(VOCABULARY).phrases if phrase.text in wanted]
    return images, look_for(Segmenter.load("embedded:clipseg"), images, phrases)


@cache
def phrases_of_values() -> dict[Value, str]:
    """What the segmenter is asked for, of the concepts that it knows."""
    known = {phrase.text for phrase in Vocabulary.load(VOCABULARY).phrases}
    return {value: text for value, text in texts().items() if text in known}


def look_for(segmenter: Segmenter, images: Tensor, phrases: Sequence[Phrase]) -> Detections:
    """Look for every phrase in every image (N, 3, H, W) in [0, 1], for sub-types only where their object is seen."""
    found = detect(segmenter, images, [phrase.text for phrase in phrases if phrase.of is None], IMAGES)
    subtypes: dict[str, list[str]] = {}
    for phrase in phrases:
        if phrase.kind == "sub-type":
            subtypes.setdefault(str(phrase.of), []).append(phrase.text)
    regions = dict(found.regions)
    for thing, texts_of in subtypes.items():
        if places := found.showing(thing):
            closer = detect(segmenter, images[places], texts_of, IMAGES)
            regions |= {(places[image], phrase): region for (image, phrase), region in closer.regions.items()}
    return Detections(found.size, found.count, regions)
