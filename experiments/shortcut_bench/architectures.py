"""Two architectures that nothing else here uses: a residual network with group norms, and an MLP-Mixer.

Importing this module makes them known to `load_classifier`, by the names `group_norm_resnet` and `mixer`. They are
plugins, too: `plugins=[experiments] classifier.network=experiments.shortcut_bench.architectures.Mixer`.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from diffexplain.classifiers.architectures import ARCHITECTURES, ConvolutionBlock

GROUPS = 8
PATCH = 8
"""Side of a token, in pixels."""


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with group norms beside a shortcut: `(B, inputs, H, W) -> (B, outputs, H / stride, ...)`.

    The shortcut is a 1x1 convolution where shapes differ (He et al. 2016, arXiv 1512.03385; Wu and He 2018,
    arXiv 1803.08494).
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.first_norm = nn.GroupNorm(GROUPS, outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.second_norm = nn.GroupNorm(GROUPS, outputs)
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        inner = functional.relu(self.first_norm(self.first(images)))
        output: Tensor = functional.relu(self.second_norm(self.second(inner)) + self.shortcut(images))
        return output


class GroupNormResNet(nn.Module):
    """A strided convolution, residual blocks, mean over positions, one linear layer: `(B, 3, H, W) -> (B, classes)`.

    Args:
        classes: number of logits.
        widths: channels of each block, multiples of 8; every block but the first halves the side.
    """

    def __init__(self, classes: int, widths: tuple[int, ...] = (24, 48, 96)) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0], 3, stride=2, padding=1, bias=False), nn.GroupNorm(GROUPS, widths[0]), nn.ReLU()
        )
        inputs = (widths[0], *widths[:-1])
        strides = (1, *[2] * (len(widths) - 1))
        self.blocks = nn.Sequential(*map(ResidualBlock, inputs, widths, strides))
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.blocks(self.stem(images)).mean(dim=(2, 3)))
        return logits


class MixerBlock(nn.Module):
    """A perceptron over tokens, then one over channels, each with a residual: `(B, T, width) -> (B, T, width)`."""

    def __init__(self, tokens: int, width: int, expansion: int) -> None:
        super().__init__()
        self.tokens_norm = nn.LayerNorm(width)
        self.tokens = nn.Sequential(nn.Linear(tokens, tokens), nn.GELU(), nn.Linear(tokens, tokens))
        self.channels_norm = nn.LayerNorm(width)
        self.channels = nn.Sequential(
            nn.Linear(width, expansion * width), nn.GELU(), nn.Linear(expansion * width, width)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.tokens(self.tokens_norm(tokens).mT).mT
        output: Tensor = tokens + self.channels(self.channels_norm(tokens))
        return output


class Mixer(nn.Module):
    """MLP-Mixer (Tolstikhin et al. 2021, arXiv 2105.01601): `(B, 3, side, side) -> (B, classes)`.

    Tokens come from the same convolutions as those of `SmallViT`, for the same reason.

    Args:
        classes: number of logits.
        side: height and width of the images, in pixels; a multiple of 8.
        width: length of a token, a multiple of 4.
        depth: number of blocks.
        expansion: width of the perceptrons over channels, over `width`.
    """

    def __init__(self, classes: int, side: int = 64, width: int = 64, depth: int = 4, expansion: int = 2) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            ConvolutionBlock(3, width // 4, stride=2),
            ConvolutionBlock(width // 4, width // 2, stride=2),
            nn.Conv2d(width // 2, width, 3, stride=2, padding=1),
        )
        tokens = (side // PATCH) ** 2
        self.blocks = nn.Sequential(*(MixerBlock(tokens, width, expansion) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.stem(images).flatten(2).transpose(1, 2)
        logits: Tensor = self.head(self.norm(self.blocks(tokens)).mean(dim=1))
        return logits


ARCHITECTURES.update(group_norm_resnet=GroupNormResNet, mixer=Mixer)
