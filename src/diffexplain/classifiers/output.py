"""What comes out of a network, and what is read off it: the one place that knows the kinds of output.

A network may give logits of classes that exclude each other (softmax), logits of classes of which each may be there or
not (sigmoid), or probabilities of either. `scores` makes logits of all of them, (B, K) of the K classes, so that
whoever reads them needs one fact more: whether the classes exclude each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from diffexplain.errors import UserError

Output = Literal["softmax", "sigmoid", "probabilities"]
"""Logits that a softmax makes probabilities of, logits that a sigmoid does, and probabilities as they are."""
Taken = Literal["asked for", "stated by its source", "found", "usual"]
"""Where the kind of output was taken from: the configuration, the model's own files, its values, or nowhere."""
AUTO = "auto"
CHOICES = (AUTO, *get_args(Output))
"""What `classifier.output` may say."""
KEY = "classifier.output"

MOST_DESCRIBED = 8
"""Things in a container that a message speaks of."""


@dataclass(frozen=True)
class Scoring:
    """How a network's output becomes scores.

    Attributes:
        output: its kind.
        exclusive: whether the classes exclude each other: their probabilities sum to 1.
    """

    output: Output
    exclusive: bool


def usual(columns: int) -> Scoring:
    """What logits are taken for where nobody says more: one column is a sigmoid's, several are a softmax's."""
    return Scoring("sigmoid", exclusive=False) if columns == 1 else Scoring("softmax", exclusive=True)


def check_word(word: object, where: str = KEY) -> None:
    """Whether the configuration's word for a kind of output is one.

    Raises:
        UserError: it is not.
    """
    if word not in CHOICES:
        raise UserError(f"{where}: there is no such kind of output.", given=word, accepted=CHOICES)


def columns(given: Any, images: int, classes: int, name: str) -> Tensor:
    """The numbers that a network gives for ``images`` images, (B, C): C is the number of classes, or 1.

    They may lie in a container: as ``logits`` where there is that name, else the first tensor of the right shape in a
    tuple, list or mapping counts. Of one column, the dimension may be missing; dimensions of 1 may follow, as after a
    pooling. One column is enough for one class, and for two that exclude each other.

    Args:
        given: whatever the network returned.
        name: of the classifier, for messages.

    Raises:
        UserError: there is no such tensor; the message says what came and what is wanted.
    """
    found = given if isinstance(given, Tensor) else _contained(given, images, classes)
    table = None if found is None else _table(found, images)
    if table is not None and not table.is_floating_point():
        message = f"{name} must give a score for each class, not the class that it comes to: the answer before argmax."
        raise UserError(message, given=described(given))
    if table is not None and table.ndim == 2 and len(table) == images and not _fits(table, images, classes):
        came = counted(table.shape[1], "column")
        message = f"classifier.labels has {counted(classes, 'name')}, and {name} gives {came}."
        raise UserError(message, given=described(given))
    if table is None or not _fits(table, images, classes):
        raise UserError(
            f"{name} must give one tensor of {images} rows, one a picture, and {counted(classes, 'column')}, one a "
            f"class{', or one logit each' if classes == 2 else ''}: alone, as `logits`, or in a tuple, list or dict.",
            given=described(given),
        )
    return table if table.dtype == torch.float64 else table.float()


