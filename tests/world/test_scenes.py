"""Scene records: what they refuse, and the edits that interventions are made of."""

import pytest

from diffexplain.world.scenes import COMPANIONS, SETTINGS, SUBJECTS, Companion, Scene

SCENE = Scene("bee", companions=(Companion("flag", "plain", 0), Companion("dog", "brown", 1)))


def test_the_world_is_as_large_as_it_must_be() -> None:
    assert len(set(SUBJECTS)) >= 12
    assert {"flagpole", "bee", "dog_sled"} <= set(SUBJECTS)
    assert len(COMPANIONS) >= 10
    assert {"flag", "flower", "dog", "tree", "person", "cloud"} <= set(COMPANIONS)
    assert len(set(SETTINGS)) >= 8


@pytest.mark.parametrize(
    "values",
    [
        {"subject": "unicorn"},
        {"subject": "bee", "colour": "mauve"},
        {"subject": "bee", "companions": (Companion("flag", "plain", 0), Companion("dog", "brown", 0))},
        {"subject": "bee", "companions": (Companion("flag", "plain", 0), Companion("flag", "striped", 1))},
    ],
)
def test_a_scene_that_cannot_be_is_refused(values: dict) -> None:
    with pytest.raises(ValueError):
        Scene(**values)


@pytest.mark.parametrize("arguments", [("dragon",), ("flag", "spotted"), ("flag",), ("ball", "red"), ("ball", "", 2)])
def test_a_companion_that_cannot_be_is_refused(arguments: tuple) -> None:
    with pytest.raises(ValueError):
        Companion(*arguments)


def test_taking_a_companion_out_leaves_the_other_in_its_slot() -> None:
    assert SCENE.without_companion("flag").companions == (Companion("dog", "brown", 1),)
    assert SCENE.without_companion("ball") == SCENE
    assert SCENE.has("flag")
    assert not SCENE.without_companion("flag").has("flag")
    assert SCENE.companion("dog") == Companion("dog", "brown", 1)
    assert SCENE.companion("ball") is None


def test_putting_a_companion_in_replaces_slot_and_kind() -> None:
    assert SCENE.with_companion("ball", slot=1).companions == (
        Companion("flag", "plain", 0),
        Companion("ball", "", 1),
    )
    moved = SCENE.with_companion("flag", "striped", 1)
    assert moved.companions == (Companion("flag", "striped", 1),)
