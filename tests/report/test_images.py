"""Pictures come back as they were written, and outlines enclose exactly their masks."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from tests.report import samples

from diffexplain.errors import UserError
from diffexplain.report.images import Gallery, data_uri, outline, png, read_pictures, write_pictures


def loops(path: str) -> list[list[tuple[int, int]]]:
    """The corners of each closed part of an SVG path."""
    return [[(int(x), int(y)) for x, y in re.findall(r"(\d+) (\d+)", part)] for part in path.split("Z") if part]


def area(corners: list[tuple[int, int]]) -> float:
    """Signed, by the shoelace formula."""
    following = [*corners[1:], corners[0]]
    return sum(x * y2 - x2 * y for (x, y), (x2, y2) in zip(corners, following, strict=True)) / 2


def test_the_outline_of_a_block_is_its_four_corners() -> None:
    assert outline(samples.block(8, top=1, left=2, height=3, width=4)) == "M2 1L6 1L6 4L2 4Z"


def test_the_outline_of_a_ring_has_a_hole() -> None:
    ring = samples.block(8, 1, 1, 5, 5) & ~samples.block(8, 2, 2, 3, 3)
    assert sorted(area(loop) for loop in loops(outline(ring))) == [-9, 25]


@given(arrays(bool, (6, 7)))
def test_outlines_enclose_as_much_as_their_mask(mask: NDArray[np.bool_]) -> None:
    assert sum(area(loop) for loop in loops(outline(mask))) == mask.sum()


def test_a_large_mask_is_outlined_coarsely_on_its_own_scale() -> None:
    assert outline(samples.block(512, 128, 64, 256, 128)) == "M64 128L192 128L192 384L64 384Z"


def test_pictures_are_read_back_as_written(tmp_path: Path) -> None:
    evaluation, effects = samples.evaluation(), samples.effect_examples()
    write_pictures(samples.run_in(tmp_path), evaluation.examples, effects)
    gallery = read_pictures(tmp_path)
    assert len(gallery.examples) == len(evaluation.examples)
    for read, written in zip(gallery.examples, evaluation.examples, strict=True):
        assert (read.index, read.score, read.activates) == (written.index, written.score, written.activates)
        assert np.array_equal(read.image, written.image)
        assert read.masks.keys() == written.masks.keys()
        assert all(np.array_equal(read.masks[phrase], written.masks[phrase]) for phrase in read.masks)
    for read_effect, effect in zip(gallery.effects, effects, strict=True):
        assert (read_effect.path, read_effect.index) == (effect.path, effect.index)
        for part in ("without", "present"):
            assert np.array_equal(getattr(read_effect, part), getattr(effect, part))
            assert getattr(read_effect, f"score_{part}") == getattr(effect, f"score_{part}")


def test_file_names_do_not_come_from_phrases(tmp_path: Path) -> None:
    hostile = "../../a flag\0<b>"
    example = samples.evaluation().examples[0]
    masks = {hostile: example.masks["a flag"]}
    effect = replace(samples.effect_examples()[0], path=(hostile,))
    write_pictures(samples.run_in(tmp_path), [replace(example, masks=masks)], [effect])
    assert list(read_pictures(tmp_path).examples[0].masks) == [hostile]
    assert {path.name for path in (tmp_path / "images").iterdir()} == {
        "found-000.png",
        "found-000-masks.png",
        "effect-00-000-without.png",
        "effect-00-000-present.png",
        "index.json",
    }


@pytest.mark.parametrize("name", ["../secret.png", "/etc/secret.png", "images/../../secret.png", "images/found.eps", 5])
def test_a_run_from_elsewhere_shows_png_files_of_its_own_alone(tmp_path: Path, name: object) -> None:
    run = tmp_path / "run"
    write_pictures(samples.run_in(run), samples.evaluation().examples, [])
    (tmp_path / "secret.png").write_bytes(png(samples.picture(1)))
    (run / "images" / "found.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\nshowpage\n")
    index = json.loads((run / "images" / "index.json").read_text())
    index["examples"][0]["image"] = name
    (run / "images" / "index.json").write_text(json.dumps(index))
    with pytest.raises((UserError, OSError)):
        read_pictures(run)


def test_a_run_without_pictures_has_an_empty_gallery(tmp_path: Path) -> None:
    assert read_pictures(tmp_path) == Gallery()


def test_equal_pictures_give_equal_files() -> None:
    assert png(samples.picture(1)) == png(samples.picture(1))
    assert png(samples.picture(1)) != png(samples.picture(2))


@pytest.mark.parametrize(("side", "kind"), [(64, "png"), (512, "webp")])
def test_large_pictures_are_carried_small_and_lossily(side: int, kind: str) -> None:
    assert data_uri(samples.picture(0, side)).startswith(f"data:image/{kind};base64,")
