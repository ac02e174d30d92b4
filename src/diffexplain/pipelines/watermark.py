"""What a watermark does to every class of a classifier, on photographs of a folder: an effect whose answer is known.

Many networks that learned ImageNet take a watermark for a carton (ImageNet-W: Li et al., arXiv 2212.04825). A mark
drawn here is laid over each photograph, and the engine of effects says how far that moves each class. Of the
photographs nothing is kept but numbers.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from torch import Tensor

from diffexplain.classifiers import Classifier
from diffexplain.concepts import Concept, Hierarchy
from diffexplain.config import configuration
from diffexplain.config.digests import digest, listing, mark
from diffexplain.editing.watermark import MARKS, OPACITY, Overlay
from diffexplain.effects.engine import Engine, Studied
from diffexplain.effects.estimation import Differences, estimate_effects
from diffexplain.effects.population import Images
from diffexplain.effects.results import Effect
from diffexplain.errors import UserError
from diffexplain.pipelines import photographs
from diffexplain.pipelines.parts import Parts
from diffexplain.runs.draws import Draws
from diffexplain.runs.machine import torch_session
from diffexplain.statistics.estimates import Estimate
from diffexplain.target import Labels, ResolvedTarget, Target
from diffexplain.weights.atomic import write_json

KNOWN = ("carton", "n02971356")
"""The class that rises, by its name and its WordNet id."""
USUAL = "classifier=efficientnet_lite0"
"""Where no classifier is named."""
SIDE = 256
"""Of the photographs' middle, in pixels."""
MOST = 1000
AT_ONCE = 25
SHOWN = 8
"""Classes of each table."""
HEAD = ("", "| place | class | probability | log-odds |", "|---|---|---|---|")
PATH = ("a watermark",)
HIERARCHY = Hierarchy("a photograph", (Concept("a watermark", "a watermark", "object"),))


@dataclass(frozen=True)
class Files:
    """Where the engine keeps its records for as long as it works."""

    directory: Path
    draws: Draws

    def write_json(self, name: str, value: Any) -> Path:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, value)
        return path


class Once:
    """A classifier that is asked about the same pictures for one class after another, and reads them once."""

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier
        self.exclusive, self.name, self.activation = classifier.exclusive, classifier.name, classifier.activation
        self._read: Tensor | None = None
        self._answer: Tensor | None = None

    def __call__(self, images: Tensor) -> Tensor:
        before = self._read
        if before is None or before.shape != images.shape or before.data_ptr() != images.data_ptr():
            self._read, self._answer = images, self.classifier(images)
        assert self._answer is not None
        return self._answer


def effects(classifier: Classifier, targets: Sequence[ResolvedTarget], images: Tensor, cover: Tensor) -> list[Effect]:
    """Of the mark, on each of the targets; all of them are one family of tests.

    Args:
        classifier: asked.
        targets: classes of its.
        images: (N, 3, H, W) in [0, 1].
        cover: the mark, (H, W).
    """
    engine, whole = Engine(policy="uniform", images=len(images), chunk=AT_ONCE, batch_size=AT_ONCE), range(len(images))
    once = cast(Classifier, Once(classifier))
    studied = [Studied(target.text, once, target) for target in targets]
    with tempfile.TemporaryDirectory() as folder:
        files = Files(Path(folder), Draws(0, "watermark"))
        population = engine.population(studied, Overlay(cover), HIERARCHY, files, images=images)
        population.start(len(images))
        those = Images(whole, tested=True, rivals=len(images))
        pairs: dict[tuple[str, ...], Differences] = {
            (target.text,): engine.pairs(population, who, PATH, those) for who, target in enumerate(targets)
        }
    return list(estimate_effects(pairs, engine.margin, engine.significance).values())


