"""DiffExplainer's Figure 5: do verdicts on hidden units agree with what is known of them?

    python -m experiments.diffexplainer_figure5.make
    python -m experiments.diffexplainer_figure5.make --profile paper --labels <folder>/discover_spurious_features.csv

On the embedded world the units are those of `experiments/hidden_units`, whose truth is measured by paired renders; on
robust ResNet-50 what people say is Salient ImageNet's label file, which you download yourself (docs/units.md).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diffexplain.cli.commands import guarded
from diffexplain.config import configuration, fetch_command
from diffexplain.pipelines.parts import Parts
from diffexplain.weights.atomic import write_json
from experiments.hidden_units.salient_imagenet import (
    PEOPLE,
    Agreement,
    FeatureLabel,
    Key,
    agreement,
    load_labels,
)
from experiments.papers.paper_tables import NOT_RUN, PROFILES, head, published, row, shown, write

HERE = Path(__file__).parent

SCORES = Path("outputs/papers/salient_imagenet.json")
BOOTSTRAP_SEED = 0


def world_labels(rows: Sequence[Any]) -> tuple[list[FeatureLabel], dict[Key, float]]:
    """Units of the embedded classifiers as if all five people had said the truth, and the score of each.

    Args:
        rows: `Row` of `experiments/hidden_units/verdict_tables.py`, of units whose truth is known, with the method
            `verdict_tables.choose` chose as their only share. A class of each classifier is a class of its own.
    """
    places = {
        place: index for index, place in enumerate(dict.fromkeys((one.classifier, one.class_name) for one in rows))
    }
    labels, scores = [], {}
    for feature, one in enumerate(rows):
        spurious = PEOPLE if one.truth == "spurious" else 0
        index = places[one.classifier, one.class_name]
        labels.append(FeatureLabel(index, feature, one.class_name, feature, PEOPLE - spurious, 0, spurious))
        (method,) = one.shares
        scores[index, feature] = one.score(method)
    return labels, scores


def world_table(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """Agreement with the truth, for classifiers and halves."""
    from experiments.hidden_units import verdict_tables as tables

    every = [one for result in results for one in tables.rows_of(result)]
    if not every:
        return [*_head("classifiers"), row(["all", *[NOT_RUN["world"]] * 5])]
    method = tables.choose(every, list(every[0].shares))
    rows = [
        tables.Row(one.class_name, one.classifier, one.half, one.truth, {method: one.shares[method]})
        for one in every
        if one.truth is not None and one.shares[method]
    ]
    groups = {
        "all four": rows,
        "all four, held-out classes": [one for one in rows if one.half == "held_out"],
        **{
            name: [one for one in rows if one.classifier == name]
            for name in dict.fromkeys(one.classifier for one in rows)
        },
    }
    lines = _head("classifiers")
    lines += [row([name, *_measured(world_labels(mine))]) for name, mine in groups.items()]
    lines += [
        "",
        *tables.verdicts([one for one in rows if one.half == "held_out"], method, tables.bound_of(rows, method)),
    ]
    return [*lines, "", f"Attribution: {method}, chosen on the classes that are not held out."]


def _head(first: str) -> list[str]:
    return head([first, "published agreement", "ours: AUROC", "units", "called spurious", "classes"])


def _measured(given: tuple[Sequence[FeatureLabel], Mapping[Key, float]]) -> list[object]:
    found: Agreement = agreement(*given, np.random.default_rng(BOOTSTRAP_SEED))
    share = "all of one kind" if found.auroc is None else shown(found.auroc, 3)
    return [published(HERE)["agreement"], share, len(given[1]), f"{100 * found.spurious:.1f} %", found.classes]


def people_scores(settings: Mapping[str, Any], labels: Sequence[FeatureLabel]) -> dict[Key, float]:
    """Scores of robust ResNet-50's labelled units, from a file where it is there.

    Raises:
        UserError: weights are missing; torch is not imported then.
    """
    if SCORES.is_file():
        return {(one[0], one[1]): one[2] for one in json.loads(SCORES.read_text(encoding="utf-8"))}
    from experiments.diffexplainer_figure5.unit_scores import prior_pictures, unit_scores

    config = configuration.compose(settings["overrides"])
    parts = Parts()
    classifier = parts.classifier(config["classifier"], ())
    pictures = prior_pictures(parts.build("diffusion", config["diffusion"], ()), classifier, settings, config["seed"])
    segmenter = parts.build("segmenter", config["segmenter"], ())
    scores = unit_scores(classifier, segmenter, pictures, labels, settings["shown"])
    write_json(SCORES, [[*key, value] for key, value in scores.items()])
    return scores


def paper_table(labels: Sequence[FeatureLabel], scores: Mapping[Key, float]) -> list[str]:
    """Agreement with people."""
    known = published(HERE)["labels"]
    lines = _head("classifier")
    values = _measured((labels, scores)) if scores else [published(HERE)["agreement"], *[NOT_RUN["paper"]] * 4]
    lines += [row(["robust_resnet50", *values]), ""]
    return [*lines, f"All labels, recomputed: {', '.join(f'{number} {name}' for name, number in known.items())}."]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", choices=PROFILES, default="world")
    parser.add_argument(
        "--labels", type=Path, default=Path("discover_spurious_features.csv"), help="Salient ImageNet's"
    )
    parser.add_argument("--table", action="store_true", help="make the table of what is there, run nothing")
    parser.add_argument("--print", action="store_true", help="print the table, leave RESULTS.md as it is")
    options = parser.parse_args(arguments)
    return guarded(lambda: _make(options))


def _make(options: argparse.Namespace) -> int:
    settings = configuration_of(options.profile)
    if options.profile == "world":
        folder = Path(settings["results"])
        if not options.table:
            from experiments.hidden_units import units

            units.main(["--print", "--outputs", str(folder.parent)])
        results = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))]
        lines = world_table(results)
    else:
        labels: Sequence[FeatureLabel] = ()
        if not options.table:
            fetch_command.require(configuration.compose(settings["overrides"]))
        if not options.table or SCORES.is_file():
            labels = load_labels(options.labels)
        lines = paper_table(labels, people_scores(settings, labels) if labels else {})
    write(HERE, options, "\n".join(lines))
    return 0


def configuration_of(profile: str) -> dict[str, Any]:
    """What `sweep.yaml` says of a profile."""
    import yaml

    content: dict[str, Any] = yaml.safe_load((HERE / "sweep.yaml").read_text(encoding="utf-8"))[profile]
    return content


if __name__ == "__main__":
    sys.exit(main())