def counted(count: int, noun: str) -> str:
    """``1 name``, ``2 names``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def described(given: Any) -> str:
    """What a network returned, by types and shapes: ``tuple of (Tensor (8, 5), Tensor (8, 7))``."""
    if isinstance(given, Tensor):
        kind = "Tensor" if given.is_floating_point() else f"Tensor of {str(given.dtype).removeprefix('torch.')}"
        return f"{kind} {tuple(given.shape)}"
    if isinstance(given, Mapping):
        items = [f"{key}: {_briefly(item)}" for key, item in given.items()]
    elif isinstance(given, tuple | list):
        items = [_briefly(item) for item in given]
    else:
        return type(given).__name__
    more = [f"and {len(items) - MOST_DESCRIBED} more"] if len(items) > MOST_DESCRIBED else []
    return f"{type(given).__name__} of ({', '.join([*items[:MOST_DESCRIBED], *more])})"


def _briefly(given: Any) -> str:
    """As `described`, of what lies in a container: another container by its length alone."""
    nested = isinstance(given, Mapping | tuple | list)
    return f"{type(given).__name__} of {len(given)}" if nested else described(given)


def scores(table: Tensor, scoring: Scoring, classes: int) -> Tensor:
    """A network's numbers (B, C) as scores (B, K) of the K classes, in float32; gradients pass.

    A softmax of the scores, or a sigmoid where the classes do not exclude each other, gives the probabilities. Of one
    logit z and two classes, the first is what the second is not: -z and z.
    """
    if scoring.output == "probabilities":
        # Held within what the type can tell from 0 and from 1: there the logarithms end.
        least, most = torch.finfo(table.dtype).tiny, 1 - torch.finfo(table.dtype).eps / 2
        table = table.clamp(least, 1).log() if scoring.exclusive else table.clamp(least, most).logit()
    if table.shape[1] == 1 and classes == 2:
        table = torch.cat([-table, table], dim=1)
    return table.float()


def at_limit(table: Tensor, scoring: Scoring) -> Tensor:
    """Which of the images (B,) have a probability that lies where logarithms end: exactly 0, or exactly 1."""
    if scoring.output != "probabilities":
        return torch.zeros(len(table), dtype=torch.bool, device=table.device)
    return ((table <= 0) | (table >= 1)).any(dim=1)


def probabilities(scores: Tensor, exclusive: bool) -> Tensor:
    """Scores (B, K) as the probabilities of the classes, (B, K)."""
    return scores.softmax(dim=1) if exclusive else scores.sigmoid()


def log_probability(scores: Tensor, index: int, exclusive: bool) -> Tensor:
    """The logarithm of one class's probability, (B,), in nats."""
    if exclusive:
        return scores.log_softmax(dim=1)[:, index]
    return torch.nn.functional.logsigmoid(scores[:, index])


def log_odds(scores: Tensor, index: int, exclusive: bool) -> Tensor:
    """The logarithm of p / (1 - p) of one class, (B,), in nats, without loss where p is close to 0 or 1."""
    if not exclusive:
        return scores[:, index]
    others = torch.cat([scores[:, :index], scores[:, index + 1 :]], dim=1)
    return scores[:, index] - others.logsumexp(dim=1)


def assigned(scores: Tensor, exclusive: bool) -> Tensor:
    """Which classes each image is given, (B, K) bool: the one with the largest probability, or each above one half."""
    if not exclusive:
        return scores > 0
    return torch.nn.functional.one_hot(scores.argmax(dim=1), scores.shape[1]).bool()


def _contained(given: Any, images: int, classes: int) -> Tensor | None:
    """The tensor in a container that is the answer, or None."""
    named = given.get("logits") if isinstance(given, Mapping) else getattr(given, "logits", None)
    if isinstance(named, Tensor):
        return named
    items = given.values() if isinstance(given, Mapping) else given if isinstance(given, tuple | list) else ()
    tensors = [item for item in items if isinstance(item, Tensor)]
    return next((tensor for tensor in tensors if _fits(_table(tensor, images), images, classes)), None)


def _table(tensor: Tensor, images: int) -> Tensor | None:
    """A tensor as (B, C): its dimensions of 1 after the second are dropped, and missing ones added."""
    while tensor.ndim > 2 and tensor.shape[-1] == 1:
        tensor = tensor.squeeze(-1)
    if tensor.ndim == 1 and len(tensor) != images and images == 1:
        tensor = tensor.unsqueeze(0)  # A network that squeezes loses the batch of one image.
    return tensor.reshape(images, 1) if tensor.numel() == images and tensor.ndim < 2 else tensor


def _fits(table: Tensor | None, images: int, classes: int) -> bool:
    if table is None or table.ndim != 2 or len(table) != images:
        return False
    return table.shape[1] == classes or (table.shape[1] == 1 and classes == 2)


@dataclass(frozen=True)
class Inspection:
    """What the built-in pictures showed.

    Attributes:
        output: the kind of output that was taken.
        exclusive: whether the classes exclude each other.
        taken: where the kind was taken from.
        passes_gradient: whether the answer tells how a picture would have to change.
        notes: sentences for the reader of a report.
    """

    output: Output
    exclusive: bool
    taken: Taken
    passes_gradient: bool
    notes: tuple[str, ...] = ()

    def facts(self) -> Mapping[str, Any]:
        """What the summary says of it."""
        facts = {"output": self.output, "classes_exclude_each_other": self.exclusive, "output_taken_as": self.taken}
        return facts | ({"output_note": " ".join(self.notes)} if self.notes else {})
