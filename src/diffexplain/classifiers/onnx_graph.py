"""A classifier as an ONNX graph, computed by onnxruntime: a black box, whose graph tells what pictures it takes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffexplain import memory
from diffexplain.classifiers.black_box import BlackBox
from diffexplain.classifiers.classifier import Classifier
from diffexplain.classifiers.labels import IMAGENET, find_labels
from diffexplain.classifiers.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing, preprocessing_from
from diffexplain.errors import UserError
from diffexplain.weights.onnx import onnx_files
from diffexplain.weights.paths import resolve_file

Layout = Literal["NCHW", "NHWC"]
AUTO = "auto"
TYPES: Mapping[str, type[Any]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}
"""Of pictures that a graph may take, by onnxruntime's name."""

_CHANNELS = (1, 3)
_WHERE = "classifier.preprocessing"
_CUDA, _CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


@dataclass(frozen=True)
class Wanted:
    """The pictures that a graph takes.

    Attributes:
        name: of the graph's input.
        type: of its values, one of `TYPES`.
        layout: the order of its dimensions: batch, channels, height and width.
        batch: how many pictures at once; None: any number.
        channels: 1 or 3; None: the graph leaves it open.
        height: in pixels; None: any.
        width: likewise.
    """

    name: str
    type: str
    layout: Layout
    batch: int | None
    channels: int | None
    height: int | None
    width: int | None

    @property
    def bytes(self) -> bool:
        """Whether it takes values of 0 to 255."""
        return TYPES[self.type] is np.uint8


class Graph:
    """An ONNX graph that answers pictures: `(B, C, H, W)` to an array, or to a dictionary of its outputs."""

    def __init__(self, path: Path, layout: Layout | None) -> None:
        self.path = path
        self._sessions = {"cpu": _session(path, _CPU)}
        self.wanted = _wanted(self._sessions["cpu"], layout, path)
        outputs = [value.name for value in self._sessions["cpu"].get_outputs() if value.type.startswith("tensor(")]
        if not outputs:
            raise UserError(f"{path} gives no tensor; a classifier gives one of shape (pictures, classes).")
        self._outputs = outputs

    def __call__(self, images: Tensor) -> Any:
        values = self._values(images)
        count = self.wanted.batch or len(values)
        parts = [self._run(images.device.type, values[at : at + count]) for at in range(0, len(values), count)]
        joined = [np.concatenate(output) for output in zip(*parts, strict=True)]
        return joined[0] if len(joined) == 1 else dict(zip(self._outputs, joined, strict=True))

    def _values(self, images: Tensor) -> NDArray[Any]:
        values = images.float().cpu().numpy()
        if self.wanted.layout == "NHWC":
            values = values.transpose(0, 2, 3, 1)
        if self.wanted.bytes:
            values = values.round().clip(0, 255)
        return np.ascontiguousarray(values, dtype=TYPES[self.wanted.type])

    def _run(self, device: str, values: NDArray[Any]) -> list[NDArray[Any]]:
        """The outputs for at most as many pictures as the graph takes at once; fewer are filled up with the last."""
        count = len(values)
        if self.wanted.batch is not None and count < self.wanted.batch:
            values = np.concatenate([values, np.repeat(values[-1:], self.wanted.batch - count, axis=0)])
        try:
            outputs: list[NDArray[Any]] = self._on(device).run(self._outputs, {self.wanted.name: values})
        except MemoryError:
            raise
        except Exception as error:  # onnxruntime's errors have no class of their own in common.
            if memory.says_short(str(error)):
                raise MemoryError(_first_line(error)) from error
            message = f"onnxruntime cannot compute {self.path} for pictures {values.shape}: {_first_line(error)}"
            raise UserError(message) from error
        return [output[:count] for output in outputs]

    def _on(self, device: str) -> Any:
        """The session for the device on which the run's pictures are, if onnxruntime has it; else the CPU's."""
        if device == "cuda" and _CUDA in _onnxruntime().get_available_providers():
            if device not in self._sessions:
                self._sessions[device] = _session(self.path, _CUDA)
            return self._sessions[device]
        return self._sessions["cpu"]


def load_onnx(
    checkpoint: str,
    *,
    layout: Layout | None = None,
    labels: str | Sequence[str] = IMAGENET,
    preprocessing: Mapping[str, Any],
    meta: bool = False,
) -> Classifier:
    """A classifier from a file of ONNX.

    What the graph says of its pictures is taken from it: bytes or floats, one channel or three, their size and the
    order of the dimensions. It cannot say how floats are normalised.

    Args:
        checkpoint: the file; tensors that it keeps in other files are read from beside it.
        layout: where the channels are, `NCHW` or `NHWC`; `None` where the graph shows it.
        labels, meta: as those of all loaders; a black box has no modules, so `meta` reads no weights.
        preprocessing: arguments of `Preprocessing`. A size or scale of `None` is the graph's; mean and std `auto` are
            ImageNet's for a graph of three channels of floats, and none for one of bytes.

    Raises:
        UserError: onnxruntime is not installed, the file is no ONNX graph or no classifier of pictures, or the graph
            says otherwise than `layout` or `preprocessing`.
    """
    _onnxruntime()
    path = resolve_file(checkpoint)
    classes = find_labels(labels, command="")
    if layout is not None and layout not in get_args(Layout):
        raise UserError("There is no such layout.", given=f"classifier.layout={layout}", accepted=get_args(Layout))
    onnx_files(path)
    if meta:
        return Classifier(BlackBox(_never), classes, path.name, Preprocessing(None, mean=None, std=None))
    graph = Graph(path, layout)
    prepare = graph_preprocessing(preprocessing, graph.wanted, path)
    return Classifier(BlackBox(graph), classes, path.name, prepare)


