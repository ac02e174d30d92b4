"""Weights and tables of the benchmark, made in tiny amounts."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from diffexplain.classifiers import load_classifier
from diffexplain.world.scenes import SUBJECTS, Companion, Scene
from diffexplain.world.truth_table import TruthTable

TINY = 64


@pytest.fixture(autouse=True)
def tiny(scripts: None, monkeypatch: pytest.MonkeyPatch) -> None:
    import random_features
    import train

    monkeypatch.setattr(train, "TEST_SCENES", 16)
    monkeypatch.setattr(random_features, "STEPS", 5)


def weights(root: Path, name: str) -> bytes:
    return (root / name / "model.safetensors").read_bytes()


@pytest.mark.parametrize("name", ["subtype_bee_cnn", "companion_bee_random_features", "random_weights_bee_vit"])
def test_a_finished_classifier_is_kept_and_an_unfinished_one_made_again(tmp_path: Path, name: str) -> None:
    from catalogue import chosen
    from train import make

    (one,) = chosen([name])
    assert make(one, tmp_path, TINY)
    made = weights(tmp_path, name)
    card = json.loads((tmp_path / name / "training.json").read_text())
    assert card["specification"]["name"] == name
    assert load_classifier(str(tmp_path / name))(torch.rand(2, 3, 64, 64)).shape == (2, len(SUBJECTS))
    (tmp_path / name / "model.safetensors").write_bytes(b"kept as it is")
    assert not make(one, tmp_path, TINY)
    assert weights(tmp_path, name) == b"kept as it is"
    (tmp_path / name / "training.json").unlink()
    assert make(one, tmp_path, TINY)
    assert weights(tmp_path, name) == made


def test_tables_are_of_the_one_class_and_of_these_weights(tmp_path: Path) -> None:
    from catalogue import chosen
    from pairs import PAIR_EFFECTS_FILE
    from train import make
    from truth import is_measured, measure

    together = chosen(["pair_bee_cnn", "random_weights_bee_cnn"])
    for one in together:
        make(one, tmp_path, TINY)
        assert not is_measured(tmp_path / one.name)
    measure(tmp_path, together, showing=2, without=2)
    for one in together:
        folder = tmp_path / one.name
        assert is_measured(folder)
        table = TruthTable.load(folder)
        assert {row["class"] for row in table.rows} == {"bee"}
        row = table.row("bee", "setting", "night")
        assert row["shows_target"]["n"] == 2 and row["without_target"]["n"] == 2 * (len(SUBJECTS) - 1)
        assert (folder / PAIR_EFFECTS_FILE).is_file() == (one.kind == "pair")
    (row,) = json.loads((tmp_path / "pair_bee_cnn" / PAIR_EFFECTS_FILE).read_text())["rows"]
    assert row["pair"] == [["companion", "flower"], ["setting", "night"]]
    (tmp_path / together[0].name / "model.safetensors").write_bytes(b"other weights")
    assert not is_measured(tmp_path / together[0].name)


def test_corners_differ_in_the_pair_alone() -> None:
    from pairs import corners
    from specification import Value

    scene = Scene("bee", setting="sea", companions=(Companion("house", slot=0),))
    made = corners(scene, 7, (Value("companion", "flower"), Value("setting", "night")))
    assert {name: (one.has("flower"), one.setting == "night") for name, one in made.items()} == {
        "both": (True, True), "first": (True, False), "second": (False, True), "neither": (False, False),
    }  # fmt: skip
    assert all(one.has("house") for one in made.values())
    assert made["both"].without_companion("flower") == made["second"]
    # Two companions need both places.
    made = corners(scene, 7, (Value("companion", "flower"), Value("companion", "dog")))
    assert {name: {c.kind for c in one.companions} for name, one in made.items()} == {
        "both": {"flower", "dog"}, "first": {"flower"}, "second": {"dog"}, "neither": set(),
    }  # fmt: skip


def test_the_effect_of_a_pair_by_hand() -> None:
    from pairs import pair_effects
    from specification import Value

    def logits(probability: float, count: int) -> np.ndarray:
        """All other classes share the rest."""
        values = np.full((count, len(SUBJECTS)), np.log((1 - probability) / (len(SUBJECTS) - 1)))
        values[:, SUBJECTS.index("bee")] = np.log(probability)
        return values.astype(np.float32)

    def at(both: float, first: float, second: float, neither: float, count: int) -> dict[str, np.ndarray]:
        corners = {"both": both, "first": first, "second": second, "neither": neither}
        return {name: logits(probability, count) for name, probability in corners.items()}

    pair = (Value("companion", "flower"), Value("setting", "night"))
    row = pair_effects({"bee": at(0.9, 0.2, 0.15, 0.1, 4), "yawl": at(0.5, 0.1, 0.1, 0.1, 3)}, "bee", pair)
    effects = {name: value["effect"] for name, value in row["shows_target"]["probability"].items()}
    assert effects == pytest.approx({"joint": 0.8, "first_alone": 0.1, "second_alone": 0.05, "interaction": 0.65})
    assert row["shows_target"]["n"] == 4 and row["without_target"]["n"] == 3
    assert row["without_target"]["probability"]["joint"]["effect"] == pytest.approx(0.4)
    assert row["shows_target"]["logit"]["joint"]["effect"] == pytest.approx(np.log(9), abs=1e-3)
