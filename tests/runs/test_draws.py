"""Random draws depend on their key and on nothing else."""

import numpy as np
import pytest
import torch

from diffexplain.runs.draws import Draws

DRAWS = Draws(7, "class:flagpole")


def test_the_same_key_gives_the_same_draw_in_any_order() -> None:
    first = DRAWS.normal("optimise", 3, (4, 2))
    torch.manual_seed(0)
    DRAWS.normal("optimise", 4, (4, 2))
    assert torch.equal(first, Draws(7, "class:flagpole").normal("optimise", 3, (4, 2)))
    assert first.dtype == torch.float32
    assert first.shape == (4, 2)


@pytest.mark.parametrize(
    "other",
    [
        Draws(8, "class:flagpole").normal("optimise", 3, (4,), 1),
        Draws(7 + 2**32, "class:flagpole").normal("optimise", 3, (4,), 1),
        Draws(7, "class:bee").normal("optimise", 3, (4,), 1),
        DRAWS.normal("evaluate", 3, (4,), 1),
        DRAWS.normal("optimise", 31, (4,), 1),
        DRAWS.normal("optimise", 3, (4,), 0),
        DRAWS.normal("optimise", 1, (4,), 3),
    ],
)
def test_every_part_of_the_key_counts(other: torch.Tensor) -> None:
    assert not torch.equal(DRAWS.normal("optimise", 3, (4,), 1), other)


def test_fields_cannot_run_into_each_other() -> None:
    assert not torch.equal(Draws(1, "a,1").normal("b", 0, (4,)), Draws(1, "a").normal("1,b", 0, (4,)))


def test_an_image_is_the_same_in_any_batch() -> None:
    together = DRAWS.normals("latents", 0, 5, (2, 3))
    assert together.shape == (5, 2, 3)
    assert torch.equal(together[3:], DRAWS.normals("latents", 0, 2, (2, 3), start=3))
    assert torch.equal(together[4], DRAWS.normal("latents", 0, (2, 3), index=4))
    assert DRAWS.normals("latents", 0, 0, (2, 3)).shape == (0, 2, 3)


def test_global_random_state_is_neither_read_nor_moved() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    DRAWS.normals("latents", 0, 3, (8,))
    assert torch.equal(torch.rand(3), expected)


def test_values_are_standard_normal_and_known() -> None:
    values = DRAWS.normal("moments", 0, (40_000,)).numpy()
    assert abs(values.mean()) < 0.02
    assert abs(values.std() - 1) < 0.02
    # Golden: a change here changes every run that was ever made.
    np.testing.assert_array_equal(DRAWS.generator("golden").integers(0, 1000, 5), np.array(GOLDEN_INTEGERS))


GOLDEN_INTEGERS = [851, 681, 196, 747, 41]
