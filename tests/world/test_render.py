"""Rendering: a pure function whose masks tile the picture and whose edits change one thing."""

from dataclasses import replace

import numpy as np
import pytest

from diffexplain.world.render import choice, render, render_images
from diffexplain.world.sampler import World
from diffexplain.world.scenes import ATTRIBUTES, COMPANIONS, SUBJECTS, Companion, Scene

SCENES = World().sample(60, seed=11)


def test_same_record_and_seed_give_the_same_bytes() -> None:
    for seed, scene in enumerate(SCENES[:10]):
        one, other = render(scene, seed), render(scene, seed)
        np.testing.assert_array_equal(one.image, other.image)
        assert len({render(scene, other).image.tobytes() for other in range(60)}) == 3  # heights


def test_batches_are_the_single_pictures() -> None:
    images = render_images(SCENES, range(len(SCENES)))
    assert images.dtype == np.uint8
    assert images.shape == (len(SCENES), 64, 64, 3)
    for seed, scene in enumerate(SCENES):
        np.testing.assert_array_equal(images[seed], render(scene, seed).image)


def test_choices_are_fixed_numbers_on_every_machine() -> None:
    drawn = [choice(seed, "subject x", 5) for seed in range(2000)]
    assert np.bincount(drawn, minlength=5).min() > 300
    assert [choice(seed, "a", 1000) for seed in range(3)] != [choice(seed, "b", 1000) for seed in range(3)]


def test_masks_name_every_element_and_tile_the_picture() -> None:
    for seed, scene in enumerate(SCENES):
        masks = render(scene, seed).masks
        assert set(masks) == {"subject", "setting", *(companion.kind for companion in scene.companions)}
        np.testing.assert_array_equal(sum(mask.astype(int) for mask in masks.values()), np.ones((64, 64)))


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("size", ATTRIBUTES["size"])
def test_every_subject_is_seen_wherever_it_stands(subject: str, size: str) -> None:
    for position in ATTRIBUTES["position"]:
        for seed in range(3):
            mask = render(Scene(subject, size=size, position=position), seed).masks["subject"]
            assert mask.sum() > 60, (position, seed)


def test_position_is_where_the_subject_is() -> None:
    for seed in range(5):
        centres = [
            np.nonzero(render(Scene("padlock", position=position), seed).masks["subject"])[1].mean()
            for position in ("left", "centre", "right")
        ]
        assert centres[0] + 8 < centres[1] < centres[2] - 8


@pytest.mark.parametrize(
    ("kind", "subtype"), [(kind, subtype) for kind in COMPANIONS for subtype in COMPANIONS[kind] or ("",)]
)
def test_taking_a_companion_out_changes_its_surroundings_only(kind: str, subtype: str) -> None:
    bare = Scene("flagpole", companions=(Companion("ball" if kind != "ball" else "kite", "", 1),))
    for seed in range(4):
        with_it = render(replace(bare, companions=(*bare.companions, Companion(kind, subtype, 0))), seed)
        without = render(bare, seed)
        changed = (with_it.image != without.image).any(axis=2)
        assert changed.sum() >= 20, "the companion is not seen"
        ys, xs = np.nonzero(with_it.masks[kind])
        near = np.zeros((64, 64), bool)
        near[max(ys.min() - 4, 0) : ys.max() + 5, max(xs.min() - 4, 0) : xs.max() + 5] = True
        assert not (changed & ~near).any()


@pytest.mark.parametrize("attribute", ["colour", "texture"])
def test_a_subjects_own_attributes_leave_the_rest_alone(attribute: str) -> None:
    for seed, scene in enumerate(SCENES[:12]):
        other = next(value for value in ATTRIBUTES[attribute] if value != getattr(scene, attribute))
        one, changed = render(scene, seed), render(replace(scene, **{attribute: other}), seed)
        different = (one.image != changed.image).any(axis=2)
        assert different.any()
        assert not (different & one.masks["setting"]).sum() > 0.25 * one.masks["subject"].sum()
        for name, mask in one.masks.items():
            np.testing.assert_array_equal(mask, changed.masks[name])


def test_setting_and_weather_leave_the_masks_alone() -> None:
    for attribute in ("setting", "weather"):
        for value in ATTRIBUTES[attribute]:
            one, other = render(SCENES[0], 5), render(replace(SCENES[0], **{attribute: value}), 5)
            for name, mask in one.masks.items():
                np.testing.assert_array_equal(mask, other.masks[name])
