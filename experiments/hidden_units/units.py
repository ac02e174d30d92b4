"""Does the pixel-level verdict tell which hidden units look at the object, and which at what comes along with it?

For each class of a classifier, its five most used units of the layer before the last (mean activation x weight over the
images predicted as the class) are labelled by where their attribution lies, and compared with the truth by paired
renders. All that a unit does is counted in what it adds to the class's logit, weight x activation:

- effect of the subject: with it, minus with another subject in its place;
- effect of a companion or setting: with it, minus without it (a setting: with another one), as in the truth tables;
- *truly spurious*: the largest effect of a companion or setting is above the subject's, *truly core*: it is below, by
  a paired 95 % interval over scenes that show the class. What lies between is left out.

Classes are split into two halves, with all their classifiers: attribution method and bound are chosen on the first, the
second is reported. With `--bench` the classifiers of the shortcut benchmark that are trained are taken, each with its
planted class, in the benchmark's own halves.

The same command goes on where it stopped: what was measured for a class is a file under `--outputs`; the table is
written to `RESULTS.md` from these files alone (`--table` writes it without measuring anything).
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffexplain.classifiers.classifier import Classifier, load_classifier
from diffexplain.concepts.vocabulary import class_phrase
from diffexplain.segmentation import Segmenter
from diffexplain.segmentation.detections import Detections, detect
from diffexplain.statistics.tests import mean_interval
from diffexplain.weights.atomic import write_json
from diffexplain.weights.paths import resolve_folder
from diffexplain.world.held_out import renderings, scenes_and_seeds
from diffexplain.world.scenes import COMPANIONS, SUBJECTS
from experiments.attribution import Attribution, GradCAM, IntegratedGradients, SmoothGrad
from experiments.hidden_units.gate import calibrated_gate
from experiments.hidden_units.linear_head import LinearHead, Penultimate, linear_head, penultimate
from experiments.hidden_units.pixels import (
    UnitUse,
    own_shares,
    unit_maps,
    unit_uses,
)
from experiments.hidden_units.verdict_tables import table
from experiments.marked import write_between
from experiments.shortcut_bench.specification import ROOT, classifiers, halves
from experiments.world.truth import contrasts, measure_logits, variant_names, weights_digest

HERE = Path(__file__).parent
BENCH = HERE.parent / "shortcut_bench"

RESULTS = HERE / "RESULTS.md"
EMBEDDED = ("shortcut_cnn", "shortcut_vit", "fair_cnn", "fair_vit")
DEVELOPMENT = ("flagpole", "padlock", "umbrella", "hourglass", "mushroom", "acoustic_guitar")
"""Classes of the embedded classifiers on which method and bound are chosen; the others are held out."""

POOL, POOL_STREAM = 1800, 3001
GATE_SCENES, GATE_STREAM = 360, 3002
TRUTH_SCENES, TRUTH_SEED = 50, 21
IMAGES = 12
VARIANTS = [
    name
    for name in variant_names()
    if name in ("as it is", "another subject")
    or name.startswith(("no ", "setting="))
    or name.partition("/")[0] in COMPANIONS
]
CONTEXT = [one for one in contrasts() if one.attribute in ("companion", "setting")]

METHODS: dict[str, Callable[[Classifier], Attribution]] = {
    "Grad-CAM": GradCAM,
    "integrated gradients": lambda model: IntegratedGradients(model, steps=6, batch_size=72),
    "SmoothGrad": lambda model: SmoothGrad(model, samples=5, batch_size=60),
}


@dataclass(frozen=True)
class Case:
    """A classifier, one of its classes, and the half that both are in."""

    name: str
    folder: str
    class_name: str
    half: str


def cases(bench: bool) -> list[Case]:
    """What is measured; of the benchmark, what is trained."""
    if not bench:
        return [
            Case(name, f"embedded:classifiers/{name}", one, "development" if one in DEVELOPMENT else "held_out")
            for one in SUBJECTS
            for name in EMBEDDED
        ]
    half = halves(classifiers())
    return [
        Case(one.name, str(ROOT / one.name), one.class_name, half[one.name])
        for one in classifiers()
        if (ROOT / one.name / "model.safetensors").is_file()
    ]


@cache
def model(folder: str) -> tuple[Classifier, LinearHead]:
    network = load_classifier(folder)
    return network, linear_head(network)


@cache
def segmenter() -> Segmenter:
    return Segmenter.load("embedded:clipseg")


@cache
def pool(count: int, stream: int) -> tuple[Tensor, NDArray[np.str_]]:
    """Rendered scenes of the independent world, and the subject of each."""
    scenes, seeds = scenes_and_seeds(count, stream)
    return renderings(scenes, seeds)[0], np.array([scene.subject for scene in scenes])


@cache
def read(folder: str) -> Penultimate:
    return penultimate(*model(folder), pool(POOL, POOL_STREAM)[0], 256)


def features(folder: str) -> Callable[[Tensor], Tensor]:
    """Images to features, for `measure_logits`, which takes anything that is a number for each of several columns."""
    return lambda images: torch.from_numpy(penultimate(*model(folder), images, 256).features)


def measure(class_name: str, mine: Sequence[Case], file: Path) -> None:
    """Measure one class of all its classifiers, and write it down."""
    activations = measure_logits(
        {one.name: features(one.folder) for one in mine}, class_name, TRUTH_SCENES, TRUTH_SEED, VARIANTS
    )
    phrase = class_phrase(class_name)
    images, subjects = pool(GATE_SCENES, GATE_STREAM)
    others = [class_phrase(other) for other in SUBJECTS if other != class_name]
    shows = subjects == class_name
    gate = calibrated_gate(segmenter(), phrase, images[shows], images[~shows], others)
    images, subjects = pool(POOL, POOL_STREAM)
    uses: list[tuple[Case, UnitUse]] = []
    for one in mine:
        network, head = model(one.folder)
        index = network.labels.resolve(class_name)
        uses += [(one, use) for use in unit_uses(network, head, read(one.folder), [index], images=IMAGES)]
    if not uses:  # a classifier with random weights may give the class to no image
        write_json(file, {"class": class_name, "weights": weights(mine), "units": [], "seen": []})
        return
    places = sorted({place for _, use in uses for place in use.images})
    segmented = detect(segmenter(), images[places], [phrase], 64)
    fitting = gate.opens(segmenter(), images[places])
    number = {place: index for index, place in enumerate(places)}
    units = []
    for one, use in uses:
        network, _ = model(one.folder)
        shown = [number[place] for place in use.images]
        regions = {
            (index, phrase): segmented.regions[where, phrase]
            for index, where in enumerate(shown)
            if fitting[where] and segmented.shows(where, phrase)
        }
        sight = Detections(segmented.size, len(shown), regions)
        chosen = images[list(use.images)]
        assert use.target.class_name is not None
        assert class_phrase(use.target.class_name) == phrase
        shares = {
            name: own_shares(unit_maps(network, make, chosen, use), sight, phrase).tolist()
            for name, make in METHODS.items()
        }
        entry = {"classifier": one.name, "half": one.half, "target": use.target.text, "rank": use.rank}
        assert use.target.channel is not None
        entry |= truth(activations[one.name][:, :, use.target.channel] * use.weight)
        units.append(entry | {"shares": shares})
    seen = [
        {
            "shows": bool(subjects[place] == class_name),
            "segmenter": segmented.shows(index, phrase),
            "clip": bool(fitting[index]),
        }
        for index, place in enumerate(places)
    ]
    write_json(file, {"class": class_name, "weights": weights(mine), "units": units, "seen": seen})


def weights(mine: Sequence[Case]) -> dict[str, str]:
    """Which weights were measured: SHA-256 by classifier."""
    return {one.name: weights_digest(resolve_folder(one.folder)) for one in mine}


def is_measured(file: Path, mine: Sequence[Case]) -> bool:
    """Whether the file is of these classifiers with these weights: those of the benchmark may be trained anew."""
    return file.is_file() and json.loads(file.read_text(encoding="utf-8"))["weights"] == weights(mine)


def truth(added: NDArray[Any]) -> dict[str, Any]:
    """What a unit truly answers to; `added`: what it adds to the logit, (scenes, variants)."""
    values = {name: added[:, column].astype(np.float64) for column, name in enumerate(VARIANTS)}

    def mean(names: Sequence[str]) -> NDArray[np.float64]:
        return np.mean([values[name] for name in names], axis=0)

    subject = values["as it is"] - values["another subject"]
    context = {f"{one.attribute} {one.value}": mean(one.present) - mean(one.absent) for one in CONTEXT}
    first = max(context, key=lambda name: float(context[name].mean()))
    difference = mean_interval(context[first] - subject)
    truly = "spurious" if difference.low > 0 else "core" if difference.high < 0 else None
    return {
        "truth": truly,
        "subject": float(subject.mean()),
        "context": float(context[first].mean()),
        "context_value": first,
        "difference": [difference.value, difference.low, difference.high],
    }


def by_class(chosen: Sequence[Case]) -> Iterator[tuple[str, list[Case]]]:
    """The cases of each class."""
    for class_name in SUBJECTS:
        mine = [one for one in chosen if one.class_name == class_name]
        if mine:
            yield class_name, mine


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", action="store_true", help="the benchmark's classifiers, not the embedded ones")
    parser.add_argument("--classes", nargs="+", default=list(SUBJECTS), choices=SUBJECTS, metavar="class")
    parser.add_argument("--outputs", type=Path, default=Path("outputs/hidden_units"))
    parser.add_argument("--table", action="store_true", help="make the table of what is there, measure nothing")
    parser.add_argument("--print", action="store_true", help="print the table, leave RESULTS.md as it is")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    suite = "bench" if options.bench else "embedded"
    folder = options.outputs / suite
    folder.mkdir(parents=True, exist_ok=True)
    for class_name, mine in by_class(cases(options.bench)):
        file = folder / f"{class_name}.json"
        if not options.table and class_name in options.classes and not is_measured(file, mine):
            measure(class_name, mine, file)
            print(f"{class_name}: {len(mine)} classifiers", flush=True)
    files = sorted(folder.glob("*.json"))
    settings = (
        f"Scenes: {POOL} to choose from (stream {POOL_STREAM}), {IMAGES} for each unit, {GATE_SCENES} for the gates "
        f"(stream {GATE_STREAM}), {TRUTH_SCENES} pairs for each effect (seed {TRUTH_SEED}). Machine: "
        f"{platform.machine()}, one thread, torch {torch.__version__.partition('+')[0]}."
    )
    text = table([json.loads(file.read_text(encoding="utf-8")) for file in files], list(METHODS), settings)
    if not options.print:
        write_between(RESULTS, f"<!-- {suite}: begin -->", f"<!-- {suite}: end -->", text)
    print(text)


if __name__ == "__main__":
    main()
