"""A classifier that has learned nothing reads the same images; what it answers to, the classifier did not bring."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.evaluation import toy
from tests.evaluation.toy import SETTINGS, answers_to_flag, answers_to_pole, run
from torch import Tensor, nn

from diffexplain.classifiers import Classifier, Preprocessing, inspect_classifier
from diffexplain.evaluation.control import random_weights
from diffexplain.evaluation.results import Control, Evaluation
from diffexplain.evaluation.settings import EvaluationSettings
from diffexplain.runs.draws import Draws
from diffexplain.target import Label, Labels


class Token(nn.Module):
    """A parameter that its module cannot draw."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.full((400,), 3.0) + torch.arange(400) % 2)

    def forward(self, images: Tensor) -> Tensor:
        return images + self.value.mean()


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8, 4), Token())
    norm = layers[1]
    assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None
    norm.running_mean.fill_(5.0)
    return layers.eval()


def test_every_weight_is_drawn_anew_and_the_classifier_stays_as_it_is() -> None:
    known = network()
    before = {name: value.clone() for name, value in known.state_dict().items()}
    control = random_weights(known, Draws(0, "class:pole"))
    assert all(torch.equal(before[name], value) for name, value in known.state_dict().items())
    drawn = control.state_dict()
    for name in ("0.weight", "0.bias", "4.weight", "4.bias", "5.value"):
        assert not torch.equal(drawn[name], before[name])
    assert drawn["1.running_mean"].eq(0).all() and drawn["1.running_var"].eq(1).all()
    # Of the token, that no module draws, mean and standard deviation are kept: 3.5 and 0.5.
    assert drawn["5.value"].mean() == pytest.approx(3.5, abs=0.1)
    assert drawn["5.value"].std() == pytest.approx(0.5, abs=0.1)
    assert not control.training and not any(parameter.requires_grad for parameter in control.parameters())


def test_the_weights_are_keyed_by_the_run_and_no_global_draw_is_made() -> None:
    known = network()
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    one, two, other = (random_weights(known, Draws(seed, "class:pole")) for seed in (0, 0, 1))
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(one[0].weight, two[0].weight)  # type: ignore[index, union-attr]
    assert not torch.equal(one[0].weight, other[0].weight)  # type: ignore[index, union-attr]


def controlled(weigh: toy.Weigh, settings: EvaluationSettings = SETTINGS) -> tuple[Evaluation, Control]:
    """A classifier of flags, and a control that answers as ``weigh`` does."""
    settings = replace(settings, control="random_weights")
    found = run(answers_to_flag, settings=settings, control=toy.Classifier(weigh))
    assert found.control is not None
    return found, found.control


def test_a_control_that_ignores_the_images_is_activated_by_none() -> None:
    found, control = controlled(lambda there: 0 * there("a flag") - 1)
    assert found.found.share.value > 0.5
    assert [row.name for row in control.activation] == ["found prompt", "class name", "neutral", "random words"]
    assert [row.share.value for row in control.activation] == [0.0] * 4


def test_a_control_that_answers_to_the_same_thing_is_activated_by_the_same_images() -> None:
    found, control = controlled(answers_to_flag)
    assert control.kind == "random_weights"
    assert control.activation == (found.found, *found.baselines)


def test_the_control_changes_nothing_of_the_explained_classifier() -> None:
    found, _ = controlled(answers_to_pole)
    alone = run(answers_to_flag)
    assert alone.control is None
    measured = [(one.found, one.words, one.object_absence, one.images_generated) for one in (found, alone)]
    assert measured[0] == measured[1]


def test_an_unknown_control_is_refused() -> None:
    with pytest.raises(ValueError, match="random_weights"):
        EvaluationSettings(control="untrained")


def test_a_control_is_read_as_its_classifier_is() -> None:
    labels = Labels("two", (Label(0, "other"), Label(1, "pole")))
    backbone = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 1))
    known = Classifier(backbone, labels, "one logit", Preprocessing((8, 8)))
    inspect_classifier(known, "sigmoid")
    control = random_weights(known, Draws(0, "class:pole"))
    assert (control.exclusive, control.scoring) == (False, known.scoring)
    pictures = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(control(pictures)[:, 0], -control(pictures)[:, 1])
    assert not torch.equal(control(pictures), known(pictures))
