"""Weights and tables of the benchmark, made in tiny amounts."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from diffexplain.classifiers import load_classifier
from diffexplain.world.scenes import SUBJECTS, Companion, Scene
from experiments.world.truth import TruthTable

TINY = 64


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    from experiments.shortcut_bench import random_features, train

    monkeypatch.setattr(train, "TEST_SCENES", 16)
    monkeypatch.setattr(random_features, "STEPS", 5)


def weights(root: Path, name: str) -> bytes:
    return (root / name / "model.safetensors").read_bytes()


@pytest.mark.parametrize("name", ["subtype_bee_cnn", "companion_bee_random_features", "random_weights_bee_vit"])
def test_a_finished_classifier_is_kept_and_an_unfinished_one_made_again(tmp_path: Path, name: str) -> None:
    from experiments.shortcut_bench.catalogue import chosen
    from experiments.shortcut_bench.train import make

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
    from experiments.shortcut_bench.catalogue import chosen
    from experiments.shortcut_bench.pairs import PAIR_EFFECTS_FILE
    from experiments.shortcut_bench.train import make
    from experiments.shortcut_bench.truth import is_measured, measure

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


def test_backbones_that_are_not_embedded_are_trained_once(tmp_path: Path) -> None:
    from experiments.shortcut_bench.catalogue import chosen
    from experiments.shortcut_bench.train import BACKBONES, make, make_backbone
    from experiments.world.train_classifiers import DataRecipe, Recipe

    for architecture in BACKBONES:
        recipe = Recipe(architecture, 1e-3, DataRecipe(scenes=TINY), epochs=1.0, muon=True)
        folder = make_backbone(architecture, tmp_path, recipe)
        made = (folder / "model.safetensors").read_bytes()
        assert load_classifier(str(folder))(torch.rand(2, 3, 64, 64)).shape == (2, len(SUBJECTS))
        assert make_backbone(architecture, tmp_path) == folder  # as it is, whatever its recipe was
        assert (folder / "model.safetensors").read_bytes() == made
        (one,) = chosen([next(o.name for o in chosen([], "fresh") if o.mark and o.architecture == architecture)])
        assert make(one, tmp_path, TINY) and not make(one, tmp_path, TINY)
        assert json.loads((tmp_path / one.name / "training.json").read_text())["pictures"] == TINY


def test_what_no_word_names_has_its_effect_beside_the_table(tmp_path: Path) -> None:
    from experiments.shortcut_bench.catalogue import chosen
    from experiments.shortcut_bench.mark_effects import MARK_EFFECTS_FILE
    from experiments.shortcut_bench.train import make
    from experiments.shortcut_bench.truth import is_measured, measure

    one = next(o for o in chosen([], "fresh") if o.mark and o.architecture == "cnn")
    make(one, tmp_path, TINY)
    measure(tmp_path, [one], showing=2, without=2)
    assert is_measured(tmp_path / one.name)
    (row,) = json.loads((tmp_path / one.name / MARK_EFFECTS_FILE).read_text())["rows"]
    assert (row["class"], row["mark"]) == (one.class_name, list(one.mark))
    assert row["shows_target"]["n"] == 2
    assert row["shows_target"].keys() == {"n", "probability", "log_odds", "logit"}


def test_the_effect_of_a_mark_by_hand() -> None:
    from experiments.shortcut_bench.mark_effects import mark_effects, measure_mark
    from experiments.shortcut_bench.marks import Mark

    def corner(images: torch.Tensor) -> torch.Tensor:
        """Half for the bee, and nine tenths where the corner is cyan."""
        logits = torch.full((len(images), len(SUBJECTS)), -np.log(len(SUBJECTS) - 1))
        cyan = (images[:, 0, 60, 60] < 0.1) & (images[:, 1, 60, 60] > 0.8)
        logits[:, SUBJECTS.index("bee")] = torch.where(cyan, np.log(9), 0.0)
        return logits

    effects = {}
    for mark in (Mark("square", "cyan lower right"), Mark("square", "cyan upper left")):
        logits = {s: measure_mark({"model": corner}, mark, s, n, 2)["model"] for s, n in (("bee", 4), ("yawl", 3))}
        row = mark_effects(logits, "bee", mark)
        assert (row["shows_target"]["n"], row["without_target"]["n"]) == (4, 3)
        effects[mark.variant] = row["shows_target"]
    assert effects["cyan lower right"]["probability"]["effect"] == pytest.approx(0.4, abs=1e-4)
    assert effects["cyan lower right"]["log_odds"]["effect"] == pytest.approx(np.log(9), abs=1e-4)
    assert effects["cyan upper left"]["probability"]["effect"] == 0


def test_tables_from_before_the_log_odds_are_made_again(tmp_path: Path) -> None:
    from experiments.shortcut_bench.catalogue import chosen
    from experiments.shortcut_bench.train import make
    from experiments.shortcut_bench.truth import is_measured, measure

    (one,) = chosen(["random_weights_bee_cnn"])
    make(one, tmp_path, TINY)
    measure(tmp_path, [one], showing=2, without=2)
    file = tmp_path / one.name / "truth_table.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"schema_version": "1"}))
    assert not is_measured(tmp_path / one.name)


def test_processes_share_the_work_and_no_more() -> None:
    from diffexplain.errors import UserError
    from experiments.shortcut_bench.catalogue import part

    assert part("abcde", "0/2") == "ace" and part("abcde", "1/2") == "bd" and part("abcde", "0/1") == "abcde"
    for shard in ("2/2", "1", "a/b", "-1/2", "0/0"):
        with pytest.raises(UserError, match="i/n"):
            part("abcde", shard)


def test_corners_differ_in_the_pair_alone() -> None:
    from experiments.shortcut_bench.pairs import corners
    from experiments.shortcut_bench.specification import Value

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
    from experiments.shortcut_bench.pairs import pair_effects
    from experiments.shortcut_bench.specification import Value

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
