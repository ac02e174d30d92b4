"""Every shipped prior, CLIPSeg and CaffeNet at full size with random weights: fetched, planned, and run to a report.

    python -m experiments.full_size.make [<stage> ...]

Each stage builds what a prior fetches in its published format, serves it from a hub on this machine, gives `diffexplain
fetch`, asks what `diffexplain plan` says, and makes a run of few pictures at full resolution, whose networks are
listened to. What is made is not made again, a run that was stopped goes on, and RESULTS.md is written after each stage.
`--toy` makes all of it in small.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from diffexplain.weights.atomic import write_json, write_text
from diffexplain.weights.store import VARIABLE

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).with_name("RESULTS.md")
FETCH = "import sys; from diffexplain import cli; sys.exit(cli.main(['fetch', *sys.argv[1:]]))"
COMMON = (
    *("classifier=caffenet", "target=class:flagpole", "seed=0", "logger=local", "trainer=cpu"),
    *("trainer.progress=lines", "diffusion.dtype=float32"),
)
SCREEN = (
    *("discovery=quick", "discovery.pictures=4", "discovery.tested=1"),
    *("effects=quick", "effects.images=2", "effects.smallest=2", "effects.resamples=100"),
    "concepts.hierarchy=experiments/full_size/concepts.yaml",
)
PROMPT = (
    *("explainer.steps=1", "explainer.batch=1", "explainer.screening_images=0", "evaluation=quick"),
    *("evaluation.images=2", "evaluation.random_images=1", "evaluation.looked_images=2", "evaluation.candidates=0"),
    *("evaluation.minimum_activating=2", "evaluation.examples=2", "evaluation.resamples=100"),
)


@dataclass(frozen=True)
class Stage:
    """A prior and how it is asked; the cheapest way through everything that its explainer does."""

    name: str
    prior: str
    explainer: str = "randomised_prompts"
    more: tuple[str, ...] = ()

    @property
    def overrides(self) -> list[str]:
        """Of the command, but for where things are."""
        own = PROMPT if self.explainer == "diffexplainer" else ()
        return [*COMMON, f"diffusion={self.prior}", f"explainer={self.explainer}", *own, *SCREEN, *self.more]


STAGES = (
    # The prior's tiny decoder throughout: its full one takes most of the time that a picture of one step takes.
    Stage("sdxs_tiny_decoder", "sdxs", more=("diffusion.full_decoder=null",)),
    Stage("sdxs", "sdxs"),
    Stage("sdxs_diffexplainer", "sdxs", "diffexplainer"),
    Stage("sd_turbo", "sd_turbo"),
    Stage("sd21_nitro", "sd21_nitro"),
    Stage("sd14_lcm", "sd14_lcm"),
    Stage("sd15", "sd15", more=("diffusion.steps=2",)),
)
"""The cheapest first."""
WITHOUT = {
    "sdxl_turbo": "read as any pipeline of diffusers; its parts are not built here",
    "flux2_klein": "read as any pipeline of diffusers; its parts are not built here",
}
"""Shipped priors that no stage makes, and why."""


@dataclass(frozen=True)
class Place:
    """Where everything is, and whether it is made in small."""

    folder: Path
    toy: bool

    def of(self, stage: Stage) -> Path:
        """The folder of a stage's results."""
        return self.folder / stage.name

    def overrides(self, stage: Stage) -> list[str]:
        """The stage's whole command line."""
        address = (self.folder / "caffenet").read_text("utf-8")
        weights = f"classifier.weights=[{{url:'{address}',licence:unrestricted,megabytes:244}}]"
        return [*stage.overrides, weights, f"paths.outputs={self.of(stage)}"]

    def keep(self, stage: Stage, **found: Any) -> None:
        """Write down what was found of a stage beside what is there already."""
        write_json(self.of(stage) / "found.json", self.kept(stage) | found)

    def kept(self, stage: Stage) -> dict[str, Any]:
        """What was found so far."""
        path = self.of(stage) / "found.json"
        return dict(json.loads(path.read_text("utf-8"))) if path.exists() else {}


