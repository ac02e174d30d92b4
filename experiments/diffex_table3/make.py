"""DiffEx's Table 3, what people think of the edits; here whether they took, and how far the rest of the image moved.

python -m experiments.diffex_table3.make                     the embedded world
python -m experiments.diffex_table3.make --profile paper     CLIP without training, with Stable Diffusion's prior
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

from diffexplain.statistics.estimates import Estimate
from diffexplain.statistics.tests import mean_interval
from experiments.papers.paper_tables import NOTHING, Made, Sweep, head, main, row, shown
from experiments.papers.true_effects import rankings

HERE = Path(__file__).parent


def table(sweep: Sweep) -> str:
    """The ratings of the paper's domains, and what is measured in ours."""
    ratings = sweep.published["ratings"]
    names = ["domain", "published: edit quality (1 to 5)", "ours: edits that took"]
    names += ["published: disentanglement (1 to 5)", "ours: the rest moved by", "edited images"]
    lines = head(names)
    for group in dict.fromkeys(["birds", "faces", *sweep.groups]):
        known = [f"{ratings[name][group][0]} ± {ratings[name][group][1]}" if group in ratings[name] else NOTHING
                 for name in ("edit quality", "disentanglement")]  # fmt: skip
        runs = sweep.of(group=group)
        ours = [sweep.not_run if group in sweep.groups else NOTHING] * 3
        if runs:
            assert runs[0].summary.effects is not None
            ours = [took(runs[0]), shown(strayed(runs[0]), 3), str(runs[0].summary.effects.budget.images)]
        lines.append(row([group, known[0], ours[0], known[1], ours[1], ours[2]]))
    return "\n".join([*lines, "", sweep.made_with()])


def took(run: Made) -> str:
    """The share of checked edits that took; the edits are the same for all classifiers."""
    shares = [concept.took for concept in rankings(run)[0].concepts if concept.took is not None]
    pairs = sum(share.n for share in shares)
    if not pairs:
        return "not checked"
    mean = sum(share.value * share.n for share in shares) / pairs
    least = min(shares, key=lambda share: share.value)
    return f"{mean:.2f}, n {pairs} pairs of {len(shares)} concepts (least of a concept: {least.value:.2f})"


def strayed(run: Made) -> Estimate | None:
    """Mean change of what an edit should leave alone, in [0, 1], over images; each the mean of its edits."""
    from diffexplain.effects.population import recorded_edits  # imports torch

    by_image: dict[int, list[float]] = {}
    for edit in recorded_edits(run.directory):
        if edit["record"]["strayed"] is not None:
            by_image.setdefault(edit["index"], []).append(edit["record"]["strayed"])
    means = [statistics.mean(values) for values in by_image.values()]
    return mean_interval(means) if len(means) > 1 else None


if __name__ == "__main__":
    sys.exit(main(HERE, table))
