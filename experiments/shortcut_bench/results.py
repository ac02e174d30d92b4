"""Tables, CSV and plots of the benchmark, made from the answers alone."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from diffexplain.world.truth_table import TRUTH_TABLE_FILE
from experiments.marked import write_between
from experiments.shortcut_bench.catalogue import chosen
from experiments.shortcut_bench.explained import Explained, concepts
from experiments.shortcut_bench.mark_effects import MARK_EFFECTS_FILE
from experiments.shortcut_bench.measures import (
    Answer,
    Measure,
    auroc,
    average_precision,
    covered,
    false_share,
    first_is_there,
    found_share,
    half_width,
    mean_error,
    three_are_there,
)
from experiments.shortcut_bench.pairs import PAIR_EFFECTS_FILE
from experiments.shortcut_bench.plots import plot_cost, plot_effects
from experiments.shortcut_bench.specification import Value, classifiers, halves
from experiments.shortcut_bench.tables import doses, failures, front_table, machine, section
from experiments.world.truth import TruthTable

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
OUTPUTS = REPOSITORY / "outputs" / "shortcut_bench"
RESULTS = HERE / "RESULTS.md"
TITLES_OF_GROUPS = {
    "held_out": "Held-out half", "development": "Development half", "fresh": "Fresh designs", "dose": "Doses",
}  # fmt: skip
ELSEWHERE = {
    "README.md": (front_table, "<!-- shortcut bench: begin -->", "<!-- shortcut bench: end -->"),
    "docs/method.md": (failures, "<!-- failures: begin -->", "<!-- failures: end -->"),
}
"""Pages that show a part of the fresh designs' tables."""


@cache
def truth(folder: Path, class_name: str) -> tuple[dict[Value, float], dict[Value, float], float]:
    """True effects by concept, their half-widths, and the largest effect in scenes that do not show the class."""
    table = TruthTable.load(folder)
    effects = {value: table.effect(class_name, *value) for value in concepts().values()}
    rows = {value: table.row(class_name, *value)["shows_target"]["probability"] for value in effects}
    unsure = {value: (row["high"] - row["low"]) / 2 for value, row in rows.items()}
    without = [table.effect(class_name, *value, stratum="without_target") for value in effects]
    return effects, unsure, max(without)


def interaction(folder: Path) -> float | None:
    """Of the classifier's first pair, in scenes that show the class; None without a pair."""
    measured = first_row(folder / PAIR_EFFECTS_FILE)
    return None if measured is None else float(measured["interaction"]["effect"])


def painted(folder: Path) -> float | None:
    """The effect of the classifier's mark in scenes that show the class; None without a mark."""
    measured = first_row(folder / MARK_EFFECTS_FILE)
    return None if measured is None else float(measured["effect"])


def first_row(file: Path) -> dict[str, Any] | None:
    """What the first row of the file says of the class's probability, in scenes that show the class."""
    if not file.is_file():
        return None
    row = json.loads(file.read_text(encoding="utf-8"))["rows"][0]
    return row["shows_target"]["probability"]


def joined(found: Mapping[str, Explained], root: Path) -> dict[str, Answer]:
    """Answers beside their truth, by classifier; without those whose truth is not measured yet."""
    result = {}
    known = [name for name in found if (root / name / TRUTH_TABLE_FILE).is_file()]
    for one in chosen(known) if known else []:
        true = truth(root / one.name, one.class_name)
        folder = root / one.name
        result[one.name] = Answer(one, found[one.name], *true, interaction(folder), painted(folder))
    return result


