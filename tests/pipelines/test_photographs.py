"""A folder of photographs: what is read and as what, what is skipped and why, and when a run is another one."""

from __future__ import annotations

import os
import shutil
import struct
import zlib
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageCms
from tests.cli.test_commands import without_torch
from torch import Tensor

from diffexplain.config import digests, reproduce
from diffexplain.config.configuration import compose
from diffexplain.config.identity import identity
from diffexplain.errors import UserError
from diffexplain.pipelines import photographs
from diffexplain.pipelines.photographs import Photographs

SIZE = (32, 32)
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two photographs that nothing is wrong with, the last by name."""
    made = tmp_path / "photographs"
    made.mkdir()
    for name, colour in (("y.png", RED), ("z.png", BLUE)):
        Image.new("RGB", (40, 40), colour).save(made / name)
    return made


def found(folder: Path, most: int = 48) -> Photographs:
    expected = digests.digest([(name, digests.mark(path)) for name, path in digests.listing(str(folder)).items()])
    return photographs.find(str(folder), most, expected)


def read_alone(folder: Path) -> Tensor:
    """The first photograph of the folder, (3, H, W) in [0, 1]."""
    return found(folder).images(SIZE)[0]


def colour(image: Tensor) -> tuple[int, ...]:
    """Of an image of one colour, in 0 to 255."""
    assert float(image.flatten(1).std(dim=1).max()) < 0.01
    return tuple(round(255 * float(value)) for value in image.mean(dim=(1, 2)))


def near(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return all(abs(a - b) <= 3 for a, b in zip(one, other, strict=True))


def test_the_middle_of_a_photograph_is_scaled_to_the_size_asked_for(folder: Path) -> None:
    wide = Image.new("RGB", (300, 100), RED)
    wide.paste(GREEN, (90, 0, 210, 100))
    wide.save(folder / "a.png")
    images = found(folder).images((32, 32))
    assert images.shape == (3, 3, 32, 32) and images.dtype == torch.float32
    assert [colour(image) for image in images] == [GREEN, RED, BLUE]
    assert colour(found(folder).images((32, 96))[0, :, :, 34:62]) == GREEN


def test_a_picture_that_says_which_way_up_it_is_is_turned(folder: Path) -> None:
    lying = Image.new("RGB", (64, 64), BLUE)
    lying.paste(RED, (0, 0, 32, 64))
    exif = Image.Exif()
    exif[0x0112] = 6  # its left side is up
    lying.save(folder / "a.png", exif=exif)
    upright = read_alone(folder)
    assert colour(upright[:, :14]) == RED and colour(upright[:, 18:]) == BLUE


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_every_kind_of_picture_becomes_rgb(mode: str, folder: Path) -> None:
    grey = Image.new("L", (40, 40), 128)
    made = {
        "1": lambda: Image.new("1", (40, 40), 1),
        "LA": lambda: grey.convert("LA"),
        "P": lambda: Image.new("RGB", (40, 40), GREEN).convert("P", palette=Image.Palette.ADAPTIVE),
        "RGBA": lambda: Image.new("RGBA", (40, 40), (*RED, 255)),
        "CMYK": lambda: Image.new("CMYK", (40, 40), (255, 0, 0, 0)),
        "I;16": lambda: Image.new("I;16", (40, 40), 0x8080),
        "L": lambda: grey,
    }[mode]()
    assert made.mode == mode
    made.save(folder / ("a.jpg" if mode == "CMYK" else "a.png"))
    expected = {"1": (255,) * 3, "P": GREEN, "RGBA": RED, "CMYK": (0, 255, 255)}.get(mode, (128,) * 3)
    assert near(colour(read_alone(folder)), expected)


def test_what_is_transparent_is_white_behind(folder: Path) -> None:
    Image.new("RGBA", (40, 40), (*RED, 0)).save(folder / "a.png")
    Image.new("P", (40, 40), 7).save(folder / "b.gif", transparency=7)
    images = found(folder).images(SIZE)
    assert colour(images[0]) == colour(images[1]) == (255, 255, 255)


def test_a_colour_profile_is_used_and_a_damaged_one_is_not(folder: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    Image.new("LAB", (40, 40), (255, 128, 128)).save(folder / "a.tif", icc_profile=profile)
    Image.new("RGB", (40, 40), RED).save(folder / "b.png", icc_profile=b"no profile")
    images = found(folder).images(SIZE)
    assert near(colour(images[0]), (255, 255, 255))
    assert colour(images[1]) == RED


def png_of(width: int, height: int) -> bytes:
    """A file of a hundred bytes that says it unfolds to so many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    image = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + image + chunk(b"IEND", b"")


