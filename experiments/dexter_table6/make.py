"""DEXTER's Table 6: how good the pictures look that methods find for a class, by a CLIP.

python -m experiments.dexter_table6.make                     the embedded world
python -m experiments.dexter_table6.make --profile paper     robust ResNet-50 with Stable Diffusion's prior
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diffexplain.report import load_run
from experiments.papers.paper_tables import Made, Sweep, head, main, row, shown, spread

HERE = Path(__file__).parent

PICTURES = {"world": 8, "paper": 24}
"""Of each run at most, the first ones, by profile."""
STREAM = 4001
"""Of the rendered scenes that pictures of the world are compared with."""
NAMES = ("clip_iqa", "semantic")


def table(sweep: Sweep) -> str:
    """A line for each method, over all its pictures."""
    world = sweep.profile == "world"
    names = ["method", "CLIP-IQA: published", "ours", "semantic CLIP-IQA: published", "ours", "diversity"]
    lines = head([*names, *(["distance from rendered scenes"] if world else []), "pictures"])
    notes: list[str] = []
    for method in sweep.methods:
        runs = sweep.of(method)
        known = sweep.published["methods"][method]
        found = measured(runs, sweep.profile) if runs else {}
        values = [method]
        for name in NAMES:
            values.append("{:.2f} ± {:.2f}".format(*known[name]))
            values.append(spread(found[name]) if found.get(name) else "not measured" if runs else sweep.not_run)
        values += (
            [shown(found["diversity"]), *([shown(found["distance"], 3)] if world else [])]
            if runs
            else ([sweep.not_run] * (2 if world else 1))
        )
        lines.append(row([*values, found.get("n", 0)]))
        notes += [found["reason"]] if found.get("reason") else []
    notes = [f"{note}.  " for note in dict.fromkeys(notes)]
    return "\n".join([*lines, "", *notes, sweep.made_with()])


def measured(runs: Sequence[Made], profile: str) -> dict[str, Any]:
    """Of all pictures of a method: CLIP-IQA of each, and how varied they are, by the CLIP of the runs' segmenter."""
    import torch

    from diffexplain.concepts.vocabulary import class_phrase
    from diffexplain.evaluation import EvaluationSettings
    from diffexplain.evaluation import quality as qualities
    from diffexplain.pipelines.parts import Parts
    from diffexplain.runs.draws import Draws

    config = runs[0].cell.config
    clip = Parts().build("segmenter", config["segmenter"], ()).to("cpu")
    settings = EvaluationSettings()
    found: dict[str, Any] = {name: [] for name in NAMES}
    features = []
    for run in runs:
        examples = sorted(load_run(run.directory).examples, key=lambda one: one.index)[: PICTURES[profile]]
        pictures = torch.from_numpy(np.stack([one.image for one in examples])).permute(0, 3, 1, 2).float() / 255
        features.append(qualities.features_of(clip, pictures, settings))
        draws = Draws(run.summary.seeds["run"], run.summary.target.text)
        phrase = class_phrase(run.class_name)
        one = qualities.quality(run.cell.method, None, features[-1], None, clip, phrase, draws, settings)
        found["reason"] = one.reason
        if one.reason is None:
            pairs = (qualities.QUALITY, [pattern.format(phrase) for pattern in qualities.SEMANTIC])
            for name, pair in zip(NAMES, pairs, strict=True):
                found[name] += qualities.preferences(features[-1], clip.text_features(pair).double().cpu()).tolist()
    everything = torch.cat(features)
    found |= {"n": len(everything), "diversity": qualities.diversity(everything)}
    if profile == "world":
        from diffexplain.world.held_out import renderings, scenes_and_seeds

        scenes, _ = renderings(*scenes_and_seeds(len(everything), STREAM))
        reference = qualities.features_of(clip, scenes, settings)
        found["distance"] = qualities.kernel_distance(everything, reference)
    return found


if __name__ == "__main__":
    sys.exit(main(HERE, table))
