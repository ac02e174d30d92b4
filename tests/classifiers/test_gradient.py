"""Networks of other types than float32, and networks that pass no gradient."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests import own_black_boxes
from torch import Tensor

from diffexplain.classifiers import Classifier, inspect_classifier, load_checkpoint, load_function, unit_modules
from diffexplain.classifiers.inspection import passes_gradient
from diffexplain.config.instantiate import locate
from diffexplain.errors import UserError
from diffexplain.evaluation.control import random_weights
from diffexplain.runs.draws import Draws
from diffexplain.target import ResolvedTarget
from experiments.attribution import GradCAM, IntegratedGradients, SmoothGrad

NAMES = ["a", "b", "c"]
CLASS = ResolvedTarget(kind="class", text="class:a", slug="a", class_index=0, class_name="a")
PLAIN: dict[str, Any] = {"preprocessing": {"size": own_black_boxes.SIDE}, "labels": NAMES, "plugins": ["tests"]}
PASSING = ("Part", "scripted", "exported")
ENDING = ("WithoutGradient", "ForInference", "Detached", "Rounded", "quantised")


def loaded(name: str, **more: Any) -> Classifier:
    classifier = load_checkpoint(f"tests.own_black_boxes.{name}", **PLAIN, **more)
    inspect_classifier(classifier)
    return classifier


def unit(module: str, channel: int = 0) -> ResolvedTarget:
    return ResolvedTarget(kind="unit", text="unit:x:0", slug="x", module=module, channel=channel)


def pictures() -> Tensor:
    return torch.rand(3, 3, own_black_boxes.SIDE, own_black_boxes.SIDE, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 1e-2), ("bfloat16", 5e-2), ("float64", 1e-6)])
def test_networks_of_other_types_answer_pictures_and_keep_their_counters(dtype: str, tolerance: float) -> None:
    typed, plain = loaded("Typed", arguments={"dtype": dtype}), loaded("Part")
    torch.testing.assert_close(typed(pictures()), plain(pictures()), rtol=tolerance, atol=tolerance)
    assert typed.backbone.count.dtype == torch.int64
    images = pictures().requires_grad_()
    typed(images)[:, 0].sum().backward()
    assert images.grad is not None and images.grad.abs().sum() > 0


@pytest.mark.parametrize("name", [*PASSING, *ENDING])
def test_whether_a_gradient_passes_is_found_by_asking(name: str) -> None:
    assert passes_gradient(loaded(name), CLASS) is (name in PASSING)


def test_a_function_passes_none() -> None:
    classifier = load_function("tests.own_black_boxes.colours_by_torch", labels=NAMES, plugins=["tests"])
    inspect_classifier(classifier)
    assert not passes_gradient(classifier, CLASS)


def test_a_units_own_gradient_counts() -> None:
    detached_head = loaded("DetachedHead")
    assert not passes_gradient(detached_head, CLASS)
    assert passes_gradient(detached_head, unit("network.0"))
    assert not passes_gradient(detached_head, unit("network.4"))
    assert not passes_gradient(loaded("Rounded"), unit("network.0"))
    assert not passes_gradient(loaded("WithoutGradient"), unit("network.0"))
    assert passes_gradient(loaded("Part"), unit("network.1"))


@pytest.mark.parametrize("name", ["scripted", "exported"])
def test_modules_that_cannot_be_reached_are_no_units(name: str) -> None:
    assert unit_modules(loaded(name)) == {}
    assert unit_modules(loaded("WithoutGradient"))["network.0"] == 4


def test_a_network_that_cannot_be_made_without_memory_tells_its_units_all_the_same() -> None:
    made = load_checkpoint("tests.own_black_boxes.quantised", **PLAIN, meta=True)
    assert unit_modules(made) == unit_modules(loaded("quantised"))


@pytest.mark.parametrize("method", [GradCAM, IntegratedGradients, SmoothGrad])
def test_an_answer_without_gradient_is_not_attributed_to_pixels(method: Any) -> None:
    with pytest.raises(UserError, match="No gradient passes"):
        method(loaded("WithoutGradient")).maps(pictures(), CLASS)


def test_a_network_without_weights_has_no_control() -> None:
    classifier = load_function("tests.own_black_boxes.colours", labels=NAMES, plugins=["tests"])
    with pytest.raises(UserError, match=r"evaluation\.control=null"):
        random_weights(classifier, Draws(0, "class:a"))


@pytest.mark.parametrize(
    ("part", "needs"),
    [
        *[(f"diffexplain.diffusion.gradients.{name}", True) for name in ("Exact", "Checkpointed", "LastK", "Leap")],
        ("diffexplain.diffusion.gradients.AttentionOnly", True),
        ("diffexplain.diffusion.gradients.SPSA", False),
        *[(f"diffexplain.explainers.{name}", True) for name in ("Maco", "MahendranVedaldi", "Nguyen", "Yosinski")],
    ],
)
def test_every_way_to_climb_says_whether_it_needs_a_gradient(part: str, needs: bool) -> None:
    assert locate(part).needs_gradient is needs  # type: ignore[attr-defined]
