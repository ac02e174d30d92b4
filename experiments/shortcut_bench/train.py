"""Trains the classifiers of the benchmark: `python -m experiments.shortcut_bench.train [name ...]`.

All but random features start from a fair classifier of their architecture, with a new head: it has learned the shapes,
which takes longest, and what is planted is learned in one pass over a few thousand pictures. The fair classifiers are
the embedded ones; those of the architectures that are not embedded are trained first, into `backbones/`. Random
features start from nothing and only their head is trained.

The same command goes on where it stopped: a classifier whose folder is complete is not made again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor, nn

from diffexplain.classifiers import load_classifier
from diffexplain.classifiers.architectures import build_backbone
from diffexplain.world.sampler import World
from diffexplain.world.scenes import IMAGE_SIZE, SUBJECTS
from experiments.shortcut_bench.catalogue import SETS, chosen, part
from experiments.shortcut_bench.pictures import Picture, images_of, test_pictures, training_pictures
from experiments.shortcut_bench.random_features import fit_head
from experiments.shortcut_bench.specification import ROOT, Architecture, Specification
from experiments.world.train_classifiers import ARGUMENTS as EMBEDDED_ARGUMENTS
from experiments.world.train_classifiers import (
    FAIR,
    HELD_OUT_SEED_START,
    DataRecipe,
    Normalised,
    Recipe,
    accuracy_on,
    fit,
    save,
    training_set,
)
from experiments.world.truth import logits_of

TRAINING_SEED_START = 2_000_000_000
TEST_SCENES = 1000
TEST_SEED = 999
"""Of the scenes that a fair classifier is tested on; no recipe draws from it."""

COMPLETE = "training.json"
"""Written last."""

ARGUMENTS: dict[Architecture, tuple[str, dict[str, Any]]] = {
    "cnn": ("small_cnn", EMBEDDED_ARGUMENTS["small_cnn"]),
    "vit": ("small_vit", EMBEDDED_ARGUMENTS["small_vit"]),
    "random_features": ("small_cnn", {"widths": [32, 64, 128, 2048], "blocks": [1, 1, 1, 1]}),
    "group_norm_resnet": ("group_norm_resnet", {"widths": [24, 48, 96]}),
    "mixer": ("mixer", {"side": IMAGE_SIZE, "width": 64, "depth": 4, "expansion": 2}),
}
BACKBONES: dict[Architecture, Recipe] = {
    "group_norm_resnet": Recipe("group_norm_resnet", 3e-3, FAIR, epochs=1.0, muon=True),
    "mixer": Recipe("mixer", 3e-3, DataRecipe(scenes=48_000), epochs=1.0, muon=True),
}
"""How the fair classifiers of the architectures that are not embedded are trained. After one pass over 9,600 scenes
the residual network names 1.00 of 500 others right, the mixer 0.95, and the small convolutional network 1.00."""

SCENES: dict[Architecture, int] = {
    "cnn": 12_000,
    "vit": 12_000,
    "random_features": 20_000,
    "group_norm_resnet": 12_000,
    "mixer": 12_000,
}
TIMES_FOR_PAIRS = 2
"""That two things count only together takes longer to learn."""


def make_backbone(architecture: Architecture, root: Path, recipe: Recipe | None = None) -> Path:
    """The folder of the fair classifier of an architecture that is not embedded, trained first if it is missing.

    Args:
        architecture: one of `BACKBONES`.
        root: folder of the classifiers.
        recipe: that of the architecture by default.
    """
    folder = root / "backbones" / architecture
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):  # of several processes one trains, and the others wait
        if (folder / COMPLETE).is_file():
            return folder
        recipe = recipe or BACKBONES[architecture]
        started, spent = time.monotonic(), time.process_time()
        torch.manual_seed(recipe.seed)
        name, arguments = ARGUMENTS[architecture]
        backbone = build_backbone(name, len(SUBJECTS), arguments)
        images, labels = training_set(World(), recipe.data)
        model, steps = fit(architecture, backbone, images, labels, recipe)
        card = {
            "recipe": asdict(recipe),
            "steps": steps,
            "parameters": sum(parameter.numel() for parameter in backbone.parameters()),
            "accuracy": accuracy_on(model, World().sample(TEST_SCENES, TEST_SEED)),
            "test_scenes": TEST_SCENES,
            "seconds": round(time.monotonic() - started),
            "seconds_of_one_core": round(time.process_time() - spent),
        }
        keep(architecture, backbone, architecture, card, folder.parent)
    return folder


def train(one: Specification, root: Path, scenes: int) -> tuple[nn.Module, dict[str, Any]]:
    """A backbone with the weights of this classifier, and what is worth knowing of it.

    Args:
        one: the classifier.
        root: folder of the classifiers, with the fair ones that are not embedded.
        scenes: training pictures, twice as many for a pair.
    """
    started, spent = time.monotonic(), time.process_time()
    torch.manual_seed(one.seed)
    architecture, arguments = ARGUMENTS[one.architecture]
    backbone = build_backbone(architecture, len(SUBJECTS), arguments)
    model = Normalised(backbone)
    model.eval()
    count = scenes * (TIMES_FOR_PAIRS if one.kind == "pair" else 1)
    if one.control == "random_weights":
        count = 0
    elif one.architecture == "random_features":
        fit_head(model, *training_images(one, count), seed=one.seed)
    else:
        embedded = one.architecture not in BACKBONES
        start = f"embedded:classifiers/fair_{one.architecture}" if embedded else make_backbone(one.architecture, root)
        fair = load_classifier(str(start)).backbone.state_dict()
        own_head = {f"head.{name}": value for name, value in backbone.get_submodule("head").state_dict().items()}
        backbone.load_state_dict({**fair, **own_head})
        recipe = Recipe(architecture, 2e-3, DataRecipe(scenes=count), epochs=1.0, muon=True, seed=one.seed)
        fit(one.name, backbone, *training_images(one, count), recipe)
    card = {
        "specification": asdict(one),
        "pictures": count,
        "accuracy": accuracy(model, one, TEST_SCENES),
        "accuracy_fair_world": accuracy_on(model, World().sample(TEST_SCENES, one.seed)),
        "test_scenes": TEST_SCENES,
        "seconds": round(time.monotonic() - started),
        "seconds_of_one_core": round(time.process_time() - spent),
    }
    return backbone, card


def training_images(one: Specification, count: int) -> tuple[np.ndarray, Tensor]:
    """uint8 images `(count, 64, 64, 3)` and class indices `(count,)`."""
    pictures = training_pictures(one, count)
    return images_of(one, pictures, TRAINING_SEED_START + 1_000_000 * one.seed), indices_of(pictures)


def accuracy(model: nn.Module, one: Specification, count: int) -> float:
    """Share of pictures of the classifier's own world, none wrongly labelled, that get their class."""
    pictures = test_pictures(one, count)
    predicted = logits_of(model, images_of(one, pictures, HELD_OUT_SEED_START)).argmax(1)
    return float(np.mean(predicted == indices_of(pictures).numpy()))


