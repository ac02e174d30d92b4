"""transformers' image classifiers, from a hub or from a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from diffexplain.classifiers.classifier import Classifier
from diffexplain.classifiers.labels import find_labels
from diffexplain.classifiers.output import AUTO, KEY, Scoring
from diffexplain.classifiers.transformers_preprocessing import read_preprocessing
from diffexplain.errors import UserError
from diffexplain.weights.files import library_reads, load_whole
from diffexplain.weights.store import Node, source_path


def load_huggingface(
    model: str,
    *,
    labels: str | Sequence[str] = "weights:config.json",
    weights: Sequence[Node] = (),
    output: str = AUTO,
    meta: bool = False,
) -> Classifier:
    """What `AutoModelForImageClassification` makes of a repository's files; code in it is never run.

    Args:
        model, labels, weights, meta: as those of all loaders; `id2label` has the names by default.
        output: what the configuration says of the kind of output; if nothing, ``problem_type`` does.

    Raises:
        UserError: a file is missing, or is not an image classifier's.
    """
    from transformers import AutoModelForImageClassification

    command = f"diffexplain fetch classifier=huggingface classifier.model={model}"
    folder = source_path(weights[0], command=command)
    config = read_config(folder)
    stated = stated_output(config, output, model)
    preprocessing = read_preprocessing(folder)
    if meta:
        with torch.device("meta"):
            network = AutoModelForImageClassification.from_config(config)
        preprocessing = preprocessing.to("meta")
    else:
        network = load_whole(
            AutoModelForImageClassification, folder, config=config, dtype=torch.float32, trust_remote_code=False
        )
    return Classifier(network, find_labels(labels, weights, command=command), model, preprocessing, stated)


def stated_output(config: Any, said: str, model: str) -> Scoring | None:
    """How a configuration of transformers' says that the logits are to be read; None where it says nothing.

    Raises:
        UserError: it is a regression, and ours (``said``) does not say otherwise.
    """
    match config.problem_type:
        case "multi_label_classification":
            return Scoring("sigmoid", exclusive=False)
        case "single_label_classification":  # transformers has none with one label
            return Scoring("softmax", exclusive=True)
        case "regression" if said == AUTO:
            raise UserError(
                f"{model} is a regression, as problem_type in its config.json says: it tells no classes apart. If its "
                f"values are logits all the same, say {KEY}=sigmoid.",
                given="problem_type: regression",
            )
    return None


def read_config(folder: Path) -> Any:
    """transformers' configuration in `folder`.

    Raises:
        UserError: missing, damaged, or of a model that transformers does not have.
    """
    from transformers import AutoConfig

    with library_reads(f"{folder / 'config.json'} describes no model of transformers"):
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
