"""``diffexplain compare``: what finished runs say of the same pictures, side by side."""

from __future__ import annotations

from collections.abc import Sequence

from diffexplain.cli.listing import table
from diffexplain.effects.results import Verdict
from diffexplain.errors import printable
from diffexplain.pipelines.comparable import comparable
from diffexplain.report import wording
from diffexplain.statistics.estimates import Estimate


def main(runs: Sequence[str]) -> int:
    """Print the effects of these runs, the largest difference first; returns the exit status.

    Raises:
        UserError: there is no such run, or their pictures are not the same.
    """
    known = comparable(runs)  # What is refused is refused before the engine of effects is loaded, and torch with it.
    from diffexplain.pipelines.side_by_side import compare

    found = compare(runs, *known)
    effects = [
        {one.path: one for one in summary.concepts if one.verdict is not Verdict.NOT_TESTED}
        for summary in found.summaries
    ]
    texts = {path: concept.text for of in effects for path, concept in of.items()}
    apart = {(one.first, one.second, one.path): one.effect for one in found.differences}
    pairs = list(dict.fromkeys((first, second) for first, second, _ in apart))

    def largest(path: tuple[str, ...]) -> float:
        return max((abs(apart[*pair, path].score.value) for pair in pairs if (*pair, path) in apart), default=-1.0)

    rows = []
    for path in sorted(texts, key=largest, reverse=True):
        cells = [_told(of[path].over_all.score if path in of else None) for of in effects]
        for pair in pairs:
            effect = apart.get((*pair, path))
            sure = ", beyond doubt" if effect is not None and effect.significant else ""
            cells.append(_told(None if effect is None else effect.score) + sure)
        rows.append((texts[path], *cells))
    header = ("concept", *found.names, *(f"{first} minus {second}" for first, second in pairs))
    print(printable("\n".join(table(header, rows))))
    print("Differences are on the pictures that both runs have, n of them; where too few are, they are not tested.")
    return 0


def _told(effect: Estimate | None) -> str:
    if effect is None:
        return "not tested"
    return f"{wording.changed(effect)}, n {effect.n}"
