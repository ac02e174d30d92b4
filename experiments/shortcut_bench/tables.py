"""The benchmark's tables, from answers beside their truth."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Mapping
from functools import partial

import torch

from diffexplain.statistics.estimates import Estimate
from experiments.shortcut_bench.explained import Finding
from experiments.shortcut_bench.measures import (
    Answer,
    Measure,
    absent_share,
    accused,
    any_false,
    auroc,
    average_precision,
    by_kind,
    counted,
    coverage,
    covered,
    false_share,
    first_is_there,
    found_share,
    half_width,
    interval_score,
    mean_error,
    mean_over,
    object_absence,
    pair_members_among_first,
    paired_difference,
    reported_of_there,
    spearman,
    three_are_there,
    told_of_more,
    unstated_share,
)
from experiments.shortcut_bench.specification import Value
from experiments.world.truth import THERE

TITLES = {
    "diffex": "DiffEx",
    "diffex_uniform": "DiffEx, all 48 images of each concept",
    "diffex_12_images": "DiffEx, 12 images of each",
    "diffex_6_images": "DiffEx, 6 images of each",
    "default": "the default run's concepts",
    "words": "words of the text encoder, no list",
    "diffexplainer": "the default run, whole",
    "grad_cam": "Grad-CAM × masks",
    "integrated_gradients": "integrated gradients × masks",
    "correlation": "correlation in labelled data",
    "chance": "chance",
}
AIMS = "aim ≥ 0.90 | | aim ≥ 0.97 | | aim ≥ 0.85 | aim ≤ 0.05 |"

FRONT = (
    "default", "words", "diffex", "diffex_6_images", "grad_cam", "integrated_gradients", "correlation", "chance",
)  # fmt: skip
"""The methods of the README's table."""
FAILURES_OF = ("default", "diffex")


INTERVALS = (
    "Intervals: Wilson, 95 %, but for means and Spearman, where it is a bootstrap over classifiers. Those of shares of "
    "concepts take the concepts of one classifier as independent, and are rather too narrow. n counts classifiers, or "
    "concepts of all of them."
)


def machine() -> str:
    """What the seconds were measured on."""
    return (
        f"Machine: {platform.machine()}, {os.cpu_count()} cores, one thread a process, torch "
        f"{torch.__version__.split('+')[0]}."
    )


def section(title: str, answers: Mapping[str, Mapping[str, Answer]]) -> list[str]:
    """All tables of one half."""
    most = max((of for of in answers.values()), key=len)
    controls = sum(answer.specification.control is not None for answer in most.values())
    lines = [f"## {title}", "", f"{len(most)} classifiers, {controls} of them controls.", ""]
    lines += measured_table(answers)
    lines += ["", "### First place right, by kind", "", *kinds_table(answers)]
    lines += ["", "### Ranks, means over classifiers with a bootstrap over them", "", *main_table(answers)]
    lines += ["", "### Controls, calibration, absence of the object", "", *control_table(answers)]
    lines += ["", "### What it costs", "", *cost_table(answers)]
    lines += ["", "### Recall@1 by architecture (classifiers)", "", *by_architecture(answers)]
    lines += ["", "### Paired with DiffEx, on the same classifiers", "", *paired_table(answers)]
    if pairs := pairs_table(answers.get("diffex_uniform", {})):
        lines += ["", "### Pairs, by DiffEx's search for combinations", "", *pairs]
    lines += ["", "### What was learned", "", *learned_table(most)]
    return [*lines, ""]


def doses(title: str, answers: Mapping[str, Mapping[str, Answer]]) -> list[str]:
    """The planted value of every design at every strength: what is true of it, and what each method says."""
    most = max((of for of in answers.values()), key=len)
    lines = [f"## {title}", "", f"{len(most)} classifiers.", ""]
    every = {method: planted(of_method) for method, of_method in answers.items()}
    found = {method: of for method, of in every.items() if any(one.effect is not None for one in of.values())}
    lines += [f"| planted | strength | true effect | {' | '.join(TITLES[method] for method in found)} |"]
    lines += ["|---" * (3 + len(found)) + "|"]
    for name, answer in sorted(
        most.items(), key=lambda item: (item[1].specification.seed, item[1].specification.strength)
    ):
        one = answer.specification
        (value,) = one.shortcuts[0]
        said = [stated(of.get(name)) for of in found.values()]
        what = f"{value.value} with {one.class_name} ({one.architecture})"
        lines.append(f"| {what} | {one.strength} | {answer.true[value]:+.2f} | {' | '.join(said)} |")
    for method, of in found.items():
        rows = [(abs(answers[method][name].true[one.value]), one.reported) for name, one in of.items()]
        there, smaller = [r for effect, r in rows if effect >= THERE], [r for effect, r in rows if effect < THERE]
        least = min((f"{effect:.2f}" for effect, reported in rows if reported), default="none")
        lines += [
            "",
            f"{TITLES[method]}: {sum(there)} of {len(there)} that are there (0.2 or more) are reported, and "
            f"{sum(smaller)} of {len(smaller)} smaller ones; the smallest true effect that is reported: {least}.",
        ]
    return [*lines, ""]


