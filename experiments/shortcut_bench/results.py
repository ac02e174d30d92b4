"""Tables, CSV and plots of the benchmark, made from the answers alone."""

from __future__ import annotations

import csv
import os
import platform
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path

import torch
from explained import Explained, concepts
from measures import (
    Answer,
    Measure,
    any_false,
    auroc,
    average_precision,
    covered,
    false_share,
    first_is_there,
    found_share,
    half_width,
    mean_over,
    object_absence,
    paired_difference,
    spearman,
    three_are_there,
)
from specification import ARCHITECTURES, KINDS, Half, Specification, Value, chosen, classifiers, halves

from diffexplain.evaluation.results import Estimate
from diffexplain.world.marked import write_between
from diffexplain.world.truth_table import THERE, TruthTable

HERE = Path(__file__).parent
RESULTS = HERE / "RESULTS.md"
SLICE_RESULTS = Path(__file__).parents[2] / "outputs" / "shortcut_bench" / "slice"
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
README = Path(__file__).parents[2] / "README.md"
README_BEGIN, README_END = "<!-- shortcut bench: begin -->", "<!-- shortcut bench: end -->"

TITLES = {
    "diffex": "DiffEx",
    "diffex_uniform": "DiffEx, every concept every image",
    "diffexplainer": "DiffExplainer, constrained prompt",
    "diffexplainer_free": "DiffExplainer, free prompt",
    "diffex_seeded": "DiffEx on what DiffExplainer found",
    "dexter_released": "DEXTER's released settings",
    "dexter_hard_words": "DEXTER-style hard words",
    "grad_cam": "Grad-CAM × masks",
    "integrated_gradients": "integrated gradients × masks",
    "correlation": "correlation in labelled data",
    "chance": "chance",
}
AIMS = "aim ≥ 0.90 | | aim ≥ 0.97 | | aim ≥ 0.85 | aim ≤ 0.05 |"
Answers = Mapping[str, Mapping[str, Explained]]
"""By method and classifier."""


@cache
def truth(folder: Path, class_name: str) -> tuple[dict[Value, float], float]:
    """True effects by concept, and the largest one in scenes that do not show the class."""
    table = TruthTable.load(folder)
    effects = {value: table.effect(class_name, *value) for value in concepts().values()}
    without = [table.effect(class_name, *value, stratum="without_target") for value in concepts().values()]
    return effects, max(without)


def joined(found: Mapping[str, Explained], root: Path) -> dict[str, Answer]:
    """Answers beside their truth, by classifier."""
    result = {}
    for one in chosen(list(found)) if found else []:
        effects, alone = truth(root / one.name, one.class_name)
        result[one.name] = Answer(one, found[one.name], effects, alone)
    return result


def write_results(found: Answers, root: Path, seed: int, folder: Path | None) -> None:
    """Tables, CSV and plots; into a folder of its own for a slice, into the repository for the whole."""
    answers = {method: joined(of_method, root) for method, of_method in found.items() if of_method}
    split = halves(classifiers())
    parts = [f"seed {seed}; intervals: 95 %, bootstrap over classifiers. {machine()}", ""]
    for half in ("held_out", "development"):
        mine = {
            method: {name: answer for name, answer in of_method.items() if split[name] == half}
            for method, of_method in answers.items()
        }
        mine = {method: of_method for method, of_method in mine.items() if of_method}
        if mine:
            parts += section(half, mine)
    text = "\n".join(parts)
    if folder is None:
        write_between(RESULTS, BEGIN, END, text)
        write_between(README, README_BEGIN, README_END, front_table(answers, split))
    else:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "RESULTS.md").write_text(text + "\n", encoding="utf-8")
    where = HERE if folder is None else folder
    write_classifiers(where / "results.csv", answers, split)
    write_findings((SLICE_RESULTS.parent if folder is None else folder) / "findings.csv", answers, split)
    from plots import write_plots

    write_plots(where, {m: {n: a for n, a in of.items() if split[n] == "held_out"} for m, of in answers.items()})
    print(text)


def machine() -> str:
    """What the seconds were measured on."""
    return (
        f"Machine: {platform.machine()}, {os.cpu_count()} cores, one thread a process, torch "
        f"{torch.__version__.split('+')[0]}."
    )


