"""Concepts from a vision-language model, wherever it runs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from diffexplain.concepts.hierarchy import Hierarchy
from diffexplain.concepts.merging import Similarity
from diffexplain.concepts.proposer import required_subject
from diffexplain.config.instantiate import build
from diffexplain.errors import UserError
from diffexplain.target import ResolvedTarget
from diffexplain.weights.paths import resolve_folder

if TYPE_CHECKING:
    from torch import Tensor

MOST_IMAGES = 32
"""Shown at most, as in DiffEx's released settings."""


class ModelProposer:
    """Shows a model images of the domain, asks it for categories of concepts, and then for sub-types.

    Args:
        respondent: the part that answers, as ``_target_`` with its keys: `Endpoint` or `LocalModel`.
        domain: the phrase of what the images show; empty: the target's class.
        images: shown at most, 0 to 32.
        image_side: longest side of a shown image, in pixels.
        categories: asked for at most.
        concepts: asked for at most, of each category.
        subtypes: asked for at most, of each concept; 0: none.
        clip: folder of a CLIP in transformers' format that tells synonyms; None: only what is spelled alike is merged.
        same_above: cosine of two texts from which on they are the same.
        plugins: the run's.

    Raises:
        UserError: one of them cannot be used.
    """

    def __init__(
        self,
        respondent: Mapping[str, Any],
        domain: str = "",
        images: int = MOST_IMAGES,
        image_side: int = 512,
        categories: int = 12,
        concepts: int = 8,
        subtypes: int = 5,
        clip: str | None = None,
        same_above: float = 0.95,
        plugins: Sequence[str] = (),
    ) -> None:
        from diffexplain.concepts.elicitation import Extent

        if not 0 <= images <= MOST_IMAGES or image_side < 1:
            message = f"A model is shown 0 to {MOST_IMAGES} images of at least one pixel."
            raise UserError(message, given=f"images {images}, image_side {image_side}")
        self.respondent = build(respondent, plugins=plugins, where="concepts.respondent")
        self.domain = domain
        self.images = images
        self.image_side = image_side
        self.extent = Extent(categories, concepts, subtypes)
        self.clip = None if clip is None else resolve_folder(clip)
        self.same_above = same_above

    def propose(self, images: Tensor | None, target: ResolvedTarget) -> Hierarchy:
        """What the model proposes; a line on standard error says what it took. See `Proposer`."""
        from diffexplain.concepts.elicitation import elicit
        from diffexplain.concepts.pictures import pictures

        subject = required_subject(self.domain, target)
        shown = pictures(images, self.images, self.image_side)
        similarity = self._similarity()
        try:
            roots = elicit(self.respondent, subject, shown, self.extent, similarity, self.same_above)
        finally:
            line = self.respondent.close()
            if line:
                print(f"concepts: {line}", file=sys.stderr, flush=True)
        return Hierarchy(self.domain, roots)

    def _similarity(self) -> Similarity | None:
        if self.clip is None:
            return None
        from diffexplain.concepts.matching import Clip

        return Clip.load(self.clip).alike
