"""Did an edit do what it was asked, and nothing else?

Objects and their sub-types are looked for by mask. What describes the whole image or the subject, a setting or an
attribute, has no mask of its own: there CLIP's similarity tells, which `appeared` compares between the image without
and the image with it. Strayed: how far the pixels moved that the edit had no reason to touch. How often each of these
is right is measured on scenes that are known, by ``experiments/diffex/checks.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from diffexplain.diffusion.editing.composition import Composition, Path
from diffexplain.segmentation import Segmenter

SPREAD = 0.06
"""How far around a concept an edit may reach, as a share of the image's side."""
KEPT = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4)
"""How much of the subject's own colours may be left in another setting: fog, rain and dusk lie over it, too."""
SUBJECT: Path = ()
"""Stands for the bare subject among the paths whose similarity is asked for."""

Fits = Mapping[Path, float]
"""How similar an image is to the subject with each of some concepts, and to the bare subject, by path."""


def by_mask(composition: Composition, path: Path) -> bool:
    """Whether the concept is looked for by mask, `Checks.seen`."""
    return composition.role(path) in ("object", "sub-type")


def by_similarity(composition: Composition, path: Path) -> bool:
    """Whether it is told by similarity, `Checks.fits`; where in an image the subject is, neither tells."""
    return not by_mask(composition, path) and not composition.says_where(path)


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
        device: where it is.
        batch_size: images looked at at once.
    """

    def __init__(self, segmenter: Segmenter, *, device: torch.device | str = "cpu", batch_size: int = 25) -> None:
        self.segmenter = segmenter
        self.device = torch.device(device)
        self.batch_size = batch_size

    @torch.no_grad()
    def seen(self, composition: Composition, images: Tensor, paths: Sequence[Path]) -> NDArray[np.bool_]:
        """Which of the concepts have a mask in each image (N, 3, H, W) in [0, 1], the largest among rivals; (N, P)."""
        texts = [composition.phrase(one) for path in paths for one in (path, *composition.rivals(path))]
        texts = list(dict.fromkeys(texts))
        seen = np.zeros((len(images), len(paths)), dtype=np.bool_)
        if not texts:
            return seen
        area = self._each(images, lambda part: self.segmenter.presence(part, texts))
        for column, path in enumerate(paths):
            own, *others = (texts.index(composition.phrase(one)) for one in (path, *composition.rivals(path)))
            there = area[:, own] >= self.segmenter.calibration.minimum_area
            seen[:, column] = (there & (area[:, [own]] >= area[:, others]).all(dim=1)).numpy()
        return seen

    @torch.no_grad()
    def inside(self, composition: Composition, images: Tensor, paths: Sequence[Path]) -> NDArray[np.float64]:
        """Share of each concept's mask that lies inside the subject's own, (N, P) in [0, 1]; NaN where it has none."""
        if not paths:
            return np.zeros((len(images), 0))
        texts = [composition.subject, *map(composition.phrase, paths)]
        masks = self._each(images, lambda part: self._masks(part, texts))
        own, concepts = masks[:, :1], masks[:, 1:]
        return ((own * concepts).sum(dim=(2, 3)) / concepts.sum(dim=(2, 3))).double().numpy()

    @torch.no_grad()
    def fits(self, composition: Composition, images: Tensor, paths: Sequence[Path]) -> NDArray[np.float64]:
        """Similarity of images (N, 3, H, W) in [0, 1] to the subject with each attribute or setting, (N, P)."""
        texts = [composition.description(path) if path else composition.subject for path in paths]
        if not texts:
            return np.zeros((len(images), 0))
        return self._each(images, lambda part: self.segmenter.similarity(part, texts)).double().numpy()

    @torch.no_grad()
    def strayed(
        self, composition: Composition, before: Tensor, after: Tensor, paths: Sequence[Path]
    ) -> NDArray[np.float64]:
        """Mean absolute change in [0, 1] of the pixels that belong to none of the concepts, (N,).

        To an object belongs where it is before or after, and a rim; to an attribute, the subject likewise; to a
        setting, all but the subject as it was, of which the median is given, up to one colour that may lie over all of
        it while it is still seen. 0 where there is no other pixel.
        """
        things = [path for path in paths if by_mask(composition, path)]
        texts = list(dict.fromkeys([composition.subject, *map(composition.phrase, things)]))
        first, second = (self._each(images, lambda part: self._masks(part, texts)) > 0 for images in (before, after))
        belongs = torch.zeros_like(first[:, :1])
        for path in paths:
            if composition.role(path) == "setting":  # Where the subject was, it must be still.
                belongs |= ~first[:, :1]
                continue
            place = texts.index(composition.phrase(path)) if path in things else 0
            mask = (first | second)[:, place : place + 1].float()
            radius = max(1, round(SPREAD * max(before.shape[-2:])))
            belongs |= functional.max_pool2d(mask, 2 * radius + 1, stride=1, padding=radius) > 0
        rest = (~belongs).float()
        if any(composition.role(path) == "setting" for path in paths):
            # A mask reaches beyond its subject, where another setting is to be seen: the median leaves that out.
            ways = ((before, after), (after, before))  # What lay over the subject may go, too.
            far = [_median((b - _veiled(a, b, rest, own)).abs(), rest) for a, b in ways for own in KEPT]
            was, still = first[:, 0].sum(dim=(1, 2)), (first & second)[:, 0].sum(dim=(1, 2))
            # Under nothing but a colour the subject is seen where it was.
            return torch.where(2 * still >= was, torch.stack(far).amin(dim=0), far[0]).double().numpy()
        return _mean((after - before).abs(), rest).mean(dim=1).double().numpy()

    def _masks(self, images: Tensor, texts: Sequence[str]) -> Tensor:
        """(N, P, H, W), 1 where the phrase is."""
        return (self.segmenter.masks(images, texts) > self.segmenter.calibration.mask_threshold).float()

    def _each(self, images: Tensor, look: Callable[[Tensor], Tensor]) -> Tensor:
        return torch.cat([look(part.to(self.device)).float().cpu() for part in images.split(self.batch_size)])


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
