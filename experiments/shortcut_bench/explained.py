"""What a method says of a classifier, and what that cost: the interface that all methods of the benchmark share."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from diffexplain.concepts import Hierarchy
from diffexplain.diffusion.prior import Prior
from diffexplain.editing.composition import Path as ConceptPath
from diffexplain.world.truth_table import truth_name
from experiments.shortcut_bench.specification import Specification, Value

HIERARCHY = "embedded:hierarchies/world.yaml"


@cache
def concepts() -> dict[ConceptPath, Value]:
    """Every concept that may be a shortcut, by its path in the world's hierarchy; named as the truth tables name it."""
    return {path: Value(*truth_name(path)) for path, _ in Hierarchy.load(HIERARCHY).concepts()}


@cache
def texts() -> dict[Value, str]:
    """How each concept is said: "a flag", "in the snow", "red"."""
    return {Value(*truth_name(path)): concept.text for path, concept in Hierarchy.load(HIERARCHY).concepts()}


@dataclass(frozen=True)
class Finding:
    """What a method says of one concept.

    Attributes:
        value: the concept.
        score: orders the concepts by its size; its sign says whether the concept raises or lowers the class.
        reported: whether the method, at its own default threshold, says so.
        effect: the change in the class's probability that it states, with the 95 % interval `low` to `high`; None
            where it states none.
        n: pairs of pictures behind the effect; None where the method counts none.
        verdict: what the method calls the concept; None where it has no verdicts.
    """

    value: Value
    score: float
    reported: bool
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    verdict: str | None = None


@dataclass(frozen=True)
class WordFinding:
    """What a method that is given no list says of one word of the text encoder; otherwise as `Finding`."""

    word: str
    score: float
    reported: bool
    effect: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Account:
    """What explaining one classifier costs by itself, also where images were shared among several.

    Attributes:
        denoiser: images times steps that the denoising network was called on.
        denoiser_backward: those of them that were made for a gradient.
        classifier: images that the classifier read.
        classifier_backward: those of them that were read for a gradient.
        seconds: measured, of this classifier's part of the work, with what was shared divided among those that share.
    """

    denoiser: int = 0
    denoiser_backward: int = 0
    classifier: int = 0
    classifier_backward: int = 0
    seconds: float = 0.0

    def __add__(self, other: Account) -> Account:
        mine, theirs = asdict(self), asdict(other)
        return Account(**{name: mine[name] + theirs[name] for name in mine})


@dataclass(frozen=True)
class Explained:
    """One method's answer for one classifier.

    Attributes:
        method: by its name in the tables.
        classifier: by its name in the benchmark.
        findings: one for each concept, in the order of `concepts`.
        account: of the cost.
        object_absent: share of the activating pictures that do not show the class's own object; None where the method
            says nothing of it.
        extra: whatever else is worth keeping; under `combinations` the sets of concepts that were tried together, best
            first.
        words: one for each word that a method without a list says something of; empty for all others.
    """

    method: str
    classifier: str
    findings: tuple[Finding, ...]
    account: Account
    object_absent: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    words: tuple[WordFinding, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> Explained:
        """What `to_json` wrote."""
        findings = tuple(Finding(**{**one, "value": Value(*one["value"])}) for one in content["findings"])
        words = tuple(WordFinding(**one) for one in content.get("words", ()))
        account = Account(**content["account"])
        return Explained(**{**content, "findings": findings, "account": account, "words": words})


@dataclass(frozen=True)
class Studied:
    """A classifier of the benchmark, loaded."""

    specification: Specification
    folder: Path
    model: Any


class Method(Protocol):
    """Explains classifiers that share their class, so that pictures can be shared, too."""

    name: str
    needs: tuple[str, ...]
    """The methods whose answers this one reads."""
    shares_edits: bool
    """Whether all classifiers of a class are to be handed over at each call, since edits are kept for all together."""

    def explain(
        self, studied: Sequence[Studied], seed: int, folder: Path, earlier: Mapping[str, Mapping[str, Explained]]
    ) -> Iterator[Explained]:
        """One answer for each classifier, in any order.

        Args:
            studied: all have the same class.
            seed: of every draw.
            folder: for what the method keeps to go on where it stopped.
            earlier: the answers of the methods that this one `needs`, by method and classifier.
        """


class Counter:
    """Counts what networks are called on; what is read back from memory counts as made."""

    def __init__(self, prior: Prior | None, classifier: nn.Module) -> None:
        self.account = Account()
        self._prior = prior
        self._classifier = classifier
        self._lock = Lock()  # A CPU's batches are made side by side.

    @contextmanager
    def counting(self) -> Iterator[Counter]:
        """Count what is called inside the block."""
        hooks = [self._classifier.register_forward_pre_hook(self._classified)]
        if self._prior is not None:
            hooks.append(self._prior.pipeline.unet.register_forward_pre_hook(self._denoised))
        try:
            yield self
        finally:
            for hook in hooks:
                hook.remove()

    def spent(self, seconds: float) -> Account:
        """What was counted, with the seconds it took."""
        return replace(self.account, seconds=seconds)

    def remembered(self, evaluations: int) -> None:
        """Count evaluations of the denoising network that were saved."""
        self._add(Account(denoiser=evaluations))

    def _classified(self, _: nn.Module, inputs: tuple[Any, ...]) -> None:
        count = len(inputs[0])
        self._add(Account(classifier=count, classifier_backward=count if torch.is_grad_enabled() else 0))

    def _denoised(self, _: nn.Module, inputs: tuple[Any, ...]) -> None:
        # Diffusers hands the text's hidden states over by name; that a gradient is wanted says that one goes back.
        count = len(inputs[0])
        self._add(Account(denoiser=count, denoiser_backward=count if torch.is_grad_enabled() else 0))

    def _add(self, more: Account) -> None:
        with self._lock:
            self.account += more


class SharedPictures:
    """Remembers what a prior has generated, so that pictures that depend on no classifier are made once.

    Args:
        prior: whose `generate` is replaced for the time of the block.
        most: pictures that are kept.
    """

    def __init__(self, prior: Prior, most: int = 6000) -> None:
        self.prior = prior
        self.most = most
        self.counter: Counter | None = None
        self._known: dict[bytes, Tensor] = {}

    @contextmanager
    def sharing(self) -> Iterator[SharedPictures]:
        """Remember inside the block."""
        self.prior.generate = self._generate  # type: ignore[method-assign]
        try:
            yield self
        finally:
            del self.prior.generate

    def _generate(self, prompts: Sequence[str] | Tensor, latents: Tensor) -> Tensor:
        key = hashlib.sha256(latents.cpu().numpy().tobytes())
        said = prompts.float().cpu().numpy().tobytes() if isinstance(prompts, Tensor) else "\n".join(prompts).encode()
        key.update(said)
        found = self._known.get(key.digest())
        if found is not None:
            if self.counter is not None:
                self.counter.remembered(len(latents) * self.prior.steps)
            return found.clone()
        images = type(self.prior).generate(self.prior, prompts, latents)
        while self._known and sum(map(len, self._known.values())) + len(images) > self.most:
            self._known.pop(next(iter(self._known)))
        self._known[key.digest()] = images.clone()
        return images
