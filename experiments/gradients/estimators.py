"""Which way of estimating the gradient is worth its time?

On the embedded world's planted classes, for every estimator: seconds and memory of an optimisation step, measured in
turns in one process; cosine of its gradient to the exact one, at the same prompts and noise along the exact estimator's
way; and the activation score of the prompt found in equal time: the time in which the exact estimator makes the default
number of steps. The score is the share of 100 pictures from fresh seeds that the classifier assigns to the class.

The same command goes on where it stopped: each run's result is a line of `estimators.jsonl`, the cost of a step is in
`costs.json`. `--afresh` measures all of it anew, as new weights of the prior or the classifier require. The table is
written to `RESULTS.md`.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from diffexplain import app
from diffexplain.classifiers import Classifier
from diffexplain.concepts.content_words import content_words
from diffexplain.concepts.vocabulary import Vocabulary
from diffexplain.config import configuration
from diffexplain.config.instantiate import build
from diffexplain.diffusion import Prior
from diffexplain.diffusion.gradients import Exact, GradientEstimator
from diffexplain.diffusion.memory import PeakMemory
from diffexplain.explainers import DiffExplainer, TrainerSettings
from diffexplain.explainers.objective import Objective, objective_for
from diffexplain.pipelines.parts import loading
from diffexplain.prompts import SoftPrompt
from diffexplain.runs.draws import Draws
from diffexplain.runs.run import Run
from diffexplain.target import ResolvedTarget
from experiments.marked import write_between

HERE = Path(__file__).parent
RECORD, COSTS, RESULTS = HERE / "estimators.jsonl", HERE / "costs.json", HERE / "RESULTS.md"
BEGIN, END = "<!-- estimators: begin -->", "<!-- estimators: end -->"

ESTIMATORS: dict[str, list[str]] = {
    "exact": ["gradient=exact"],
    "exact, checkpointed": ["gradient=checkpointed"],
    "last 2 steps": ["gradient=last_k", "gradient.k=2"],
    "last step": ["gradient=last_k", "gradient.k=1"],
    "2 leaps": ["gradient=leap", "gradient.leaps=2"],
    "attention only": ["gradient=attention_only"],
    "SPSA, 4 probes": ["gradient=spsa", "gradient.probes=4"],
}
"""For each estimator what a user types; the first is the reference."""

CLASSES = ("flagpole", "bee", "dog_sled")
SEEDS = (1, 2, 3)
EVERY = 3
"""Steps along the exact estimator's way between comparisons."""


@dataclass(frozen=True)
class Amount:
    """How much is measured."""

    steps: int | None = None
    rounds: int = 5
    images: int = 100
    classes: Sequence[str] = CLASSES
    seeds: Sequence[int] = SEEDS