def graph_preprocessing(settings: Mapping[str, Any], wanted: Wanted, path: Path) -> Preprocessing:
    """The preprocessing that is asked for, as `load_onnx` takes it, with what it leaves open filled in from the graph.

    Raises:
        UserError: neither says it, or they say different things.
    """
    settings = dict(settings)
    if settings.get("size") is None:
        settings |= _size_of_graph(settings.get("crop"), wanted, path)
    if settings.get("scale") is None:
        settings["scale"] = 255.0 if wanted.bytes else 1.0
    for key, usual in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
        if settings.get(key) == AUTO:
            if wanted.channels == 1 and not wanted.bytes:
                message = f"{path} takes pictures of one channel, and does not say how they are normalised."
                raise UserError(message, given=f"{_WHERE}.{key}={AUTO}", accepted=["[0.5], or what it was", "null"])
            settings[key] = None if wanted.bytes else usual
    if wanted.channels == 1 and settings.get("channels") is None:
        settings["channels"] = "L"
    prepare = preprocessing_from(settings)
    _check_agreement(prepare, wanted, path)
    return prepare


def _size_of_graph(crop: Any, wanted: Wanted, path: Path) -> dict[str, Any]:
    if wanted.height is None or wanted.width is None:
        message = f"{path} takes pictures of any size: say the one that it was trained with."
        raise UserError(message, given=f"{_WHERE}.size=null", accepted=[f"{_WHERE}.size=224, or another number"])
    if wanted.height == wanted.width:
        return {"size": wanted.height, "crop": wanted.height if crop is None else crop}
    return {"size": [wanted.height, wanted.width]}


def _check_agreement(prepare: Preprocessing, wanted: Wanted, path: Path) -> None:
    kept = prepare.crop or prepare.size
    assert kept is not None, "a graph's pictures have a size"
    height, width = (kept * 2)[:2]
    if (wanted.height or height, wanted.width or width) != (height, width):
        message = f"{path} takes pictures of {wanted.height}x{wanted.width} pixels."
        raise UserError(message, given=f"{_WHERE}.size={prepare.size}, crop={prepare.crop}")
    channels = prepare.mean.shape[1]
    if wanted.channels not in (None, channels):
        message = f"{path} takes pictures of {wanted.channels} channel{'s' * (wanted.channels != 1)}."
        given = f"{_WHERE}.channels={prepare.channels}, mean and std of {channels}"
        raise UserError(message, given=given, accepted=["L"] if wanted.channels == 1 else ["RGB", "BGR"])
    if wanted.bytes and (prepare.scale != 255 or bool(prepare.mean.any()) or bool((prepare.std != 1).any())):
        message = f"{path} takes bytes, so it normalises them itself: scale=255 and neither mean nor std."
        given = f"scale={prepare.scale:g}, mean={prepare.mean.flatten().tolist()}, std={prepare.std.flatten().tolist()}"
        raise UserError(message, given=given)


def _wanted(session: Any, layout: Layout | None, path: Path) -> Wanted:
    inputs = session.get_inputs()
    shown = ", ".join(f"{value.name} {value.type} {value.shape}" for value in inputs)
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        raise UserError(f"{path} takes other things than pictures (batch, channels, height, width).", given=shown)
    (value,) = inputs
    if value.type not in TYPES:
        raise UserError(f"{path} takes pictures of a type that is not supported.", given=value.type, accepted=[*TYPES])
    sides = [side if isinstance(side, int) and side > 0 else None for side in value.shape]
    layout = layout or _layout_of(sides, shown, path)
    batch, channels, height, width = (sides[layout.index(letter)] for letter in "NCHW")
    if channels not in (None, *_CHANNELS):
        message = f"Pictures have one channel or three; {path} takes {channels} in the layout {layout}."
        raise UserError(message, given=shown)
    return Wanted(value.name, value.type, layout, batch, channels, height, width)


def _layout_of(sides: Sequence[int | None], shown: str, path: Path) -> Layout:
    first, last = sides[1] in _CHANNELS, sides[3] in _CHANNELS
    if first == last:
        message = f"{path} does not show where its channels are: say classifier.layout=NCHW (torch) or NHWC (Keras)."
        raise UserError(message, given=shown)
    return "NCHW" if first else "NHWC"


def _session(path: Path, provider: str) -> Any:
    runtime = _onnxruntime()
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # Errors alone: they are raised and shown by this program.
    options.intra_op_num_threads = torch.get_num_threads()  # As many as the run asks for; they change the last bits.
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    try:
        return runtime.InferenceSession(str(path), options, providers=list(dict.fromkeys((provider, _CPU))))
    except MemoryError:
        raise
    except Exception as error:  # onnxruntime's errors have no class of their own in common.
        raise UserError(f"onnxruntime cannot load {path}: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _never(images: Tensor) -> Tensor:
    raise AssertionError("a graph without weights has no answer")


def _onnxruntime() -> Any:
    # Else it writes an identifier of this machine into the user's home as soon as it is imported, for its maker.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise UserError("onnxruntime is not installed: pip install 'diffexplain[onnx]'.") from error
    return onnxruntime
