"""Scores of the units that Salient ImageNet labels: how little of their attribution lies on the object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diffexplain.classifiers.classifier import Classifier
from diffexplain.concepts.vocabulary import class_phrase
from diffexplain.runs.draws import Draws
from diffexplain.segmentation import Segmenter
from diffexplain.target import Target
from experiments.attribution import GradCAM
from experiments.hidden_units.gate import calibrated_gate, look_gated
from experiments.hidden_units.linear_head import linear_head, penultimate
from experiments.hidden_units.pixels import UnitUse, own_shares, unit_maps
from experiments.hidden_units.salient_imagenet import FeatureLabel, Key

PURPOSE = "unit pictures"


def prior_pictures(prior: Any, classifier: Classifier, settings: Mapping[str, Any], seed: int) -> dict[int, Tensor]:
    """Pictures of "a photo of a <class>" for each class, (N, 3, H, W) in [0, 1] on the CPU.

    Args:
        settings: `images`, how many, and `classes`, the indices.
    """
    found = {}
    for index in settings["classes"]:
        label = classifier.labels.classes[index]
        noise = Draws(seed, f"class:{index}").normals(PURPOSE, 0, settings["images"], prior.latent_shape)
        prompt = f"a photo of {class_phrase(label.name)}"
        found[index] = prior.generate([prompt] * len(noise), noise.to(prior.device)).float().cpu().clamp(0, 1)
    return found


def unit_scores(
    classifier: Classifier,
    segmenter: Segmenter,
    pictures: Mapping[int, Tensor],
    labels: Sequence[FeatureLabel],
    shown: int,
) -> dict[Key, float]:
    """Minus the mean share of each labelled unit's attribution inside the object, over the pictures in which the unit
    adds most to the logit; units of classes without enough pictures that are predicted as them have no score.

    Args:
        pictures: by class index, (N, 3, H, W) in [0, 1]; at least two classes.
        shown: pictures of each unit.

    Raises:
        UserError: the classifier's logits are not made by a linear layer of units.
    """
    head = linear_head(classifier)
    phrases = {index: class_phrase(classifier.labels.classes[index].name) for index in pictures}
    scores: dict[Key, float] = {}
    for index, mine in pictures.items():
        read = penultimate(classifier, head, mine)
        predicted = np.flatnonzero(read.assigned[:, index])
        wanted = [label for label in labels if label.class_index == index]
        if len(predicted) < 2 or not wanted:
            continue
        rivals = [phrase for other, phrase in phrases.items() if other != index]
        others = torch.cat(
            [images[: max(2, len(mine) // len(rivals))] for other, images in pictures.items() if other != index]
        )
        gate = calibrated_gate(segmenter, phrases[index], mine[list(predicted)], others, rivals)
        for label in wanted:
            weight = float(head.weight[index, label.feature_index])
            order = np.argsort(-weight * read.features[predicted, label.feature_index], kind="stable")[:shown]
            chosen = predicted[order]
            text = f"unit:{head.module}:{label.feature_index}@{index}"
            target = Target.parse(text).resolve(classifier.labels)
            use = UnitUse(target, label.rank, weight, tuple(int(place) for place in chosen))
            images = mine[list(chosen)]
            shares = own_shares(
                unit_maps(classifier, GradCAM, images, use), look_gated(segmenter, images, gate), gate.phrase
            )
            if len(shares) > 1:
                scores[label.key] = -float(shares.mean())
    return scores
