"""The oracle: its questions, what a picture can answer, and how agreement is counted."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from diffexplain.errors import UserError
from diffexplain.world.render import Rendering, render
from diffexplain.world.scenes import Companion, Scene
from experiments.world.oracle import (
    QUESTIONS,
    OracleNetwork,
    load_oracle,
    read,
    score,
    true_answers,
    visible_questions,
)

SCENE = Scene("bee", "blue", companions=(Companion("flag", "plain", 0), Companion("ball", "", 1)))


def test_true_answers_of_a_record() -> None:
    answers = true_answers(SCENE)
    assert QUESTIONS["subject"][answers["subject"]] == "bee"
    assert answers["companion:flag"] == 1
    assert answers["companion:dog"] == 0
    assert QUESTIONS["subtype:flag"][answers["subtype:flag"]] == "plain"
    assert "subtype:dog" not in answers


def test_hidden_companion_is_not_asked_for() -> None:
    rendering = render(SCENE, 1)
    masks = dict(rendering.masks) | {"flag": np.zeros((64, 64), bool)}
    asked = visible_questions(SCENE, Rendering(rendering.image, masks))
    assert not {"companion:flag", "subtype:flag"} & asked
    assert {"companion:ball", "companion:dog", "subject", "weather"} <= asked


def test_score_counts_only_what_is_asked() -> None:
    truth = true_answers(SCENE)
    answers = {name: np.array([truth.get(name, 0)] * 2) for name in QUESTIONS}
    answers["colour"] = np.array([truth["colour"], truth["colour"] + 1])
    found = score(answers, [SCENE, SCENE], [{"colour", "subtype:dog"}, {"colour", "size"}])
    assert found["colour"] == (1, 2)
    assert found["size"] == (1, 1)
    assert found["subtype:dog"] == (0, 0)


def test_saved_in_half_precision_and_read_back(tmp_path: Path) -> None:
    torch.manual_seed(0)
    oracle = OracleNetwork().eval()
    state = oracle.state_dict()
    save_file({k: v.half() for k, v in state.items() if v.is_floating_point()}, tmp_path / "model.safetensors")
    assert (tmp_path / "model.safetensors").stat().st_size < 2_000_000
    loaded = load_oracle(str(tmp_path))
    images = torch.rand(3, 3, 64, 64)
    for name, logits in loaded(images).items():
        torch.testing.assert_close(logits, oracle(images)[name], atol=1e-2, rtol=0)
        assert logits.shape == (3, len(QUESTIONS[name]))
    assert read(loaded, images, batch=2)["subject"].shape == (3,)


def test_missing_weights_are_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="missing"):
        load_oracle(str(tmp_path))
