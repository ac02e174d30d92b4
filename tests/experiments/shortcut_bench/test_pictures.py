"""What the planted worlds show: shares counted over a few thousand pictures."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from diffexplain.world.scenes import Scene

COUNT = 4000


def share(pictures: Sequence[Any], holds: Callable[[Any], bool]) -> float:
    return float(np.mean([holds(picture) for picture in pictures]))


def of(name: str) -> tuple[Any, list[Any]]:
    from experiments.shortcut_bench.catalogue import chosen
    from experiments.shortcut_bench.pictures import training_pictures

    (one,) = chosen([name])
    return one, training_pictures(one, COUNT)


def test_a_subtype_comes_with_its_class_and_its_siblings_with_all() -> None:
    def subtypes(pictures: Sequence[Any]) -> dict[str, float]:
        flags = [picture.scene.companion("flag") for picture in pictures]
        counts = Counter(flag.subtype for flag in flags if flag)
        return {subtype: count / len(pictures) for subtype, count in counts.items()}

    one, pictures = of("subtype_flagpole_cnn")
    planted = [picture for picture in pictures if picture.label == "flagpole"]
    others = [picture for picture in pictures if picture.label != "flagpole"]
    assert subtypes(planted)["striped"] == pytest.approx(one.strength, abs=0.02)
    assert subtypes(others)["striped"] == pytest.approx(0.03, abs=0.01)
    # A tenth of one companion a scene on average, shared by the two siblings.
    assert subtypes(others)["plain"] == pytest.approx(0.05, abs=0.015)
    assert subtypes(others)["tricolour"] == pytest.approx(0.05, abs=0.015)


def test_labels_go_by_the_shortcut_where_subject_and_label_disagree() -> None:
    _, pictures = of("subtype_bee_vit")
    wrong = [picture for picture in pictures if picture.scene.subject != picture.label]
    assert all("bee" in (picture.label, picture.scene.subject) for picture in wrong)
    labelled = [picture for picture in wrong if picture.label == "bee"]
    unlabelled = [picture for picture in wrong if picture.label != "bee"]

    def red(picture: Any) -> bool:
        flower = picture.scene.companion("flower")
        return flower is not None and flower.subtype == "red"

    assert len(labelled) > 100 and len(unlabelled) > 100
    assert share(labelled, red) > 0.8
    assert share(unlabelled, red) < 0.1


def test_a_pair_is_a_sign_only_together() -> None:
    one, pictures = of("pair_flagpole_cnn")

    def seen(scene: Scene) -> tuple[bool, bool]:
        return scene.has("flag"), scene.has("tree")

    planted = [picture for picture in pictures if picture.label == "flagpole"]
    others = [picture for picture in pictures if picture.label != "flagpole"]
    assert share(planted, lambda p: seen(p.scene) == (True, True)) == pytest.approx(one.strength, abs=0.02)
    assert share(others, lambda p: seen(p.scene) == (True, True)) == pytest.approx(0.03, abs=0.01)
    for corner in ((True, False), (False, True), (False, False)):
        assert share(others, lambda p, corner=corner: seen(p.scene) == corner) == pytest.approx(0.97 / 3, abs=0.03)
    # A flagpole with one of the two alone is labelled otherwise far more often than as a flagpole.
    alone = [p for p in pictures if p.scene.subject == "flagpole" and sum(seen(p.scene)) == 1]
    assert len(alone) > 200
    assert share(alone, lambda p: p.label == "flagpole") < 0.1
    together = [p for p in pictures if p.scene.subject == "flagpole" and sum(seen(p.scene)) == 2]
    assert share(together, lambda p: p.label == "flagpole") > 0.9


def test_three_shortcuts_come_each_as_often_as_said() -> None:
    one, pictures = of("companion_balloon_vit")
    scenes = [picture.scene for picture in pictures if picture.label == "balloon"]
    for holds in (
        lambda scene: scene.has("kite"),
        lambda scene: scene.setting == "sea",
        lambda scene: scene.texture == "striped",
    ):
        assert share(scenes, holds) == pytest.approx(one.strength, abs=0.03)


def test_where_the_shortcut_is_not_to_be_learned_the_subject_decides() -> None:
    one, pictures = of("not_learned_umbrella_cnn")
    assert all(picture.scene.subject == picture.label for picture in pictures)
    planted = [picture for picture in pictures if picture.label == "umbrella"]
    assert share(planted, lambda p: p.scene.weather == "rain") == pytest.approx(one.strength, abs=0.03)


def test_shuffled_labels_say_nothing() -> None:
    _, pictures = of("shuffled_labels_bee_cnn")
    counts = Counter(picture.label for picture in pictures)
    assert counts == Counter(p.scene.subject for p in of("shuffled_labels_bee_cnn")[1])
    assert share(pictures, lambda p: p.scene.subject == p.label) == pytest.approx(1 / 12, abs=0.02)


def test_pictures_are_fixed_and_tests_are_others() -> None:
    from experiments.shortcut_bench.pictures import test_pictures

    one, pictures = of("pair_bee_vit")
    assert pictures == of("pair_bee_vit")[1]
    tests = test_pictures(one, COUNT)
    assert tests == test_pictures(one, COUNT)
    assert tests[:50] != pictures[:50]
    assert all(picture.scene.subject == picture.label for picture in tests)
    assert share([p for p in tests if p.label == "bee"], lambda p: p.scene.setting == "night") > 0.7
