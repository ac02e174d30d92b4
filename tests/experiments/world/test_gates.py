"""The measures behind the gates, on cases whose answer is known by hand."""

import numpy as np
import pytest
import torch

from diffexplain.world.held_out import renderings, scenes_and_seeds
from diffexplain.world.scenes import COMPANIONS, Companion, Scene
from experiments.world.captions import Caption
from experiments.world.gates.autoencoder import psnr
from experiments.world.gates.clip import is_true_of, retrieval
from experiments.world.gates.clipseg import elements, overlap, width
from experiments.world.gates.prior import asked_by, companion_counts

BEE = Scene("bee", companions=(Companion("flag", "plain", 0),))


def test_psnr_of_a_constant_error() -> None:
    images = torch.rand(2, 3, 4, 4) * 0.5
    assert psnr(images, images + 0.1) == pytest.approx(20, abs=1e-3)


def test_retrieval_counts_rows_whose_pair_is_the_most_similar() -> None:
    similarity = np.array([[1.0, 0.2, 0.3], [0.9, 0.5, 0.1], [0.0, 0.1, 0.4]], np.float32)
    generator = np.random.default_rng(0)
    assert retrieval(similarity, lambda row, column: True, generator) == pytest.approx(2 / 3)
    # Without its rival, the second row is right as well.
    assert retrieval(similarity, lambda row, column: (row, column) != (1, 0), generator) == 1.0


@pytest.mark.parametrize(
    ("named", "other", "true"),
    [
        ({"subject"}, Scene("bee", "blue", companions=(Companion("flag", "striped", 1),)), True),
        ({"subject", "colour"}, Scene("bee", "blue", companions=(Companion("flag", "plain", 0),)), False),
        ({"subject"}, Scene("bee"), False),
        ({"subtype:flag"}, Scene("yawl", companions=(Companion("flag", "plain", 1),)), True),
        ({"subtype:flag"}, Scene("bee", companions=(Companion("flag", "striped", 0),)), False),
    ],
)
def test_a_caption_is_true_of_another_scene_if_all_that_it_names_fits(
    named: set[str], other: Scene, true: bool
) -> None:
    assert is_true_of(Caption("", frozenset(named)), BEE, other) is true


def test_width_is_that_of_the_widest_place() -> None:
    mask = np.zeros((20, 20), bool)
    mask[2:18, 3:6] = True
    assert width(mask) == pytest.approx(3)
    mask[5:12, 8:15] = True
    assert width(mask) == pytest.approx(7)


def test_overlap_known_by_hand() -> None:
    one, other = np.zeros(8, bool), np.zeros(8, bool)
    one[:4], other[2:6] = True, True
    assert overlap(one, other) == pytest.approx(2 / 6)
    assert overlap(np.zeros(8, bool), one) == 0


def test_elements_are_named_and_cover_the_picture() -> None:
    _, (rendering,) = renderings([BEE], [7])
    found = elements(BEE, rendering, with_subtype=True)
    assert list(found) == ["a bee", "a plain flag", "on the grass"]
    assert np.logical_or.reduce(list(found.values())).all()


def test_companions_are_counted_present_absent_and_unasked() -> None:
    answers = {f"companion:{kind}": np.zeros(2, np.int64) for kind in COMPANIONS}
    answers["companion:flag"] = np.array([1, 0])
    answers["companion:dog"] = np.array([0, 1])
    counts = companion_counts(answers, [BEE, BEE])
    assert counts["present"] == (1, 2)
    assert counts["absent"] == (17, 18)
    assert counts["nothing else"] == (1, 2)
    assert (counts["one"], counts["two"]) == ((1, 2), (0, 0))


def test_captions_ask_for_what_they_name() -> None:
    assert asked_by(Caption("", frozenset({"colour", "subtype:flag"}))) == {"colour", "subtype:flag"}


def test_streams_share_no_scene_seed() -> None:
    one, other = scenes_and_seeds(5, stream=1), scenes_and_seeds(5, stream=2)
    assert one[0] != other[0]
    assert not set(one[1]) & set(other[1])
