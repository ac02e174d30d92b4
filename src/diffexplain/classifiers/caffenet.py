"""The BVLC reference CaffeNet (Jia et al. 2014): AlexNet on one device, with pooling before normalisation."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from diffexplain.classifiers.classifier import Classifier
from diffexplain.classifiers.labels import IMAGENET, find_labels
from diffexplain.classifiers.preprocessing import Preprocessing
from diffexplain.classifiers.protobuf_weights import read_caffemodel, read_onnx
from diffexplain.weights.files import check_shapes, shapes_of
from diffexplain.weights.store import Node, source_path

MEAN_BGR = (104.0, 117.0, 123.0)
"""Of ImageNet's training images, in 0 to 255."""

RESIZED, CROP = 256, 227
"""Sides in pixels: images are stretched to the first, and the middle is cut out of the second."""


COMMAND = "diffexplain fetch classifier=caffenet"


class CaffeNet(nn.Sequential):
    """Mean-free BGR images in 0 to 255 to logits: `(B, 3, 227, 227) -> (B, 1000)`.

    The modules have the names of Caffe's layers, so `unit:conv5:12` and `unit:fc6:100` are what they are in the
    literature; `conv5` is before its rectification, `relu5` after it. Dropout does nothing in eval mode and is left
    out; so is the softmax. Images of 224 pixels give maps of the same size from `pool1` on, since Caffe rounds the
    side of a pooled map up.
    """

    def __init__(self) -> None:
        super().__init__(
            OrderedDict(
                conv1=nn.Conv2d(3, 96, 11, stride=4),
                relu1=nn.ReLU(),
                pool1=_pooling(),
                norm1=_normalisation(),
                conv2=nn.Conv2d(96, 256, 5, padding=2, groups=2),
                relu2=nn.ReLU(),
                pool2=_pooling(),
                norm2=_normalisation(),
                conv3=nn.Conv2d(256, 384, 3, padding=1),
                relu3=nn.ReLU(),
                conv4=nn.Conv2d(384, 384, 3, padding=1, groups=2),
                relu4=nn.ReLU(),
                conv5=nn.Conv2d(384, 256, 3, padding=1, groups=2),
                relu5=nn.ReLU(),
                pool5=_pooling(),
                flatten=nn.Flatten(),
                fc6=nn.Linear(256 * 6 * 6, 4096),
                relu6=nn.ReLU(),
                fc7=nn.Linear(4096, 4096),
                relu7=nn.ReLU(),
                fc8=nn.Linear(4096, 1000),
            )
        )


LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")
"""Those with weights, in the order of the network."""


def _pooling() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)


def _normalisation() -> nn.LocalResponseNorm:
    # Caffe and torch alike divide alpha by the number of channels that are summed over.
    return nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)


class CaffePreprocessing(Preprocessing):
    """What Caffe's own tools do: RGB `(B, 3, H, W)` in [0, 1] to the network's `(B, 3, 227, 227)`; differentiable.

    The whole image is stretched to 256x256, its middle cut out, and the mean pixel subtracted from BGR values in 0
    to 255. The stretching is bilinear without a filter against aliasing, and nothing is rounded on the way: so Caffe's
    Python tools stretch, by skimage, in floating point. OpenCV, which made the data set, does the same on bytes and
    rounds once at the end, which is half a level at most.
    """

    def __init__(self) -> None:
        super().__init__(
            (RESIZED, RESIZED),
            CROP,
            antialias=False,
            mean=MEAN_BGR,
            std=(1, 1, 1),
            scale=255,
            channels="BGR",
            bytes_between=False,
            odd_surplus="down",
        )


def read_caffenet(path: Path) -> CaffeNet:
    """The network with the weights of ``bvlc_reference_caffenet.caffemodel`` or of the ONNX zoo's ``caffenet-12.onnx``.

    Raises:
        UserError: the file is neither, is cut off, or holds another network; the message names the file, what was
            expected and what was found.
    """
    weights = read_onnx(path, LAYERS) if path.suffix == ".onnx" else read_caffemodel(path)
    with torch.device("meta"):
        network = CaffeNet()
    check_shapes(path, {name: value.shape for name, value in weights.items()}, shapes_of(network))
    network.load_state_dict(weights, assign=True)
    return network


def load_caffenet(*, weights: Sequence[Node], labels: str | Sequence[str] = IMAGENET, meta: bool = False) -> Classifier:
    """The reference CaffeNet with the preprocessing of Caffe's tools.

    Args:
        weights: one source: the file `bvlc_reference_caffenet.caffemodel`, or a repository of which `files` names
            `caffenet-12.onnx`.
        labels, meta: as those of all loaders.

    Raises:
        UserError: the file is missing, damaged or another network's.
    """
    with torch.device("meta" if meta else "cpu"):
        preprocessing = CaffePreprocessing()
    if meta:
        with torch.device("meta"):
            network = CaffeNet()
    else:
        (source,) = weights
        found = source_path(source, command=COMMAND)
        network = read_caffenet(found if "url" in source else found / source["files"][0])
    return Classifier(network, find_labels(labels, command=COMMAND), "caffenet", preprocessing)
