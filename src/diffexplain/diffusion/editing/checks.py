"""Did an edit do what it was asked, and nothing else?

Seen: an object where the segmenter finds enough pixels of it; an attribute, a sub-type or a setting where it fits
better than each of its rivals. Strayed: how far the pixels moved that the edit had no reason to touch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from diffexplain.diffusion.editing.composition import Composition, Path
from diffexplain.segmentation import Segmenter

Similarity = Callable[[Tensor, Sequence[str]], Tensor]
"""CLIP's similarity of images (N, 3, H, W) in [0, 1] and P texts, (N, P)."""

SPREAD = 0.06
"""How far around a concept an edit may reach, as a share of the image's side."""


class Checks:
    """Looks at images before and after an edit.

    Args:
        segmenter: phrases to masks.
        similarity: decides between rivals, where there is one; else their areas do.
        device: where segmenter and similarity are.
        batch_size: images looked at at once.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        *,
        similarity: Similarity | None = None,
        device: torch.device | str = "cpu",
        batch_size: int = 25,
    ) -> None:
        self.segmenter = segmenter
        self.similarity = similarity
        self.device = torch.device(device)
        self.batch_size = batch_size

    def judges(self, composition: Composition, path: Path) -> bool:
        """Whether the concept can be looked for: which colour the subject has, no mask tells."""
        return self.similarity is not None or composition.role(path) != "attribute"

    @torch.no_grad()
    def seen(self, composition: Composition, images: Tensor, paths: Sequence[Path]) -> NDArray[np.bool_]:
        """Which of the concepts each image (N, 3, H, W) in [0, 1] shows, (N, P)."""
        texts = [composition.phrase(one) for path in paths for one in (path, *composition.rivals(path))]
        texts = list(dict.fromkeys(texts))
        seen = np.zeros((len(images), len(paths)), dtype=np.bool_)
        if not texts:
            return seen
        area = self._each(images, lambda part: self.segmenter.presence(part, texts))
        fits = area if self.similarity is None else self._each(images, lambda part: self._similar(part, texts))
        for column, path in enumerate(paths):
            own, *others = (texts.index(composition.phrase(one)) for one in (path, *composition.rivals(path)))
            there = area[:, own] >= self.segmenter.calibration.minimum_area
            if others:
                best = (fits[:, [own]] >= fits[:, others]).all(dim=1)
                # Which colour the subject has, or where it is, its mask need not say.
                by_mask = self.similarity is None or composition.role(path) == "sub-type"
                there = best & there if by_mask else best
            seen[:, column] = there.numpy()
        return seen

    @torch.no_grad()
    def strayed(
        self, composition: Composition, before: Tensor, after: Tensor, paths: Sequence[Path]
    ) -> NDArray[np.float64]:
        """Mean absolute change in [0, 1] of the pixels that belong to none of the concepts, (N,).

        To an object belongs where it is before or after, and a rim; to an attribute, the subject likewise; to a
        setting, all but the subject as it was. 0 where there is no other pixel.
        """
        things = [path for path in paths if composition.role(path) in ("object", "sub-type")]
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
        change = (after - before).abs().mean(dim=1, keepdim=True) * rest
        share: Tensor = change.sum(dim=(1, 2, 3)) / rest.sum(dim=(1, 2, 3)).clamp(min=1)
        return share.double().numpy()

    def _similar(self, images: Tensor, texts: Sequence[str]) -> Tensor:
        assert self.similarity is not None
        return self.similarity(images, texts)

    def _masks(self, images: Tensor, texts: Sequence[str]) -> Tensor:
        """(N, P, H, W), 1 where the phrase is."""
        return (self.segmenter.masks(images, texts) > self.segmenter.calibration.mask_threshold).float()

    def _each(self, images: Tensor, look: Callable[[Tensor], Tensor]) -> Tensor:
        return torch.cat([look(part.to(self.device)).float().cpu() for part in images.split(self.batch_size)])
