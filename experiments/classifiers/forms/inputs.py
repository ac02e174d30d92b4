"""What goes into a network: sizes, channels, ranges, precisions; graphs and functions that no gradient passes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from diffexplain.classifiers import load_classifier
from experiments.classifiers.forms.form import (
    FOLDER,
    LABELS,
    USUAL,
    Change,
    Form,
    Shown,
    body,
    brought,
    exclusive,
    pictures,
)

HERE = __name__
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CAFFE = (104.0, 117.0, 123.0)
"""Of blue, green and red in 0 to 255."""


def _column(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values).view(-1, 1, 1)


TAKES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "normalised": lambda x: x,
    "plain": lambda x: 2 * x - 1,
    "bytes": lambda x: x / 127.5 - 1,
    "imagenet": lambda x: 2 * (x * _column(STD) + _column(MEAN)) - 1,
    "bgr": lambda x: x.flip(1),
    "caffe": lambda x: (x + _column(CAFFE)).flip(1) / 127.5 - 1,
    "grey": lambda x: x.expand(-1, 3, -1, -1),
    "plain_grey": lambda x: 2 * x.expand(-1, 3, -1, -1) - 1,
    "last": lambda x: x.permute(0, 3, 1, 2),
    "bytes_last": lambda x: x.permute(0, 3, 1, 2).float() / 127.5 - 1,
}
"""What a network may take, to what the embedded one takes."""


class Taking(nn.Module):
    """The embedded network behind another input."""

    def __init__(self, takes: str) -> None:
        super().__init__()
        self.body = load_classifier(FOLDER).backbone
        self.takes = TAKES[takes]

    def forward(self, images: Tensor) -> Any:
        return self.body(self.takes(images))


class WithoutGradient(Taking):
    @torch.no_grad()
    def forward(self, images: Tensor) -> Any:
        return self.body(self.takes(images))


def network(takes: str = "normalised", precision: str = "float32") -> nn.Module:
    """The embedded network behind one of `TAKES`, in another precision."""
    return Taking(takes).to(getattr(torch, precision))


def without_gradient() -> nn.Module:
    return WithoutGradient("normalised")


def scripted() -> nn.Module:
    """The embedded network as TorchScript."""
    with warnings.catch_warnings(action="ignore"):
        return torch.jit.script(load_classifier(FOLDER).backbone)


ready = Taking("normalised")
"""A network that is already made."""


def answer(images: Tensor) -> NDArray[np.float32]:
    """A function of pictures in 0 to 1."""
    logits: NDArray[np.float32] = body()(2 * images - 1).numpy()
    return logits


def probabilities(images: Tensor) -> dict[str, Tensor]:
    """Another, which gives probabilities."""
    return {"probabilities": body()(2 * images - 1).double().softmax(1)}


def text(images: Tensor) -> str:
    """Another, which gives no scores."""
    return "flagpole"


def own(
    takes: str = "normalised", preprocessing: Mapping[str, Any] | None = None, precision: str = "float32"
) -> tuple[str, ...]:
    """Overrides that bring `network`, with what its preprocessing has that the plain classifier's has not."""
    arguments = {"takes": takes, "precision": precision}
    return brought(f"{HERE}.network", arguments, preprocessing={**USUAL, **(preprocessing or {})})


def asked(function: str, *more: str) -> tuple[str, ...]:
    """Overrides that bring a function of pictures."""
    given = ("classifier=function", "diffusion=world", "plugins=[experiments]", f"classifier.labels={LABELS}")
    return (*given, f"classifier.function={HERE}.{function}", *more)


def graph(*more: str, normalised: bool = True) -> tuple[str, ...]:
    """Overrides that bring `model.onnx`."""
    given = ("classifier=onnx", "diffusion=world", "classifier.checkpoint=model.onnx", f"classifier.labels={LABELS}")
    usual = ("classifier.preprocessing.mean=[0.5,0.5,0.5]", "classifier.preprocessing.std=[0.5,0.5,0.5]")
    return (*given, *(usual if normalised else ()), *more)


def exported(
    takes: str = "normalised",
    shape: tuple[int, ...] = (4, 3, 64, 64),
    *,
    dtype: torch.dtype = torch.float32,
    batch: int | None = None,
    beside: bool = False,
) -> Callable[[Path], None]:
    """What writes the embedded network as `model.onnx`.

    Args:
        takes: one of `TAKES`.
        shape: of its pictures.
        dtype: of its pictures.
        batch: how many it takes at once; None: any number.
        beside: the weights lie in a file beside it, `model.onnx.data`.
    """

    def write(folder: Path) -> None:
        import onnx

        example = torch.zeros(batch or shape[0], *shape[1:], dtype=dtype)
        axes = {} if batch is not None else {"pictures": {0: "n"}, "logits": {0: "n"}}
        names: Any = {"input_names": ["pictures"], "output_names": ["logits"], "dynamic_axes": axes}
        path = folder / "model.onnx"
        with warnings.catch_warnings(action="ignore"):
            torch.onnx.export(Taking(takes).eval(), (example,), str(path), dynamo=False, **names)
        if beside:
            model = onnx.load(path)
            onnx.save(model, path, save_as_external_data=True, location="model.onnx.data", size_threshold=0)

    return write


