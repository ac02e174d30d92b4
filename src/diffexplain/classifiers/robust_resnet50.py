"""The ResNet-50 trained against attacks of L2 norm 3 (Engstrom et al. 2019), whose features Salient ImageNet labels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torchvision.models import resnet50

from diffexplain.classifiers.classifier import Classifier
from diffexplain.classifiers.labels import IMAGENET, find_labels
from diffexplain.classifiers.preprocessing import Preprocessing
from diffexplain.weights.files import beside, read_weights, shapes_of
from diffexplain.weights.store import Node, source_path

COMMAND = "diffexplain fetch classifier=robust_resnet50"


def load_robust_resnet50(
    *, weights: Sequence[Node], labels: str | Sequence[str] = IMAGENET, meta: bool = False
) -> Classifier:
    """Salient ImageNet's classifier; `unit:avgpool:<0 to 2047>` are the features that it labels.

    Args:
        weights: one source, the robustness library's pickle; what is read is the safetensors file that
            `diffexplain convert` has made of it, in the same folder.
        labels: as `diffexplain.classifiers.labels` reads them.
        meta: modules and shapes alone, on the meta device; no weights are read.

    Raises:
        UserError: a file is missing, the pickle is not converted yet, or the weights are another network's.
    """
    with torch.device("meta"):
        network = resnet50(weights=None)
    if not meta:
        (source,) = weights
        state = read_weights(beside(source_path(source, command=COMMAND)), shapes_of(network))
        network.load_state_dict(state, assign=True)
    with torch.device("meta" if meta else "cpu"):
        preprocessing = Preprocessing(256, 224)
    return Classifier(network, find_labels(labels, command=COMMAND), "robust_resnet50", preprocessing)
