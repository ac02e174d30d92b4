"""What a watermark does to every class of a classifier, on photographs of a folder: an effect whose answer is known.

    python -m experiments.watermark.make <folder> [overrides] [--write]

Many networks that learned ImageNet take a watermark for a carton (ImageNet-W: Li et al., arXiv 2212.04825). A mark
drawn here is laid over each photograph, and the engine of effects says how far that moves each class. Overrides are
those of a run: `classifier=checkpoint ...` asks a network of yours. Of the photographs nothing is kept but numbers.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from diffexplain.classifiers import Classifier
from diffexplain.concepts import Concept, Hierarchy
from diffexplain.config import configuration
from diffexplain.config.digests import digest, listing, mark
from diffexplain.effects.engine import Engine, Studied
from diffexplain.effects.estimation import Differences, estimate_effects
from diffexplain.effects.population import Images
from diffexplain.effects.results import Effect
from diffexplain.errors import UserError
from diffexplain.pipelines import photographs
from diffexplain.pipelines.parts import Parts
from diffexplain.runs.draws import Draws
from diffexplain.statistics.estimates import Estimate
from diffexplain.target import ResolvedTarget, Target
from diffexplain.weights.atomic import write_json
from experiments.watermark.mark import MARKS, OPACITY, Overlay

RESULTS = Path(__file__).with_name("RESULTS.md")
CLASSIFIER = "classifier=efficientnet_lite0"
KNOWN = "carton"
SIDE = 256
"""Of the photographs' middle, in pixels."""
MOST = 1000
AT_ONCE = 25
SHOWN = 8
"""Classes of each table."""
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


def page(found: Mapping[str, Sequence[Effect]], names: Sequence[str], count: int, asked: str) -> str:
    """What was found for each mark, as Markdown."""
    lines = [
        "# A watermark, and what it does to every class",
        "",
        f"`python -m experiments.watermark.make {asked}`".replace("  ", " "),
        "",
        f"{count} photographs, each with a white mark of our drawing across its middle ({OPACITY:.0%} opaque) and",
        "without: the difference in each class's probability and in its log-odds, with 95 % intervals, each of that",
        "class alone. Raised or lowered is what is beyond ±0.02 in probability, all classes being one family of tests.",
        f"What is known beforehand is that *{KNOWN}* rises; the other rows are the classes that rise most in log-odds.",
    ]
    for mark_name, of_classes in found.items():
        ranked = sorted(range(len(names)), key=lambda place: -_odds(of_classes[place]).value)
        clear = sum(_odds(one).low > 0 for one in of_classes)
        beyond = [names[k] for k, one in enumerate(of_classes) if one.significant]
        lines += [
            "",
            f"## {mark_name.capitalize()}",
            "",
            f"Log-odds rise clear of 0 for {clear} of {len(names)} classes; raised or lowered beyond ±0.02: "
            f"{', '.join(beyond) or 'none'}.",
            "",
            "| place | class | probability | log-odds |",
            "|---|---|---|---|",
        ]
        known = [place for place, name in enumerate(names) if name == KNOWN]
        for place in dict.fromkeys([*ranked[:SHOWN], *known]):
            one = of_classes[place]
            lines.append(
                f"| {ranked.index(place) + 1} | {names[place]} | {_said(one.score, 4)} | {_said(_odds(one), 2)} |"
            )
    return "\n".join(lines) + "\n"


def _odds(effect: Effect) -> Estimate:
    assert effect.log_odds is not None
    return effect.log_odds


def _said(value: Estimate, digits: int) -> str:
    return f"{value.value:+.{digits}f} ({value.low:+.{digits}f} to {value.high:+.{digits}f})"


def main(arguments: Sequence[str]) -> int:
    """Print the tables; the exit status."""
    given = [text for text in arguments if text != "--write"]
    if not given or "=" in given[0]:
        raise UserError("Name a folder of photographs.", given=" ".join(given) or "nothing", hint=__doc__)
    folder, overrides = given[0], given[1:]
    chosen = (
        overrides if any(text.startswith("classifier=") for text in overrides) else ["classifier=efficientnet_lite0"]
    )
    config = configuration.compose([*chosen, *(text for text in overrides if text not in chosen)])
    classifier = Parts().classifier(config["classifier"], tuple(config["plugins"]))
    known = digest([(name, mark(path)) for name, path in listing(folder).items()])
    used = photographs.find(folder, MOST, known)
    images = used.images((SIDE, SIDE))
    labels = classifier.labels
    targets = [Target.parse(f"class:index:{index}").resolve(labels) for index in range(len(labels.names))]
    torch.set_num_threads(int(config["threads"]))
    found = {}
    for name, draw in MARKS.items():
        found[name] = effects(classifier, targets, images, draw(SIDE))
        print(f"{name}: done", file=sys.stderr, flush=True)
    text = page(found, labels.names, len(images), " ".join(["<folder>", *overrides, "--write"]))
    print(text)
    if "--write" in arguments:
        RESULTS.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