def planted(answers: Mapping[str, Answer]) -> dict[str, Finding]:
    """What is said of the one value that each classifier was planted with."""
    values = {name: answer.specification.shortcuts[0][0] for name, answer in answers.items()}
    found = {
        name: [f for f in answer.explained.findings if f.value == values[name]] for name, answer in answers.items()
    }
    return {name: one[0] for name, one in found.items() if one}


def stated(finding: Finding | None) -> str:
    """An effect with its interval and what it is called."""
    if finding is None or finding.effect is None:
        return "–"
    return f"{finding.effect:+.2f} ({finding.low:.2f} to {finding.high:.2f}), {finding.verdict or finding.reported}"


def shortcut(answers: Mapping[str, Answer]) -> list[Answer]:
    """Those of classifiers with a planted shortcut."""
    return [answer for answer in answers.values() if answer.specification.kind is not None]


def control(answers: Mapping[str, Answer]) -> list[Answer]:
    """Those of controls."""
    return [answer for answer in answers.values() if answer.specification.control is not None]


def measured_table(answers: Mapping[str, Mapping[str, Answer]]) -> list[str]:
    """A column for each method: all that is asked of an answer, with counts and Wilson intervals."""
    lines = [f"| | {' | '.join(TITLES[method] for method in answers)} |", "|---|" + "---|" * len(answers)]
    columns = [measured(of_method) for of_method in answers.values()]
    lines += [f"| {name} | {' | '.join(column[name] for column in columns)} |" for name in (columns or [{}])[0]]
    return [*lines, "", INTERVALS]


def measured(of_method: Mapping[str, Answer]) -> dict[str, str]:
    """The cells of one method, by the names of their rows."""
    every = list(of_method.values())
    marked = [answer for answer in every if answer.specification.kind == "mark"]
    named = [answer for answer in shortcut(of_method) if answer.specification.kind != "mark"]
    knowing = [answer for answer in every if answer.specification.control in ("fair", "not_learned")]
    evaluations = [answer.explained.account.denoiser for answer in every]
    return {
        "first place right, where something is there": cell(counted(every, first_is_there)),
        "of what is there, reported with its sign": cell(reported_of_there(every)),
        "of absent concepts of controls, reported": cell(absent_share(control(of_method), "reported"), 3),
        "of absent concepts, no effect": cell(absent_share(every, "no effect")),
        "of absent concepts, undecided": cell(absent_share(every, "undecided")),
        "of absent concepts, without interval": cell(absent_share(every, "not tested")),
        "intervals that hold the effect, at least 0.2": cell(coverage(every, "there"), 3),
        "between": cell(coverage(every, "between"), 3),
        "within ±0.02": cell(coverage(every, "absent"), 3),
        "of all concepts, without interval": cell(unstated_share(every)),
        "half-width, median, mean over classifiers": cell(mean_over(every, half_width), 3),
        "interval score, mean": cell(mean_over(every, interval_score), 3),
        "Spearman, effects beyond ±0.02": cell(spearman(every)),
        "planted pair's members among the first three": cell(counted(every, pair_members_among_first)),
        "marks: accused of something absent": cell(counted(marked, accused)),
        "said to be after something that no word names: marks": cell(counted(marked, told_of_more)),
        "fair and not learned controls": cell(counted(knowing, told_of_more)),
        "shortcuts that words name": cell(counted(named, told_of_more)),
        "denoiser evaluations, median": f"{statistics.median(evaluations):,.0f} n {len(evaluations)}",
    }


