"""A world of flat boxes in which every answer is known: prior, classifier and segmenter in a few lines each.

A picture is 32 x 32: a background colour (snow, or grass), a grey pole with a blue cap, a red flag beside
it (striped: crimson), a green tree at the other side, fog or rain at the top. A condition holds, for each word, the
chance that the prior draws it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from diffexplain.concepts.vocabulary import Phrase, Vocabulary
from diffexplain.evaluation.evaluation import evaluate
from diffexplain.evaluation.results import Evaluation
from diffexplain.evaluation.settings import EvaluationSettings
from diffexplain.runs.draws import Draws
from diffexplain.segmentation import Calibration
from diffexplain.target import ResolvedTarget

SIZE = 32
Weigh = Callable[[Callable[[str], Tensor]], Tensor]
"""The logit of the first class, from how much of a word an image shows."""
COLOURS = {
    "in the snow": (1.0, 1.0, 1.0),
    "on the grass": (0.2, 0.5, 0.1),
    "by the sea": (0.0, 0.0, 0.5),
    "a pole": (0.5, 0.5, 0.5),
    "a cap": (0.0, 0.0, 1.0),
    "a flag": (1.0, 0.0, 0.0),
    "a striped flag": (0.8, 0.0, 0.2),
    "a tree": (0.0, 1.0, 0.0),
    "in fog": (0.9, 0.8, 0.8),
    "in the rain": (0.3, 0.3, 0.6),
}
WORDS = tuple(COLOURS)
BOXES = {  # rows, columns
    "a pole": (slice(4, 30), slice(14, 18)),
    "a cap": (slice(4, 10), slice(14, 18)),
    "a flag": (slice(6, 16), slice(18, 28)),
    "a striped flag": (slice(6, 16), slice(18, 28)),
    "a tree": (slice(12, 30), slice(2, 10)),
    "in fog": (slice(0, 3), slice(None)),
    "in the rain": (slice(0, 3), slice(None)),
}
INCLUDED = {"a pole": ("a pole", "a cap"), "a flag": ("a flag", "a striped flag")}
VOCABULARY = Vocabulary(
    (
        Phrase("a pole"),
        Phrase("a cap", companion=True),
        Phrase("a flag", companion=True),
        Phrase("a striped flag", "sub-type", of="a flag", companion=True),
        Phrase("a plain flag", "sub-type", of="a flag", companion=True, caption="a flag"),
        Phrase("a tree", companion=True),
        Phrase("in the snow", "setting"),
        Phrase("on the grass", "setting"),
        Phrase("by the sea", "setting"),
    )
)
POLE = ResolvedTarget(kind="class", text="class:pole", slug="class-pole", class_index=0, class_name="pole")


def condition(chances: Mapping[str, float]) -> Tensor:
    """(1, 1, words): the chance of each word."""
    return torch.tensor([[[chances.get(word, 0.0) for word in WORDS]]])


@dataclass
class Prior:
    """Draws boxes."""

    latent_shape: tuple[int, int, int] = (1, 2, len(WORDS))
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    asked: list[str] = field(default_factory=list)

    def generate(self, prompts: Sequence[str] | Tensor, latents: Tensor) -> Tensor:
        chances = self._chances(prompts).expand(len(latents), -1, -1)[:, 0]
        lots = torch.special.ndtr(latents[:, 0, 0])
        return torch.stack([self._draw(lot < chance) for lot, chance in zip(lots, chances, strict=True)])

    def _chances(self, prompts: Sequence[str] | Tensor) -> Tensor:
        if isinstance(prompts, Tensor):
            return prompts
        self.asked += prompts
        return torch.cat([condition({word: float(word in text) for word in WORDS}) for text in prompts])

    def _draw(self, drawn: Tensor) -> Tensor:
        image = torch.full((3, SIZE, SIZE), 0.7)
        for word, there in zip(WORDS, drawn.tolist(), strict=True):
            if there:
                rows, columns = BOXES.get(word, (slice(None), slice(None)))
                image[:, rows, columns] = torch.tensor(COLOURS[word]).view(3, 1, 1)
        return image


def pixels(images: Tensor, word: str) -> Tensor:
    """(B, H, W) bool: pixels in the word's colour."""
    distance = (images - torch.tensor(COLOURS[word]).view(1, 3, 1, 1)).abs().amax(dim=1)
    return distance < 0.05


@dataclass
class Segmenter:
    """Sees colours; "a pole" includes its cap, "a flag" the striped one."""

    calibration: Calibration = field(default_factory=Calibration)

    def masks(self, images: Tensor, phrases: Sequence[str]) -> Tensor:
        empty = torch.zeros(len(images), SIZE, SIZE, dtype=torch.bool)
        planes = []
        for phrase in phrases:
            plane = empty
            for word in INCLUDED.get(phrase, (phrase,)):
                plane = plane | (pixels(images, word) if word in COLOURS else empty)
            planes.append(plane)
        return torch.stack(planes, dim=1).float()

    def similarity(self, images: Tensor, phrases: Sequence[str]) -> Tensor:
        """How many of the words in a phrase are seen in the image."""
        seen = {word: pixels(images, word).any(dim=(-2, -1)).float() for word in COLOURS}
        nothing = torch.zeros(len(images))
        return torch.stack([sum((seen[w] for w in COLOURS if w in text), nothing) for text in phrases], dim=1)


@dataclass
class Classifier:
    """Two classes; the first one's logit is ``weigh`` of the presence of each word in the image."""

    weigh: Weigh
    exclusive: bool = True

    def __call__(self, images: Tensor) -> Tensor:
        logit = self.weigh(lambda word: self._share(images, word))
        return torch.stack([logit, -logit], dim=1)

    def activation(self, images: Tensor, module: str, channel: int) -> Tensor:
        return self._share(images, WORDS[channel])

    def _share(self, images: Tensor, word: str) -> Tensor:
        return pixels(images, word).float().mean(dim=(-2, -1))


SETTINGS = EvaluationSettings(
    images=40,
    random_images=6,
    batch_size=16,
    candidates=3,
    pairs_of_phrases=2,
    choosing_images=4,
    rescoring_images=8,
    looked_images=40,
    resamples=200,
)
EVERYTHING = {"a pole": 1.0, "a cap": 1.0, "a flag": 0.9, "a tree": 0.6, "in the snow": 1.0}


def run(
    weigh: Weigh,
    chances: Mapping[str, float] = EVERYTHING,
    *,
    words: Sequence[Sequence[str]] = (("flag", "tree"), ("pole",)),
    prior: Prior | None = None,
    target: ResolvedTarget = POLE,
    vocabulary: Vocabulary = VOCABULARY,
    settings: EvaluationSettings = SETTINGS,
    seed: int = 0,
    **more: Any,
) -> Evaluation:
    """The evaluation of a prompt that draws ``chances``; ``more`` as `evaluate` takes it."""
    parts = (Classifier(weigh), prior or Prior(), Segmenter(), vocabulary)
    return evaluate(condition(chances), words, target, *parts, settings, Draws(seed, target.text), **more)


def answers_to_pole(there: Callable[[str], Tensor]) -> Tensor:
    return 200 * there("a pole") - 5


def answers_to_flag(there: Callable[[str], Tensor]) -> Tensor:
    return 200 * there("a flag") - 2