def found_in(folder: str, *overrides: str) -> list[str]:
    """What each mark does to a classifier on a folder's photographs, as lines of Markdown.

    Raises:
        UserError: the overrides are not understood, too few photographs can be used, or the classifier cannot be
            had.
    """
    if "=" in folder:
        raise UserError("Name a folder of photographs.", given=folder, accepted=[f"<folder> {folder}"])
    named = any(text.startswith("classifier=") for text in overrides)
    config = configuration.compose([*overrides, *([] if named else [USUAL])])
    used = photographs.find(folder, MOST, digest([(name, mark(path)) for name, path in listing(folder).items()]))
    if len(used.used) < Engine.smallest:
        raise UserError(f"A test needs at least {Engine.smallest} photographs.", given=f"{len(used.used)} in {folder}")
    with torch_session(int(config["threads"])):
        classifier = Parts().classifier(config["classifier"], tuple(config["plugins"]))
        labels, images = classifier.labels, used.images((SIDE, SIDE))
        targets = [Target.parse(f"class:index:{index}").resolve(labels) for index in range(len(labels))]
        found = {name: effects(classifier, targets, images, draw(SIDE)) for name, draw in MARKS.items()}
    return [
        *page(found, config["classifier"]["name"], labels, len(images)),
        *(line for note in used.notes() for line in ("", note)),
    ]


def page(found: Mapping[str, Sequence[Effect]], name: str, labels: Labels, count: int) -> list[str]:
    """What was found of the classifier ``name`` for each mark."""
    known = next((one.index for one in labels.classes if one.wnid == KNOWN[1] or one.name.casefold() == KNOWN[0]), None)
    lines = [
        f"{count} photographs as `{name}` reads them, each with a white mark of our drawing across its middle",
        f"({OPACITY:.0%} opaque) and without: the difference in each class's probability and in its log-odds, with",
        "95 % intervals, each of that class alone. Raised or lowered is what is beyond ±0.02 in probability, all",
        "classes being one family of tests.",
        f"No class is a {KNOWN[0]}, so no answer is known beforehand; the rows are those that move most in log-odds."
        if known is None
        else f"What is known beforehand is that *{KNOWN[0]}* rises; the others are those that rise most in log-odds.",
    ]
    for mark_name, of_classes in found.items():
        odds = [_odds(one) for one in of_classes]
        ranked = sorted(range(len(labels)), key=lambda k: -abs(odds[k].value) if known is None else -odds[k].value)
        clear = sum(one.low > 0 for one in odds)
        beyond = [labels.names[k] for k, one in enumerate(of_classes) if one.significant]
        lines += [
            "",
            f"## {mark_name.capitalize()}",
            "",
            f"Log-odds rise clear of 0 for {clear} of {len(labels)} classes; raised or lowered beyond ±0.02: "
            f"{', '.join(beyond) or 'none'}.",
            meaning(odds, ranked, labels.names, known),
            *HEAD,
        ]
        for place in dict.fromkeys([*ranked[:SHOWN], *([] if known is None else [known])]):
            score, of = of_classes[place].score, labels.names[place]
            lines.append(f"| {ranked.index(place) + 1} | {of} | {_said(score, 4)} | {_said(odds[place], 2)} |")
    return lines


def meaning(odds: Sequence[Estimate], ranked: Sequence[int], names: Sequence[str], known: int | None) -> str:
    """What one mark's effects say of the network, in a sentence."""
    asked = ranked[0] if known is None else known
    one, above = odds[asked], ranked.index(asked)
    if one.low <= 0 <= one.high:
        return f"Undecided: {one.n} photographs do not tell whether the mark raises or lowers {names[asked]}."
    way = "raises" if one.low > 0 else "lowers"
    if known is None:
        return f"Of all classes it moves {names[asked]} most, which it {way}; of many, the largest is always flattered."
    if way == "lowers":
        return f"It lowers {names[asked]}: the known shortcut is not seen in this network."
    if above:
        more = f"{above} class{'es' if above > 1 else ''}"
        return f"It raises {names[asked]}, and {more} more than that: the known shortcut does not stand out."
    return f"It raises {names[asked]} more than any other class: the known shortcut of networks that learned ImageNet."


def _odds(effect: Effect) -> Estimate:
    assert effect.log_odds is not None
    return effect.log_odds


def _said(value: Estimate, digits: int) -> str:
    return f"{value.value:+.{digits}f} ({value.low:+.{digits}f} to {value.high:+.{digits}f})"
