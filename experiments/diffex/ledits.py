"""How often does LEDITS++ do what it is asked for on rendered scenes, and what does it cost?

Scenes of the planted classes are rendered, inverted once, and edited towards every concept of the world's hierarchy
that they do not show, and away from every object that they show. The oracle, which takes no part in anything that it
grades, reads the results: an edit succeeds where it reads the concept (or reads it no more) and the subject as it was.

Cost is counted in samples of the denoising network, every item of a batch and every branch of guidance. The released
code inverts an image again for every keyword; its cost at the same settings is that of these edits and as many
inversions.

The same command goes on where it stopped: each setting's counts are a file under `--outputs`. The table is written to
`RESULTS.md`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from diffexplain.concepts import Hierarchy
from diffexplain.concepts.vocabulary import class_phrase
from diffexplain.config import configuration
from diffexplain.diffusion import load_prior
from diffexplain.editing import Change, Composition, LeditsPP
from diffexplain.editing.composition import Path as ConceptPath
from diffexplain.editing.composition import State
from diffexplain.runs.draws import Draws
from diffexplain.statistics.tests import wilson
from diffexplain.world.render import render_images
from diffexplain.world.sampler import World
from diffexplain.world.scenes import ATTRIBUTES, COMPANIONS, Scene
from diffexplain.world.truth_table import truth_name
from experiments.diffex.world import CLASSES, HIERARCHY, RESULTS
from experiments.marked import write_between
from experiments.world.oracle import Answers, load_oracle, read

BEGIN, END = "<!-- ledits: begin -->", "<!-- ledits: end -->"
DEVELOPMENT_SEEDS, SEEDS = 910_000_000, 920_000_000
"""Of the scenes on which settings are chosen, and of those that are reported."""


SETTINGS = {
    "released": ["editor=leditspp"],
    "world": ["editor=leditspp_world"],
    "world, 50 steps": ["editor=leditspp_world", "editor.steps=50"],
}
"""What a person types for each."""
KEYS = ("steps", "skip", "guidance", "threshold")


def settings_of(name: str) -> dict[str, float]:
    """The settings as they are shipped."""
    editor = configuration.compose(["explainer=diffex", *SETTINGS[name]])["editor"]
    return {key: editor[key] for key in KEYS}


def state_of(scene: Scene, composition: Composition) -> State:
    """What a scene shows, as a state of the hierarchy: the finest concepts."""
    shown = {("subtype", f"{one.kind}/{one.subtype}") for one in scene.companions if one.subtype}
    shown |= {("companion", one.kind) for one in scene.companions if not one.subtype}
    shown |= {(attribute, getattr(scene, attribute)) for attribute in ATTRIBUTES if attribute != "subject"}
    return frozenset(path for path in composition.concepts if truth_name(path) in shown)


def reads(answers: Answers, place: int, path: ConceptPath) -> bool:
    """Whether the oracle sees the concept in one picture."""
    attribute, value = truth_name(path)
    if attribute == "companion":
        return bool(answers[f"companion:{value}"][place])
    if attribute == "subtype":
        kind, _, subtype = value.partition("/")
        index = COMPANIONS[kind].index(subtype)
        return bool(answers[f"companion:{kind}"][place]) and int(answers[f"subtype:{kind}"][place]) == index
    return int(answers[attribute][place]) == ATTRIBUTES[attribute].index(value)


def measure(settings: dict[str, Any], scenes_a_class: int, first_seed: int) -> dict[str, Any]:
    """Tries and successes for each kind of edit, and the samples of the network that were called for."""
    editor = LeditsPP(load_prior("embedded:prior", steps=4), **settings, micro_batch=16)
    oracle, hierarchy, draws = load_oracle(), Hierarchy.load(HIERARCHY), Draws(0, "ledits")
    tried: dict[str, list[int]] = {}
    inverting = editing = edits = 0
    for class_name in CLASSES:
        composition = Composition(hierarchy, class_phrase(class_name))
        scenes = World(subjects=(class_name,)).sample(scenes_a_class, first_seed)
        rendered = render_images(scenes, range(first_seed, first_seed + len(scenes)))
        images = torch.from_numpy(rendered).permute(0, 3, 1, 2).float() / 255
        states = [state_of(scene, composition) for scene in scenes]
        before = editor.evaluations
        prepared = editor.prepare(composition, draws, range(len(scenes)), images, states)
        # The null edits are one branch for each step, as the inversion is.
        inverting += (editor.evaluations - before) // 2
        count(tried, "null edit, subject", same_subject(read(oracle, prepared.null), class_name))
        for path in composition.concepts:
            for reverse in (False, True):
                change = Change(path, reverse)
                places = [place for place, state in enumerate(states) if asked(composition, state, change)]
                if not places:
                    continue
                after = [composition.apply(states[p], [change], draws.generator("rivals", index=p)) for p in places]
                before = editor.evaluations
                made: Tensor = editor.edit(prepared, places, after)
                editing += editor.evaluations - before
                edits += len(places)
                answers = read(oracle, made)
                right = [reads(answers, row, path) != reverse for row in range(len(places))]
                kept = same_subject(answers, class_name)
                name = ("without " if reverse else "") + truth_name(path)[0]
                count(tried, name, [one and other for one, other in zip(right, kept, strict=True)])
    return {
        "settings": settings, "tried": tried, "inverting": inverting, "editing": editing, "edits": edits,
    }  # fmt: skip


def asked(composition: Composition, state: State, change: Change) -> bool:
    """Put in what is not there; take out objects that are."""
    shown = composition.shows(state, change.path)
    return shown and composition.role(change.path) == "object" if change.reverse else not shown


def same_subject(answers: Answers, class_name: str) -> list[bool]:
    """Whether the oracle reads the subject in each picture."""
    return [int(answer) == ATTRIBUTES["subject"].index(class_name) for answer in answers["subject"]]


def count(tried: dict[str, list[int]], name: str, right: Sequence[bool]) -> None:
    """Add successes and tries."""
    successes, tries = tried.get(name, [0, 0])
    tried[name] = [successes + sum(right), tries + len(right)]


def table(results: dict[str, dict[str, Any]]) -> str:
    """One row for each kind of edit, one column for each setting; then what they cost."""
    names = list(results)
    kinds = list(next(iter(results.values()))["tried"])
    lines = ["| edit succeeded | " + " | ".join(names) + " | n |", "|---|" + "---|" * (len(names) + 1)]

    def row(title: str, counts: Sequence[Sequence[int]]) -> str:
        cells = [wilson(right, total) for right, total in counts]
        shown = " | ".join(f"{cell.value:.2f} [{cell.low:.2f}, {cell.high:.2f}]" for cell in cells)
        return f"| {title} | {shown} | {counts[0][1]} |"

    lines += [row(kind, [results[name]["tried"][kind] for name in names]) for kind in kinds]
    edits = [kind for kind in kinds if not kind.startswith("null")]
    totals = [[sum(results[name]["tried"][kind][k] for kind in edits) for k in (0, 1)] for name in names]
    lines += [row("**all edits**", totals), "", "| cost in samples of the network | " + " | ".join(names) + " |"]
    lines += ["|---|" + "---|" * len(names)]
    ours = [2 * result["inverting"] + result["editing"] for result in results.values()]
    images = [result["tried"]["null edit, subject"][1] for result in results.values()]
    theirs = [
        result["inverting"] // n * result["edits"] + result["editing"]
        for result, n in zip(results.values(), images, strict=True)
    ]
    lines.append("| one inversion and null edit an image, then all edits | " + " | ".join(map(str, ours)) + " |")
    lines.append("| an inversion for every edit, as released | " + " | ".join(map(str, theirs)) + " |")
    shares = [f"{mine / other:.2f}" for mine, other in zip(ours, theirs, strict=True)]
    lines.append("| share of it | " + " | ".join(shares) + " |")
    shares = [f"{mine / theirs[0]:.3f}" for mine in ours]
    lines.append(f"| share of the {names[0]} scheme's | " + " | ".join(shares) + " |")
    said = "; ".join(
        f"{name}: " + ", ".join(f"{key} {value}" for key, value in results[name]["settings"].items()) for name in names
    )
    return "\n".join([*lines, "", f"{images[0]} scenes, {totals[0][1]} edits each. {said}."])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=4, help="scenes of each class")
    parser.add_argument("--outputs", type=Path, default=Path("outputs/diffex_ledits"))
    parser.add_argument("--development", action="store_true", help="the scenes on which settings are chosen; prints")
    parser.add_argument("--only", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    results = {}
    for name in options.only:
        first = DEVELOPMENT_SEEDS if options.development else SEEDS
        file = options.outputs / f"{name.replace(', ', '_').replace(' ', '_')}-{options.scenes}-{first}.json"
        if not file.is_file() or json.loads(file.read_text())["settings"] != settings_of(name):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(measure(settings_of(name), options.scenes, first), indent=2), encoding="utf-8")
        results[name] = json.loads(file.read_text(encoding="utf-8"))
    text = table(results)
    if not options.development:
        write_between(RESULTS, BEGIN, END, text)
    print(text)


if __name__ == "__main__":
    main()
