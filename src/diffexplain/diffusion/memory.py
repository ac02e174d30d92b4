"""What of a device's memory the networks of a prior keep."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from diffusers import ModelMixin
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode_stack
from torch.utils._pytree import tree_leaves

from diffexplain.errors import UserError
from diffexplain.memory import MicroBatches
from diffexplain.progress import progress

T = TypeVar("T")

PIXELS_AT_ONCE = 64 * 64 * 64
"""Of the images made side by side, at most: 64 of the embedded prior's, no two batches of Stable Diffusion's."""


@dataclass(frozen=True)
class MemorySettings:
    """Memory for time; values and gradients stay the same up to rounding.

    Attributes:
        micro_batch: images at a time where a gradient is needed; ``None`` for all of a step.
        checkpoint_blocks: keep only each block's input for the backward pass and compute the rest again.
        channels_last: lay out the weights of convolutions as tensor cores read them.
        compile: compile denoiser and decoders at their first use, which takes minutes once.

    Raises:
        UserError: ``micro_batch`` is less than 1.
    """

    micro_batch: int | None = None
    checkpoint_blocks: bool = False
    channels_last: bool = False
    compile: bool = False

    def __post_init__(self) -> None:
        if self.micro_batch is not None and self.micro_batch < 1:
            raise UserError("At least one image passes at a time.", given=f"memory.micro_batch={self.micro_batch}")


def arrange(networks: Iterable[ModelMixin], settings: MemorySettings) -> None:
    """Make a denoiser and its decoders keep what ``settings`` say."""
    layout = torch.channels_last if settings.channels_last else torch.contiguous_format
    for network in networks:
        network.to(memory_format=layout)
        if settings.checkpoint_blocks:
            network.enable_gradient_checkpointing()
        else:
            network.disable_gradient_checkpointing()
        if settings.compile:
            # Of an autoencoder the decoder alone, which is not called through the autoencoder's `forward`.
            getattr(network, "decoder", network).compile()


class SideBySide(MicroBatches):
    """Micro-batches of small images, on a CPU as many at the same time as it has cores, each by a thread of its own.

    What each gives is the same whether it is alone or not, so that no result depends on the number of cores. Work that
    is watched (`TorchDispatchMode`, which sees one thread) and large images, of which a few fill the memory, go one
    after the other.

    Args:
        size, setting: as of `MicroBatches`.
        on_cpu: whether the networks are there now.
        pixels: of an image.
    """

    def __init__(self, size: int | None, setting: str, on_cpu: Callable[[], bool], pixels: int) -> None:
        super().__init__(size, setting)
        self.on_cpu = on_cpu
        self.pixels = pixels

    def each(self, parts: Sequence[slice], work: Callable[[slice], T]) -> list[T]:
        """What ``work`` gives for each part, in order."""
        threads = torch.get_num_threads()
        largest = max((part.stop - part.start for part in parts), default=1)
        workers = min(len(parts), side_by_side(threads, largest * self.pixels))
        if workers < 2 or not self.on_cpu() or _get_current_dispatch_mode_stack():
            return super().each(parts, work)
        with_gradient, inference = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        rounded, kind = torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")

        def alike(part: slice) -> T:
            # All of these are a thread's own.
            torch.set_num_threads(threads)
            autocast = torch.autocast("cpu", dtype=kind, enabled=rounded)
            with torch.inference_mode(inference), torch.set_grad_enabled(with_gradient), autocast:
                return work(part)

        with ThreadPoolExecutor(workers) as pool:
            return list(progress(pool.map(alike, parts), self.label, len(parts)))


def side_by_side(threads: int, pixels: int) -> int:
    """Micro-batches of so many pixels that a CPU makes at the same time, by so many threads each; 1 at least."""
    return max(1, min(usable_cores() // threads, PIXELS_AT_ONCE // pixels))


def usable_cores() -> int:
    """Of those that the machine has, the ones that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class PeakMemory(TorchDispatchMode):
    """Watches the tensors that are made inside a ``with`` block.

    Attributes:
        peak: bytes of those that were alive at the same time, at most. What operations use inside is not seen.
    """

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._now = 0
        self._alive: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {id(leaf.untyped_storage()) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                storage = leaf.untyped_storage()
                if id(storage) not in self._alive | given:
                    self._alive.add(id(storage))
                    self._now += storage.nbytes()
                    weakref.finalize(storage, self._free, id(storage), storage.nbytes())
        self.peak = max(self.peak, self._now)
        return result

    def _free(self, key: int, size: int) -> None:
        self._alive.discard(key)
        self._now -= size
