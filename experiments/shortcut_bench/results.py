"""Tables, CSV and plots of the benchmark, made from the answers alone."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from catalogue import chosen
from explained import Explained, concepts
from mark_effects import MARK_EFFECTS_FILE
from measures import (
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
from pairs import PAIR_EFFECTS_FILE
from plots import write_plots
from specification import Half, Value, classifiers, halves
from tables import failures, front_table, machine, section

from diffexplain.world.marked import write_between
from diffexplain.world.truth_table import TRUTH_TABLE_FILE, TruthTable

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
OUTPUTS = REPOSITORY / "outputs" / "shortcut_bench"
RESULTS = HERE / "RESULTS.md"
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
ELSEWHERE = {
    "README.md": (front_table, "<!-- shortcut bench: begin -->", "<!-- shortcut bench: end -->"),
    "docs/method.md": (failures, "<!-- failures: begin -->", "<!-- failures: end -->"),
}
"""Pages that show a part of the held-out half."""


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


def write_results(found: Mapping[str, Mapping[str, Explained]], root: Path, seed: int, is_slice: bool) -> None:
    """Tables, CSV and plots: of the whole into the repository, of a slice beside its answers.

    Args:
        found: answers by method and classifier.
        root: folder of the classifiers.
        seed: of the answers.
        is_slice: of a few classifiers.
    """
    answers = {method: joined(of_method, root) for method, of_method in found.items()}
    split = halves(classifiers())
    held_out, development = (of_half(answers, split, half) for half in ("held_out", "development"))
    parts = [f"Seed {seed}; intervals: 95 %, bootstrap over classifiers. {machine()}", ""]
    for title, half in (("Held-out half", held_out), ("Development half", development)):
        parts += section(title, half) if half else []
    text = "\n".join(parts)
    folder = OUTPUTS / "slice" if is_slice else HERE
    if is_slice:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "RESULTS.md").write_text(text + "\n", encoding="utf-8")
    else:
        write_between(RESULTS, BEGIN, END, text)
        for page, (make, begin, end) in ELSEWHERE.items():
            write_between(REPOSITORY / page, begin, end, make(held_out))
    write_classifiers(folder / "results.csv", answers, split)
    write_findings((folder if is_slice else OUTPUTS) / "findings.csv", answers, split)
    write_plots(folder, held_out)
    print(text)


def of_half(
    answers: Mapping[str, Mapping[str, Answer]], split: Mapping[str, Half], half: str
) -> dict[str, dict[str, Answer]]:
    """The answers of one half, without methods that have none."""
    mine = {m: {name: answer for name, answer in of.items() if split[name] == half} for m, of in answers.items()}
    return {method: of_method for method, of_method in mine.items() if of_method}


def write_classifiers(file: Path, answers: Mapping[str, Mapping[str, Answer]], split: Mapping[str, Half]) -> None:
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


def write_findings(file: Path, answers: Mapping[str, Mapping[str, Answer]], split: Mapping[str, Half]) -> None:
    """A row for each method, classifier and concept."""

    def rows() -> Iterable[list[object]]:
        for method, of_method in answers.items():
            for name, answer in of_method.items():
                for one in answer.explained.findings:
                    stated = [rounded(one.effect), rounded(one.low), rounded(one.high)]
                    true = rounded(answer.true[one.value])
                    yield [method, name, split[name], *one.value, true, rounded(one.score), int(one.reported), *stated]

    head = ["method", "classifier", "half", "attribute", "value", "true", "score", "reported", "effect", "low", "high"]
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
