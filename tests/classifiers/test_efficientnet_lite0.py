"""The one real network that comes with the package registry: it knows what photographs show, and can be explained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.classifiers import photographs

from diffexplain import app
from diffexplain.classifiers import load_efficientnet_lite0, timm_models, unit_modules
from diffexplain.config import configuration
from diffexplain.errors import UserError
from diffexplain.report import load_run


@photographs.needed
def test_photographs_are_recognised() -> None:
    classifier = load_efficientnet_lite0()
    first = five = count = 0
    with torch.no_grad():
        for index, picture in photographs.photographs():
            choices = classifier(photographs.tensor(picture))[0].topk(5).indices.tolist()
            first, five, count = first + (index == choices[0]), five + (index in choices), count + 1
    print(f"efficientnet_lite0: {first} first choices and {five} among the first five of {count}")
    assert count == 100
    # With another network's normalisation it is about 80 and 93.
    assert first >= 84 and five >= 96


def test_units_and_names_are_known_without_weights() -> None:
    classifier = load_efficientnet_lite0(meta=True)
    units = unit_modules(classifier)
    assert (units["conv_stem"], units["conv_head"], units["classifier"]) == (32, 1280, 1000)
    assert classifier.labels.names[557] == "flagpole"


def test_another_file_in_its_place_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timm_models, "LITE0_SHA256", "0" * 64)
    with pytest.raises(UserError, match="not the known file"):
        load_efficientnet_lite0()
    monkeypatch.setattr(timm_models, "LITE0_PACKAGE", "efficientnet_lite0_that_nobody_installed")
    with pytest.raises(UserError, match=r"diffexplain\[offline\]"):
        load_efficientnet_lite0()


def test_a_run_with_a_real_network_completes(tmp_path: Path) -> None:
    least = ["images=2", "random_images=2", "candidates=0", "looked_images=2", "examples=2"]
    overrides = [
        *("classifier=efficientnet_lite0", "diffusion=world", "target=class:flagstaff", "explainer.steps=2"),
        "diffusion.steps=1",
        # Shorter: every concept is looked for in pictures that are not edited yet.
        *("classifier.vocabulary=embedded:vocabulary.yaml", "concepts.hierarchy=tests/conf/hierarchy.yaml"),
        *("effects.images=2", "effects.smallest=2", "discovery.pictures=4"),
        *("explainer.batch=2", "evaluation=quick", *(f"evaluation.{setting}" for setting in least)),
        *("logger=local", "trainer=cpu", "trainer.progress=none", f"paths.outputs={tmp_path}"),
    ]
    outcome = app.make(configuration.compose(overrides))
    loaded = load_run(outcome.directory)
    assert loaded.summary.classifier.name == "efficientnet_lite0"
    assert loaded.summary.target.class_name == "flagpole"
    assert len(loaded.curve) == 2
    assert loaded.report.is_file()
