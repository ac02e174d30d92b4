"""Truth tables: variants differ in one thing, and effects of models known by hand come out as they are."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from diffexplain.errors import UserError
from diffexplain.world.scenes import ATTRIBUTES, COMPANIONS, SUBJECTS, Companion, Scene
from experiments.world.truth import (
    TruthTable,
    base_scenes,
    contrasts,
    effects,
    log_odds,
    logits_of,
    measure_logits,
    paired_effect,
    softmax,
    truth_table,
    variant_names,
    variants,
)

SCENE = Scene("bee", "blue", "small", "striped", "left", "city", "fog", (Companion("dog", "brown", 1),))


def difference(one: Scene, other: Scene) -> set[str]:
    names = [*ATTRIBUTES, "companions"]
    return {name for name in names if getattr(one, name) != getattr(other, name)}


def test_each_variant_differs_from_the_scene_in_at_most_the_one_thing() -> None:
    for name, variant in variants(SCENE, seed=3).items():
        attribute = name.split("=")[0] if "=" in name else "companions"
        expected = {"subject"} if name == "another subject" else {attribute}
        assert difference(SCENE, variant) <= expected, name
    assert variants(SCENE, 3)["another subject"].subject != "bee"


def test_companion_variants_leave_the_other_companion_in_its_slot() -> None:
    made = variants(SCENE, seed=3)
    assert made["no dog"].companions == ()
    assert made["no flag"] == SCENE
    assert made["dog/brown"] == SCENE
    assert made["dog/white"].companions == (Companion("dog", "white", 1),)
    assert set(made["flag/plain"].companions) == {Companion("dog", "brown", 1), Companion("flag", "plain", 0)}


def test_every_attribute_value_is_contrasted() -> None:
    found = {(contrast.attribute, contrast.value) for contrast in contrasts()}
    for attribute, values in ATTRIBUTES.items():
        if attribute != "subject":
            assert {(attribute, value) for value in values} <= found
    for kind, subtypes in COMPANIONS.items():
        assert {("companion", kind), *(("subtype", f"{kind}/{subtype}") for subtype in subtypes)} <= found
    known = set(variant_names())
    assert all({*contrast.present, *contrast.absent} <= known for contrast in contrasts())


def test_base_scenes_show_the_subject_and_leave_room() -> None:
    scenes, seeds = base_scenes("yawl", 40, seed=1)
    assert {scene.subject for scene in scenes} == {"yawl"}
    assert max(len(scene.companions) for scene in scenes) == 1
    assert len(set(seeds)) == 40
    assert base_scenes("yawl", 40, seed=1) == (scenes, seeds)
    assert not set(seeds) & set(base_scenes("bee", 40, seed=1)[1])


def brightness(images: torch.Tensor) -> torch.Tensor:
    """A stand-in classifier of all subjects that reads nothing but the mean brightness."""
    logits = torch.zeros(len(images), len(SUBJECTS))
    logits[:, 0] = 8 * images.mean(dim=(1, 2, 3))
    return logits


def test_a_model_that_reads_brightness_answers_to_night_and_not_to_position() -> None:
    subjects = ("flagpole", "bee")
    logits = {name: measure_logits({"model": brightness}, name, 25, seed=5)["model"] for name in subjects}
    rows = effects(logits, SUBJECTS)
    by_name = {(row["class"], row["attribute"], row["value"]): row for row in rows}
    night = by_name["flagpole", "setting", "night"]["shows_target"]
    assert night["n"] == 25
    assert night["logit"]["high"] < -1
    assert night["probability"]["effect"] == pytest.approx(
        night["probability"]["present"] - night["probability"]["absent"], abs=2e-5
    )
    assert abs(by_name["flagpole", "position", "left"]["shows_target"]["logit"]["effect"]) < 0.2
    # Its other logits are constant, so every effect on them is exactly zero.
    assert by_name["bee", "setting", "night"]["shows_target"]["logit"]["effect"] == 0
    assert by_name["bee", "setting", "night"]["without_target"]["n"] == 25
    assert by_name["bee", "subject", "bee"]["without_target"] is None


def test_subset_of_variants_gives_the_same_logits() -> None:
    everything = measure_logits({"model": brightness}, "teapot", 4, seed=2)["model"]
    names = ["as it is", "setting=snow"]
    chosen = measure_logits({"model": brightness}, "teapot", 4, seed=2, names=names)["model"]
    columns = [variant_names().index(name) for name in names]
    np.testing.assert_array_equal(chosen, everything[:, columns])


def test_paired_effect_known_by_hand() -> None:
    found = paired_effect(np.array([0.5, 0.7]), np.array([0.1, 0.1]))
    # Differences 0.4 and 0.6: mean 0.5, standard error 0.1.
    assert found["effect"] == pytest.approx(0.5)
    assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * 0.1, abs=1e-3)
    assert (found["present"], found["absent"]) == (0.6, 0.1)


def test_softmax_survives_large_logits() -> None:
    found = softmax(np.array([[1000.0, 1000.0], [-1000.0, 1000.0]], np.float32))
    np.testing.assert_allclose(found, [[0.5, 0.5], [0.0, 1.0]])


def test_log_odds_are_those_of_the_probability_and_stay_finite() -> None:
    # Probabilities 0.1, 0.3 and 0.6, whatever is added to all logits.
    logits = np.log(np.array([[1.0, 3.0, 6.0]], np.float32))
    expected = np.log([[0.1 / 0.9, 0.3 / 0.7, 0.6 / 0.4]])
    np.testing.assert_allclose(log_odds(logits), expected, atol=1e-6)
    np.testing.assert_allclose(log_odds(logits + 50), expected, atol=1e-5)
    # Both probabilities are one and zero to every digit.
    np.testing.assert_array_equal(log_odds(np.array([[1000.0, -1000.0]], np.float32)), [[2000.0, -2000.0]])


def test_effects_on_the_log_odds_leave_out_what_moves_all_logits() -> None:
    def shifted(images: torch.Tensor) -> torch.Tensor:
        return 8 * images.mean(dim=(1, 2, 3))[:, None].expand(-1, len(SUBJECTS))

    logits = {"bee": measure_logits({"model": shifted}, "bee", 10, seed=5)["model"]}
    rows = {(row["attribute"], row["value"]): row["shows_target"] for row in effects(logits, SUBJECTS)}
    night = rows["setting", "night"]
    assert night["logit"]["high"] < -1
    assert abs(night["log_odds"]["effect"]) < 1e-4 and abs(night["probability"]["effect"]) < 1e-4


def test_logits_are_of_images_in_the_unit_range() -> None:
    images = np.full((2, 4, 4, 3), 255, np.uint8)
    np.testing.assert_array_equal(logits_of(lambda batch: batch.amax(dim=(2, 3)), images), np.ones((2, 3)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "bright"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    logits = {name: measure_logits({"model": brightness}, name, 5, seed=5)["model"] for name in SUBJECTS[:2]}
    truth_table(folder, logits, SUBJECTS, seed=5).save(folder)
    return folder


def test_table_reads_back_as_it_was_written(folder: Path) -> None:
    table = TruthTable.load(folder)
    assert (table.classifier, table.seed, table.scenes) == ("bright", 5, 5)
    assert table.effect("flagpole", "setting", "night", measure="logit") < 0
    assert table.largest("flagpole", ["setting"])[0][1] == "night"
    before = (folder / "truth_table.json").read_bytes()
    table.save(folder)
    assert (folder / "truth_table.json").read_bytes() == before


def test_table_of_other_weights_is_noticed(folder: Path) -> None:
    assert TruthTable.load(folder).fits(folder)
    (folder / "model.safetensors").write_bytes(b"retrained")
    assert not TruthTable.load(folder).fits(folder)


def test_table_from_before_log_odds_is_read(folder: Path) -> None:
    path = folder / "truth_table.json"
    new = TruthTable.load(folder)
    content = json.loads(path.read_text())
    for row in content["rows"]:
        for stratum in ("shows_target", "without_target"):
            (row[stratum] or {}).pop("log_odds", None)
    path.write_text(json.dumps(content | {"schema_version": "1"}))
    old = TruthTable.load(folder)
    red = ("bee", "colour", "red")
    assert old.effect(*red) == new.effect(*red)
    assert old.effect(*red, measure="logit") == new.effect(*red, measure="logit")
    with pytest.raises(UserError, match="schema 1, without effects on log_odds"):
        old.effect(*red, measure="log_odds")
    old.save(folder)
    assert json.loads(path.read_text())["schema_version"] == "1"


def test_unknown_row_missing_file_and_other_schema(folder: Path) -> None:
    with pytest.raises(KeyError):
        TruthTable.load(folder).row("flagpole", "companion", "dragon")
    path = folder / "truth_table.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": "0"}))
    with pytest.raises(UserError, match="schema"):
        TruthTable.load(folder)
    path.unlink()
    with pytest.raises(UserError, match="missing"):
        TruthTable.load(folder)
