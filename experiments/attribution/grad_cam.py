"""Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391) by captum, for maps of any layout."""

from __future__ import annotations

from typing import Any

from captum.attr import LayerGradCam
from torch import Tensor, nn

from diffexplain.classifiers.classifier import Classifier
from diffexplain.target import ResolvedTarget
from experiments.attribution.attribution import in_pieces, response
from experiments.attribution.spatial import Layout, check_spatial_module, last_spatial_module, to_pixels


class GradCAM:
    """The channels of a module's map, each weighted with its mean gradient, summed; what is below 0 is cut off.

    Args:
        classifier: what is explained.
        module: path inside the backbone; by default the last one that has a map over the image. In a plain
            transformer that is the normalisation before the last attention, as is usual there: see `spatial_modules`.
        batch_size: images at once.
    """

    def __init__(self, classifier: Classifier, module: str | None = None, batch_size: int = 64) -> None:
        self.classifier = classifier
        self.batch_size = batch_size
        self._given = module
        self._modules: dict[str, str] = {}

    def module(self, target: ResolvedTarget) -> str:
        """Path of the module whose map is read.

        Raises:
            UserError: the given one has no map over the image, or none has.
        """
        if target.text not in self._modules:
            answer = response(self.classifier, target)
            if self._given is not None:
                check_spatial_module(self.classifier, answer, self._given)
            self._modules[target.text] = self._given or last_spatial_module(self.classifier, answer)
        return self._modules[target.text]

    def maps(self, images: Tensor, target: ResolvedTarget) -> Tensor:
        """Images (N, 3, H, W) in [0, 1] to maps (N, H, W), not below 0.

        Raises:
            UserError: see `module`.
        """
        module = self.classifier.backbone.get_submodule(self.module(target))
        tap = nn.Identity()  # captum reads (N, C, h, w) alone: here it sees the module's output as such

        def through_tap(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
            layout = Layout.of(module, output, len(output))
            assert layout is not None
            return layout.from_map(tap(layout.to_map(output)), output)

        method = LayerGradCam(response(self.classifier, target), tap)

        def attribute(piece: Tensor) -> Tensor:
            grids: Tensor = method.attribute(piece, relu_attributions=True)
            return to_pixels(self.classifier, piece, grids[:, 0].detach())

        handle = module.register_forward_hook(through_tap)
        try:
            return in_pieces(images, self.batch_size, attribute)
        finally:
            handle.remove()
