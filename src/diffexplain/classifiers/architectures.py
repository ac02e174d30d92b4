"""Small image backbones: `small_cnn` and `small_vit`, built by name from plain arguments."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from diffexplain.errors import UserError


class ConvolutionBlock(nn.Module):
    """3x3 convolution, batch norm, ReLU: `(B, inputs, H, W) -> (B, outputs, H / stride, W / stride)`."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.activation = nn.ReLU()

    def forward(self, images: Tensor) -> Tensor:
        output: Tensor = self.activation(self.norm(self.convolution(images)))
        return output


class SmallCNN(nn.Module):
    """Convolution blocks with strides, mean over positions, one linear layer: `(B, 3, H, W) -> (B, classes)`.

    Args:
        classes: number of logits.
        widths: channels of each stage; every stage halves the side.
        blocks: blocks in each stage, the strided one included.
    """

    def __init__(
        self, classes: int, widths: tuple[int, ...] = (24, 48, 96), blocks: tuple[int, ...] = (1, 2, 2)
    ) -> None:
        super().__init__()
        stages = []
        inputs = 3
        for width, count in zip(widths, blocks, strict=True):
            stage = [ConvolutionBlock(inputs, width, stride=2)]
            stage += [ConvolutionBlock(width, width) for _ in range(count - 1)]
            stages.append(nn.Sequential(*stage))
            inputs = width
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(inputs, classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.stages(images).mean(dim=(2, 3)))
        return logits


class Attention(nn.Module):
    """Multi-head self-attention: `(B, T, width) -> (B, T, width)`."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.inputs = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.inputs(tokens).chunk(3, dim=-1)
        )
        mixed = functional.scaled_dot_product_attention(query, key, value)
        output: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return output


class TransformerBlock(nn.Module):
    """Pre-norm attention and two-layer perceptron, each with a residual: `(B, T, width) -> (B, T, width)`."""

    def __init__(self, width: int, heads: int, expansion: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.perceptron_norm = nn.LayerNorm(width)
        self.perceptron = nn.Sequential(
            nn.Linear(width, expansion * width), nn.GELU(), nn.Linear(expansion * width, width)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attention(self.attention_norm(tokens))
        output: Tensor = tokens + self.perceptron(self.perceptron_norm(tokens))
        return output


class SmallViT(nn.Module):
    """Transformer on 8x8-pixel tokens behind a convolution stem: `(B, 3, side, side) -> (B, classes)`.

    The stem (three strided convolutions) replaces the usual linear patch embedding: from a few ten thousand
    scenes, a plain one does not learn edges in the minutes that this world gives it.

    Args:
        classes: number of logits.
        side: height and width of the images, in pixels; a multiple of 8.
        width: length of a token.
        depth: number of transformer blocks.
        heads: attention heads in each block; divides `width`.
        expansion: width of the perceptrons over `width`.
    """

    def __init__(
        self,
        classes: int,
        side: int = 64,
        width: int = 96,
        depth: int = 4,
        heads: int = 4,
        expansion: int = 3,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            ConvolutionBlock(3, width // 4, stride=2),
            ConvolutionBlock(width // 4, width // 2, stride=2),
            nn.Conv2d(width // 2, width, 3, stride=2, padding=1),
        )
        self.position = nn.Parameter(torch.zeros(1, (side // 8) ** 2, width))
        nn.init.trunc_normal_(self.position, std=0.02)
        self.blocks = nn.Sequential(*(TransformerBlock(width, heads, expansion) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.stem(images).flatten(2).transpose(1, 2) + self.position
        logits: Tensor = self.head(self.norm(self.blocks(tokens)).mean(dim=1))
        return logits


ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {"small_cnn": SmallCNN, "small_vit": SmallViT}


def build_backbone(architecture: str, classes: int, arguments: dict[str, Any]) -> nn.Module:
    """A backbone with fresh weights, on torch's current default device.

    Raises:
        UserError: the architecture's name is unknown.
    """
    if architecture not in ARCHITECTURES:
        raise UserError(f"unknown architecture {architecture!r}", given=architecture, accepted=sorted(ARCHITECTURES))
    # JSON has lists where the constructors take tuples.
    plain = {name: tuple(value) if isinstance(value, list) else value for name, value in arguments.items()}
    return ARCHITECTURES[architecture](classes=classes, **plain)
