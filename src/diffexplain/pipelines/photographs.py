"""Photographs of the user's: a folder of files as images of one size, and which of them cannot be used and why.

What cameras, telephones, scanners and drawing programs write is read: grey, CMYK, palettes, transparency (over white),
16 bits, colour profiles, and pictures that say which way up they are. Nothing in a file ends a run; too few do.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from torch import Tensor

from diffexplain.config.digests import CONTENTS, Unfit, digest, listing, mark, read
from diffexplain.errors import UserError

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""As Pillow names them. It reads others by calling programs of the machine's."""
PIXELS = 100_000_000
"""Of a picture at most: a small file may say that it unfolds to more than the memory holds."""
LEAST = 2
_SHOWN = 20
"""Skipped files that are named one by one; all are in the run's ``photographs.json``."""
_TRANSPARENT = ("LA", "La", "PA", "RGBA", "RGBa")


@dataclass(frozen=True)
class Photograph:
    """A file that can be used; ``name``: in the folder that a user names, below its class if that has any."""

    name: str
    path: Path
    sha256: str

    @property
    def label(self) -> str | None:
        """The class that its folder is named after; None where it has none."""
        folder, slash, _ = self.name.rpartition("/")
        return folder if slash else None

    def image(self, size: tuple[int, int]) -> Tensor:
        """Its middle, scaled to ``size`` (height, width): (3, H, W) in [0, 1].

        Raises:
            UserError: the file is no longer what it was.
        """
        try:
            data = read(self.path)
            if sha256(data).hexdigest() != self.sha256:
                raise Unfit("it was changed")
            fitted = ImageOps.fit(decoded(data), (size[1], size[0]), Image.Resampling.LANCZOS)
        except Unfit as reason:
            raise _changed(self.path.parent, f"{self.name}: {reason}") from None
        return torch.from_numpy(np.asarray(fitted, dtype=np.float32)).permute(2, 0, 1) / 255


@dataclass(frozen=True)
class Photographs:
    """The files of a folder that can be used, and the others.

    Attributes:
        used: in the folder's order; of labelled ones, one of each class in turn.
        skipped: name and reason of those that cannot be used.
        rest: those that are not looked at, because there are enough.
    """

    used: tuple[Photograph, ...]
    skipped: tuple[tuple[str, str], ...]
    rest: tuple[tuple[str, Path], ...]

    def labelled(self) -> Iterator[Photograph]:
        """Every photograph of the folder that can be used, those of the rest looked at now; none without labels."""
        if self.used[0].label is None:
            return
        yield from self.used
        for name, path in self.rest:
            fault, known = _look(path)
            if fault is None:
                yield Photograph(name, path, known)

    def images(self, size: tuple[int, int]) -> Tensor:
        """The middle of each photograph, scaled to ``size`` (height, width): (N, 3, H, W) in [0, 1].

        Raises:
            UserError: a file is no longer what it was.
        """
        return torch.stack([photograph.image(size) for photograph in self.used])

    def notes(self) -> Iterator[str]:
        """What a person should know of the choice, a sentence each."""
        for name, reason in self.skipped[:_SHOWN]:
            yield f"{name} was skipped: {reason}."
        if len(self.skipped) > _SHOWN:
            yield f"{len(self.skipped) - _SHOWN} more files were skipped; photographs.json names them."
        if self.rest:
            which = "by name" if self.used[0].label is None else "of all classes in turn"
            yield f"The first {len(self.used)} photographs {which} were edited, and {len(self.rest)} files were not."

    def to_json(self) -> dict[str, Any]:
        """Which image of the population is which file, and what was skipped."""
        return {
            "used": [{"name": _name(one.name), "sha256": one.sha256} for one in self.used],
            "skipped": [{"name": name, "reason": reason} for name, reason in self.skipped],
            "left": len(self.rest),
        }


def given(config: Mapping[str, Any], most: int) -> Photographs | None:
    """Those that a run is given, at most so many, none of them loaded; None: there are none.

    Raises:
        UserError: as `find`.
    """
    if config.get("images") is None:
        return None
    return find(str(config["images"]), most, config.get(CONTENTS, {}).get("images"))