def write_results(
    found: Mapping[str, Mapping[str, Explained]], root: Path, seed: int, of_set: str, beside: Path | None
) -> None:
    """Tables, CSV and plots.

    Args:
        found: answers by method and classifier.
        root: folder of the classifiers.
        seed: of the answers.
        of_set: which classifiers: halves, fresh or dose.
        beside: where those of a part go; None writes those of a whole set into the repository.
    """
    answers = {method: joined(of_method, root) for method, of_method in found.items()}
    split: dict[str, str] = dict(halves(classifiers())) if of_set == "halves" else {}
    split |= {name: of_set for of_method in answers.values() for name in of_method if name not in split}
    groups = {name: of_group(answers, split, name) for name in TITLES_OF_GROUPS}
    parts = [f"Seed {seed}. {machine()}", ""]
    for name, title in TITLES_OF_GROUPS.items():
        parts += (doses if name == "dose" else section)(title, groups[name]) if groups[name] else []
    text = "\n".join(parts)
    folder = beside or HERE
    if beside is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "RESULTS.md").write_text(text + "\n", encoding="utf-8")
    else:
        mark = "results" if of_set == "halves" else of_set
        write_between(RESULTS, f"<!-- {mark}: begin -->", f"<!-- {mark}: end -->", text)
    if beside is None and of_set == "fresh":
        for page, (make, begin, end) in ELSEWHERE.items():
            write_between(REPOSITORY / page, begin, end, make(groups["fresh"]))
    ending = "" if of_set == "halves" else f"_{of_set}"
    write_classifiers(folder / f"results{ending}.csv", answers, split)
    write_findings((beside or OUTPUTS) / f"findings{ending}.csv", answers, split)
    if groups["held_out"]:
        plot_cost(folder, groups["held_out"])
    if groups["fresh"]:
        plot_effects(folder, groups["fresh"])
    print(text)


def of_group(
    answers: Mapping[str, Mapping[str, Answer]], split: Mapping[str, str], group: str
) -> dict[str, dict[str, Answer]]:
    """The answers of one half or set, without methods that have none."""
    mine = {m: {name: answer for name, answer in of.items() if split[name] == group} for m, of in answers.items()}
    return {method: of_method for method, of_method in mine.items() if of_method}


def write_classifiers(file: Path, answers: Mapping[str, Mapping[str, Answer]], split: Mapping[str, str]) -> None:
    """A row for each method and classifier."""
    measures: dict[str, Measure] = {
        "recall_at_1": first_is_there, "recall_at_3": three_are_there, "auroc": auroc,
        "average_precision": average_precision, "reported_of_there": found_share, "false_share": false_share,
        "covered": covered, "half_width": half_width, "mean_error": mean_error,
    }  # fmt: skip

    def rows() -> Iterable[list[object]]:
        for method, of_method in answers.items():
            for name, answer in of_method.items():
                one, account = answer.specification, answer.explained.account
                values = [rounded(measure(answer)) for measure in measures.values()]
                yield [
                    method, name, split[name], one.kind or one.control, one.architecture, one.strength or "", *values,
                    account.denoiser, account.denoiser_backward, account.classifier, account.classifier_backward,
                    round(account.seconds, 1),
                ]  # fmt: skip

    head = [
        "method", "classifier", "half", "kind_or_control", "architecture", "strength", *measures, "denoiser",
        "denoiser_backward", "classifier_reads", "classifier_backward", "seconds",
    ]  # fmt: skip
    write_csv(file, head, rows())


def write_findings(file: Path, answers: Mapping[str, Mapping[str, Answer]], split: Mapping[str, str]) -> None:
    """A row for each method, classifier and concept."""

    def rows() -> Iterable[list[object]]:
        for method, of_method in answers.items():
            for name, answer in of_method.items():
                for one in answer.explained.findings:
                    stated = [rounded(one.effect), rounded(one.low), rounded(one.high), one.n or "", one.verdict or ""]
                    true = rounded(answer.true[one.value])
                    yield [method, name, split[name], *one.value, true, rounded(one.score), int(one.reported), *stated]

    head = [
        "method", "classifier", "half", "attribute", "value", "true", "score", "reported", "effect", "low", "high", "n",
        "verdict",
    ]  # fmt: skip
    write_csv(file, head, rows())


def rounded(value: float | None) -> object:
    """Four digits; nothing for what is not there."""
    return "" if value is None else round(value, 4)


def write_csv(file: Path, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write it whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)