def without_its_data(folder: Path) -> None:
    """A graph whose weights were left behind."""
    exported(beside=True)(folder)
    (folder / "model.onnx.data").unlink()


def no_graph(folder: Path) -> None:
    """A file that only ends like a graph."""
    (folder / "model.onnx").write_bytes(b"flagpole")


def resized(height: int, width: int, mode: str = "bilinear", antialias: bool = True) -> Shown:
    """Pictures in another size, not rounded to bytes."""
    options: dict[str, Any] = {"mode": mode, "antialias": antialias, "align_corners": False}
    return lambda images: functional.interpolate(images, (height, width), **options).clamp(0, 1)


def bytewise(side: int) -> Shown:
    """Pictures in another size as PIL makes them: rounded after the rows, and after the columns."""

    def through_bytes(images: Tensor) -> Tensor:
        for size in ((images.shape[2], side), (side, side)):
            images = functional.interpolate(images, size, mode="bilinear", antialias=True)
            images = (255 * images).round() / 255
        return images

    return through_bytes


def cut(shown: Shown, top: int, left: int, height: int, width: int) -> Shown:
    """A part of what is shown."""
    return lambda images: shown(images)[..., top : top + height, left : left + width]


def same(images: Tensor) -> Tensor:
    return images


def grey(images: Tensor) -> Tensor:
    """Brightness by ITU-R BT.601 in all three channels."""
    red, green, blue = images.unbind(1)
    return (0.299 * red + 0.587 * green + 0.114 * blue)[:, None].expand(-1, 3, -1, -1)


def of_weights_in(dtype: torch.dtype) -> Change:
    """What the network answers whose weights were rounded to another type, whatever the plain one does."""

    def answered(_logits: Tensor) -> Tensor:
        network = load_classifier(FOLDER).backbone.to(dtype).float()
        with torch.no_grad():
            return exclusive(network((pictures() - 0.5) / 0.5).double())

    return answered


EXACT = {"bytes_between": False}
NOTHING = {"mean": None, "std": None}
NO_GRADIENT = r"No gradient passes.*gradient=spsa.*explainer=diffex"
SIZE_ALONE = ("size=48", "mean=[0.5,0.5,0.5]", "std=[0.5,0.5,0.5]", "bytes_between=false")
ONNX = 3e-5
"""onnxruntime adds in another order; which one, the processor decides."""

