"""A world in which every effect is known: one pixel for each concept, lit where the image shows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffexplain.concepts import Concept, Hierarchy
from diffexplain.editing import Composition, Prepared, State
from diffexplain.editing.checks import SUBJECT
from diffexplain.editing.composition import Path
from diffexplain.effects.bank import Bank
from diffexplain.effects.engine import Engine, Studied
from diffexplain.effects.estimation import PriorError
from diffexplain.effects.population import Population
from diffexplain.effects.results import EffectsResult
from diffexplain.runs.draws import Draws
from diffexplain.runs.run import Run
from diffexplain.target import ResolvedTarget

FLAG, STRIPED, PLAIN = ("companion", "flag"), ("companion", "flag", "striped"), ("companion", "flag", "plain")
TREE, DOG = ("companion", "tree"), ("companion", "dog")
SNOW, GRASS, SEA = ("setting", "snow"), ("setting", "grass"), ("setting", "sea")
RED, BLUE = ("colour", "red"), ("colour", "blue")
PLACES: dict[Path, int] = {
    path: place for place, path in enumerate([FLAG, STRIPED, PLAIN, TREE, DOG, SNOW, GRASS, SEA, RED, BLUE])
}
HIERARCHY = Hierarchy(
    "a flagpole",
    (
        Concept(
            "companion",
            "",
            "object",
            (
                Concept(
                    "flag",
                    "a flag",
                    "object",
                    (Concept("striped", "a striped flag", "attribute"), Concept("plain", "a plain flag", "attribute")),
                ),
                Concept("tree", "a tree", "object"),
                Concept("dog", "a dog", "object"),
            ),
        ),
        Concept(
            "setting",
            "",
            "setting",
            (
                Concept("snow", "in the snow", "setting"),
                Concept("grass", "on the grass", "setting"),
                Concept("sea", "by the sea", "setting"),
            ),
        ),
        Concept("colour", "", "attribute", (Concept("red", "red", "attribute"), Concept("blue", "blue", "attribute"))),
    ),
)
POLE = ResolvedTarget("class", "class:flagpole", "class-flagpole", class_index=0, class_name="flagpole")
BASE = frozenset({GRASS, BLUE})


@dataclass
class Editor:
    """Lights the pixels of a state; costs one evaluation an image. ``stubborn`` concepts are never drawn."""

    bases: Sequence[State] = (BASE,)
    stubborn: Sequence[Path] = ()
    spill: float = 0.0
    evaluations: int = 0
    asked: list[tuple[int, State]] = field(default_factory=list)
    stop_after: int | None = None

    def check(self, composition: Composition, changes: int) -> None:
        pass

    def prepare(
        self,
        composition: Composition,
        draws: Draws,
        indices: Sequence[int],
        images: Tensor | None = None,
        states: Sequence[State] | None = None,
    ) -> Prepared:
        found = states or [self.bases[index % len(self.bases)] for index in indices]
        self.evaluations += len(indices)
        null = torch.stack([self._draw(state) for state in found]) if images is None else images
        return Prepared(tuple(indices), null, tuple(found))

    def edit(self, prepared: Prepared, places: Sequence[int], states: Sequence[State]) -> Tensor:
        if self.stop_after is not None and len(self.asked) >= self.stop_after:
            raise KeyboardInterrupt
        self.asked += [(prepared.indices[place], state) for place, state in zip(places, states, strict=True)]
        self.evaluations += len(places)
        drawn = torch.stack([self._draw(state) for state in states])
        drawn[:, 1] += self.spill
        return drawn

    def _draw(self, state: State) -> Tensor:
        image = torch.zeros(3, 4, 4)
        for path, place in PLACES.items():
            lit = any(other[: len(path)] == path for other in state)
            image[0].view(-1)[place] = float(lit and path not in self.stubborn)
        return image


@dataclass
class Classifier:
    """The class's logit is what ``weigh`` makes of the presence of each concept; the other class's is 0."""

    weigh: Callable[[Callable[[Path], Tensor]], Tensor]
    exclusive: bool = True

    def __call__(self, images: Tensor) -> Tensor:
        logit = self.weigh(lambda path: images[:, 0].flatten(1)[:, PLACES[path]])
        return torch.stack([logit, torch.zeros_like(logit)], dim=1)

    def activation(self, images: Tensor, module: str, channel: int) -> Tensor:
        return images[:, 0].flatten(1)[:, channel]


FIRST = Classifier(lambda shows: 2 * shows(FLAG) - 2 * shows(SNOW))
SECOND = Classifier(lambda shows: 2 * shows(DOG) + 2 * shows(RED) - 1)
"""Two that answer to different things."""
BASES = (BASE, frozenset({SNOW, RED}), frozenset({FLAG}))


class Checks:
    """Reads the pixels."""

    def look(self, composition: Composition, images: Tensor, masked: Sequence[Path], similar: Sequence[Path]) -> Seen:
        return Seen(images, [SUBJECT, *similar] if similar else [])


@dataclass
class Seen:
    """What is lit."""

    images: Tensor
    similar: Sequence[Path]

    def rows(self, places: Sequence[int]) -> Seen:
        return Seen(self.images[list(places)], self.similar)

    def seen(self, path: Path) -> NDArray[np.bool_]:
        return self.images[:, 0].flatten(1)[:, PLACES[path]].numpy() > 0.5

    def inside(self, path: Path) -> NDArray[np.float64]:
        """A dog is drawn inside the subject, everything else beside it."""
        return np.where(self.seen(path), 0.9 if path == DOG else 0.1, np.nan)

    def fits(self, place: int) -> dict[Path, float]:
        lit = self.images[place, 0].flatten().double().numpy()
        return {path: float(lit[PLACES[path]]) if path else 0.5 for path in self.similar}

    def strayed(self, before: Seen, paths: Sequence[Path]) -> NDArray[np.float64]:
        return (self.images[:, 1] - before.images[:, 1]).abs().mean(dim=(1, 2)).double().numpy()


@dataclass
class Exchanging(Editor):
    """Puts another object in the subject's place, too: a pixel of its own then goes dark."""

    def prepare(self, *arguments: Any, **named: Any) -> Prepared:
        prepared = super().prepare(*arguments, **named)
        prepared.null[:, 2] = 1.0
        return prepared

    def edit(self, prepared: Prepared, places: Sequence[int], states: Sequence[State]) -> Tensor:
        drawn = super().edit(prepared, places, states)
        drawn[:, 2] = 1.0
        return drawn

    def exchange(self, prepared: Prepared, places: Sequence[int], subjects: Sequence[str]) -> Tensor:
        self.evaluations += len(places)
        drawn = prepared.null[list(places)].clone()
        drawn[:, 2] = 0.0
        return drawn


