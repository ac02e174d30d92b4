"""Attention roll-out (Abnar & Zuidema 2020, arXiv 2005.00928) for vision transformers."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from diffexplain.classifiers.classifier import Classifier
from diffexplain.errors import UserError
from diffexplain.target import ResolvedTarget
from experiments.attribution.attention import Attentions
from experiments.attribution.attribution import in_pieces
from experiments.attribution.spatial import to_pixels, token_grid


class AttentionRollout:
    """From which places the last tokens have got what they hold, by following the attention of all blocks.

    Every block is taken as ``(A + I) / 2``: A the mean of its heads' attention, I what passes by it. The product over
    the blocks is read at the class token, or averaged where there is none. It does not depend on the target.

    Args:
        classifier: a plain transformer: the same tokens in all blocks, the map's in a square.
        batch_size: images at once.
    """

    def __init__(self, classifier: Classifier, batch_size: int = 64) -> None:
        self.classifier = classifier
        self.batch_size = batch_size

    def maps(self, images: Tensor, target: ResolvedTarget) -> Tensor:
        """Images (N, 3, H, W) in [0, 1] to maps (N, H, W), not below 0.

        Raises:
            UserError: the network is no plain transformer.
        """
        return in_pieces(images, self.batch_size, self._attribute)

    @torch.no_grad()
    def _attribute(self, images: Tensor) -> Tensor:
        with Attentions() as seen:
            self.classifier(images)
        shapes = {tuple(attention.shape) for attention in seen.attentions}
        _, tokens, keys = next(iter(shapes)) if len(shapes) == 1 else (0, 0, 0)
        layout = token_grid(tokens)
        if layout is None or keys != tokens or shapes != {(len(images), tokens, tokens)}:
            raise UserError(
                f"{self.classifier.name} is no plain vision transformer: attention roll-out follows the same tokens, "
                "those of the map in a square, through torch's attention in all blocks."
            )
        product = rollout(seen.attentions)
        read = product[:, 0] if layout.extra else product.mean(dim=1)
        return to_pixels(self.classifier, images, read[:, layout.extra :].unflatten(1, (layout.height, layout.width)))


def rollout(attentions: Iterable[Tensor]) -> Tensor:
    """Attentions (N, T, T) of the blocks, first block first, to (N, T, T): the share of each last token that came
    from each first one. Rows sum to 1, as those of the attentions do.
    """
    product: Tensor | None = None
    for attention in attentions:
        step = (attention + torch.eye(attention.shape[-1], device=attention.device, dtype=attention.dtype)) / 2
        product = step if product is None else step @ product
    if product is None:
        raise ValueError("there is no attention to follow")
    return product