def section(half: Half, answers: Mapping[str, Mapping[str, Answer]]) -> list[str]:
    """All tables of one half."""
    title = "Held-out half" if half == "held_out" else "Development half"
    most = max((of for of in answers.values()), key=len)
    controls = sum(answer.specification.control is not None for answer in most.values())
    lines = [f"## {title}", "", f"{len(most)} classifiers, {controls} of them controls.", ""]
    lines += main_table(answers)
    lines += ["", "### Controls, calibration, absence of the object", "", *control_table(answers)]
    lines += ["", "### What it costs", "", *cost_table(answers)]
    lines += ["", "### Recall@1 by kind of shortcut (classifiers)", "", *by_group(answers, KINDS, kind_of)]
    lines += ["", "### Recall@1 by architecture (classifiers)", "", *by_group(answers, ARCHITECTURES, architecture_of)]
    lines += ["", "### Paired with DiffEx, on the same classifiers", "", *paired_table(answers)]
    lines += ["", "### What was learned", "", *learned_table(most)]
    return [*lines, ""]


def shortcut(answers: Mapping[str, Answer]) -> list[Answer]:
    """Those of classifiers with a planted shortcut."""
    return [answer for answer in answers.values() if answer.specification.kind is not None]


def control(answers: Mapping[str, Answer]) -> list[Answer]:
    """Those of controls."""
    return [answer for answer in answers.values() if answer.specification.control is not None]


def main_table(answers: Mapping[str, Mapping[str, Answer]]) -> list[str]:
    """Who finds what is there."""
    measures: dict[str, Measure] = {
        "recall@1": first_is_there, "recall@3": three_are_there, "AUROC": auroc, "average precision": average_precision,
    }  # fmt: skip
    lines = [
        f"| method | {' | '.join(measures)} | Spearman | false discoveries on controls |",
        "|---|" + "---|" * (len(measures) + 2),
        f"| | {AIMS}",
    ]
    for method, of_method in answers.items():
        mine = shortcut(of_method)
        cells = [cell(mean_over(mine, measure)) for measure in measures.values()]
        cells += [cell(spearman(mine)), cell(mean_over(control(of_method), false_share), 3)]
        lines.append(f"| {TITLES[method]} | {' | '.join(cells)} |")
    return lines


def control_table(answers: Mapping[str, Mapping[str, Answer]]) -> list[str]:
    """Who reports what is not there, and how sure the stated numbers are."""
    lines = [
        "| method | of what is there, reported | controls with any false report | "
        "intervals that hold the true effect | median half-width | object absent, AUROC |",
        "|---|---|---|---|---|---|",
    ]
    for method, of_method in answers.items():
        everything = list(of_method.values())
        cells = [
            cell(mean_over(shortcut(of_method), found_share)),
            cell(mean_over(control(of_method), any_false)),
            cell(mean_over(everything, covered)),
            cell(mean_over(everything, half_width), 3),
            cell(object_absence(everything)),
        ]
        lines.append(f"| {TITLES[method]} | {' | '.join(cells)} |")
    return lines