def fetch(place: Place, stage: Stage) -> None:
    """Build what is not fetched yet, serve it, and give `diffexplain fetch`."""
    from tests.hub.server import running

    from diffexplain.config import configuration
    from diffexplain.weights.sources import Repository, sources
    from diffexplain.weights.store import Lock, places, store_folder
    from experiments.full_size import parts

    lock, address = Lock(store_folder()), place.folder / "caffenet"
    wanted = sources(configuration.compose(stage.overrides))
    names = [
        one.name for one in wanted if isinstance(one, Repository) and not {*one.patterns} <= {*lock.patterns(one.name)}
    ]
    caffenet = not address.exists() or lock.file(address.read_text("utf-8")) is None
    with running(parts.hub_of(names, caffenet=caffenet, toy=place.toy)) as hub:
        if caffenet:
            write_text(address, f"{hub.endpoint}/plain/{parts.CAFFEMODEL}")
        own = {"HF_ENDPOINT": hub.endpoint, "HF_HUB_OFFLINE": "0"}
        began = time.monotonic()
        command = [sys.executable, "-c", FETCH, *place.overrides(stage)]
        subprocess.run(command, cwd=ROOT, env=os.environ | own, check=True)
    for one in wanted:
        for pickle in _pickles(place, one):
            subprocess.run(
                [sys.executable, "-c", FETCH.replace("'fetch'", "'convert'"), str(pickle)], cwd=ROOT, check=True
            )
    after = Lock(store_folder())
    brought = sum(
        file.bytes
        for one in sources(configuration.compose(place.overrides(stage)))
        for file in places(one, after).values()
    )
    place.keep(
        stage,
        fetched={
            "bytes": brought,
            "announced": sum(one.megabytes for one in wanted),
            "seconds": time.monotonic() - began,
        },
    )


def _pickles(place: Place, source: Any) -> list[Path]:
    """Those of a source that are still to be converted."""
    from diffexplain.weights.sources import Repository
    from diffexplain.weights.store import Lock, locate, store_folder

    if not isinstance(source, Repository):
        return []
    folder = locate(source, Lock(store_folder()))
    found = [folder / name for name in source.patterns if name.endswith(".bin")]
    return [path for path in found if not path.with_suffix(".safetensors").exists()]


def plan(place: Place, stage: Stage) -> None:
    """What `diffexplain plan` says of the stage's run; in small as of a card, since nothing is to be measured."""
    from diffexplain import app
    from diffexplain.config import configuration
    from diffexplain.diffusion.architectures import PUBLISHED
    from diffexplain.pipelines.cost import cost
    from diffexplain.pipelines.networks import networks

    config = configuration.compose(place.overrides(stage))
    # In small the networks are those that were fetched.
    with patch.dict(PUBLISHED, clear=place.toy):
        said = cost(config, app.resolve_target(config), "cpu" if place.toy else None)
        calls = said.forecast.calls
        each = {name: one.operations()[0] for name, one in networks(config).items() if calls[name]}
    place.keep(
        stage,
        planned={
            "calls": calls,
            "each": each,
            "exact": said.forecast.exact,
            "operations": said.operations,
            "memory": said.memory,
            "seconds": said.seconds,
            "device": said.device,
        },
    )


def run(place: Place, stage: Stage) -> None:
    """The run itself, listened to."""
    from diffexplain import app
    from diffexplain.config import configuration
    from experiments.full_size.counting import CountedParts

    parts, began = CountedParts(), os.times()
    outcome = app.make(configuration.compose(place.overrides(stage)), parts)
    spent = sum(os.times()[:2]) - sum(began[:2])
    timings = json.loads((outcome.directory / "timings.json").read_text("utf-8"))
    if outcome.made:
        place.keep(stage, counted={"calls": parts.calls, "seconds": parts.seconds, "processor_seconds": spent})
    place.keep(stage, run=str(outcome.directory.relative_to(place.folder)), timings=timings, machine=_machine())


def _machine() -> str:
    import torch

    gigabytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, {gigabytes:.0f} GB, of which a run takes one thread; "
        f"torch {torch.__version__.partition('+')[0]}"
    )


def attempt(place: Place, stage: Stage) -> str:
    """Do what is left of a stage, each step in a process of its own; gives what became of it."""
    # In small, the libraries are imported once for all.
    context: Any = multiprocessing.get_context("fork" if place.toy else "spawn")
    for step, leaves in ((fetch, "fetched"), (plan, "planned"), (run, "timings")):
        if leaves in place.kept(stage):
            continue
        process = context.Process(target=step, args=(place, stage))
        process.start()
        process.join()
        if process.exitcode:
            return f"{step.__name__} failed"
    return "done"