INPUT_FORMS = (
    Form("pictures in 0 to 1", own("plain", NOTHING)),
    Form("pictures in 0 to 255", own("bytes", {**NOTHING, "scale": 255})),
    Form("bytes less 127.5", own("normalised", {"scale": 255, "mean": [127.5] * 3, "std": [127.5] * 3})),
    Form("ImageNet's mean and std", own("imagenet", {"mean": list(MEAN), "std": list(STD)})),
    Form("BGR", own("bgr", {"channels": "BGR"})),
    Form(
        "BGR in 0 to 255 less a mean",
        own("caffe", {"channels": "BGR", "scale": 255, "mean": list(CAFFE), "std": None}),
    ),
    Form("BGR shown to a network of RGB", own("bgr"), shown=lambda images: images.flip(1)),
    Form("one channel", own("grey", {"mean": [0.5], "std": [0.5], **EXACT}), shown=grey),
    Form(
        "one channel in 0 to 1",
        own("plain_grey", {**NOTHING, "channels": "L", **EXACT}),
        shown=grey,
    ),
    Form("as large as they are", own("normalised", {"size": None})),
    Form("height and width", own("normalised", {"size": [48, 80], **EXACT}), shown=resized(48, 80)),
    Form(
        "size alone",
        (*own()[:-1], *(f"classifier.preprocessing.{setting}" for setting in SIZE_ALONE)),
        shown=resized(48, 48),
    ),
    Form("rounded to bytes in between", own("normalised", {"size": 48}), shown=bytewise(48)),
    Form(
        "bicubic",
        own("normalised", {"size": 48, "interpolation": "bicubic", **EXACT}),
        shown=resized(48, 48, "bicubic"),
    ),
    Form(
        "without antialias",
        own("normalised", {"size": 48, "antialias": False, **EXACT}),
        shown=resized(48, 48, antialias=False),
    ),
    Form(
        "the centre",
        own("normalised", {"size": 80, "crop": 64, **EXACT}),
        shown=cut(resized(80, 80), 8, 8, 64, 64),
    ),
    Form("the centre, not square", own("normalised", {"crop": [48, 32]}), shown=cut(same, 8, 16, 48, 32)),
    Form(
        "an odd surplus, as torchvision cuts it",
        own("normalised", {"size": 67, "crop": 64, **EXACT}),
        shown=cut(resized(67, 67), 2, 2, 64, 64),
    ),
    Form(
        "an odd surplus, as transformers cuts it",
        own("normalised", {"size": 67, "crop": 64, "odd_surplus": "down", **EXACT}),
        shown=cut(resized(67, 67), 1, 1, 64, 64),
    ),
    Form("half precision", own(precision="float16"), of_weights_in(torch.float16)),
    # What half precision itself costs, on log-odds of up to 20.
    Form("half precision beside the plain one's", own(precision="float16"), tolerance=2e-2),
    Form("bfloat16", own(precision="bfloat16"), of_weights_in(torch.bfloat16)),
    Form("double precision", own(precision="float64")),
    Form("TorchScript", brought(f"{HERE}.scripted")),
    Form("a network that is already made", brought(f"{HERE}.ready")),
    Form("no gradient", brought(f"{HERE}.without_gradient")),
    Form("a function of pictures", asked("answer")),
    Form("a function of pictures that gives probabilities", asked("probabilities")),
    Form("a graph", graph(), tolerance=ONNX, write=exported()),
    Form("a graph of eight pictures", graph(), tolerance=ONNX, write=exported(batch=8)),
    Form("a graph of one picture", graph(), tolerance=ONNX, write=exported(batch=1)),
    Form("a graph with the channels last", graph(), tolerance=ONNX, write=exported("last", (4, 64, 64, 3))),
    Form(
        "a graph of bytes",
        graph(normalised=False),
        tolerance=ONNX,
        write=exported("bytes_last", (4, 64, 64, 3), dtype=torch.uint8),
    ),
    Form("a graph with weights beside it", graph(), tolerance=ONNX, write=exported(beside=True)),
    # What must be refused.
    Form("a crop larger than the picture", own("normalised", {"crop": 80}), refused="crop is larger.*black frame"),
    Form("a crop of no size", own("normalised", {"size": None, "crop": 64}), refused="crop needs a size"),
    Form("a size of nothing", own("normalised", {"size": 0}), refused="size must be at least 1"),
    Form("mean of bytes, pictures in 0 to 1", own("bytes", {"mean": [127.5] * 3}), refused="scale=255"),
    Form(
        "ImageNet's mean, pictures in 0 to 255",
        own("bytes", {"scale": 255, "mean": list(MEAN), "std": list(STD)}),
        refused=r"mean=\[123\.675, 116\.28, 103\.53\]",
    ),
    Form("a mean of two values", own("normalised", {"mean": [0.5, 0.5]}), refused="list of 3 numbers"),
    Form("a std of nothing", own("normalised", {"std": [0, 1, 1]}), refused="std is above 0"),
    Form("another order of channels", own("bgr", {"channels": "GBR"}), refused="nearest: +(BGR|RGB)"),
    Form("another interpolation", own("normalised", {"interpolation": "cubic"}), refused="nearest: +bicubic"),
    Form("an unknown key", own("normalised", {"centre_crop": 64}), refused="nearest: .*preprocessing.crop"),
    Form("no gradient, and a search by gradient", brought(f"{HERE}.without_gradient"), refused=NO_GRADIENT),
    Form("a function, and a search by gradient", asked("answer"), refused=NO_GRADIENT),
    Form("a graph, and a search by gradient", graph(), refused=NO_GRADIENT, write=exported()),
    Form("a unit of a function", asked("answer", "gradient=spsa"), refused="cannot be reached", target="unit:head:3"),
    Form("a function that gives no scores", asked("text", "gradient=spsa"), refused="one tensor of 8 rows.*str"),
    Form("a function said to be a network", brought(f"{HERE}.answer"), refused=f"classifier.function={HERE}.answer"),
    Form("a network said to be a function", asked("Taking"), refused="classifier=checkpoint classifier.network"),
    Form("a graph of another size", graph("classifier.preprocessing.size=32"), refused="64x64", write=exported()),
    Form(
        "a graph of bytes, normalised twice",
        graph(),
        refused="normalises them itself",
        write=exported("bytes_last", (4, 64, 64, 3), dtype=torch.uint8),
    ),
    Form("a graph whose weights were left behind", graph(), refused="model.onnx.data", write=without_its_data),
    Form("a file that is no graph", graph(), refused="model.onnx", write=no_graph),
    Form(
        "a graph said to be weights",
        brought(f"{HERE}.network", None, "classifier.checkpoint=model.onnx"),
        refused="classifier=onnx",
        write=exported(),
    ),
)
