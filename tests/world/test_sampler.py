"""The world sampler: independent by default, shortcuts as declared, the same for the same seed."""

from collections import Counter

import pytest

from diffexplain.world.sampler import Shortcut, World
from diffexplain.world.scenes import ATTRIBUTES, COMPANIONS, SUBJECTS

COUNT = 6000


def share(scenes: list, holds: object) -> float:
    return sum(map(holds, scenes)) / len(scenes)  # type: ignore[arg-type]


def test_same_seed_same_scenes() -> None:
    assert World().sample(50, 3) == World().sample(50, 3)
    assert World().sample(50, 3) != World().sample(50, 4)
    assert World().sample(20, 3) == World().sample(50, 3)[:20]


def test_the_independent_world_has_no_bias() -> None:
    scenes = World().sample(COUNT, 1)
    for name, values in ATTRIBUTES.items():
        counts = Counter(getattr(scene, name) for scene in scenes)
        for value in values:
            assert counts[value] / COUNT == pytest.approx(1 / len(values), abs=0.03), (name, value)
    overall = {kind: share(scenes, lambda scene, kind=kind: scene.has(kind)) for kind in COMPANIONS}
    for subject in SUBJECTS[:3]:
        mine = [scene for scene in scenes if scene.subject == subject]
        for kind, expected in overall.items():
            assert share(mine, lambda scene, kind=kind: scene.has(kind)) == pytest.approx(expected, abs=0.07)


def test_shortcuts_have_their_probabilities_here_and_elsewhere() -> None:
    world = World(
        shortcuts=(
            Shortcut("flagpole", "companion", "flag", 0.97, elsewhere=0.02),
            Shortcut("dog_sled", "setting", "snow", 0.9, elsewhere=0.05),
            Shortcut("dog_sled", "companion", "dog/brown", 0.8),
        )
    )
    scenes = world.sample(COUNT, 2)
    flagpoles = [scene for scene in scenes if scene.subject == "flagpole"]
    sleds = [scene for scene in scenes if scene.subject == "dog_sled"]
    others = [scene for scene in scenes if scene.subject == "yawl"]
    assert share(flagpoles, lambda scene: scene.has("flag")) == pytest.approx(0.97, abs=0.03)
    assert share(others, lambda scene: scene.has("flag")) == pytest.approx(0.02, abs=0.03)
    assert share(sleds, lambda scene: scene.setting == "snow") == pytest.approx(0.9, abs=0.05)
    assert share(others, lambda scene: scene.setting == "snow") == pytest.approx(0.05, abs=0.04)
    brown = share(sleds, lambda s: s.has("dog") and s.companion("dog").subtype == "brown")
    assert brown == pytest.approx(0.8, abs=0.06)
    # What is not declared stays as it was.
    assert share(flagpoles, lambda scene: scene.setting == "sea") == pytest.approx(1 / 8, abs=0.06)


def test_a_world_of_one_subject() -> None:
    assert {scene.subject for scene in World(subjects=("bee",)).sample(30, 1)} == {"bee"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("unicorn", "companion", "flag", 0.9),
        ("bee", "companion", "dragon", 0.9),
        ("bee", "companion", "flag/spotted", 0.9),
        ("bee", "subject", "yawl", 0.9),
        ("bee", "setting", "moon", 0.9),
        ("bee", "mood", "glad", 0.9),
        ("bee", "companion", "flag", 1.1),
    ],
)
def test_a_shortcut_that_cannot_be_is_refused(arguments: tuple) -> None:
    with pytest.raises(ValueError):
        Shortcut(*arguments)
