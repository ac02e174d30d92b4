"""The picture bank: whoever made the pictures, a run has the same bytes; what is damaged is made again."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.explainers.known_effects import (
    BASES,
    FIRST,
    FLAG,
    SECOND,
    Checks,
    Classifier,
    Exchanging,
    bytes_of,
    effects_of,
    population_of,
)

from diffexplain import memory
from diffexplain.config import configuration
from diffexplain.editing import Change
from diffexplain.effects.bank import Bank, Block, bank_of
from diffexplain.explainers import DiffEx, RandomisedPrompts

UNIFORM = RandomisedPrompts(pictures=16, others=12)


@pytest.fixture(autouse=True)
def _with_enough_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_too_large", [])  # What other tests found too large is no matter here.


def run(folder: Path, classifier: Classifier, bank: Bank | None, method: Any = UNIFORM) -> tuple[dict[str, Any], int]:
    """The bytes of a run's directory, and the evaluations that were made for it."""
    editor = Exchanging(BASES)
    effects_of(folder, classifier, method=method, editor=editor, checks=Checks(), bank=bank)
    return bytes_of(folder), editor.evaluations


@contextmanager
def warned(expected: int) -> Iterator[None]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        yield
    assert sum("damaged" in str(one.message) for one in found) == expected


def test_a_second_classifier_makes_nothing_and_no_byte_is_another(tmp_path: Path) -> None:
    alone = [run(tmp_path / f"alone {k}", who, None) for k, who in enumerate((FIRST, SECOND))]
    folder = tmp_path / "bank"
    assert run(tmp_path / "first", FIRST, Bank(folder, 1, "prior")) == alone[0]
    bank = Bank(folder, 1, "prior")
    files, evaluations = run(tmp_path / "second", SECOND, bank)
    assert files == alone[1][0] and evaluations == 0
    assert bank.taken == alone[1][1]  # What they cost is told as if they had been made.
    assert run(tmp_path / "other prior", SECOND, Bank(folder, 1, "another")) == alone[1]


def test_another_method_takes_what_is_there_and_makes_the_rest(tmp_path: Path) -> None:
    method = DiffEx(beam=2, search_images=4)
    files, evaluations = run(tmp_path / "alone", SECOND, None, method)
    run(tmp_path / "first", FIRST, Bank(tmp_path / "bank", 1, ""))
    bank = Bank(tmp_path / "bank", 1, "")
    mixed, made = run(tmp_path / "mixed", SECOND, bank, method)
    assert mixed == files and 0 < made < evaluations and bank.taken > 0


def flipped(file: Path, other: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def cut_short(file: Path, other: Path) -> None:
    file.write_bytes(file.read_bytes()[:40])


def emptied(file: Path, other: Path) -> None:
    file.write_bytes(b"")


def exchanged(file: Path, other: Path) -> None:
    shutil.copyfile(other, file)


def deleted(file: Path, other: Path) -> None:
    file.unlink()


def test_damaged_blocks_are_made_again_and_change_no_bit(tmp_path: Path) -> None:
    files, evaluations = run(tmp_path / "first", FIRST, Bank(tmp_path / "bank", 1, ""))
    blocks = sorted(path for path in (tmp_path / "bank").rglob("*") if path.is_file())
    for damage, file in zip((flipped, cut_short, emptied, exchanged, deleted), blocks, strict=False):
        damage(file, blocks[-1])
    with warned(4):
        again, made = run(tmp_path / "again", FIRST, Bank(tmp_path / "bank", 1, ""))
    assert again == files and 0 < made < evaluations
    with warned(0):
        assert run(tmp_path / "last", FIRST, Bank(tmp_path / "bank", 1, "")) == (files, 0)


def test_pictures_to_be_shown_are_kept_too(tmp_path: Path) -> None:
    shown = []
    for name in ("first", "second"):
        editor = Exchanging(BASES)
        population, _, _ = population_of(
            tmp_path / name, FIRST, editor=editor, checks=Checks(), bank=Bank(tmp_path / "bank", 1, "")
        )
        population.start(4)
        shown.append(population.pictures([Change(FLAG)], range(3)))
    assert torch.equal(*shown) and editor.evaluations == 0


def block(number: int) -> Callable[[], Block]:
    return lambda: Block(torch.full((4, 3, 16, 16), float(number)), [number], 4)


def test_it_stays_as_small_as_it_is_to_be_and_what_was_used_last_stays(tmp_path: Path) -> None:
    def kept() -> list[Path]:
        return [path for path in tmp_path.rglob("*") if path.is_file()]

    bank = Bank(tmp_path, 80_000 / 1e9, "")  # about six blocks
    for number in range(30):
        bank.block(number, block(number))
        assert sum(path.stat().st_size for path in kept()) <= 80_000
        for path in kept():  # The clock of a file system may be coarse.
            os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns - 10**9))
        taken = bank.taken
        bank.block(0, block(0))
        assert bank.taken == taken + 4
    assert len(kept()) > 3
    other = Bank(tmp_path, 80_000 / 1e9, "")
    other.block("large", lambda: Block(torch.zeros(100, 3, 16, 16), [], 1))
    assert sum(path.stat().st_size for path in kept()) <= 80_000


def test_the_layout_in_memory_comes_back(tmp_path: Path) -> None:
    images = torch.rand(2, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    bank = Bank(tmp_path, 1, "")
    made, taken = (bank.block("a", lambda: Block(images, {"b": 0.1 + 0.2}, 2)) for _ in range(2))
    assert bank.taken == 2 and taken.said == made.said
    assert torch.equal(taken.images, images) and taken.images.stride() == images.stride()


def test_where_nothing_can_be_kept_the_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    bank = Bank(tmp_path / "file" / "below", 1, "")
    with pytest.warns(UserWarning, match="not kept"):
        assert bank.block("a", block(1)).said == [1]
    # Nor is kept what was made in smaller parts for want of memory.
    monkeypatch.setattr(memory, "was_short", lambda: True)
    Bank(tmp_path / "other", 1, "").block("a", block(1))
    assert not (tmp_path / "other").exists()


def test_what_made_the_pictures_is_their_name_and_the_classifier_is_not(tmp_path: Path) -> None:
    def name(*overrides: str) -> Any:
        settings = ["explainer=randomised_prompts", "bank.gigabytes=1", f"paths.bank={tmp_path}", *overrides]
        config = configuration.compose(settings)
        bank = bank_of(config, str(config["target"]), torch.device("cpu"))
        assert bank is not None and bank.folder == tmp_path
        return bank.made_by

    same = [name(), name("classifier=world_fair_vit"), name("discovery.others=3"), name("bank.gigabytes=2")]
    assert all(one == same[0] for one in same)
    for override in ("seed=1", "threads=2", "diffusion.steps=1", "target=class:bee", "editor.stated=2"):
        assert name(override) != same[0], override
    assert any(key.startswith("diffusion.") for key in same[0])  # the weights' checksums
    assert bank_of(configuration.compose(["bank.gigabytes=0"]), "", torch.device("cpu")) is None