class Bench:
    """The parts of the default run, built once."""

    def __init__(self, amount: Amount) -> None:
        config = configuration.compose(["classifier=world_shortcut_cnn"])
        self.classifier: Classifier = build(loading(config["classifier"], ()), where="classifier")
        self.prior: Prior = build(config["diffusion"], where="diffusion")
        vocabulary = Vocabulary.load(config["classifier"]["vocabulary"])
        self.words = content_words(phrase.said for phrase in vocabulary.phrases)
        self.prompt: Callable[..., SoftPrompt] = partial(build, config["prompt"], where="prompt")
        self.settings = {key: value for key, value in config["explainer"].items() if key not in ("_target_", "name")}
        self.steps = amount.steps or int(config["explainer"]["steps"])
        self.batch = int(config["explainer"]["batch"])
        self.amount = amount
        self.estimators: dict[str, GradientEstimator] = {
            name: build(configuration.compose(overrides)["gradient"], where="gradient")
            for name, overrides in ESTIMATORS.items()
        }

    def target(self, name: str) -> ResolvedTarget:
        return app.resolve_target({**configuration.compose([]), "target": f"class:{name}"})

    def gradient(
        self, estimator: GradientEstimator, prompt: SoftPrompt, objective: Objective, draws: Draws, step: int
    ) -> Tensor:
        """What one step gives the prompt's parameter, penalty aside."""
        (parameter,) = prompt.parameters()
        latents = draws.normals("optimise", step, self.batch, self.prior.latent_shape)
        loss = estimator.estimate(prompt, self.prior, latents, objective, draws, step).loss
        return torch.autograd.grad(loss, parameter)[0]

    def costs(self) -> dict[str, dict[str, float]]:
        """Seconds and bytes of one step of each estimator."""
        draws = Draws(0, "costs")
        prompt = self.prompt(self.prior, self.words, draws)
        objective = objective_for(self.target(CLASSES[0]), self.classifier)
        seconds: dict[str, list[float]] = {name: [] for name in self.estimators}
        peaks = {}
        for number in range(-1, self.amount.rounds):
            for name, estimator in self.estimators.items():
                began = time.perf_counter()
                if number < 0:
                    with PeakMemory() as watch:
                        self.gradient(estimator, prompt, objective, draws, 0)
                    peaks[name] = watch.peak
                else:
                    self.gradient(estimator, prompt, objective, draws, number)
                    seconds[name].append(time.perf_counter() - began)
        return {n: {"seconds": statistics.median(seconds[n]), "bytes": peaks[n]} for n in self.estimators}

    def cosines(self, class_name: str, seed: int) -> dict[str, list[float]]:
        """Cosine of each estimator's gradient to the exact one along the exact one's way."""
        draws = Draws(seed, f"class:{class_name}")
        prompt = self.prompt(self.prior, self.words, draws)
        objective = objective_for(self.target(class_name), self.classifier)
        optimiser = torch.optim.AdamW(prompt.parameters(), lr=prompt.learning_rate, weight_decay=0.0)
        (parameter,) = prompt.parameters()
        found: dict[str, list[float]] = {name: [] for name in self.estimators}
        for step in range(self.steps):
            exact = self.gradient(Exact(), prompt, objective, draws, step)
            if step % EVERY == 0:
                for name, estimator in self.estimators.items():
                    other = self.gradient(estimator, prompt, objective, draws, step)
                    similarity = torch.nn.functional.cosine_similarity(other.flatten(), exact.flatten(), dim=0)
                    found[name].append(similarity.item())
            optimiser.zero_grad()
            prompt.penalty(step / self.steps).backward()
            parameter.grad = exact if parameter.grad is None else parameter.grad + exact
            optimiser.step()
        return found

    def activation(self, name: str, steps: int, class_name: str, seed: int) -> dict[str, float]:
        """Optimise for ``steps`` as a run does; the score of what was found, and the seconds it took."""
        target = self.target(class_name)
        explainer = DiffExplainer(self.prompt, **{**self.settings, "steps": steps, "stop_at": None})
        with tempfile.TemporaryDirectory() as folder:
            run = Run(Path(folder), {"seed": seed}, target.text)
            began = time.perf_counter()
            found = explainer.explain(
                target,
                self.classifier,
                self.prior,
                run,
                vocabulary=self.words,
                gradient=self.estimators[name],
                trainer=TrainerSettings(accelerator="cpu", progress="none"),
            )
            seconds = time.perf_counter() - began
        latents = Draws(seed, target.text).normals("held out", 0, self.amount.images, self.prior.latent_shape)
        with torch.no_grad():
            chosen = self.classifier(self.prior.generate(found.condition, latents)).argmax(dim=1)
        return {"activation": (chosen == target.class_index).float().mean().item(), "seconds": seconds}


def read_record() -> list[dict[str, Any]]:
    if not RECORD.exists():
        return []
    return [json.loads(line) for line in RECORD.read_text(encoding="utf-8").splitlines()]