def kinds_table(answers: Mapping[str, Mapping[str, Answer]]) -> list[str]:
    """The first place is right, with counts and Wilson intervals; of controls, where something is there anyway."""
    of = {method: by_kind(list(of_method.values()), first_is_there) for method, of_method in answers.items()}
    kinds = list(dict.fromkeys(kind for found in of.values() for kind in found))
    lines = [f"| kind or control | {' | '.join(TITLES[method] for method in of)} |", "|---|" + "---|" * len(of)]
    return lines + [f"| {kind} | {' | '.join(cell(found.get(kind)) for found in of.values())} |" for kind in kinds]


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
        "intervals that hold the true effect | median half-width | mean absolute error | object absent, AUROC |",
        "|---|---|---|---|---|---|---|",
    ]
    for method, of_method in answers.items():
        everything = list(of_method.values())
        cells = [
            cell(mean_over(shortcut(of_method), found_share)),
            cell(mean_over(control(of_method), any_false)),
            cell(mean_over(everything, covered)),
            cell(mean_over(everything, half_width), 3),
            cell(mean_over(everything, mean_error), 3),
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


def by_architecture(answers: Mapping[str, Mapping[str, Answer]]) -> list[str]:
    """Recall@1 of shortcut classifiers of each architecture."""
    every = [answer for of_method in answers.values() for answer in shortcut(of_method)]
    groups = list(dict.fromkeys(answer.specification.architecture for answer in every))
    lines = [f"| method | {' | '.join(groups)} |", "|---|" + "---|" * len(groups)]
    for method, of_method in answers.items():
        cells = []
        for group in groups:
            mine = [answer for answer in shortcut(of_method) if answer.specification.architecture == group]
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


def pairs_table(answers: Mapping[str, Answer]) -> list[str]:
    """The place of the planted pair among all pairs that the search tried, for each classifier with one.

    The search orders them by what both do together; a pair with another strong shortcut in it may stand before.
    """
    lines = []
    for name, answer in answers.items():
        if answer.interaction is None or "combinations" not in answer.explained.extra:
            continue
        tried = [
            {Value(*value) for value in joint} for joint in answer.explained.extra["combinations"] if len(joint) == 2
        ]
        planted = set(answer.specification.planted[0])
        place = str(tried.index(planted) + 1) if planted in tried else "not tried"
        said = " and ".join(value.value for value in answer.specification.planted[0])
        lines.append(f"| {name} | {said} | {answer.interaction:+.2f} | {place} of {len(tried)} |")
    head = ["| classifier | planted | true interaction | place among the pairs tried |", "|---|---|---|---|"]
    return [*head, *lines] if lines else []


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
            abs(answer.true[answer.specification.planted[0][0]]) >= THERE
            for answer in mine
            if answer.specification.planted
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


FRONT_ROWS = (
    "first place right, where something is there",
    "of what is there, reported with its sign",
    "of absent concepts of controls, reported",
    "of absent concepts, no effect",
    "of absent concepts, undecided",
    "intervals that hold the effect, at least 0.2",
    "between",
    "within ±0.02",
    "denoiser evaluations, median",
)
"""What the README shows of `measured`."""


def front_table(answers: Mapping[str, Mapping[str, Answer]]) -> str:
    """For the README: one set in short, a column for each method."""
    columns = {method: measured(answers[method]) for method in FRONT if method in answers}
    lines = [f"| | {' | '.join(TITLES[method] for method in columns)} |", "|---|" + "---|" * len(columns)]
    lines += [f"| {row} | {' | '.join(column[row] for column in columns.values())} |" for row in FRONT_ROWS]
    most = max(answers.values(), key=len, default={})
    controls = len(control(most))
    size = f"{len(most)} classifiers of ShortcutBench's fresh designs, {controls} of them controls"
    return "\n".join([*lines, "", f"{size}; 95 % intervals (Wilson). {machine()}"])


def failures(answers: Mapping[str, Mapping[str, Answer]]) -> str:
    """For docs/method.md: of which classifiers the first place is wrong, and how many controls are wrongly accused."""
    lines: list[str] = []
    for method in (method for method in FAILURES_OF if method in answers):
        of_method = answers[method]
        asked = [answer for answer in shortcut(of_method) if any(answer.there)]
        wrong = [answer for answer in asked if (first_is_there(answer) or 0) < 1]
        accused = [answer for answer in control(of_method) if any_false(answer)]
        lines += [
            "",
            f"**{TITLES[method]}**, fresh designs: of {len(asked)} classifiers with something to find the first place "
            f"is wrong for {len(wrong)}; of {len(control(of_method))} controls {len(accused)} are accused of something "
            "absent.",
        ]
        if wrong:
            lines += ["", "| classifier | there (true effect) | first place (its true effect) |", "|---|---|---|"]
        for answer in wrong:
            first = max(answer.explained.findings, key=lambda finding: abs(finding.score))
            there = sorted(((v, t) for v, t in answer.true.items() if abs(t) >= THERE), key=lambda row: -abs(row[1]))
            said = ", ".join(f"{value.value} ({true:.2f})" for value, true in there)
            found = f"{first.value.value} ({answer.true[first.value]:.2f})" if first.score else "nothing"
            lines.append(f"| {answer.specification.name} | {said} | {found} |")
    return "\n".join(lines).strip()