def cost_table(answers: Mapping[str, Mapping[str, Answer]]) -> list[str]:
    """Medians over classifiers."""
    lines = [
        "| method | denoiser evaluations | with gradient | classifier evaluations | with gradient | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for method, of_method in answers.items():
        accounts = [answer.explained.account for answer in of_method.values()]
        names = ("denoiser", "denoiser_backward", "classifier", "classifier_backward")
        cells = [f"{statistics.median(getattr(account, name) for account in accounts):,.0f}" for name in names]
        seconds = statistics.median(account.seconds for account in accounts)
        lines.append(f"| {TITLES[method]} | {' | '.join(cells)} | {seconds:.1f} |")
    return lines


def kind_of(one: Specification) -> str | None:
    """Its kind of shortcut."""
    return one.kind


def architecture_of(one: Specification) -> str | None:
    """Its architecture, of shortcut classifiers."""
    return one.architecture if one.kind else None


def by_group(
    answers: Mapping[str, Mapping[str, Answer]], groups: Sequence[str], group_of: Callable[[Specification], str | None]
) -> list[str]:
    """Recall@1 in each group."""
    lines = [f"| method | {' | '.join(groups)} |", "|---|" + "---|" * len(groups)]
    for method, of_method in answers.items():
        cells = []
        for group in groups:
            mine = [answer for answer in of_method.values() if group_of(answer.specification) == group]
            estimate = mean_over(mine, first_is_there)
            cells.append("–" if estimate is None else f"{estimate.value:.2f} ({estimate.n})")
        lines.append(f"| {TITLES[method]} | {' | '.join(cells)} |")
    return lines


def paired_table(answers: Mapping[str, Mapping[str, Answer]]) -> list[str]:
    """Every method less DiffEx."""
    if "diffex" not in answers:
        return ["DiffEx was not run."]
    lines = ["| method less DiffEx | recall@1 | AUROC | average precision |", "|---|---|---|---|"]
    for method, of_method in answers.items():
        if method != "diffex":
            difference = partial(paired_difference, of_method, answers["diffex"])
            cells = [cell(difference(measure), 2, True) for measure in (first_is_there, auroc, average_precision)]
            lines.append(f"| {TITLES[method]} | {' | '.join(cells)} |")
    return lines


def learned_table(answers: Mapping[str, Answer]) -> list[str]:
    """How many classifiers of each kind have learned something, by their truth tables."""
    lines = [
        "| kind or control | classifiers | something there | planted first value there |",
        "|---|---|---|---|",
    ]
    groups: dict[str, list[Answer]] = {}
    for answer in answers.values():
        groups.setdefault(str(answer.specification.kind or answer.specification.control), []).append(answer)
    for name, mine in groups.items():
        planted = [
            answer.true[answer.specification.shortcuts[0][0]] >= THERE
            for answer in mine
            if answer.specification.shortcuts
        ]
        share = f"{sum(planted)} of {len(planted)}" if planted else "–"
        lines.append(f"| {name} | {len(mine)} | {sum(any(answer.there) for answer in mine)} | {share} |")
    return lines


def cell(estimate: Estimate | None, digits: int = 2, signed: bool = False) -> str:
    """A value with its interval and n."""
    if estimate is None:
        return "–"
    sign = "+" if signed else ""
    value, low, high = (f"{number:{sign}.{digits}f}" for number in (estimate.value, estimate.low, estimate.high))
    return f"{value} [{low}, {high}] n {estimate.n}"


def front_table(answers: Mapping[str, Mapping[str, Answer]], split: Mapping[str, Half]) -> str:
    """For the README: the held-out half in short."""
    lines = [
        "| method | first place right | AUROC | correlation with the true effects | false discoveries on controls | "
        "denoiser evaluations |",
        "|---|---|---|---|---|---|",
    ]
    sizes = set()
    for method, of_method in answers.items():
        mine = {name: answer for name, answer in of_method.items() if split[name] == "held_out"}
        if not mine:
            continue
        sizes.add(len(mine))
        account = statistics.median(answer.explained.account.denoiser for answer in mine.values())
        cells = [
            short(mean_over(shortcut(mine), first_is_there)),
            short(mean_over(shortcut(mine), auroc)),
            short(spearman(shortcut(mine))),
            short(mean_over(control(mine), false_share), 3),
            f"{account:,.0f}" if account else "–",
        ]
        lines.append(f"| {TITLES[method]} | {' | '.join(cells)} |")
    size = " to ".join(map(str, sorted({min(sizes), max(sizes)}))) if sizes else "0"
    return "\n".join(
        [*lines, "", f"{size} held-out classifiers of ShortcutBench, 95 % intervals over classifiers. {machine()}"]
    )


def short(estimate: Estimate | None, digits: int = 2) -> str:
    """A value with its interval."""
    if estimate is None:
        return "–"
    return f"{estimate.value:.{digits}f} [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"


def write_classifiers(file: Path, answers: Mapping[str, Mapping[str, Answer]], split: Mapping[str, Half]) -> None:
    """A row for each method and classifier."""
    measures: dict[str, Measure] = {
        "recall_at_1": first_is_there, "recall_at_3": three_are_there, "auroc": auroc,
        "average_precision": average_precision, "reported_of_there": found_share, "false_share": false_share,
        "covered": covered, "half_width": half_width,
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