def population_of(
    directory: FilePath,
    *classifiers: Any,
    editor: Any = None,
    target: ResolvedTarget = POLE,
    checks: Any = None,
    given: Tensor | None = None,
    others: Sequence[str] = ("a bee", "a kite"),
    control: Any = None,
    largest: int = 1,
    neutral: Tensor | None = None,
    bank: Bank | None = None,
    **settings: Any,
) -> tuple[Population, list[Studied], Engine]:
    """This world's images, whom they are shown to, and the engine with these ``settings``."""
    engine = Engine(**({"policy": "uniform", "images": 12, "chunk": 4, "resamples": 200} | settings))
    studied = [Studied(f"classifier {k}", one, target) for k, one in enumerate(classifiers)]
    if control is not None:
        studied.append(Studied("control", control, target, control=True))
    population = engine.population(
        studied,
        editor or Editor(),
        HIERARCHY,
        run_in(directory),
        largest=largest,
        checks=checks,
        images=given,
        others=others,
        neutral=neutral,
        bank=bank,
    )
    return population, studied, engine


def effects_of(
    directory: FilePath, *classifiers: Any, method: Any, error: PriorError | None = None, **settings: Any
) -> EffectsResult:
    """What ``method`` finds in this world; ``settings`` as `population_of` takes them."""
    population, studied, engine = population_of(directory, *classifiers, largest=method.together, **settings)
    result: EffectsResult = method.rank(population, studied, engine, error)
    return result


def run_in(directory: FilePath) -> Run:
    """An unclaimed run in ``directory``."""
    directory.mkdir(parents=True, exist_ok=True)
    return Run(directory, {"seed": 0}, POLE.text)


def bytes_of(directory: FilePath) -> dict[str, Any]:
    """Every file of a run."""
    return {path.name: path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()}
