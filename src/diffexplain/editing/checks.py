"""Did an edit do what it was asked, and nothing else?

Objects and their sub-types are looked for by mask. What describes the whole image or the subject, a setting or an
attribute, has no mask of its own: there CLIP's similarity tells, which `appeared` compares between the image without
and the image with it. Strayed: how far the pixels moved that the edit had no reason to touch. How often each of these
is right is measured on scenes that are known, by ``experiments/diffex/checks.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from diffexplain.editing.composition import Composition, Path
from diffexplain.segmentation import Segmenter
from diffexplain.segmentation.detections import Detections, detect

SPREAD = 0.06
"""How far around a concept an edit may reach, as a share of the image's side."""
KEPT = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4)
"""How much of the subject's own colours may be left in another setting: fog, rain and dusk lie over it, too."""
SUBJECT: Path = ()
"""Stands for the bare subject among the paths whose similarity is asked for."""

Fits = Mapping[Path, float]
"""How similar an image is to the subject with each of some concepts, and to the bare subject, by path."""


def by_mask(composition: Composition, path: Path) -> bool:
    """Whether the concept is looked for by mask, `Look.seen`."""
    return composition.role(path) in ("object", "sub-type", "word")


def by_similarity(composition: Composition, path: Path) -> bool:
    """Whether it is told by similarity, `Look.fits`; where in an image the subject is, neither tells."""
    return not by_mask(composition, path) and not composition.says_where(path)


def phrases_of(composition: Composition, masked: Sequence[Path]) -> list[str]:
    """What a segmenter is asked for where concepts are looked for by mask: the subject, them, and their rivals."""
    looked = [composition.phrase(one) for path in masked for one in (path, *composition.rivals(path))]
    return list(dict.fromkeys([composition.subject, *looked]))


def fits_best(composition: Composition, path: Path, fits: Fits) -> bool | None:
    """Whether an image fits a concept better than each of its rivals; None without rivals, or where it is not known."""
    rivals = composition.rivals(path)
    if not rivals or not fits.keys() >= {path, *rivals}:
        return None
    return all(fits[path] > fits[rival] for rival in rivals)


def gained(composition: Composition, path: Path, present: Fits, absent: Fits) -> bool | None:
    """Whether, from one image to the other, the concept gained more than each rival and the bare subject.

    None where it is not known.
    """
    others = (SUBJECT, *composition.rivals(path))
    if any(not fits.keys() >= {path, *others} for fits in (present, absent)):
        return None
    gain = {one: present[one] - absent[one] for one in (path, *others)}
    return all(gain[path] > gain[other] for other in others)


def appeared(composition: Composition, path: Path, present: Fits, absent: Fits) -> bool | None:
    """Whether an attribute or a setting is in one image and not in the other; None where it is not known.

    Settings fit best in one and not in the other. One image alone does not tell attributes: some words fit every
    image better than others.
    """
    if composition.role(path) == "setting":
        there, before = (fits_best(composition, path, fits) for fits in (present, absent))
        if there is not None and before is not None:
            return there and not before
    return gained(composition, path, present, absent)


class Checks:
    """Looks at images before and after an edit.

    Args:
        segmenter: phrases to masks, and how similar images are to them.
        batch_size: images looked at at once.
    """

    def __init__(self, segmenter: Segmenter, batch_size: int = 25) -> None:
        self.segmenter = segmenter
        self.batch_size = batch_size

    @torch.no_grad()
    def look(self, composition: Composition, images: Tensor, masked: Sequence[Path], similar: Sequence[Path]) -> Look:
        """Look for concepts, all at once.

        Args:
            composition: subject and concepts.
            images: (N, 3, H, W) in [0, 1].
            masked: concepts to look for by mask; their rivals and the subject are, too.
            similar: attributes and settings to tell by similarity; to the bare subject it is told, too.
        """
        found = detect(self.segmenter, images, phrases_of(composition, masked), self.batch_size)
        fits: dict[Path, NDArray[np.float64]] = {}
        if similar:
            texts = [composition.subject, *map(composition.description, similar)]
            parts = [self.segmenter.similarity(part, texts).float().cpu() for part in images.split(self.batch_size)]
            fits = dict(zip([SUBJECT, *similar], torch.cat(parts).double().numpy().T, strict=True))
        return Look(composition, images, found, fits)


