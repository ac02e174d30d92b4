"""How soon do a method's pictures activate the class? DEXTER's loop and ours, on the embedded prior.

In turns in one process, for every class of two classifiers and three seeds: calls of the denoiser, and processor
seconds, until 90 of 100 fresh pictures of the prompt are taken for the class.

- DEXTER's loop (`experiment=dexter_profile prompt=hard_words`, as in `experiments/dexter_table3`): one latent, the same
  throughout, its masks of whole words, the gradient of its released code. It discovers nothing first. Its released code
  calls the denoiser on both branches, which does nothing at guidance 1; that is counted once here, in its favour.
- ours as `python run.py` makes it: concepts are screened and tested, and the optimisation begins there. All of that is
  counted; a row of the same runs counts the optimisation alone, as if what was discovered had cost nothing.

Either loop may make `MOST` calls of the denoiser with a gradient, and is looked at after the same numbers of them
(`LOOKS`), with new noise at each look; neither the looks nor imports and reading weights are counted. A look ends when
90 can no longer be reached. A loop that ends without is looked at once more, with the prompt that it gives (of ours,
the best so far); if that has not reached 90, it counts as *not reached*: medians take it for later than all others.

Each run is a line of `quality.jsonl`; the same command goes on where it stopped, and makes the table of the lines.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback
from torch import Tensor

from diffexplain import app
from diffexplain.classifiers.target_scores import TargetReader
from diffexplain.config import configuration
from diffexplain.config.digests import known
from diffexplain.pipelines.calls import BACKWARD, DENOISER
from diffexplain.runs.machine import Stopwatch, job_environment, torch_session
from diffexplain.runs.run import planned
from experiments.full_size.counting import CountedParts
from experiments.marked import write_between
from experiments.speed.steps import RESULTS

LINES = Path(__file__).parent / "quality.jsonl"
BEGIN, END = "<!-- quality: begin -->", "<!-- quality: end -->"
LOOKS = (0, 64, 128, 256, 384, 512, 640)
"""Calls of the denoiser with a gradient after which a prompt is looked at: 0 to 160 steps of DEXTER's, 20 of ours."""
MOST = LOOKS[-1]
PICTURES, ENOUGH, AT_ONCE = 100, 90, 20
SEEDS = (1, 2, 3)
CLASSIFIERS = ("world_shortcut_cnn", "world_shortcut_vit")
TARGETS = (
    "flagpole", "bee", "dog_sled", "padlock", "snorkel", "umbrella", "yawl", "hourglass", "teapot", "mushroom",
    "balloon", "acoustic_guitar",
)  # fmt: skip


@dataclass(frozen=True)
class Method:
    """A way to find a prompt."""

    name: str
    overrides: tuple[str, ...] = ()
    discovers: bool = False


