"""A run on the tiny pipeline, started as the application starts it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tests.tiny import WORDS, TinyClassifier, tiny_prior

from diffexplain.diffusion import MemorySettings, Prior
from diffexplain.diffusion.gradients import GradientEstimator
from diffexplain.explainers import DiffExplainer, Explanation, TrainerSettings
from diffexplain.explainers.augmentation import Augmentation
from diffexplain.explainers.screening import Beginning
from diffexplain.prompts import ConstrainedPrompt
from diffexplain.runs.run import Run
from diffexplain.target import ResolvedTarget

BEE = ResolvedTarget("class", "class:bee", "class-bee", class_index=1, class_name="bee")
GREEN = ResolvedTarget("unit", "unit:colours:1", "unit", module="colours", channel=1)
QUIET = TrainerSettings(accelerator="cpu", progress="none")


def run_in(directory: Path, target: ResolvedTarget = BEE) -> Run:
    """An unclaimed run in ``directory``."""
    directory.mkdir(parents=True, exist_ok=True)
    return Run(directory, {"seed": 0}, target.text)


def explainer(prompt: Any = ConstrainedPrompt, **settings: Any) -> DiffExplainer:
    """Few steps on few images; the learning rate is such that they move something."""
    defaults: dict[str, Any] = {
        "steps": 6,
        "batch": 2,
        "screening_images": 0,
        "stop_at": None,
        "window": 2,
        "checkpoint_every": 2,
        "image_every": 3,
    }
    return DiffExplainer(partial(prompt, tokens=2, learning_rate=0.5), **(defaults | settings))


def explain(
    directory: Path,
    method: DiffExplainer | None = None,
    *,
    target: ResolvedTarget = BEE,
    classifier: Any = None,
    prior: Prior | None = None,
    augmentation: Augmentation | None = None,
    gradient: GradientEstimator | None = None,
    beginning: Beginning | None = None,
    memory: MemorySettings | None = None,
    trainer: TrainerSettings = QUIET,
    loggers: Sequence[Any] = (),
) -> Explanation:
    """Explain ``target`` in ``directory``, from the start or from where the run there stopped."""
    return (method or explainer()).explain(
        target,
        classifier or TinyClassifier(),
        prior or tiny_prior(steps=1),
        run_in(directory, target),
        vocabulary=WORDS,
        beginning=beginning,
        augmentation=augmentation,
        gradient=gradient,
        memory=memory,
        trainer=trainer,
        loggers=loggers,
    )


def artefacts(directory: Path) -> dict[str, bytes]:
    """All files of a run but its checkpoints."""
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and "checkpoints" not in path.parts
    }
