"""What the networks of a run are called on, and how long that takes, counted while it is made."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from diffexplain.pipelines.calls import (
    BACKWARD,
    CLASSIFIER,
    DECODER,
    DENOISER,
    MASKS,
    SEGMENTER,
    TEXT,
    TINY_DECODER,
    Calls,
)
from diffexplain.pipelines.parts import Parts


class CountedParts(Parts):
    """Parts whose networks are listened to.

    Attributes:
        calls: samples, by the names in `diffexplain.pipelines.calls`; the segmenter's network is one at any size.
        seconds: of the calls, by name, backward passes aside.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls = Calls()
        self.seconds: Counter[str] = Counter()
        self._began = threading.local()
        self._lock = threading.Lock()  # A CPU's batches are made side by side.

    def _kept(self, kind: str, made_of: Any, make: Callable[[], Any]) -> Any:
        def listened() -> Any:
            built = make()
            for name, network in _networks(kind, built).items():
                network.register_forward_pre_hook(self._hear(name), with_kwargs=True)
                network.register_forward_hook(self._end(name))
            return built

        return super()._kept(kind, made_of, listened)

    def _hear(self, name: str) -> Any:
        def hear(_: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
            sample = given[-1] if name == MASKS else given[0] if given else named["pixel_values"]
            with self._lock:
                self.calls[name] += len(sample)
                if torch.is_grad_enabled() and name != TEXT:
                    self.calls[name + BACKWARD] += len(sample)
            setattr(self._began, name, time.perf_counter())

        return hear

    def _end(self, name: str) -> Any:
        def end(*_: Any) -> None:
            with self._lock:
                self.seconds[name] += time.perf_counter() - getattr(self._began, name)

        return end


def _networks(kind: str, built: Any) -> dict[str, nn.Module]:
    if kind == "diffusion":
        pipeline, tiny = built.pipeline, built.tiny_decoder
        found = {DENOISER: pipeline.unet, DECODER: pipeline.vae.decoder, TEXT: pipeline.text_encoder}
        return found if tiny is None else {**found, TINY_DECODER: tiny.decoder}
    if kind == "segmenter":
        return {SEGMENTER: built.model.clip.vision_model, MASKS: built.model.decoder}
    return {CLASSIFIER: built.backbone} if kind == "classifier" else {}
