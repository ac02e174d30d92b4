"""What a device's memory allows: how many images pass at a time, and what the networks keep of them."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from diffusers import ModelMixin
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from diffexplain.errors import UserError

T = TypeVar("T")


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


class MicroBatches:
    """How many images pass through the networks at a time: half as many whenever the memory is not enough.

    The smaller size is kept, so that each size fails once.

    Args:
        size: images at a time; ``None`` for all at once.
        setting: the key by which a user sets the size, for messages.

    Attributes:
        halvings: the sizes that were too large.
    """

    def __init__(self, size: int | None, setting: str) -> None:
        self.size = size
        self.setting = setting
        self.halvings: list[int] = []

    def run(self, count: int, work: Callable[[slice], T]) -> list[T]:
        """What ``work`` gives for each micro-batch of ``count`` images, in order.

        When the memory is not enough, all of them are done again in smaller ones: a result never mixes sizes.

        Raises:
            torch.OutOfMemoryError: a single image does not fit.
        """
        while True:
            size = max(1, count if self.size is None else min(self.size, count))
            try:
                return [work(slice(start, min(start + size, count))) for start in range(0, count, size)]
            except torch.OutOfMemoryError:
                if size == 1:
                    raise
            # Outside the handler, which would keep the failed pass's tensors alive.
            self._halve(size)

    def _halve(self, size: int) -> None:
        self.halvings.append(size)
        self.size = size // 2
        print(
            f"diffexplain: {size} images at a time need more memory than the device has: {self.size} from here on "
            f"({self.setting}={self.size} says so from the start).",
            file=sys.stderr,
            flush=True,
        )
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()


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
