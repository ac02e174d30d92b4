"""What a run will cost: operations, memory, what is to be fetched, and time on this device or on a card."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from diffexplain.config.fetch_command import missing
from diffexplain.config.instantiate import build
from diffexplain.diffusion.gradients import Checkpointed
from diffexplain.diffusion.memory import side_by_side
from diffexplain.errors import UserError
from diffexplain.pipelines.calls import (
    BACKWARD,
    CLASSIFIER,
    DECODER,
    DENOISER,
    IMAGES,
    MASKS,
    SEGMENTER,
    SIMILARITY,
    TEXT,
    TINY_DECODER,
    Forecast,
    forecast,
    passes,
)
from diffexplain.pipelines.networks import Network, architecture_of, networks, peak, picture_size
from diffexplain.runs.machine import device_kind, device_name, torch_session
from diffexplain.runs.run import SPACE_NEEDED
from diffexplain.segmentation.detections import AT_ONCE
from diffexplain.target import ResolvedTarget
from diffexplain.weights.sources import Source

CARDS: Mapping[str, tuple[str, float]] = {
    "h100": ("an H100", 989e12),
    "a100": ("an A100", 312e12),
    "4090": ("an RTX 4090", 165e12),
    "cpu": ("two CPU threads", 0.19e12),
}
"""Operations a second of large matrix products: in bfloat16 as their maker states them; of the CPU as measured by
``experiments/speed``."""
SHARE = 0.43
"""Of that rate, what the one-step prior with its tiny decoder reached in ``experiments/speed``, on a CPU."""
PROGRAM = 1.5e9
"""Bytes of a process besides networks and pictures, on a CPU: 0.9e9 are its libraries', and runs of the embedded world,
whose networks are small, came to 1.52e9 in all."""
INSIDE = 0.6
"""Of what a call keeps, what a CPU's operations hold inside besides; of decoders 0.24 to 0.58 was measured."""
LONG = 120.0
"""Seconds from which on a run says beforehand what it will cost."""


@dataclass(frozen=True)
class Cost:
    """Of one run.

    Attributes:
        forecast: what it calls.
        operations: floating-point, of all calls.
        memory: bytes at most: on a card of the weights and of what is kept of a batch, on a CPU of the whole process.
        missing: what is still to be fetched.
        seconds: on the device.
        device: its name, and how its speed is known.
        unknown: whether the classifier's work is left out, since it is not known before it is loaded.
    """

    forecast: Forecast
    operations: float
    memory: float
    missing: tuple[Source, ...]
    seconds: float
    device: str
    unknown: bool

    def lines(self) -> list[str]:
        """For a person, a name and a value each."""
        calls, most = self.forecast.calls, "" if self.forecast.exact else " at most"
        without = ", the classifier's work aside" if self.unknown else ""

        def said(*names: str) -> str:
            total, back = (sum(calls[name + end] for name in names) for end in ("", BACKWARD))
            return f"{total:,}{most}" + (f", {back:,} of them with gradient" if back else "")

        fetched = ", ".join(map(str, self.missing))
        rows = {
            "images": said(IMAGES),
            "denoiser calls": said(DENOISER),
            "decoder calls": said(DECODER, TINY_DECODER),
            "segmenter calls": f"{said(SEGMENTER, SIMILARITY)}, for {calls[MASKS]:,} masks",
            "classifier calls": said(CLASSIFIER),
            "operations": f"{tera(self.operations)} TFLOP{most}{without}",
            "peak memory": f"{self.memory / 1e9:.1f} GB at most{without.replace('work', 'own')}",
            "disk": f"{SPACE_NEEDED / 1e6:.0f} MB",
            "download": f"{sum(one.megabytes for one in self.missing):,.0f} MB: {fetched}" if fetched else "nothing",
            "time": f"{duration(self.seconds)}{most}{without}, on {self.device}",
        }
        return [f"{name:<17}{value}" for name, value in rows.items()]


def tera(operations: float) -> str:
    """In units of 10^12, to three figures or more."""
    amount = operations / 1e12
    return f"{amount:,.0f}" if amount >= 100 else f"{amount:.3g}"


def duration(seconds: float) -> str:
    """To two figures: "3.0 seconds", "12 minutes", "3.4 hours"."""
    sizes = {"hours": 3600.0, "minutes": 60.0}
    unit = next((name for name, size in sizes.items() if seconds >= 1.5 * size), "seconds")
    amount = seconds / sizes.get(unit, 1.0)
    return f"{amount:.1f} {unit}" if amount < 10 else f"{amount:,.0f} {unit}"


