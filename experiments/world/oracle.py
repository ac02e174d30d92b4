"""The oracle: a probe that reads every attribute of a picture of the world, to grade the parts that draw it.

It is trained apart from all that it grades and takes no part in training or selecting it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from diffexplain.classifiers.architectures import ConvolutionBlock
from diffexplain.errors import UserError
from diffexplain.weights.paths import resolve_folder
from diffexplain.world.render import Rendering
from diffexplain.world.scenes import ATTRIBUTES, COMPANIONS, IMAGE_SIZE, Scene

WEIGHTS_FILE = "model.safetensors"
VISIBLE_PIXELS = 24
"""A companion of which fewer pixels show is hidden: neither its presence nor its absence is scored."""

QUESTIONS: dict[str, tuple[str, ...]] = {
    **ATTRIBUTES,
    **{f"companion:{kind}": ("absent", "present") for kind in COMPANIONS},
    **{f"subtype:{kind}": subtypes for kind, subtypes in COMPANIONS.items() if subtypes},
}
"""What the oracle answers, with the possible answers: "colour", "companion:flag", "subtype:flag", ..."""

Answers = dict[str, NDArray[np.int64]]
"""For each question, the index of the answer for each picture."""


class OracleNetwork(nn.Module):
    """Convolutions, pooled features beside a coarse map (for places), one linear head for each question."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            ConvolutionBlock(3, 32, stride=2),
            ConvolutionBlock(32, 64, stride=2),
            ConvolutionBlock(64, 64),
            ConvolutionBlock(64, 128, stride=2),
            ConvolutionBlock(128, 128),
            ConvolutionBlock(128, 128),
        )
        self.map = nn.Sequential(nn.Conv2d(128, 16, 1), nn.ReLU())
        self.mixed = nn.Sequential(nn.Linear(256 + 16 * (IMAGE_SIZE // 8) ** 2, 256), nn.ReLU())
        self.heads = nn.Linear(256, sum(len(answers) for answers in QUESTIONS.values()))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """`(B, 3, 64, 64)` in [0, 1] to logits `(B, answers)` for each question."""
        features = self.trunk((images - 0.5) / 0.5)
        pooled = [features.mean(dim=(2, 3)), features.amax(dim=(2, 3)), self.map(features).flatten(1)]
        logits = self.heads(self.mixed(torch.cat(pooled, dim=1)))
        parts = logits.split([len(answers) for answers in QUESTIONS.values()], dim=1)
        return dict(zip(QUESTIONS, parts, strict=True))


def load_oracle(folder: str = "embedded:oracle") -> OracleNetwork:
    """The trained oracle, in float32 and eval mode.

    Raises:
        UserError: its folder or weights are missing.
    """
    path = Path(resolve_folder(folder)) / WEIGHTS_FILE
    if not path.is_file():
        raise UserError(f"The oracle's weights are missing: {path}")
    oracle = OracleNetwork()
    oracle.load_state_dict({name: value.float() for name, value in load_file(path).items()}, strict=False)
    return oracle.eval().requires_grad_(False)


@torch.no_grad()
def read(oracle: OracleNetwork, images: Tensor, batch: int = 256) -> Answers:
    """The oracle's answers about pictures `(B, 3, 64, 64)` in [0, 1]."""
    parts = [oracle(chunk) for chunk in images.split(batch)]
    return {
        name: torch.cat([part[name] for part in parts]).argmax(dim=1).numpy().astype(np.int64) for name in QUESTIONS
    }


def true_answers(scene: Scene) -> dict[str, int]:
    """The answers that the record gives; a sub-type only of a companion that is there."""
    answers = {name: values.index(getattr(scene, name)) for name, values in ATTRIBUTES.items()}
    answers.update({f"companion:{kind}": int(scene.has(kind)) for kind in COMPANIONS})
    for companion in scene.companions:
        if companion.subtype:
            answers[f"subtype:{companion.kind}"] = COMPANIONS[companion.kind].index(companion.subtype)
    return answers


def visible_questions(scene: Scene, rendering: Rendering) -> set[str]:
    """The questions that the picture can answer: not those about a companion that is hidden."""
    hidden = {
        companion.kind for companion in scene.companions if rendering.masks[companion.kind].sum() < VISIBLE_PIXELS
    }
    return {name for name in true_answers(scene) if name.partition(":")[2] not in hidden}


def score(answers: Answers, scenes: Sequence[Scene], asked: Sequence[set[str]]) -> Mapping[str, tuple[int, int]]:
    """How often the oracle agrees with the records: for each question (right, asked).

    Args:
        answers: of the oracle, about one picture for each scene.
        scenes: the records.
        asked: for each scene, the questions to score.
    """
    right = dict.fromkeys(QUESTIONS, 0)
    total = dict.fromkeys(QUESTIONS, 0)
    for index, (scene, questions) in enumerate(zip(scenes, asked, strict=True)):
        truth = true_answers(scene)
        for name in questions & truth.keys():
            right[name] += int(answers[name][index]) == truth[name]
            total[name] += 1
    return {name: (right[name], total[name]) for name in QUESTIONS}