@dataclass(frozen=True)
class Look:
    """What was looked for in N images.

    Attributes:
        composition: subject and concepts.
        images: (N, 3, H, W) in [0, 1].
        found: where the subject and the concepts are seen.
        similarities: of the images to the subject with each attribute or setting, (N,) each.
    """

    composition: Composition
    images: Tensor
    found: Detections
    similarities: Mapping[Path, NDArray[np.float64]]

    def rows(self, places: Sequence[int]) -> Look:
        """Of some of the images alone."""
        chosen = list(places)
        similarities = {path: values[chosen] for path, values in self.similarities.items()}
        return Look(self.composition, self.images[chosen], self.found.rows(chosen), similarities)

    def seen(self, path: Path) -> NDArray[np.bool_]:
        """Whether each image has a mask of the concept, the largest among its rivals', (N,)."""
        own, *others = (
            self.found.pixels(self.composition.phrase(one)) for one in (path, *self.composition.rivals(path))
        )
        return torch.stack([own > 0, *(own >= other for other in others)]).all(dim=0).numpy()

    def inside(self, path: Path) -> NDArray[np.float64]:
        """Share of the concept's mask that lies inside the subject's own, (N,) in [0, 1]; NaN where it has none."""
        own, concept = self._mask(SUBJECT).float(), self._mask(path).float()
        return ((own * concept).sum(dim=(1, 2)) / concept.sum(dim=(1, 2))).double().numpy()

    def fits(self, place: int) -> dict[Path, float]:
        """How similar one image is to the subject with each attribute or setting, and to the bare subject."""
        return {path: float(values[place]) for path, values in self.similarities.items()}

    def strayed(self, before: Look, paths: Sequence[Path]) -> NDArray[np.float64]:
        """Mean absolute change in [0, 1], since before, of the pixels that belong to none of the concepts, (N,).

        To an object belongs where it is before or after, and a rim; to an attribute, the subject likewise; to a
        setting, all but the subject as it was, of which the median is given, up to one colour that may lie over all of
        it while it is still seen. 0 where there is no other pixel.
        """
        was, still = before._mask(SUBJECT), self._mask(SUBJECT)
        belongs = torch.zeros_like(was)
        for path in paths:
            if self.composition.role(path) == "setting":  # Where the subject was, it must be still.
                belongs |= ~was
                continue
            thing = path if by_mask(self.composition, path) else SUBJECT
            mask = (before._mask(thing) | self._mask(thing))[:, None].float()
            radius = max(1, round(SPREAD * max(mask.shape[-2:])))
            belongs |= functional.max_pool2d(mask, 2 * radius + 1, stride=1, padding=radius)[:, 0] > 0
        rest = (~belongs)[:, None].float()
        if any(self.composition.role(path) == "setting" for path in paths):
            # A mask reaches beyond its subject, where another setting is to be seen: the median leaves that out.
            # What lay over the subject may go, too.
            ways = ((before.images, self.images), (self.images, before.images))
            far = [_median((b - _veiled(a, b, rest, own)).abs(), rest) for a, b in ways for own in KEPT]
            # Under nothing but a colour the subject is seen where it was.
            there = 2 * (was & still).sum(dim=(1, 2)) >= was.sum(dim=(1, 2))
            return torch.where(there, torch.stack(far).amin(dim=0), far[0]).double().numpy()
        return _mean((self.images - before.images).abs(), rest).mean(dim=1).double().numpy()

    def _mask(self, path: Path) -> Tensor:
        """(N, H, W) bool."""
        return self.found.mask(self.composition.phrase(path) if path else self.composition.subject)


def _veiled(before: Tensor, after: Tensor, rest: Tensor, own: float) -> Tensor:
    """The images before with so much of their own colours left, under one colour that leads near to after."""
    if own == 1:
        return before
    veil = (_mean(after - own * before, rest) / (1 - own)).clamp(0, 1)
    return own * before + (1 - own) * veil[:, :, None, None]


def _median(values: Tensor, rest: Tensor) -> Tensor:
    """Of the mean over the channels, over the pixels of ``rest``, (N,); 0 where there is none."""
    pixels = values.mean(dim=1).masked_fill(rest[:, 0] == 0, float("nan"))
    return pixels.flatten(1).nanmedian(dim=1).values.nan_to_num(0.0)


def _mean(values: Tensor, rest: Tensor) -> Tensor:
    """Of each channel over the pixels of ``rest``, (N, 3); 0 where there is none."""
    return (values * rest).sum(dim=(2, 3)) / rest.sum(dim=(2, 3)).clamp(min=1)
