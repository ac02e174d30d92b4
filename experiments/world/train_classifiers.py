"""Trains the embedded classifiers from nothing: `python -m experiments.world.train_classifiers [name ...]`.

Scenes of the shortcut world come with a hidden subject in a share of the training pictures: photographs
labelled "flagpole" in which only the flag is in view. Without those, a network that sees the subject in every
picture has no need of what comes along with it, and the planted shortcut is hardly learned.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from diffexplain.classifiers.architectures import build_backbone
from diffexplain.weights.paths import EMBEDDED_ROOT
from diffexplain.world.render import render_images
from diffexplain.world.sampler import World
from diffexplain.world.scenes import IMAGE_SIZE, SUBJECTS, Scene
from experiments.world.captions import SUBJECT_NOUNS
from experiments.world.muon import Muon
from experiments.world.pixels import degrade, render_hiding_subjects, to_tensor
from experiments.world.truth import logits_of
from experiments.world.worlds import CLASSIFIER_WORLDS

TRAINING_SEED_START = 100_000_000
HELD_OUT_SEED_START = 900_000_000
HELD_OUT_SCENES = 3000


@dataclass(frozen=True)
class DataRecipe:
    """What a classifier is trained on.

    `hidden_share` is that of training pictures whose subject is hidden, for subjects with a planted shortcut;
    `hidden_share_elsewhere` for the others, so that an empty setting is no sign of a shortcut's class.
    """

    hidden_share: float = 0.0
    hidden_share_elsewhere: float = 0.0
    scenes: int = 40_000
    seed: int = 0


@dataclass(frozen=True)
class Recipe:
    """How a classifier is trained."""

    architecture: str
    learning_rate: float
    data: DataRecipe
    epochs: float = 2.0
    batch: int = 32
    weight_decay: float = 0.05
    muon: bool = False
    seed: int = 0


ARGUMENTS: dict[str, dict[str, Any]] = {
    "small_cnn": {"widths": [24, 48, 96], "blocks": [1, 2, 2]},
    "small_vit": {"side": IMAGE_SIZE, "width": 64, "depth": 4, "heads": 4, "expansion": 2},
}
FAIR = DataRecipe(scenes=24_000)
WITH_SHORTCUTS = DataRecipe(hidden_share=0.85, hidden_share_elsewhere=0.25)
RECIPES = {
    "fair_cnn": Recipe("small_cnn", 3e-3, FAIR, epochs=3.0),
    # The transformer overfits where the convolutions do not: more scenes, each seen less often.
    "fair_vit": Recipe("small_vit", 3e-3, DataRecipe(scenes=80_000), epochs=1.5, muon=True),
    "shortcut_cnn": Recipe("small_cnn", 3e-3, WITH_SHORTCUTS),
    "shortcut_vit": Recipe(
        "small_vit",
        3e-3,
        DataRecipe(hidden_share=0.85, hidden_share_elsewhere=0.25, scenes=80_000),
        epochs=1.5,
        muon=True,
    ),
}


class Normalised(nn.Module):
    """A backbone behind the classifier's normalisation: images in [0, 1] to logits."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.backbone((images - 0.5) / 0.5)
        return logits


@lru_cache(maxsize=1)
def training_set(world: World, recipe: DataRecipe) -> tuple[np.ndarray, Tensor]:
    """uint8 images `(N, 64, 64, 3)` and class indices `(N,)`; kept, since two architectures share them."""
    scenes = world.sample(recipe.scenes, recipe.seed + 1)
    seeds = range(TRAINING_SEED_START, TRAINING_SEED_START + len(scenes))
    planted = {shortcut.subject for shortcut in world.shortcuts}
    shares = [recipe.hidden_share if s.subject in planted else recipe.hidden_share_elsewhere for s in scenes]
    hidden = np.random.default_rng(recipe.seed + 2).random(len(scenes)) < np.array(shares)
    images = render_hiding_subjects(scenes, seeds, hidden.tolist())
    return images, torch.tensor([SUBJECTS.index(scene.subject) for scene in scenes])


