"""The predict loop on one device, and how shares are put together; the whole run in `whole_runs` has two."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.explainers.known_effects import HIERARCHY, POLE, Checks, Editor, bytes_of, run_in
from tests.explainers.test_diffex import BASES, PAIR

from diffexplain.effects.devices import Item, OneDevice
from diffexplain.effects.edits import Made
from diffexplain.effects.engine import Engine, Studied
from diffexplain.explainers import TrainerSettings
from diffexplain.explainers.diffex import DiffEx
from diffexplain.pipelines.distributed import PredictLoop, merged

CPU = TrainerSettings(accelerator="cpu")


def doubled(items: Sequence[Item]) -> Made:
    return [{"double": 2 * index} for (index,) in items], len(items)


@pytest.mark.parametrize("world", [1, 2, 3, 5])
def test_shares_of_any_size_are_put_together_in_the_items_order(world: int) -> None:
    batches: list[list[Item]] = [[(0,), (1,), (2,), (3,)], [(4,), (6,), (7,)], [(9,)]]
    shares = []
    for rank in range(world):
        own = [[item for item in batch if item[0] % world == rank] for batch in batches]
        shares.append([(*doubled(batch), None) for batch in own])
    assert merged(batches, shares) == OneDevice().make(doubled, batches)


def test_the_loop_on_one_device_makes_what_is_made_without_it(tmp_path: Path) -> None:
    method, engine = DiffEx(search_images=12), Engine("halving", images=12, chunk=5, resamples=50)
    studied = [Studied("pair", PAIR, POLE)]
    found = []
    with PredictLoop(CPU, tmp_path) as loop:
        assert loop.device == torch.device("cpu") and loop.is_first
        for name, devices in (("with", loop), ("without", None)):
            files = run_in(tmp_path / name)
            population = engine.population(
                studied, Editor(BASES), HIERARCHY, files, largest=method.together, checks=Checks(), devices=devices
            )
            found.append(method.rank(population, studied, engine))
    assert found[0] == found[1]
    assert bytes_of(tmp_path / "with") == bytes_of(tmp_path / "without")


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("none left"), KeyboardInterrupt(), SystemExit(3)])
def test_what_ends_a_step_ends_the_block_as_it_is(error: BaseException, tmp_path: Path) -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]

    def failing(items: Sequence[Any]) -> Made:
        assert signal.getsignal(signal.SIGTERM) == handlers[0]  # A run's own, not the trainer's.
        raise error

    with pytest.raises(type(error)), PredictLoop(CPU, tmp_path) as loop:
        loop.make(failing, [[(0,)]])
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == handlers


def test_what_is_kept_may_be_changed_outside_the_loop(tmp_path: Path) -> None:
    kept: list[torch.Tensor] = []

    def keeping(items: Sequence[Any]) -> Made:
        kept.append(torch.zeros(2))
        return [None], 0

    with PredictLoop(CPU, tmp_path) as loop:
        loop.make(keeping, [[(0,)]])
    assert kept[0].add_(1).tolist() == [1, 1]