def page(place: Place, became: Mapping[str, str]) -> str:
    """What was found so far, as Markdown; ``became``: of the stages that this call was asked for."""
    made = [stage for stage in STAGES if "timings" in place.kept(stage)]
    lines = [
        "# Every prior at full size, with random weights",
        "",
        "`make full-size`, or `python -m experiments.full_size.make <stage> ...`, builds a prior, CLIPSeg and CaffeNet",
        "in the formats and sizes that were published, serves them on this machine, and goes the whole way:",
        "`diffexplain fetch`, `diffexplain plan`, and a run to a report at full resolution. Weights are random, so",
        "what a report says means nothing: this is about calls, memory and time. What `plan` said stands beside what",
        "the networks were called on; `≤` is before what the classifier's answers decide. Seconds are those of the",
        "forward calls of a network, on a machine that others were using.",
        "",
        "| stage | |",
        "|---|---|",
    ]
    for stage in STAGES:
        state = "made" if stage in made else became.get(stage.name, "not made yet")
        lines.append(f"| `{stage.name}` | {state} |")
    lines += [f"| `{prior}` | skipped: {reason} |" for prior, reason in WITHOUT.items()]
    for stage in made:
        lines += ["", *_section(stage, place.kept(stage))]
    return "\n".join(lines) + "\n"


def _section(stage: Stage, found: dict[str, Any]) -> list[str]:
    from diffexplain.pipelines.calls import BACKWARD, IMAGES, SEGMENTER, SIMILARITY, TEXT

    said, timings, fetched = found["planned"], found["timings"], found["fetched"]
    counted = found.get("counted", {"calls": {}, "seconds": {}})
    most = "" if said["exact"] else "≤ "
    told = Counter(said["calls"])
    told[SEGMENTER] += told.pop(SIMILARITY, 0)  # One network, at two sizes.
    seconds = timings["seconds"]
    lines = [
        f"## `{stage.name}`",
        "",
        f"`{' '.join(stage.overrides)}`",
        "",
        f"{told.pop(IMAGES)} pictures at most, seed 0, one run. {found['machine']}.",
        "",
        "| | GFLOP a call | `plan` | the run | seconds |",
        "|---|---|---|---|---|",
    ]
    for name in sorted(name for name in told if told[name]):
        real, spent = counted["calls"].get(name, 0), counted["seconds"].get(name)
        each = "" if name not in said["each"] else f"{said['each'][name] / 1e9:,.1f}"
        took = "" if spent is None else f"{spent:.1f}"
        # Whether a text is encoded with a gradient, nobody can hear.
        shown = f"{real:,}" if counted["calls"] and name != TEXT + BACKWARD else "not counted"
        lines.append(
            f"| {name.replace(BACKWARD, ', with gradient')} | {each} | {most}{told[name]:,} | {shown} | {took} |"
        )
    lines += [
        f"| download, GB | | {fetched['announced'] / 1e3:.2f} | {fetched['bytes'] / 1e9:.2f} | |",
        f"| peak memory, GB | | {said['memory'] / 1e9:.1f} | {timings['peak_memory_bytes'] / 1e9:.1f} | |",
        f"| minutes | | {most}{said['seconds'] / 60:.1f} | {seconds['total'] / 60:.1f} | |",
        "",
        "Phases, in seconds: " + ", ".join(f"{name} {value:.1f}" for name, value in seconds.items()) + ".",
    ]
    if "processor_seconds" in counted:
        lines[-1] += f" The process had {counted['processor_seconds']:.0f} seconds of a processor in that time."
    attempts = 1 + len(timings.get("earlier_attempts", []))
    if attempts > 1:
        lines += ["", f"The run was stopped and went on {attempts - 1} times; calls and phases are of the last part."]
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Make what is left of the stages; the exit status is 1 where one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [stage.name for stage in STAGES]
    parser.add_argument("stages", nargs="*", metavar="stage", help=f"all of them by default: {', '.join(names)}")
    parser.add_argument("--toy", action="store_true", help="tiny networks, to see that every stage goes through")
    parser.add_argument("--outputs", type=Path, help="what is fetched and made (default: outputs/full_size, or _toy)")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.stages if name not in names]
    if unknown:
        parser.error(f"no such stage: {', '.join(unknown)}; there are {', '.join(names)}")
    folder = options.outputs or ROOT / "outputs" / ("full_size_toy" if options.toy else "full_size")
    place = Place(folder.absolute(), options.toy)
    place.folder.mkdir(parents=True, exist_ok=True)
    os.environ |= {VARIABLE: str(place.folder / "store"), "HF_HUB_OFFLINE": "1"}
    became: dict[str, str] = {}
    for stage in STAGES:
        if options.stages and stage.name not in options.stages:
            continue
        became[stage.name] = attempt(place, stage)
        print(f"{stage.name}: {became[stage.name]}", flush=True)
        write_text(place.folder / "RESULTS.md" if place.toy else RESULTS, page(place, became))
    return int(any(text != "done" for text in became.values()))


if __name__ == "__main__":
    sys.exit(main())
