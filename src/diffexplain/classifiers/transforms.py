"""torchvision's transforms as the keys of a classifier's preprocessing, which gradients pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from diffexplain.errors import UserError

ACCEPTED = (
    "Compose",
    "Resize",
    "CenterCrop",
    "Grayscale",
    "ToTensor",
    "PILToTensor",
    "ToImage",
    "ConvertImageDtype",
    "ToDtype",
    "Normalize",
)
_NOTHING = {"Identity", "RGB", "ToPureTensor"}
"""Those that change no picture of ours."""


def settings_of(transform: Any) -> dict[str, Any]:
    """The keys under a classifier's ``preprocessing`` that say what ``transform`` does; none for None.

    Args:
        transform: of torchvision, such as ``weights.transforms()`` or a ``Compose``; or those keys themselves.

    Raises:
        UserError: it does something else, such as what is drawn at random.
    """
    if transform is None or isinstance(transform, Mapping):
        return dict(transform or {})
    made: dict[str, Any] = {"size": None, "crop": None, "mean": None, "std": None}
    of_bytes = False
    for one in _steps(transform):
        kinds = {kind.__name__ for kind in type(one).__mro__}
        if "ImageClassification" in kinds:  # What comes with torchvision's weights.
            made |= _resize(one, one.resize_size) | {"crop": _sides(one.crop_size), **_normalise(one)}
        elif "Resize" in kinds and made["size"] is made["crop"] is made["mean"] is getattr(one, "max_size", None):
            made |= _resize(one, one.size) | {"bytes_between": of_bytes}
        elif "CenterCrop" in kinds and made["mean"] is None:
            made["crop"] = _sides(one.size)
        elif "Grayscale" in kinds and one.num_output_channels == 1 and made["mean"] is None:
            made["channels"] = "L"
        elif kinds & {"ToTensor", "PILToTensor", "ToImage"}:
            # What stands before works on PIL's pictures, which are bytes and are made smaller from all pixels.
            made |= {} if made["size"] is None else {"bytes_between": True, "antialias": True}
            of_bytes = "ToTensor" not in kinds
        elif kinds & {"ConvertImageDtype", "ToDtype"}:
            of_bytes = not one.dtype.is_floating_point or (of_bytes and not getattr(one, "scale", True))
        elif "Normalize" in kinds and made["mean"] is None:
            made |= _normalise(one)
        elif not kinds & _NOTHING:
            raise UserError(
                "This transform cannot be redone here, for every picture alike and with gradient: it is unknown, or "
                "not in the order of resize, crop, normalise. The network's forward may hold the rest.",
                given=one,
                accepted=ACCEPTED,
            )
    return made | {"scale": 255.0 if of_bytes else 1.0}


def _steps(transform: Any) -> Iterator[Any]:
    """One transform after the other, whatever holds them."""
    held = getattr(transform, "transforms", None)
    if held is None and {kind.__name__ for kind in type(transform).__mro__} & {"Sequential"}:
        held = list(transform)
    if not isinstance(held, list | tuple):
        yield transform
        return
    for one in held:
        yield from _steps(one)


def _resize(one: Any, size: Any) -> dict[str, Any]:
    interpolation = getattr(one.interpolation, "value", one.interpolation)
    return {"size": _sides(size), "interpolation": str(interpolation), "antialias": one.antialias is not False}


def _normalise(one: Any) -> dict[str, Any]:
    return {"mean": [float(value) for value in one.mean], "std": [float(value) for value in one.std]}


def _sides(size: Any) -> int | list[int] | None:
    return list(size) if isinstance(size, list | tuple) else size
