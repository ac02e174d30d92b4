"""The tables of the figure: whom the pictures activate, what they show, how far from rendered scenes they are."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from diffexplain.evaluation.quality import kernel_distance
from diffexplain.statistics.estimates import Estimate
from diffexplain.statistics.tests import wilson
from experiments.diffexplainer_figure2.figure import NAMES
from experiments.marked import write_between

PUBLISHED = Path(__file__).parent / "published.yaml"


def write_table(
    page: Path,
    profile: str,
    results: Sequence[Mapping[str, Any]],
    references: tuple[Tensor, Tensor] | None,
    methods: Sequence[str],
) -> str:
    """Put the tables of a profile between its marks in ``page``; returns them."""
    parts = []
    for classifier in dict.fromkeys(result["classifier"] for result in results):
        own = [result for result in results if result["classifier"] == classifier]
        parts.append(f"### Pictures made for `{classifier}`\n")
        parts.append(f"![Rows are classes, columns methods]({classifier}.png)\n")
        parts.append(_pooled(classifier, own, references, methods))
        parts.append(_by_class(classifier, own))
    if any("clip_iqa" in result for result in results):
        parts.append(_image_quality(results, methods))
    parts.append(_made(results))
    text = "\n".join(parts)
    write_between(page, f"<!-- {profile}: begin -->", f"<!-- {profile}: end -->", text)
    return text


def _pooled(
    classifier: str, results: Sequence[Mapping[str, Any]], references: tuple[Tensor, Tensor] | None,
    methods: Sequence[str],
) -> str:  # fmt: skip
    """A row for each method, over all classes: own activation, that of the others, the oracle, the distance."""
    others = _others(classifier, results)
    asked = ["oracle: the class", "oracle: planted"] if results[0]["oracle"] else []
    last = ["distance from rendered scenes"] if references is not None else []
    lines = _head(["method", "n", "activates it", *(f"activates {name}" for name in others), *asked, *last])
    for method in methods:
        rows = [row for row in results if row["method"] == method]
        if not rows:
            continue
        shares = [_share([value for row in rows for value in row["read"][name]]) for name in (classifier, *others)]
        if asked:
            classes = [value for row in rows for value in row["oracle"][row["class"]]]
            shares += [_share(classes), _share([value for row in rows for value in _planted(row)])]
        if references is not None:
            features = torch.tensor([row for result in rows for row in result["features"]], dtype=torch.float64)
            shares.append(_distance(kernel_distance(features, references[0][: len(features)])))
        lines.append(_row([NAMES[method], str(sum(row["n"] for row in rows)), *shares]))
    if references is not None:
        floor = _distance(kernel_distance(references[1], references[0]))
        blank = ["" for _ in range(len(others) + 1 + len(asked))]
        lines.append(_row(["*other rendered scenes*", str(len(references[1])), *blank, floor]))
    return "\n".join(lines) + "\n"


def _by_class(classifier: str, results: Sequence[Mapping[str, Any]]) -> str:
    """A row for each class and method."""
    others = _others(classifier, results)
    asked = ["oracle sees"] if results[0]["oracle"] else []
    lines = _head(["class", "method", "n", "activates it", *(f"activates {name}" for name in others), *asked])
    for row in results:
        shares = [_share(row["read"][name]) for name in (classifier, *others)]
        seen = ", ".join(f"{name} {sum(values)} of {len(values)}" for name, values in sorted(row["oracle"].items()))
        cells = [row["class"], NAMES[row["method"]], str(row["n"]), *shares, *([seen] if asked else [])]
        lines.append(_row(cells))
    return "\n".join(lines) + "\n"


def _others(classifier: str, results: Sequence[Mapping[str, Any]]) -> list[str]:
    """The readers that the pictures were not made for, in an order that does not depend on what was read back."""
    return sorted(name for name in results[0]["read"] if name != classifier)


def _image_quality(results: Sequence[Mapping[str, Any]], methods: Sequence[str]) -> str:
    """CLIP-IQA, published and ours: mean and standard deviation over pictures."""
    published = yaml.safe_load(PUBLISHED.read_text(encoding="utf-8"))["clip_iqa"]
    lines = _head(["method", "CLIP-IQA", "published", "semantic CLIP-IQA", "published", "n"])
    for method in methods:
        known, cells, count = published.get(method), [NAMES[method]], 0
        for name, prefix in (("clip_iqa", ""), ("semantic_clip_iqa", "semantic_")):
            values = [value for row in results if row["method"] == method for value in row.get(name, ())]
            count = len(values)
            cells.append(f"{statistics.mean(values):.2f} ± {statistics.pstdev(values):.2f}" if values else "-")
            cells.append(f"{known[f'{prefix}mean']:.2f} ± {known[f'{prefix}sd']:.2f}" if known else "-")
        lines.append(_row([*cells, str(count)]))
    return "\n".join(lines) + "\n"


def _made(results: Sequence[Mapping[str, Any]]) -> str:
    seconds = [row["seconds"] for row in results if row["seconds"] is not None]
    seeds = ", ".join(sorted({str(row["seed"]) for row in results}))
    machines = ", ".join(sorted({f"{row['machine']}, {row['threads']} thread" for row in results}))
    median = f" Median {statistics.median(seconds):.0f} s a cell, other work beside it." if seconds else ""
    count = max(row["n"] for row in results)
    return f"{len(results)} cells, `--images {count} --seed {seeds}`; {machines}.{median}"


def _planted(row: Mapping[str, Any]) -> list[bool]:
    """For each picture, whether the oracle sees anything that was planted beside the class."""
    kinds = [values for name, values in row["oracle"].items() if name != row["class"]]
    return [any(values) for values in zip(*kinds, strict=True)]


def _share(values: Sequence[bool]) -> str:
    share = wilson(sum(values), len(values))
    return f"{share.value:.2f} [{share.low:.2f}, {share.high:.2f}]"


def _distance(estimate: Estimate | None) -> str:
    return "-" if estimate is None else f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def _head(names: Sequence[str]) -> list[str]:
    return [_row(names), "|" + "---|" * len(names)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
