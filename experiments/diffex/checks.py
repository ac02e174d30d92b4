"""How often the checks of edits are right: on scenes that differ in one thing, which is known.

For every subject, scenes are drawn with and without a value (a companion, a sub-type, a setting, a colour, ...), the
same in all else; *told* is the share in which a check says that the value came. Beside each stands one in which
another thing changed and the value did not come: *claimed* is the share in which the check says so all the same.

Three checks are compared: the value's mask is there and larger than its rivals', after and not before; CLIP finds it
more similar than its rivals, after and not before; or its similarity rose more than that of its rivals and of the bare
subject. `diffexplain.editing.checks` uses the one that is named in the last column.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path as FilePath

import numpy as np
import torch
from torch import Tensor

from diffexplain.concepts import Hierarchy
from diffexplain.concepts.vocabulary import class_phrase
from diffexplain.editing import Checks, Composition
from diffexplain.editing.checks import Fits, by_mask, by_similarity, fits_best, gained
from diffexplain.editing.composition import Path
from diffexplain.segmentation import Segmenter
from diffexplain.world.render import choice, render_images
from diffexplain.world.scenes import ATTRIBUTES, SUBJECTS, Scene
from experiments.marked import write_between
from experiments.world.truth import base_scenes, contrasts, variants

RESULTS = FilePath(__file__).parent / "RESULTS.md"
BEGIN, END = "<!-- checks: begin -->", "<!-- checks: end -->"
HIERARCHY = "embedded:hierarchies/world.yaml"
SEED = 7
THINGS = ("companion", "subtype", "setting", "weather", "size", "texture", "colour", "position")
CHECKS = ("mask", "similarity", "gain")


@dataclass(frozen=True)
class Case:
    """A scene without a value, with it, and without it but different in another thing."""

    thing: str
    path: Path
    seed: int
    absent: Scene
    present: Scene
    other: Scene


@dataclass(frozen=True)
class Answer:
    """What one check says of a case."""

    thing: str
    check: str
    told: bool
    claimed: bool


def path_of(thing: str, value: str) -> Path:
    """Where the world's hierarchy has what the truth tables call so.

    >>> path_of("subtype", "flag/striped")
    ('companion', 'flag', 'striped flag')
    """
    if thing == "subtype":
        kind, _, subtype = value.partition("/")
        return ("companion", kind, f"{subtype} {kind}")
    return (thing, value)


def cases(subject: str, count: int) -> list[Case]:
    """One case of each thing for each of ``count`` scenes of the subject."""
    found = []
    for scene, seed in zip(*base_scenes(subject, count, SEED), strict=True):
        made = variants(scene, seed)
        for thing in THINGS:
            possible = [contrast for contrast in contrasts() if contrast.attribute == thing]
            contrast = possible[choice(seed, f"check {thing}", len(possible))]
            present = made[contrast.present[choice(seed, f"present {thing}", len(contrast.present))]]
            absent = made[contrast.absent[choice(seed, f"absent {thing}", len(contrast.absent))]]
            name = "texture" if thing == "colour" else "colour"
            values = [value for value in ATTRIBUTES[name] if value != getattr(absent, name)]
            changed = values[choice(seed, f"other {thing}", len(values))]
            other = replace(absent, **{name: changed})  # type: ignore[arg-type]
            found.append(Case(thing, path_of(thing, contrast.value), seed, absent, present, other))
    return found


def answers(checks: Checks, composition: Composition, tried: Sequence[Case]) -> Iterable[Answer]:
    """What each check says of cases of one subject."""
    for path in dict.fromkeys(case.path for case in tried):
        mine = [case for case in tried if case.path == path]
        asked = [path, *composition.rivals(path)]
        parts = [[case.absent for case in mine], [case.present for case in mine], [case.other for case in mine]]
        # Both ways, whichever of them the package goes by: that is what is measured.
        looked = [checks.look(composition, drawn(part, [case.seed for case in mine]), [path], asked) for part in parts]
        seen = [one.seen(path) for one in looked]
        for place, case in enumerate(mine):
            masks = [bool(part[place]) for part in seen]
            similar: list[Fits] = [one.fits(place) for one in looked]
            best = [bool(fits_best(composition, path, one)) for one in similar]
            rose = [bool(gained(composition, path, one, similar[0])) for one in similar[1:]]
            yield Answer(case.thing, "mask", masks[1] and not masks[0], masks[2] and not masks[0])
            if composition.rivals(path):
                yield Answer(case.thing, "similarity", best[1] and not best[0], best[2] and not best[0])
            yield Answer(case.thing, "gain", rose[0], rose[1])


def drawn(scenes: Sequence[Scene], seeds: Sequence[int]) -> Tensor:
    """(N, 3, 64, 64) in [0, 1]."""
    return torch.from_numpy(render_images(scenes, seeds)).permute(0, 3, 1, 2).float() / 255


def used(composition: Composition, path: Path) -> str:
    """The check that the package uses for a concept."""
    if by_mask(composition, path):
        return "mask"
    if not by_similarity(composition, path):
        return "none: not checked"
    return "similarity" if composition.role(path) == "setting" else "gain"


def table(found: Sequence[Answer]) -> str:
    """One row for each thing: told and claimed of every check."""
    composition = Composition(Hierarchy.load(HIERARCHY), "a flagpole")
    heads = " | ".join(f"{check}: told, claimed" for check in CHECKS)
    lines = [f"| what comes | n | {heads} | used |", "|---|---|---|---|---|---|"]
    for thing in THINGS:
        cells = []
        for check in CHECKS:
            mine = [answer for answer in found if (answer.thing, answer.check) == (thing, check)]
            told = np.mean([answer.told for answer in mine]) if mine else None
            claimed = np.mean([answer.claimed for answer in mine]) if mine else None
            cells.append("no rivals" if told is None else f"{told:.2f}, {claimed:.2f}")
        n = sum(answer.thing == thing and answer.check == "mask" for answer in found)
        first = next(contrast for contrast in contrasts() if contrast.attribute == thing)
        rule = used(composition, path_of(thing, first.value))
        lines.append(f"| {thing} | {n} | {' | '.join(cells)} | {rule} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=13, help="of each of the twelve subjects")
    parser.add_argument("--print", action="store_true", help="print the table, leave RESULTS.md as it is")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    checks = Checks(Segmenter.load("embedded:clipseg"))
    hierarchy = Hierarchy.load(HIERARCHY)
    found: list[Answer] = []
    for subject in SUBJECTS:
        composition = Composition(hierarchy, class_phrase(subject))
        found += answers(checks, composition, cases(subject, options.scenes))
    text = table(found)
    if not options.print:
        write_between(RESULTS, BEGIN, END, text)
    print(text)


if __name__ == "__main__":
    main()
