"""Parts that a run can be made of in a second, named by the configuration in ``tests/conf``.

The boxes of ``tests.evaluation.toy`` with an explainer that knows the answer, or fails as it is told.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from tests.evaluation import toy
from torch import Tensor, nn

import diffexplain
from diffexplain.classifiers import Classifier, Preprocessing
from diffexplain.classifiers.labels import find_labels
from diffexplain.editing import Composition, Paired, Prepared, State
from diffexplain.errors import RetryableError, UserError
from diffexplain.memory import MicroBatches
from diffexplain.prompts.soft_prompt import Word
from diffexplain.runs.run import Run
from diffexplain.target import ResolvedTarget

ACCIDENT = "DIFFEXPLAIN_TEST_ACCIDENT"
"""Environment variable: a kind of `accident` and, perhaps, the class that it happens to."""


class Boxes(nn.Module):
    """The toy's answers; to the third class nothing speaks."""

    def __init__(self, weigh: toy.Weigh) -> None:
        super().__init__()
        self.toy = toy.Classifier(weigh)

    def forward(self, images: Tensor) -> Tensor:
        answers = self.toy(images)
        return torch.cat([answers, answers.amin(dim=1, keepdim=True) - 100], dim=1)


class ManyBoxes(nn.Module):
    """Any number of classes: by turns, the flag speaks for them, the tree, or nothing does."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.turns = [place % 3 for place in range(classes)]

    def forward(self, images: Tensor) -> Tensor:
        shares = [toy.pixels(images, word).float().mean(dim=(-2, -1)) for word in ("a flag", "a tree")]
        answers = torch.stack([*(60 * share - 4 for share in shares), torch.zeros(len(images))], dim=1)
        return answers[:, self.turns]


def classifier(weigh: toy.Weigh) -> Classifier:
    """A classifier of the boxes' classes, which sees the pixels as they are."""
    return seeing_pixels(Boxes(weigh), "tests/conf/labels.json")


def seeing_pixels(network: nn.Module, labels: str) -> Classifier:
    """A classifier that sees the pixels as they are."""
    pixels = Preprocessing((toy.SIZE, toy.SIZE), mean=[0.0] * 3, std=[1.0] * 3, bytes_between=False)
    return Classifier(network, find_labels(labels, command=""), "pretend", pixels)


class Prior(toy.Prior):
    """The toy's, with what a summary says about a prior and the memory that it generates in."""

    image_size = (toy.SIZE, toy.SIZE)
    steps = 1
    guidance = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.without_gradient = MicroBatches(8, "diffusion.micro_batch")

    def to(self, device: Any) -> Prior:
        return self


class Segmenter(toy.Segmenter):
    """The toy's, on the only device that there is."""

    def to(self, device: Any) -> Segmenter:
        return self

    def similarity(self, images: Tensor, phrases: Sequence[str]) -> Tensor:
        words = [next((word for word in toy.COLOURS if phrase.endswith(word)), phrase) for phrase in phrases]
        return self.masks(images, words).mean(dim=(-2, -1))


def load_classifier() -> Classifier:
    return classifier(lambda share: 60 * share("a flag") - 4)


def load_other() -> Classifier:
    return classifier(lambda share: 60 * share("a tree") - 4)


def load_many(labels: str) -> Classifier:
    """As many classes as a file has names."""
    return seeing_pixels(ManyBoxes(len(find_labels(labels, command=""))), labels)


def load_prior() -> Prior:
    return Prior()


def load_segmenter() -> Segmenter:
    return Segmenter()


@dataclass
class Explainer:
    """Says that the flag does it, after ``steps`` lines of metrics; or has the accident in ``ACCIDENT``."""

    prompt: Any
    steps: int = 3

    def explain(self, target: ResolvedTarget, classifier: Any, prior: Any, run: Run, **others: Any) -> SimpleNamespace:
        happens_to(f"a {target.class_name}")
        run.write_text("metrics.jsonl", "".join(f'{{"step": {n}, "score": 0.5}}\n' for n in range(self.steps)))
        return SimpleNamespace(
            condition=toy.condition({"a pole": 0.5, "a flag": 0.9, "a tree": 0.5}),
            words=((Word("flag", 0.9),),),
            steps=self.steps,
            best_step=self.steps - 1,
            stopped_early=False,
            curve=(),
        )


class Editor(Paired):
    """Draws the boxes that a description names; has its accident after ``patience`` images."""

    patience = 30

    def __init__(self, prior: Prior) -> None:
        self.boxes, self.made = prior, 0
        self.prior: Any = prior
        self.stated, self.companion_share = 1, 0.5

    @property
    def evaluations(self) -> int:
        return self.made

    def check(self, composition: Composition, changes: int) -> None:
        """Any description will do."""

    def edit(self, prepared: Prepared, places: Sequence[int], states: Sequence[State]) -> Tensor:
        composition, noise, *_ = prepared.kept
        if self.made > self.patience:
            happens_to(composition.subject)
        self.made += len(places)
        return self.boxes.generate([composition.sentence(state) for state in states], noise[list(places)])

    def exchange(self, prepared: Prepared, places: Sequence[int], subjects: Sequence[str]) -> Tensor:
        composition, noise, *_ = prepared.kept
        self.made += len(places)
        others = [Composition(composition.hierarchy, subject, composition.opening) for subject in subjects]
        states = [prepared.states[place] for place in places]
        sentences = [other.sentence(state) for other, state in zip(others, states, strict=True)]
        return self.boxes.generate(sentences, noise[list(places)])


def explain_until_killed(settings: Sequence[str]) -> None:
    """Make the run in a child process that has the worst accident."""
    child = os.fork()
    if child == 0:
        os.environ[ACCIDENT] = "SIGKILL"
        try:
            diffexplain.explain(*settings)
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL


def happens_to(subject: str) -> None:
    """The accident in ``ACCIDENT``, if it is this class's, given as a noun phrase."""
    kind, _, victim = os.environ.get(ACCIDENT, "").partition(" ")
    if kind and (not victim or subject == f"a {victim}"):
        accident(kind)


def accident(kind: str) -> None:
    """What can happen to a run."""
    match kind:
        case "user":
            raise UserError("the user was wrong")
        case "retry":
            raise RetryableError("the disk was full")
        case "bug":
            raise ZeroDivisionError("a bug")
        case "exit":
            raise SystemExit(1)
        case "exit0":
            raise SystemExit(0)
        case "exit3":
            raise SystemExit(3)
        case "interrupt":
            raise KeyboardInterrupt
        case name:
            os.kill(os.getpid(), signal.Signals[name])
