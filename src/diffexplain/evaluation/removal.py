"""Taking an element out of images, beside a null edit that differs in nothing else.

Each image is edited twice, in the same pixels, from the same noise: once under a description of the image
*without* the element (a setting or a kind of object: with another one, drawn uniformly), once under its
description *with* it. The second is the null edit. What editing costs by itself (a blurred rim, a
neighbouring object grazed, a picture off the classifier's training set) is in both and cancels, so a fair
classifier shows no drop; what remains is `E[p | do(element)] - E[p | do(not element)]`. A description of the
target has no pixels of its own: there, both are whole images of the target, so described and with another
description in its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from diffexplain.evaluation.activation import PURPOSE, Reader, Reading, Seeds, Studio, both
from diffexplain.evaluation.described import exchanged
from diffexplain.evaluation.parts import SeeingSegmenter
from diffexplain.evaluation.settings import EvaluationSettings
from diffexplain.evaluation.sight import Sight, by_area, look
from diffexplain.evaluation.vocabulary import Kind, Phrase, Vocabulary

THINGS_DESCRIBED = 3
RESIDUE = 0.2
"""An element is gone when it holds less than this share of the replaced pixels that it had held."""
INTACT = 0.5
"""The target has come through an exchange of the setting when it holds at least this share of its pixels still."""


@dataclass(frozen=True)
class Edits:
    """The edits of one element in n images; arrays have one entry for each.

    ``took``: the element is gone without, and still there in the null edit; where a setting was exchanged, the
    target is as it was in both, and where a description was, it is seen in both. ``blurred`` is None for settings
    and descriptions.
    """

    indices: tuple[int, ...]
    masks: Tensor
    before: Tensor
    without: Tensor
    null: Tensor
    took: NDArray[np.bool_]
    read_before: Reading
    read_without: Reading
    read_null: Reading
    read_blurred: Reading | None


def joined(first: Edits, second: Edits) -> Edits:
    """The edits of both, in this order."""
    blurred = None
    if first.read_blurred is not None and second.read_blurred is not None:
        blurred = both(first.read_blurred, second.read_blurred)
    return Edits(
        indices=first.indices + second.indices,
        masks=torch.cat([first.masks, second.masks]),
        before=torch.cat([first.before, second.before]),
        without=torch.cat([first.without, second.without]),
        null=torch.cat([first.null, second.null]),
        took=np.concatenate([first.took, second.took]),
        read_before=both(first.read_before, second.read_before),
        read_without=both(first.read_without, second.read_without),
        read_null=both(first.read_null, second.read_null),
        read_blurred=blurred,
    )


class Remover:
    """Takes elements out of images.

    Args:
        target_phrase: the phrase of the class itself, whose pixels are left alone.
    """

    def __init__(
        self,
        studio: Studio,
        reader: Reader,
        segmenter: SeeingSegmenter,
        vocabulary: Vocabulary,
        settings: EvaluationSettings,
        target_phrase: str,
    ) -> None:
        self.studio = studio
        self.reader = reader
        self.segmenter = segmenter
        self.vocabulary = vocabulary
        self.settings = settings
        self.target_phrase = target_phrase

    def take_out(self, element: Phrase, images: Tensor, sight: Sight, which: slice, spare_target: bool) -> Edits | None:
        """Edit those images that show the element; None if there is nothing to edit.

        Args:
            images: (N, 3, H, W) in [0, 1], the images that ``sight`` was looked for in.
            which: of the images that show it, which to edit.
            spare_target: leave the target's own pixels as they are (not for a part of the target).
        """
        masks = {i: self._mask(element, sight, i, spare_target) for i in self._places(element, sight)}
        indices = [index for index, mask in masks.items() if mask.any()][which]
        if not indices:
            return None
        before = images[indices]
        mask = torch.stack([masks[index] for index in indices])
        things = [self._things(element, sight, index) for index in indices]
        without_things = [self._without(element, seen, index) for seen, index in zip(things, indices, strict=True)]
        describe = self.vocabulary.describe
        without = self.studio.inpaint(before, mask, [describe(seen) for seen in without_things], indices)
        null = self.studio.inpaint(before, mask, [describe(seen) for seen in things], indices)
        if element.kind == "description":
            took = self._exchanged(element, null, without, without_things)
        else:
            took = self._removed(element, sight, indices, mask, null, without)
        whole = element.kind in ("setting", "description")
        shown = f"an edit that takes out {element.text!r}"
        blurred = None if whole else self.reader.read(blur_fill(before, mask), shown)
        return Edits(
            indices=tuple(indices),
            masks=mask,
            before=before,
            without=without,
            null=null,
            took=took,
            read_before=self.reader.read(before, shown),
            read_without=self.reader.read(without, shown),
            read_null=self.reader.read(null, shown),
            read_blurred=blurred,
        )

    def _places(self, element: Phrase, sight: Sight) -> list[int]:
        """The images to edit. A setting is all that is not seen to be an object, so it is exchanged where the target
        is seen and can be left alone, if that is in enough images. A description is put into all.
        """
        if element.kind == "description":
            return list(range(sight.count))
        places = sight.showing(element.text)
        if element.kind != "setting":
            return places
        with_target = [index for index in places if sight.shows(index, self.target_phrase)]
        return with_target if len(with_target) >= self.settings.minimum_edits else places

    def _mask(self, element: Phrase, sight: Sight, index: int, spare_target: bool) -> Tensor:
        """(H, W) bool, the pixels to replace: the element's, for a setting all that is no object's, or all."""
        if element.kind == "description":
            return torch.ones(sight.size, dtype=torch.bool)
        if element.kind == "setting":
            objects = [phrase.text for phrase in self.vocabulary.of_kind("object")]
            kept = torch.zeros(sight.size, dtype=torch.bool)
            for phrase in objects:
                kept |= sight.region(index, phrase)
            # Twice as wide as around what is replaced: here an edge of the target itself would be lost.
            return ~dilate(kept, 2 * self.settings.dilation)
        region = sight.region(index, element.text)
        if element.of is not None:
            region = region | sight.region(index, element.of)
        mask = dilate(region, self.settings.dilation)
        return mask & ~sight.region(index, self.target_phrase) if spare_target else mask

    def _things(self, element: Phrase, sight: Sight, index: int) -> list[Phrase]:
        """What the image shows, the element among it: a few objects, by their kinds, and one setting.

        A description is of the target, and nothing else is said that the classifier may answer to.
        """
        if element.kind == "description":
            return [self._target, element]
        objects = [thing for thing in self._seen(sight, index, "object") if thing.text != element.of]
        # The element first, then the target: they are named even where there are many objects.
        objects.sort(key=lambda thing: (thing != element, thing.text != self.target_phrase))
        if element.kind == "attribute":
            objects.insert(0, element)
        described: list[Phrase] = []
        for thing in objects:
            # Where companions come along with one main object, there is one main object.
            second = not thing.companion and any(not other.companion for other in described)
            if len(described) < THINGS_DESCRIBED and not (second and self.vocabulary.has_companions):
                described.append(thing)
        # A striped flag is to be drawn again as a striped one.
        kinds = self._seen(sight, index, "attribute")
        named = [next((kind for kind in kinds if kind.of == thing.text), thing) for thing in described]
        setting = [element] if element.kind == "setting" else self._seen(sight, index, "setting")[:1]
        return named + setting

    def _seen(self, sight: Sight, index: int, kind: Kind) -> list[Phrase]:
        """The phrases of this kind that the image shows, largest first."""
        known = {phrase.text: phrase for phrase in self.vocabulary.of_kind(kind)}
        return [known[text] for text in by_area(sight, index, list(known))]

    def _without(self, element: Phrase, things: Sequence[Phrase], index: int) -> list[Phrase]:
        """The same things without the element, or with another of its kind in its place."""
        others = self.vocabulary.siblings(element)
        if not others:
            return [thing for thing in things if thing != element and thing.of != element.text]
        generator = self.studio.draws.generator(PURPOSE, Seeds.EXCHANGE, index)
        other = others[int(generator.integers(len(others)))]
        return [other if thing == element else thing for thing in things]

    def _removed(
        self,
        element: Phrase,
        sight: Sight,
        indices: Sequence[int],
        mask: Tensor,
        null: Tensor,
        without: Tensor,
    ) -> NDArray[np.bool_]:
        """Whether the element is gone from each image without it and still in the null edit, by the segmenter."""
        # Only where pixels were replaced: of a setting, a rim is left around every object.
        old = mask & torch.stack([sight.region(index, element.text) for index in indices])
        took = ~self._remains(without, element, old) & self._remains(null, element, old)
        if element.kind == "setting":
            target = torch.stack([sight.region(index, self.target_phrase) for index in indices])
            took &= self._intact(without, target) & self._intact(null, target)
        return took

    def _exchanged(
        self, element: Phrase, null: Tensor, without: Tensor, without_things: Sequence[Sequence[Phrase]]
    ) -> NDArray[np.bool_]:
        """The same of a description, by CLIP; and the target is seen in both, or the pair shows what hides it."""
        others = [things[-1] for things in without_things]
        size, device = self.settings.batch_size, self.reader.device
        took = exchanged(self.segmenter, null, without, self.vocabulary, self._target, element, others, size, device)
        for images in (null, without):
            sight = look(self.segmenter, images, [self.target_phrase], size, device)
            took &= np.asarray([sight.shows(index, self.target_phrase) for index in range(len(images))])
        return took

    @property
    def _target(self) -> Phrase:
        return self.vocabulary.find(self.target_phrase) or Phrase(self.target_phrase)

    def _intact(self, images: Tensor, target: Tensor) -> NDArray[np.bool_]:
        """Whether each image still shows the target where it was, ``target`` (N, H, W), if it was anywhere."""
        return np.asarray([now >= INTACT * was for now, was in self._held(images, self.target_phrase, target)])

    def _remains(self, images: Tensor, element: Phrase, old: Tensor) -> NDArray[np.bool_]:
        """Whether each image still shows the element, and no mere remnant of it, in its ``old`` place."""
        return np.asarray([now > 0 and now >= RESIDUE * was for now, was in self._held(images, element.text, old)])

    def _held(self, images: Tensor, phrase: str, old: Tensor) -> list[tuple[int, int]]:
        """How many pixels of its ``old`` place (N, H, W) the phrase holds in each image, and of how many."""
        sight = look(self.segmenter, images, [phrase], self.settings.batch_size, self.reader.device)
        return [(int((sight.region(index, phrase) & was).sum()), int(was.sum())) for index, was in enumerate(old)]


def dilate(mask: Tensor, share: float) -> Tensor:
    """A bool mask (H, W) grown on all sides by ``share`` of its longer side, rounded, at least one pixel."""
    radius = max(1, round(share * max(mask.shape)))
    grown = functional.max_pool2d(mask[None, None].float(), 2 * radius + 1, stride=1, padding=radius)
    return grown[0, 0] > 0


def blur_fill(images: Tensor, masks: Tensor, cells: int = 8) -> Tensor:
    """Images (N, 3, H, W) whose masked pixels (N, H, W) are a smooth continuation of those around them.

    The fill is made of pixels outside the mask only: a plain blur would leave the element's colour behind.
    """
    keep = (~masks).unsqueeze(1).float()
    total = keep.sum(dim=(-2, -1), keepdim=True).clamp(min=1)
    mean = (images * keep).sum(dim=(-2, -1), keepdim=True) / total
    weight = functional.adaptive_avg_pool2d(keep, cells)
    # A cell without a pixel outside the mask takes the image's mean.
    coarse = (functional.adaptive_avg_pool2d(images * keep, cells) + 1e-3 * mean) / (weight + 1e-3)
    smooth = functional.interpolate(coarse, images.shape[-2:], mode="bilinear", align_corners=False)
    return torch.where(masks.unsqueeze(1), smooth, images)