def find(folder: str, most: int, expected: str | None) -> Photographs:
    """The photographs of a folder, as a user names it, of which ``most`` are used.

    Raises:
        UserError: no folder, fewer than two that can be used, or other ones than when the run was asked for, of which
            ``expected`` is the `digest`.
    """
    used: list[Photograph] = []
    skipped: list[tuple[str, str]] = []
    marks: list[tuple[str, str]] = []
    rest: list[tuple[str, Path]] = []
    for name, path in listing(folder).items():
        if len(used) == most:
            marks.append((name, mark(path)))
            rest.append((name, path))
            continue
        fault, known = _look(path)
        marks.append((name, known))
        if fault is None:
            used.append(Photograph(name, path, known))
        else:
            skipped.append((_name(name), fault))
    if digest(marks) != expected:
        raise _changed(folder)
    if len(used) < LEAST:
        reasons = "".join(f"\n  {name}: {reason}" for name, reason in skipped[:_SHOWN])
        raise UserError(f"An effect needs at least two photographs; {folder} has {len(used)} to use.{reasons}")
    return Photographs(tuple(used), tuple(skipped), tuple(rest))


def _look(path: Path) -> tuple[str | None, str]:
    """Why a file cannot be used, None if it can; and its `contents.mark`, of the very bytes that were looked at."""
    try:
        data = read(path)
    except Unfit as reason:
        return str(reason), str(reason)
    known = sha256(data).hexdigest()
    try:
        decoded(data)
    except Unfit as reason:
        return str(reason), known
    return None, known


def decoded(data: bytes) -> Image.Image:
    """The picture in a file, upright, in sRGB, eight bits a channel.

    Raises:
        Unfit: it is no single picture, too large, or damaged.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # What Pillow warns of, size and damage, is looked at here.
        try:
            with Image.open(BytesIO(data), formats=_readable()) as image:
                if image.width * image.height > PIXELS:
                    raise Unfit(f"{image.width}x{image.height}, more than {PIXELS // 1_000_000} million pixels")
                # Telephones put a preview or a depth map behind the picture, as MPO.
                if image.format != "MPO" and getattr(image, "is_animated", False):
                    raise Unfit("animated, or of several pages")
                image.load()
                return _in_srgb(ImageOps.exif_transpose(image))
        except (Unfit, MemoryError):
            raise
        except UnidentifiedImageError:
            raise Unfit(f"no picture in a format that is read ({', '.join(_readable())})") from None
        except Image.DecompressionBombError:
            raise Unfit(f"more than {PIXELS // 1_000_000} million pixels") from None
        except Exception as error:  # Decoders raise whatever a damaged file leads them to.
            raise Unfit(f"cannot be read: {' '.join(str(error).split())}") from None


def _in_srgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    alpha = None
    if image.mode in _TRANSPARENT or "transparency" in image.info:
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
    image = _eight_bits(image)
    if image.mode not in ("L", "RGB", "CMYK", "LAB"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    colours = _converted(image, profile) or image.convert("RGB")
    return colours if alpha is None else Image.composite(colours, Image.new("RGB", image.size, "white"), alpha)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey values of 16 bits in the range that all others have; Pillow would cut them off at 255."""
    if image.mode == "F":
        raise Unfit("fractional values, of which nothing says what is white")
    if image.mode != "I" and not image.mode.startswith("I;16"):
        return image
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise Unfit("more than 16 bits a value")
    return Image.fromarray(np.round(values / 257).astype(np.uint8))


def _converted(image: Image.Image, profile: bytes | None) -> Image.Image | None:
    """By the colour profile; None if there is none, it is damaged, or meant for another kind of picture."""
    if not profile:
        return None
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None


def _readable() -> list[str]:
    """Those of the formats that this Pillow was built with."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _name(name: str) -> str:
    """A file's name, whatever bytes it is made of, as text."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _changed(folder: object, what: str | None = None) -> UserError:
    message = f"The photographs in {folder} have changed since the run was asked for; give the command again."
    return UserError(message, given=what)