def cost(config: Mapping[str, Any], target: ResolvedTarget, card: str | None = None) -> Cost:
    """What the run of ``config`` will cost.

    Args:
        card: one of `CARDS`; None: the device that the run would take here, whose speed is measured once.

    Raises:
        UserError: what it calls, or the prior's architecture, is not known before the run; or no such card or device.
    """
    if card is not None and card not in CARDS:
        raise UserError("There is no such device.", given=card, accepted=tuple(CARDS))
    known, said = networks(config), forecast(config, target)
    again = bool((config.get("memory") or {}).get("checkpoint_blocks"))
    operations, seconds = 0.0, 0.0
    with torch_session(int(config["threads"])):
        kind = device_kind(str(config["trainer"].get("accelerator", "auto"))) if card is None else ""
        threads = f", {torch.get_num_threads()} threads" if kind == "cpu" else ""
        where = f"{device_name(kind)}{threads}" if card is None else CARDS[card][0]
        for name in (name for name in known if said.calls[name]):
            forward, backward = known[name].operations()
            backward += forward if again and name != CLASSIFIER else 0.0
            work = said.calls[name] * forward + said.calls[name + BACKWARD] * backward
            operations += work
            seconds += work / forward * known[name].seconds(kind, where) if card is None else 0.0
        if card is not None:
            seconds, where = operations / (CARDS[card][1] * SHARE), f"{where} at {SHARE:.0%} of its rate"
        host = card == "cpu" or kind in ("cpu", "mps")
        memory = _memory(config, known, said, again, host)
    return Cost(said, operations, memory, tuple(missing(config)), seconds, where, CLASSIFIER not in known)


def _memory(config: Mapping[str, Any], known: Mapping[str, Network], said: Forecast, again: bool, host: bool) -> float:
    """Bytes of the weights, and of the phase of the run that keeps most; of a CPU's process all that it has."""
    calls = said.calls
    evaluation, effects = config.get("evaluation") or {}, config.get("effects") or {}
    weights = loading = 0.0
    # As they are loaded. Encoder and decoder are one network, and so are the segmenter's parts.
    own = sorted(name for name in known if name.startswith(CLASSIFIER))
    for name in (*own, DENOISER, TEXT, DECODER, TINY_DECODER, SEGMENTER):
        if name in known and (calls[name] or name in own):
            loading = max(loading, weights + known[name].bytes + known[name].copies)
            weights += known[name].bytes
    if CLASSIFIER in known and evaluation.get("control") is not None:
        weights += known[CLASSIFIER].bytes
    called = max(peak([(known[name], known[name].batch)]) for name in known if calls[name])
    # Probabilities of the masks, which are no larger than the pictures, and what they are made of.
    pixels = math.prod(picture_size(architecture_of(config["diffusion"])))
    chunk = int(effects.get("chunk", 0))
    phases = [called, 8.0 * min(AT_ONCE, chunk * said.phrases * pixels)]
    if calls[CLASSIFIER + BACKWARD] and CLASSIFIER in known:
        explainer, settings, diffusion = config["explainer"], config.get("memory") or {}, config["diffusion"]
        sizes = (settings.get("micro_batch"), diffusion.get("gradient_micro_batch"), explainer.get("batch"))
        batch = int(next((size for size in sizes if size), explainer.get("batch_size")))
        chain: list[tuple[Network, int]] = []
        if calls[DENOISER + BACKWARD]:
            gradient = build(config["gradient"], plugins=tuple(config["plugins"]), where="gradient")
            kept = 1 if isinstance(gradient, Checkpointed) else passes(gradient, int(diffusion["steps"]))[1]
            chain += [(known[DENOISER], batch * (2 if float(diffusion.get("guidance", 1.0)) > 1 else 1))] * kept
        chain += [(known[name], batch) for name in (TINY_DECODER, DECODER) if calls[name + BACKWARD]]
        chain.append((known[CLASSIFIER], batch * int(config["augmentation"].get("views", 1))))
        phases.append(peak(chain, gradient=True, again=again))
    if not host:
        return weights + max(phases)
    # Small pictures are made side by side. Those of an evaluation are kept, and those without edits with what is seen.
    most = (max(phases) + INSIDE * called) * side_by_side(int(config["threads"]), known[DENOISER].batch * pixels)
    without = int(effects.get("images", 0))
    kept = without + 8 * chunk + 5 * int(evaluation.get("images", 0))
    pictures = (12 * min(calls[IMAGES], kept or calls[IMAGES]) + without * said.phrases) * pixels
    return PROGRAM + max(loading, weights + most + pictures)