def test_each_fault_is_named_and_ends_nothing(folder: Path) -> None:
    frames = [Image.new("RGB", (40, 40), one) for one in (RED, GREEN, BLUE)]
    frames[0].save(folder / "animated.gif", save_all=True, append_images=frames[1:])
    frames[0].save(folder / "preview.mpo", save_all=True, append_images=frames[1:])
    (folder / "bomb.png").write_bytes(png_of(60_000, 60_000))
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "folder").mkdir()
    Image.new("F", (40, 40), 0.5).save(folder / "fractional.tif")
    (folder / "huge.png").write_bytes(png_of(11_000, 10_000))
    (folder / "link.png").symlink_to(folder / "nothing.png")
    os.mkfifo(folder / "pipe.png")
    (folder / "program.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 40\n")
    (folder / "text.jpg").write_text("no picture")
    Image.effect_noise((80, 80), 50).save(folder / "truncated.jpg")
    data = (folder / "truncated.jpg").read_bytes()
    (folder / "truncated.jpg").write_bytes(data[: len(data) // 2])
    (folder / ".hidden").write_text("of the file manager")
    with (folder / os.fsdecode(b"wrong-\xff.jpg")).open("wb"):
        pass

    made = found(folder)
    assert [one.name for one in made.used] == ["preview.mpo", "y.png", "z.png"]
    reasons = dict(made.skipped)
    parts = {
        "animated.gif": "animated",
        "bomb.png": "more than 100 million pixels",
        "empty.jpg": "0 bytes",
        "folder": "a folder",
        "fractional.tif": "fractional",
        "huge.png": "11000x10000, more than 100 million pixels",
        "link.png": "no regular file",
        "pipe.png": "no regular file",
        "program.eps": "no picture",
        "text.jpg": "no picture",
        "truncated.jpg": "cannot be read: image file is truncated",
        "wrong-\\xff.jpg": "0 bytes",
    }
    assert list(reasons) == list(parts)
    assert [name for name, part in parts.items() if part not in reasons[name]] == []
    assert [note.split(" was skipped: ")[0] for note in made.notes()] == list(parts)
    assert made.to_json()["skipped"][2] == {"name": "empty.jpg", "reason": "empty, 0 bytes"}
    assert colour(made.images(SIZE)[0])[0] > 250


def test_no_more_are_looked_at_than_are_asked_for(folder: Path) -> None:
    (folder / "a.jpg").write_bytes(b"")
    Image.new("RGB", (40, 40), GREEN).save(folder / "b.png")
    made = found(folder, most=2)
    assert [one.name for one in made.used] == ["b.png", "y.png"]
    assert list(made.notes())[-1].startswith("The first 2 photographs by name were edited, and 1 files were not.")


def test_folders_named_after_classes_label_their_photographs_and_are_taken_in_turn(folder: Path) -> None:
    for label, names in (("bee", "abc"), ("pole", "yz")):
        (folder / label).mkdir()
        for name in names:
            Image.new("RGB", (40, 40), GREEN).save(folder / label / f"{name}.png")
    assert [one.name for one in found(folder).used] == ["y.png", "z.png"]  # beside photographs, folders are none
    assert digests.classes_of(str(folder)) == () and list(found(folder).labelled()) == []
    for name in ("y.png", "z.png"):
        (folder / name).unlink()
    (folder / "bee" / "damaged.png").write_bytes(b"")
    made = found(folder, most=3)
    assert [one.name for one in made.used] == ["bee/a.png", "pole/y.png", "bee/b.png"]
    assert [one.label for one in made.used] == ["bee", "pole", "bee"]
    assert digests.classes_of(str(folder)) == ("bee", "pole")
    assert list(made.notes())[-1] == "The first 3 photographs of all classes in turn were edited, and 3 files were not."
    assert [one.name for one in made.labelled()][3:] == ["pole/z.png", "bee/c.png"]


def test_fewer_than_two_that_can_be_used_are_an_error_with_the_reasons(folder: Path) -> None:
    (folder / "y.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"has 1 to use.\n  y.png: empty, 0 bytes"):
        found(folder)


def test_photographs_that_change_on_the_way_are_an_error(folder: Path) -> None:
    made = found(folder)
    Image.new("RGB", (40, 40), GREEN).save(folder / "y.png")
    with pytest.raises(UserError, match="have changed"):
        made.images(SIZE)
    with pytest.raises(UserError, match="have changed"):
        photographs.find(str(folder), 48, digests.digest([]))


def test_a_run_is_known_by_its_photographs_and_not_by_where_they_lie(folder: Path, tmp_path: Path) -> None:
    def known(place: Path) -> str:
        return identity(compose(["explainer=diffex", f"images={place}"]))

    first = known(folder)
    moved = shutil.copytree(folder, tmp_path / "elsewhere")
    (moved / ".hidden").write_text("of the file manager")
    assert known(moved) == first
    (moved / "y.png").rename(moved / "x.png")
    renamed = known(moved)
    Image.new("RGB", (40, 40), GREEN).save(moved / "x.png")
    changed = known(moved)
    assert len({first, renamed, changed, identity(compose(["explainer=diffex"]))}) == 4


def test_a_run_is_known_by_what_its_files_of_concepts_hold(tmp_path: Path) -> None:
    own = tmp_path / "mine.yaml"
    own.write_text("domain: ''\n")
    asked = ["explainer=diffex", f"concepts.hierarchy={own}"]
    before = identity(compose(asked))
    own.write_text("domain: a bird\n")
    assert identity(compose(asked)) != before

    (tmp_path / "summary.json").write_text("{}")
    asked = ["explainer=diffex", f"concepts.from_run={tmp_path}"]
    before = identity(compose(asked))
    (tmp_path / "summary.json").write_text("{ }")
    assert identity(compose(asked)) != before
    assert "concepts.hierarchy" not in compose(["explainer=diffex", "concepts.hierarchy=birds"])["contents"]


def test_a_run_is_known_by_what_its_classifiers_own_files_hold(tmp_path: Path) -> None:
    phrases = tmp_path / "more.yaml"
    phrases.write_text("objects: [a kite]\n")
    asked = ["classifier=resnet50", f"classifier.more_phrases={phrases}"]
    before = identity(compose(asked))
    phrases.write_text("objects: [a ball]\n")
    assert identity(compose(asked)) != before


def test_given_photographs_are_edited_by_an_editor_that_does_so(folder: Path) -> None:
    asked = ["explainer=diffex", f"images={folder}"]
    assert compose([*asked, "editor.steps=3"])["editor"]["steps"] == 3
    assert compose(asked)["editor"]["name"] == "leditspp"
    for name in ("paired", "instruct"):
        assert compose([*asked, f"editor={name}"])["editor"]["name"] == name
    assert compose(["explainer=diffex"])["editor"]["name"] == "paired"


def test_the_command_that_repeats_a_run_names_the_folder(folder: Path) -> None:
    config = compose(["explainer=diffex", f"images={folder}", "editor.guidance=5"])
    again = reproduce.overrides(config)
    assert f"images={folder}" in again
    assert not any(digests.CONTENTS in override for override in again)
    assert compose(again) == config


def test_a_folder_that_is_not_there_or_empty_is_said_before_torch_is_imported(tmp_path: Path) -> None:
    asked = ["explainer=diffex", f"paths.outputs={tmp_path}/outputs"]
    (tmp_path / "photographs").mkdir()
    assert "no file in this folder" in without_torch(*asked, f"images={tmp_path}/photographs", status=2).stderr
    error = without_torch("-m", *asked, f"images={tmp_path}/photgraphs", "seed=0,1", status=2).stderr
    assert "nearest:  photographs" in error
    assert not (tmp_path / "outputs").exists()
