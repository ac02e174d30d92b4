"""`python -m experiments.world.benchmark`: scenes drawn per second on one core."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

from diffexplain.world.render import render, render_images
from diffexplain.world.sampler import World

WARM_UP = 2000
"""Scenes drawn first, untimed: the renderer keeps each shape and background once drawn."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the speed of the sampler and of rendering without and with masks."""
    parser = argparse.ArgumentParser(prog="python -m experiments.world.benchmark", description=__doc__)
    parser.add_argument("--scenes", type=int, default=4000)
    count: int = parser.parse_args(arguments).scenes
    began = time.perf_counter()
    scenes = World().sample(count, seed=1)
    print(f"sampled:             {count / (time.perf_counter() - began):7.0f} scenes a second")
    began = time.perf_counter()
    warm_up = World().sample(WARM_UP, seed=2)
    render_images(warm_up, range(WARM_UP))
    print(f"drawn, first {WARM_UP}:   {WARM_UP / (time.perf_counter() - began):7.0f} scenes a second")

    def timed(draw: Callable[[], object]) -> float:
        began = time.perf_counter()
        draw()
        return count / (time.perf_counter() - began)

    print(f"drawn:               {timed(lambda: render_images(scenes, range(count))):7.0f} scenes a second")
    with_masks = timed(lambda: [render(scene, seed) for seed, scene in enumerate(scenes)])
    print(f"drawn with masks:    {with_masks:7.0f} scenes a second")


if __name__ == "__main__":
    main()