def run(bench: Bench) -> None:
    """Measure what is not in the record yet."""
    if not COSTS.exists():
        COSTS.write_text(json.dumps(bench.costs(), indent=1) + "\n", encoding="utf-8")
    costs = json.loads(COSTS.read_text(encoding="utf-8"))
    budget = bench.steps * costs["exact"]["seconds"]
    for seed in bench.amount.seeds:
        for class_name in bench.amount.classes:
            here = [row for row in read_record() if (row["class"], row["seed"]) == (class_name, seed)]
            done = {row["estimator"] for row in here}
            cosines = {} if done >= set(ESTIMATORS) else bench.cosines(class_name, seed)
            for name in ESTIMATORS:
                if name in done:
                    continue
                steps = max(1, round(budget / costs[name]["seconds"]))
                row: dict[str, Any] = {"estimator": name, "class": class_name, "seed": seed, "steps": steps}
                row |= {"cosines": [round(value, 4) for value in cosines[name]]}
                row |= {key: round(value, 3) for key, value in bench.activation(name, steps, class_name, seed).items()}
                with RECORD.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
                print(
                    f"seed {seed}, {class_name}, {name}: {steps} steps, activation {row['activation']:.2f}", flush=True
                )


def table(rows: Sequence[dict[str, Any]], costs: dict[str, dict[str, float]]) -> str:
    """The results as Markdown."""
    classes = [name for name in CLASSES if any(row["class"] == name for row in rows)]
    lines = [
        "| estimator | seconds a step | memory of a step, MiB | cosine to exact (lowest) | steps in equal time | "
        + " | ".join(f"activation, {name}" for name in classes)
        + " | mean |",
        "|---|---|---|---|---|" + "---|" * (len(classes) + 1),
    ]
    for name in ESTIMATORS:
        group = [row for row in rows if row["estimator"] == name]
        if not group:
            continue
        cosines = [value for row in group for value in row["cosines"]]
        scores = {c: [row["activation"] for row in group if row["class"] == c] for c in classes}
        each = [f"{statistics.mean(values):.2f}" if values else "-" for values in scores.values()]
        lines.append(
            f"| {name} | {costs[name]['seconds']:.2f} | {costs[name]['bytes'] / 2**20:.0f} "
            f"| {statistics.mean(cosines):.3f} ({min(cosines):.3f}) | {group[0]['steps']} | {' | '.join(each)} "
            f"| {statistics.mean(row['activation'] for row in group):.2f} |"
        )
    seeds = sorted({row["seed"] for row in rows})
    lines += [
        "",
        f"Classifier world_shortcut_cnn, prior world, {len(classes)} classes, seeds {', '.join(map(str, seeds))}: of "
        "100 pictures for each found prompt, the share assigned to the class. Memory: the largest sum of tensors alive "
        f"together, weights aside. Measured on {platform.machine()}, {torch.get_num_threads()} thread, "
        f"torch {torch.__version__.partition('+')[0]}.",
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--afresh", action="store_true", help="forget what was measured before")
    parser.add_argument("--table", action="store_true", help="write the table from the record, run nothing")
    parser.add_argument("--smoke", action="store_true", help="next to nothing, to see that it runs; RESULTS.md stays")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if options.smoke:
        smoke()
        return
    if options.afresh:
        for file in (RECORD, COSTS):
            file.unlink(missing_ok=True)
    if not options.table:
        run(Bench(Amount()))
    text = table(read_record(), json.loads(COSTS.read_text(encoding="utf-8")))
    write_between(RESULTS, BEGIN, END, text)
    print(text)


def smoke() -> None:
    """Every estimator once, with two steps of the exact one's time, on one class."""
    bench = Bench(Amount(steps=2, rounds=1, images=4, classes=CLASSES[:1], seeds=SEEDS[:1]))
    costs = bench.costs()
    cosines = bench.cosines(CLASSES[0], SEEDS[0])
    rows = [
        {"estimator": name, "class": CLASSES[0], "seed": SEEDS[0], "steps": 2, "cosines": cosines[name]}
        | bench.activation(name, 2, CLASSES[0], SEEDS[0])
        for name in ESTIMATORS
    ]
    print(table(rows, costs))


if __name__ == "__main__":
    main()