def indices_of(pictures: Sequence[Picture]) -> Tensor:
    """Class indices `(N,)` of the labels."""
    return torch.tensor([SUBJECTS.index(picture.label) for picture in pictures])


def keep(name: str, backbone: nn.Module, architecture: Architecture, card: dict[str, Any], root: Path) -> None:
    """The folder `root / name`, whole or not at all: a folder under its own name is complete."""
    unfinished = root / ".unfinished"
    shutil.rmtree(unfinished / name, ignore_errors=True)
    shutil.rmtree(root / name, ignore_errors=True)
    save(name, backbone, *ARGUMENTS[architecture], card, unfinished)
    os.replace(unfinished / name, root / name)
    print(f"{name}: {json.dumps({k: v for k, v in card.items() if k != 'specification'})}", flush=True)


def make(one: Specification, root: Path, scenes: int | None = None) -> bool:
    """Train the classifier into its folder under `root`; False if it is there already.

    Args:
        one: the classifier.
        root: folder of the classifiers.
        scenes: training pictures; those of its architecture by default.
    """
    if (root / one.name / COMPLETE).is_file():
        return False
    backbone, card = train(one, root, scenes or SCENES[one.architecture])
    keep(one.name, backbone, one.architecture, card, root)
    return True


def main() -> None:
    """Train the classifiers named on the command line, those of the halves by default."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="name")
    parser.add_argument("--set", choices=SETS, default="halves", help="of classifiers, where none is named")
    parser.add_argument("--root", type=Path, default=ROOT, help="folder to write to")
    parser.add_argument("--shard", default="0/1", help="i/n: every n-th from the i-th on, for n processes")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for one in part(chosen(options.names, options.set), options.shard):
        make(one, options.root)


if __name__ == "__main__":
    main()
