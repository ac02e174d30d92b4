"""How much of what is wrong with DiffEx's effects on the world comes from its autoencoder alone?

Pictures that the embedded prior makes come out of its decoder. Here the scenes of a truth table are rendered, passed
through the autoencoder and back, and only then classified: what these effects differ by from the truth table no editor
that ends in this decoder can avoid. The rest is the denoiser's and the noise of few pictures'.

Writes its table into `RESULTS.md`; about three minutes of one core.
"""

from __future__ import annotations

import statistics
from functools import partial
from itertools import chain

import torch
from torch import Tensor

from diffexplain.classifiers.classifier import Classifier
from diffexplain.world.scenes import SUBJECTS
from experiments.diffex.world import CLASSES, RESULTS, classifier, correlation_of, truth
from experiments.marked import write_between
from experiments.world.gates.autoencoder import reconstruct
from experiments.world.truth import ABSENT, contrasts, effects, measure_logits

BEGIN, END = "<!-- limits: begin -->", "<!-- limits: end -->"
CLASSIFIERS = ("shortcut_cnn", "shortcut_vit")
SCENES, SEED = 100, 4


def through_autoencoder(model: Classifier, images: Tensor) -> Tensor:
    """Logits of the images after the autoencoder."""
    logits: Tensor = model(reconstruct(images))
    return logits


def main() -> None:
    torch.set_num_threads(1)
    chosen = [contrast for contrast in contrasts() if contrast.attribute != "subject"]
    found: dict[str, list[tuple[float, float]]] = {}
    for class_name in CLASSES:
        models = {name: partial(through_autoencoder, classifier(name)) for name in CLASSIFIERS}
        measured = measure_logits(models, class_name, SCENES, SEED)
        for name, logits in measured.items():
            for row in effects({class_name: logits}, SUBJECTS, chosen):
                true = truth(name).effect(class_name, row["attribute"], row["value"])
                estimate = float(row["shows_target"]["probability"]["effect"])
                found.setdefault(row["attribute"], []).append((estimate, true))
    lines = ["| kind | Spearman beyond ±0.02 (n) | mean difference | n |", "|---|---|---|---|"]
    for kind, pairs in [*found.items(), ("all", [*chain(*found.values())])]:
        real = [pair for pair in pairs if abs(pair[1]) > ABSENT]
        shown = f"{correlation_of(*zip(*real, strict=True)):.2f} ({len(real)})" if len(real) > 2 else f"- ({len(real)})"
        apart = statistics.mean(abs(estimate - true) for estimate, true in pairs)
        lines.append(f"| {kind} | {shown} | {apart:.3f} | {len(pairs)} |")
    lines += [
        "",
        f"{', '.join(CLASSIFIERS)}; {', '.join(CLASSES)}; {SCENES} scenes a class, seed {SEED}, other scenes than the "
        "truth tables'.",
    ]
    text = "\n".join(lines)
    write_between(RESULTS, BEGIN, END, text)
    print(text)


if __name__ == "__main__":
    main()
