"""Trains the classifiers of the benchmark: `python experiments/shortcut_bench/train.py [name ...]`.

Convolutional networks and transformers start from the embedded fair classifier of their kind, with a new head: it
has learned the shapes, which takes longest, and what is planted is learned in one pass over a few thousand pictures.
Random features start from nothing and only their head is trained.

The same command goes on where it stopped: a classifier whose folder is complete is not made again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

sys.path.append(str(Path(__file__).parents[1] / "world"))  # the recipes of the embedded classifiers

from pictures import Picture, test_scenes, training_pictures
from random_features import fit_head
from specification import ROOT, Architecture, Specification, chosen
from train_classifiers import ARGUMENTS as EMBEDDED_ARGUMENTS
from train_classifiers import DataRecipe, Normalised, Recipe, accuracy_on, fit, save

from diffexplain.classifiers import load_classifier
from diffexplain.classifiers.architectures import build_backbone
from diffexplain.world.render import render_images
from diffexplain.world.sampler import World
from diffexplain.world.scenes import SUBJECTS

TRAINING_SEED_START = 2_000_000_000
TEST_SCENES = 1000
COMPLETE = "training.json"
"""Written last."""

ARGUMENTS: dict[Architecture, tuple[str, dict[str, Any]]] = {
    "cnn": ("small_cnn", EMBEDDED_ARGUMENTS["small_cnn"]),
    "vit": ("small_vit", EMBEDDED_ARGUMENTS["small_vit"]),
    "random_features": ("small_cnn", {"widths": [32, 64, 128, 2048], "blocks": [1, 1, 1, 1]}),
}
SCENES: dict[Architecture, int] = {"cnn": 12_000, "vit": 12_000, "random_features": 20_000}
TIMES_FOR_PAIRS = 2
"""That two things count only together takes longer to learn."""


def train(one: Specification, scenes: int) -> tuple[nn.Module, dict[str, Any]]:
    """A backbone with the weights of this classifier, and what is worth knowing of it.

    Args:
        one: the classifier.
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
        fit_head(model, *rendered(training_pictures(one, count), one.seed), seed=one.seed)
    else:
        fair = load_classifier(f"embedded:classifiers/fair_{one.architecture}").backbone.state_dict()
        own_head = {f"head.{name}": value for name, value in backbone.get_submodule("head").state_dict().items()}
        backbone.load_state_dict({**fair, **own_head})
        recipe = Recipe(architecture, 2e-3, DataRecipe(scenes=count), epochs=1.0, muon=True, seed=one.seed)
        fit(one.name, backbone, *rendered(training_pictures(one, count), one.seed), recipe)
    card = {
        "specification": asdict(one),
        "pictures": count,
        "accuracy": accuracy_on(model, test_scenes(one, TEST_SCENES)),
        "accuracy_fair_world": accuracy_on(model, World().sample(TEST_SCENES, one.seed)),
        "test_scenes": TEST_SCENES,
        "seconds": round(time.monotonic() - started),
        "seconds_of_one_core": round(time.process_time() - spent),
    }
    return backbone, card


def rendered(pictures: Sequence[Picture], seed: int) -> tuple[np.ndarray, Tensor]:
    """uint8 images `(N, 64, 64, 3)` and class indices `(N,)`."""
    first = TRAINING_SEED_START + 1_000_000 * seed
    images = render_images([picture.scene for picture in pictures], range(first, first + len(pictures)))
    return images, torch.tensor([SUBJECTS.index(picture.label) for picture in pictures])


def make(one: Specification, root: Path, scenes: int | None = None) -> bool:
    """Train the classifier into its folder under `root`; False if it is there already.

    Args:
        one: the classifier.
        root: folder of the classifiers.
        scenes: training pictures; those of its architecture by default.
    """
    folder = root / one.name
    if (folder / COMPLETE).is_file():
        return False
    backbone, card = train(one, scenes or SCENES[one.architecture])
    # Whole or not at all: a folder under its own name is complete.
    unfinished = root / ".unfinished"
    shutil.rmtree(unfinished / one.name, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    save(one.name, backbone, *ARGUMENTS[one.architecture], card, unfinished)
    os.replace(unfinished / one.name, folder)
    print(f"{one.name}: {json.dumps({k: v for k, v in card.items() if k != 'specification'})}", flush=True)
    return True


def main() -> None:
    """Train the classifiers named on the command line, all by default."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="name")
    parser.add_argument("--root", type=Path, default=ROOT, help="folder to write to")
    parser.add_argument("--shard", default="0/1", help="i/n: every n-th from the i-th on, for n processes")
    options = parser.parse_args()
    shard, shards = map(int, options.shard.split("/"))
    if not 0 <= shard < shards:
        parser.error(f"--shard {options.shard}: i counts from 0 and is less than n")
    torch.set_num_threads(1)
    for one in chosen(options.names)[shard::shards]:
        make(one, options.root)


if __name__ == "__main__":
    main()
