"""What a default run sees in its pictures, beside what the oracle finds in them.

The segmenter looks for objects and their kinds in the pictures of every edit, and CLIP for the target in those of the
optimised prompt. Both are watched here in whole default runs on the planted classes, and the oracle, which no run
knows, is asked about the very same pictures. How far the oracle itself can be believed on pictures of this prior is
beside it: what it finds where the prompt names the object, and where it names none.

`python -m experiments.world.seen` makes the runs (three minutes each) and writes the table between its marks in
`RESULTS.md`.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from diffexplain.app import make
from diffexplain.config import configuration
from diffexplain.diffusion import load_prior
from diffexplain.editing import checks
from diffexplain.evaluation import evaluation
from diffexplain.runs.draws import Draws
from diffexplain.statistics.tests import wilson
from diffexplain.world.scenes import COMPANIONS, SUBJECTS
from diffexplain.world.truth_table import truth_name
from experiments.marked import write_between
from experiments.world.common import prior_steps
from experiments.world.oracle import Answers, load_oracle, read

RESULTS = Path(__file__).parent / "RESULTS.md"
BEGIN, END = "<!-- seen: begin -->", "<!-- seen: end -->"
CLASSES = ("flagpole", "bee", "dog_sled")
SEED = 0
LABELLED = 24
"""Pictures of each class with each object, and as many of the class alone."""
MEAN, WORST = 0.05, 0.15
"""Aims for the share of pictures in which something is seen that the oracle does not find."""


@dataclass
class Counts:
    """Of one concept, over pictures: how often it is seen, found by the oracle, and one without the other."""

    pictures: int = 0
    counted: Counter[str] = field(default_factory=Counter)

    def add(self, seen: NDArray[np.bool_], found: NDArray[np.bool_]) -> None:
        self.pictures += len(seen)
        both = {"seen": seen, "found": found, "seen, not found": seen & ~found, "found, not seen": found & ~seen}
        self.counted.update({name: int(those.sum()) for name, those in both.items()})

    def share(self, name: str) -> float:
        return self.counted[name] / self.pictures


def found_by_the_oracle(answers: Answers, path: Sequence[str]) -> NDArray[np.bool_]:
    """Whether an object, or a kind of it, is in each picture."""
    attribute, value = truth_name(path)
    kind, _, one = value.partition("/")
    there = answers[f"companion:{kind}"] == 1
    if attribute == "companion":
        return there
    return there & (answers[f"subtype:{kind}"] == COMPANIONS[kind].index(one))


@contextmanager
def watched(class_name: str, found: dict[str, Counts]) -> Iterator[None]:
    """Ask the oracle about every picture in which something is looked for inside the block."""
    oracle, look, absence = load_oracle(), checks.Checks.look, evaluation.object_absence

    def looked(self: Any, composition: Any, images: Tensor, masked: Any, similar: Any) -> Any:
        seen = look(self, composition, images, masked, similar)
        answers = read(oracle, images.float().cpu())
        for path in masked:
            found[" > ".join(path[1:])].add(seen.seen(path), found_by_the_oracle(answers, path))
        return seen

    def absent(segmenter: Any, phrase: str, others: Any, images: Tensor, *known: Any) -> Any:
        answer = absence(segmenter, phrase, others, images, *known)
        there = read(oracle, images.float().cpu())["subject"] == SUBJECTS.index(class_name)
        assert answer.share is not None
        said = answer.share.value * len(images)
        found[f"{class_name} itself, absent"].pictures += len(images)
        found[f"{class_name} itself, absent"].counted.update(seen=round(said), found=int((~there).sum()))
        return answer

    checks.Checks.look, evaluation.object_absence = looked, absent  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        checks.Checks.look, evaluation.object_absence = look, absence  # type: ignore[method-assign]


def labelled() -> dict[str, tuple[Counts, Counts]]:
    """What the oracle finds in the prior's pictures of a class with an object, and of the class alone."""
    oracle, prior = load_oracle(), load_prior("embedded:prior", steps=prior_steps())
    found: dict[str, tuple[Counts, Counts]] = {kind: (Counts(), Counts()) for kind in COMPANIONS}
    for class_name in CLASSES:
        draws = Draws(SEED, f"seen {class_name}")
        subject = class_name.replace("_", " ")
        for number, kind in enumerate((*COMPANIONS, "")):
            text = f"a photo of a {subject}" + (f" with a {kind}" if kind else "")
            noise = draws.normals("labelled", number, LABELLED, prior.latent_shape)
            answers = read(oracle, prior.generate([text] * LABELLED, noise))
            for asked in (kind,) if kind else COMPANIONS:
                there = found_by_the_oracle(answers, ("companion", asked))
                found[asked][0 if kind else 1].add(there, there)
    return found


def table(found: dict[str, Counts], known: dict[str, tuple[Counts, Counts]]) -> str:
    """Both as Markdown."""
    things = {name: one for name, one in found.items() if not name.endswith("absent")}
    wrong = {name: one.share("seen, not found") for name, one in things.items()}
    worst = max(wrong, key=lambda name: wrong[name])
    lines = [
        f"Default runs on {', '.join(CLASSES)} of `world_shortcut_cnn`, seed {SEED} ({platform.machine()}). Seen in a "
        f"picture and not found there by the oracle: {np.mean(list(wrong.values())):.3f} of the pictures, mean over "
        f"{len(wrong)} objects and kinds (aim: at most {MEAN}); worst is {worst}, "
        f"{shown(things[worst], 'seen, not found')} (aim: at most {WORST}).",
        "",
        "| object or kind | pictures | seen | the oracle finds it | seen, not found | found, not seen "
        "| the oracle, where the prompt names it | and where it names none |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in sorted(things):
        one = things[name]
        shares = [f"{one.share(what):.2f}" for what in ("seen", "found", "seen, not found", "found, not seen")]
        beside = [f"{both.share('found'):.2f}" for both in known[name]] if name in known else ["–", "–"]
        lines.append(f"| {name} | {one.pictures} | {' | '.join([*shares, *beside])} |")
    lines += ["", "| pictures of the optimised prompt | n | the object cannot be seen | the oracle does not find it |",
              "|---|---|---|---|"]  # fmt: skip
    for name, one in found.items():
        if name not in things:
            class_name = name.partition(" itself")[0]
            lines.append(f"| {class_name} | {one.pictures} | {shown(one, 'seen')} | {shown(one, 'found')} |")
    return "\n".join(lines)


def shown(one: Counts, name: str) -> str:
    share = wilson(one.counted[name], one.pictures)
    return f"{share.value:.2f} [{share.low:.2f}, {share.high:.2f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--overrides", nargs="*", default=[], help="further keys of the runs")
    options = parser.parse_args()
    found: dict[str, Counts] = defaultdict(Counts)
    with tempfile.TemporaryDirectory() as outputs:
        for class_name in CLASSES:
            asked = [f"target=class:{class_name}", f"seed={SEED}", "logger=local", f"paths.outputs={outputs}"]
            with watched(class_name, found):
                make(configuration.compose([*asked, *options.overrides]))
    text = table(found, labelled())
    write_between(RESULTS, BEGIN, END, text)
    print(text)


if __name__ == "__main__":
    main()
