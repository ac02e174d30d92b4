"""Built-in pictures go through a classifier before anything is made with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.classifiers.test_sources import huggingface_folder
from torch import Tensor, nn
from transformers import ResNetConfig

from diffexplain.classifiers import Classifier, Preprocessing, inspect_classifier
from diffexplain.classifiers.huggingface import stated_output
from diffexplain.classifiers.inspection import built_in_pictures
from diffexplain.classifiers.output import Scoring
from diffexplain.config import configuration
from diffexplain.errors import UserError
from diffexplain.pipelines.parts import Parts
from diffexplain.target import Label, Labels


class Answers(nn.Module):
    """What a function makes of mean red, green and blue, (B, 3), each about -2 to 2."""

    def __init__(self, answer: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, images: Tensor) -> Tensor:
        return self.answer(images.mean(dim=(2, 3)))


def classifier(answer: Callable[[Tensor], Tensor], classes: int = 3, stated: Scoring | None = None) -> Classifier:
    labels = Labels("colours", tuple(Label(index, f"class {index}") for index in range(classes)))
    return Classifier(Answers(answer), labels, "colours", Preprocessing((16, 16)), stated)


def logits(colours: Tensor) -> Tensor:
    return 20 * colours - 10


@pytest.mark.parametrize(
    ("answer", "said", "output", "exclusive", "taken"),
    [
        (logits, "auto", "softmax", True, "usual"),
        (logits, "softmax", "softmax", True, "asked for"),
        (logits, "sigmoid", "sigmoid", False, "asked for"),
        (lambda c: logits(c).softmax(1), "auto", "probabilities", True, "found"),
        (lambda c: logits(c).softmax(1), "probabilities", "probabilities", True, "asked for"),
        (lambda c: logits(c).sigmoid(), "probabilities", "probabilities", False, "asked for"),
        (lambda c: logits(c).sigmoid(), "softmax", "softmax", True, "asked for"),
    ],
)
def test_the_kind_is_settled(
    answer: Callable[[Tensor], Tensor], said: str, output: str, exclusive: bool, taken: str
) -> None:
    mine = classifier(answer)
    found = inspect_classifier(mine, said)
    assert (found.output, found.exclusive, found.taken) == (output, exclusive, taken)
    assert mine.exclusive is exclusive and mine.inspection is found
    assert mine(built_in_pictures()).shape == (8, 3)
    assert found.facts()["output"] == output


@pytest.mark.parametrize("classes", [1, 2])
def test_one_column_is_a_sigmoid(classes: int) -> None:
    found = inspect_classifier(classifier(lambda c: logits(c)[:, 0], classes))
    assert (found.output, found.exclusive) == ("sigmoid", False)


def test_what_a_models_own_files_say_is_taken_until_its_values_contradict() -> None:
    many = Scoring("sigmoid", exclusive=False)
    assert inspect_classifier(classifier(logits, stated=many)).taken == "stated by its source"
    assert inspect_classifier(classifier(lambda c: logits(c).softmax(1), stated=many)).output == "probabilities"


@pytest.mark.parametrize(
    ("answer", "said", "accepted"),
    [
        (lambda c: logits(c).sigmoid(), "auto", ("probabilities", "softmax")),
        (lambda c: 0.01 * c + 0.3, "auto", ("probabilities", "softmax")),
        (lambda c: logits(c)[:, :1].sigmoid(), "auto", ("probabilities", "sigmoid")),
        (lambda c: logits(c).softmax(1), "softmax", ("auto", "probabilities")),
        (lambda c: logits(c).softmax(1), "sigmoid", ("auto", "probabilities")),
        (logits, "probabilities", ("auto", "softmax")),
        (lambda c: logits(c)[:, :1], "softmax", ("auto", "sigmoid", "probabilities")),
    ],
)
def test_what_values_do_not_tell_or_contradict_is_asked_for(
    answer: Callable[[Tensor], Tensor], said: str, accepted: tuple[str, ...]
) -> None:
    classes = answer(torch.rand(2, 3)).shape[1]
    with pytest.raises(UserError) as caught:
        inspect_classifier(classifier(answer, classes), said)
    assert caught.value.accepted == accepted


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda c: logits(c) * torch.nan, "no finite answer to 8 of 8"),
        (lambda c: torch.where(c[:, :1] > 2, torch.inf, logits(c)), "no finite answer to 1 of 8"),
        (lambda c: nn.functional.dropout(logits(c), 0.1, training=True), "same picture twice"),
        (lambda c: nn.functional.batch_norm(c, None, None, training=True), "in another batch"),
        (lambda c: c[:, :2] * 50, "3 names"),
    ],
)
def test_what_cannot_be_explained_is_refused(answer: Callable[[Tensor], Tensor], message: str) -> None:
    with pytest.raises(UserError, match=message):
        inspect_classifier(classifier(answer))


def test_another_word_is_refused() -> None:
    with pytest.raises(UserError, match="no such kind") as caught:
        inspect_classifier(classifier(logits), "sofmax")
    assert "softmax" in caught.value.accepted


@pytest.mark.parametrize(
    ("answer", "passes"),
    [
        (logits, True),
        (lambda c: logits(c.detach()), False),
        (lambda c: logits((c * 8).round() / 8), False),
        (lambda c: 0 * c - 5, True),  # the same answer to everything says nothing of the way to it
    ],
)
def test_whether_gradients_pass_is_a_plain_fact(answer: Callable[[Tensor], Tensor], passes: bool) -> None:
    assert inspect_classifier(classifier(answer)).passes_gradient is passes


def test_the_users_own_exception_is_shown_as_theirs() -> None:
    def broken(colours: Tensor) -> Tensor:
        raise ZeroDivisionError("a bug of the user's")

    with pytest.raises(ZeroDivisionError):
        inspect_classifier(classifier(broken))


def test_probabilities_of_exactly_1_are_noted() -> None:
    found = inspect_classifier(classifier(lambda c: (1000 * c).softmax(1)))
    assert "built-in pictures" in found.notes[0]
    assert inspect_classifier(classifier(logits)).notes == ()


def test_pictures_are_the_same_every_time_and_none_is_of_one_colour() -> None:
    pictures = built_in_pictures()
    assert torch.equal(pictures, built_in_pictures())
    assert pictures.min() >= 0 and pictures.max() <= 1
    assert (pictures.std(dim=(2, 3)).amax(dim=1) > 0.004).all()


@pytest.mark.parametrize(
    ("kind", "names", "expected"),
    [
        ("multi_label_classification", 3, Scoring("sigmoid", False)),
        ("single_label_classification", 3, Scoring("softmax", True)),
        (None, 3, None),
    ],
)
def test_transformers_say_what_their_logits_are(kind: str | None, names: int, expected: Scoring | None) -> None:
    config = ResNetConfig(problem_type=kind, num_labels=names)
    assert stated_output(config, "auto", "mine") == expected


def test_a_multi_label_model_of_transformers_is_read_as_one(tmp_path: Path) -> None:
    overrides = [*huggingface_folder(tmp_path), "diffusion=world"]
    config = json.loads((tmp_path / "config.json").read_text()) | {"problem_type": "multi_label_classification"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    composed = configuration.compose(overrides)
    loaded = Parts().classifier(composed["classifier"], composed["plugins"])
    assert (loaded.inspection.taken, loaded.exclusive) == ("stated by its source", False)


def test_a_regression_of_transformers_is_no_classifier_unless_it_is_said_to_be() -> None:
    config = ResNetConfig(problem_type="regression", num_labels=1)
    with pytest.raises(UserError, match=r"regression.*classifier\.output=sigmoid"):
        stated_output(config, "auto", "mine")
    assert stated_output(config, "sigmoid", "mine") is None
