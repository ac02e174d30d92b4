"""Networks that are asked and not looked into: no gradient passes, and there are no modules or weights to reach."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from diffexplain.classifiers.classifier import Classifier
from diffexplain.classifiers.labels import IMAGENET, find_labels
from diffexplain.classifiers.preprocessing import Preprocessing
from diffexplain.config.instantiate import locate
from diffexplain.errors import UserError

_WHERE = "classifier.function"


class BlackBox(nn.Module):
    """Calls `answer` with pictures that carry no gradient, and gives what it says as tensors where the pictures are.

    Args:
        answer: pictures `(B, C, h, w)` to a tensor, an array, or several in a tuple, list or dictionary.
    """

    def __init__(self, answer: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, images: Tensor) -> Any:
        with torch.no_grad():
            return _tensors(self.answer(images.detach()), images.device)


def load_function(
    function: str,
    *,
    labels: str | Sequence[str] = IMAGENET,
    plugins: Sequence[str] = (),
    meta: bool = False,
) -> Classifier:
    """A function of the user's as a classifier: whatever computes it, only its answers count.

    Args:
        function: dotted name, in one of the packages that `plugins` names. It is given `(B, 3, H, W)`, RGB in
            [0, 1], float32 on the CPU, as large as they are made, and returns a tensor or an array `(B, K)`.
        plugins: the run's own.
        labels, meta: as those of all loaders; a black box has no modules, so `meta` changes nothing.

    Raises:
        UserError: nothing of that name, not allowed, or no function of pictures.
    """
    found = locate(function, plugins, _WHERE)
    if isinstance(found, nn.Module | type):
        message = f"{_WHERE} names a network or what makes one: classifier=checkpoint classifier.network={function}."
        raise UserError(message, given=function)
    try:
        inspect.signature(found).bind(None)
    except TypeError as error:
        raise UserError(f"{_WHERE} is called with pictures alone: {error}.", given=function) from error
    except ValueError:
        pass  # Compiled functions have no signature to read.
    network = BlackBox(lambda images: found(images.float().cpu()))
    return Classifier(network, find_labels(labels, command=""), function, Preprocessing(None, mean=None, std=None))


def _tensors(answer: Any, device: torch.device) -> Any:
    if isinstance(answer, np.ndarray):
        answer = torch.from_numpy(np.ascontiguousarray(answer))
    if isinstance(answer, Tensor):
        return answer.to(device)
    if isinstance(answer, Mapping):
        return {name: _tensors(value, device) for name, value in answer.items()}
    if isinstance(answer, tuple | list):
        return tuple(_tensors(value, device) for value in answer)
    return answer