METHODS = (
    Method(
        "DEXTER's loop",
        ("experiment=dexter_profile", "prompt=hard_words", "prompt.tokens=4", "prompt.prefix='a picture of a'"),
    ),
    Method("ours, as `python run.py`", discovers=True),
)  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One run."""

    seed: int
    target: str
    classifier: str
    method: str


def cells() -> list[Cell]:
    """All, in the order in which they are made: a seed of every class before the next one."""
    names = [method.name for method in METHODS]
    return [Cell(*values) for values in product(SEEDS, TARGETS, CLASSIFIERS, names)]


@dataclass(frozen=True)
class Cost:
    """What a run had spent at some moment: calls of the denoiser, those of them with a gradient, seconds."""

    calls: int = 0
    with_gradient: int = 0
    seconds: float = 0.0

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.calls - other.calls, self.with_gradient - other.with_gradient, self.seconds - other.seconds)


class Watch(Callback):
    """Looks at a prompt while it is optimised, and stops what has reached its aim; a look costs nothing.

    Attributes:
        discovery: what had been spent when the optimisation began.
        reached: and when enough pictures activated the class; None: they never did.
    """

    def __init__(
        self, parts: CountedParts, reader: TargetReader, prior: Any, draws: Any, steps: frozenset[int]
    ) -> None:
        self.parts, self.reader, self.prior, self.draws, self.steps = parts, reader, prior, draws, steps
        self.discovery = Cost()
        self.reached: Cost | None = None
        self.share = 0.0
        self._looks = 0
        self._start = self._clock()

    def spent(self) -> Cost:
        """Since the start, looks aside."""
        return self._clock() - self._start

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self.discovery = self.spent()

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if self.reached is None and trainer.global_step in self.steps:
            prompt = pl_module.prompt.eval()
            before = self._clock()
            with torch.no_grad():
                condition = prompt()
            self.look(condition, before)
            prompt.train()
            trainer.should_stop = self.reached is not None or trainer.global_step == max(self.steps)

    def look(self, condition: Tensor, before: Cost | None = None, *, to_the_end: bool = False) -> None:
        """Whether enough of the pictures of a prompt (1, T, D) activate the class, and what share of them."""
        before = before or self._clock()
        latents = self.draws.normals("quality", self._looks, PICTURES, self.prior.latent_shape)
        made = activating = 0
        for some in latents.split(AT_ONCE):
            activating += int(self.reader.read(self.prior.generate(condition, some).clamp(0, 1)).activates.sum())
            made += len(some)
            if made - activating > PICTURES - ENOUGH and not to_the_end:
                break
        self._looks += 1
        passed = self._clock() - before
        self._start = self._start - Cost(-passed.calls, -passed.with_gradient, -passed.seconds)
        self.share = activating / made
        if activating >= ENOUGH:
            self.reached = self.spent()

    def _clock(self) -> Cost:
        return Cost(self.parts.calls[DENOISER], self.parts.calls[DENOISER + BACKWARD], time.process_time())


def measured(cell: Cell, parts: CountedParts, folder: Path) -> dict[str, Any]:
    """The line of a run, which is made in ``folder``."""
    method = next(one for one in METHODS if one.name == cell.method)
    config = configuration.compose([
        f"classifier={cell.classifier}", *method.overrides, f"target=class:{cell.target}", f"seed={cell.seed}",
        "logger=local", "trainer=cpu", "trainer.progress=none",
        f"paths.outputs={folder}",
    ])  # fmt: skip
    target = app.resolve_target(config)
    run = planned(known({**config, "target": target.text}), str(folder), target=target)
    with job_environment(run, int(config["threads"])), torch_session(int(config["threads"])), run.taken():
        pipeline: Any = app.prepare(run, target, parts, Stopwatch())
        classifier, prior = (
            parts.classifier(config["classifier"], ()), parts.build("diffusion", config["diffusion"], ()),
        )  # fmt: skip
        reader = TargetReader(classifier, target, AT_ONCE, prior.device)
        each = pipeline.explainer.batch * prior.steps
        watch = Watch(parts, reader, prior, run.draws, frozenset(look // each for look in LOOKS))
        pipeline.trainer = replace(pipeline.trainer, callbacks=(watch,))
        if not method.discovers:
            pipeline.testing.effects = lambda *_: None
        pipeline.explain(classifier, prior, ())
        ended = watch.spent()
        if watch.reached is None:
            watch.look(pipeline.explanation.condition, to_the_end=True)
    reached = None if watch.reached is None else asdict(watch.reached)
    return asdict(cell) | {
        "discovery": asdict(watch.discovery), "reached": reached, "ended": asdict(ended), "share": watch.share,
        "machine": f"{platform.machine()} CPU, torch {torch.__version__.partition('+')[0]}",
    }  # fmt: skip


def make(lines: Path, most: int | None = None) -> None:
    """Add the lines that are missing, at most so many."""
    there = {Cell(**{name: line[name] for name in Cell.__annotations__}) for line in read(lines)}
    parts = {classifier: CountedParts() for classifier in CLASSIFIERS}
    for cell in [cell for cell in cells() if cell not in there][:most]:
        folder = Path(tempfile.mkdtemp(prefix="quality-"))
        try:
            line = measured(cell, parts[cell.classifier], folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        with lines.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, sort_keys=True) + "\n")
        print(
            f"{cell.method}, {cell.classifier}, {cell.target}, seed {cell.seed}: {line['reached'] or 'not reached'}",
            flush=True,
        )


def read(lines: Path) -> list[dict[str, Any]]:
    """All lines; one that was not written to its end is left out."""
    found = lines.read_text(encoding="utf-8").splitlines(keepends=True) if lines.is_file() else []
    return [json.loads(line) for line in found if line.endswith("\n")]


def table(lines: Sequence[dict[str, Any]]) -> str:
    """The lines as Markdown."""
    rows = [
        "| method | classifier | reached | calls of the denoiser, median | of them with a gradient "
        "| processor seconds, median | share at the end where not reached, median |",
        "|---|---|---|---|---|---|---|",
    ]
    for method, classifier in product(METHODS, CLASSIFIERS):
        some = [line for line in lines if (line["method"], line["classifier"]) == (method.name, classifier)]
        rows += [_row(method.name, classifier, some, [one["reached"] and Cost(**one["reached"]) for one in some])]
        if method.discovers:
            alone = [one["reached"] and Cost(**one["reached"]) - Cost(**one["discovery"]) for one in some]
            rows += [_row("the same runs, their optimisation alone", classifier, some, alone)]
    machines = ", ".join(sorted({line["machine"] for line in lines}))
    return "\n".join([*rows, "", *_counted(lines), f"One thread, {machines}."])


def _row(name: str, classifier: str, lines: Sequence[dict[str, Any]], costs: Sequence[Cost | None]) -> str:
    reached = [cost for cost in costs if cost is not None]
    left = [line["share"] for line in lines if line["reached"] is None]
    values = [name, classifier, f"{len(reached)} of {len(lines)}"]
    for field, form in (("calls", "{:,.0f}"), ("with_gradient", "{:,.0f}"), ("seconds", "{:.1f}")):
        values.append(_median([getattr(cost, field) for cost in reached], len(lines), form))
    values.append(f"{statistics.median(left):.2f}, n {len(left)}" if left else "–")
    return f"| {' | '.join(values)} |"


def _median(reached: Sequence[float], count: int, form: str) -> str:
    """Of ``count`` runs, of which those that did not reach come last."""
    if not count:
        return "not run"
    values = sorted([*reached, *[float("inf")] * (count - len(reached))])
    middle = statistics.median(values)
    return "too few reached" if middle == float("inf") else form.format(middle)


def _counted(lines: Sequence[dict[str, Any]]) -> Iterator[str]:
    everything = len(cells())
    if len(lines) < everything:
        yield f"{len(lines)} of {everything} runs are made so far, a seed of every class before the next."


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, help="runs to make now; 0: the table alone; default: all that are missing")
    parser.add_argument("--lines", type=Path, default=LINES, help="where the runs' lines are")
    options = parser.parse_args(arguments)
    make(options.lines, options.most)
    text = table(read(options.lines))
    print(text)
    if options.lines == LINES:
        write_between(RESULTS, BEGIN, END, text)


if __name__ == "__main__":
    main()