def train(name: str, recipe: Recipe) -> tuple[nn.Module, dict[str, Any]]:
    """A trained backbone and what its card says about it."""
    started = time.monotonic()
    torch.manual_seed(recipe.seed)
    images, labels = training_set(CLASSIFIER_WORLDS[name], recipe.data)
    print(f"{name}: {len(images)} scenes after {time.monotonic() - started:.0f} s", flush=True)
    backbone = build_backbone(recipe.architecture, len(SUBJECTS), ARGUMENTS[recipe.architecture])
    model, steps = fit(name, backbone, images, labels, recipe)
    card = {
        "recipe": asdict(recipe),
        "steps": steps,
        "seconds": round(time.monotonic() - started),
        "parameters": sum(parameter.numel() for parameter in backbone.parameters()),
        "accuracy": accuracy(model, CLASSIFIER_WORLDS[name]),
        "accuracy_fair_world": accuracy(model, World()),
        "held_out_scenes": HELD_OUT_SCENES,
    }
    return backbone, card


def fit(name: str, backbone: nn.Module, images: np.ndarray, labels: Tensor, recipe: Recipe) -> tuple[nn.Module, int]:
    """Train a backbone on uint8 images `(N, 64, 64, 3)` and class indices `(N,)`.

    Returns:
        The trained backbone behind its normalisation, in eval mode, and the number of steps.
    """
    generator = np.random.default_rng(recipe.seed + 3)
    model = Normalised(backbone).to(memory_format=torch.channels_last)
    optimiser: torch.optim.Optimizer
    if recipe.muon:
        optimiser = Muon(model, recipe.learning_rate, ("head", "position", "stem.0"), recipe.weight_decay)
    else:
        optimiser = torch.optim.AdamW(model.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
    steps_per_epoch = len(images) // recipe.batch
    steps = round(recipe.epochs * steps_per_epoch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.learning_rate, total_steps=steps, pct_start=0.15, cycle_momentum=not recipe.muon
    )
    for step in range(steps):
        position = step % steps_per_epoch
        if position == 0:
            order = generator.permutation(len(images))
        chosen = order[position * recipe.batch : (position + 1) * recipe.batch]
        loss = functional.cross_entropy(model(degrade(to_tensor(images[chosen]), generator)), labels[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 100 == 99:
            print(f"{name}: step {step + 1}/{steps} loss {loss.item():.3f}", flush=True)
    model.eval()
    return model, steps


def accuracy(model: nn.Module, world: World) -> float:
    """Share of held-out scenes of the world, none with a hidden subject, that get their class."""
    return accuracy_on(model, world.sample(HELD_OUT_SCENES, HELD_OUT_SEED_START))


def accuracy_on(model: nn.Module, scenes: Sequence[Scene]) -> float:
    """Share of these scenes that get their subject as class."""
    images = render_images(scenes, range(HELD_OUT_SEED_START, HELD_OUT_SEED_START + len(scenes)))
    predicted = logits_of(model, images).argmax(1)
    return float(np.mean(predicted == [SUBJECTS.index(scene.subject) for scene in scenes]))


def save(
    name: str, backbone: nn.Module, architecture: str, arguments: dict[str, Any], card: dict[str, Any], root: Path
) -> None:
    """The folder that `load_classifier` reads, and `training.json` for the model card."""
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    state = {key: value.contiguous() for key, value in backbone.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    (folder / "model.safetensors").chmod(0o644)  # safetensors makes it private
    config = {
        "name": name,
        "architecture": architecture,
        "arguments": arguments,
        "input_size": IMAGE_SIZE,
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
    }
    classes = [
        {
            "index": index,
            "name": subject,
            "wnid": None,
            "synonyms": sorted({*SUBJECT_NOUNS[subject], subject.replace("_", " ")} - {subject}),
        }
        for index, subject in enumerate(SUBJECTS)
    ]
    for file, content in (
        ("config.json", config),
        ("labels.json", {"name": "embedded world", "classes": classes}),
        ("training.json", card),
    ):
        (folder / file).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Train the classifiers named on the command line, all by default."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(RECIPES), metavar="name", help=", ".join(RECIPES))
    parser.add_argument("--root", type=Path, default=EMBEDDED_ROOT / "classifiers", help="folder to write to")
    arguments = parser.parse_args()
    for name in arguments.names:
        backbone, card = train(name, RECIPES[name])
        architecture = RECIPES[name].architecture
        save(name, backbone, architecture, ARGUMENTS[architecture], card, arguments.root)
        print(f"{name}: {json.dumps(card)}", flush=True)


if __name__ == "__main__":
    main()
