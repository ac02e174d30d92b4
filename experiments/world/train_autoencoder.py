"""The autoencoder of the embedded prior: 64x64 pictures to 16x16x16 latents and back.

The encoder is not trained but written down: its convolutions rearrange each 4x4 patch into 48 numbers and keep
their 16 first principal components. So the latents stand still from the start, and the prior can be trained
while the decoder, which is trained in the ordinary way, still learns. A linear code of 16 numbers alone holds
31 dB; at f=4 a trained encoder of 4 channels was at 19 dB after the same first three minutes.
"""

from __future__ import annotations

import argparse
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn

from diffexplain.world.sampler import World
from experiments.world.common import WEIGHTS, Training, arguments, held_out, model_card, pictures, scenes, tidy

FOLDER = WEIGHTS / "prior" / "vae"
COMPONENTS = 16
CHANNELS = (16, 24, 64)
GROUPS = 8
WHITENING = 0.5
"""0 keeps the components' own variances, 1 makes them equal; between, detail counts without drowning the rest."""
LATENT_NOISE = 0.05
"""The decoder learns to bear what a denoiser leaves; latents have unit deviation on average."""
_CONSTANT, _OFFSET = 200.0, 32.0


def build() -> AutoencoderKL:
    model = AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=CHANNELS,
        layers_per_block=1,
        latent_channels=COMPONENTS,
        norm_num_groups=GROUPS,
        sample_size=64,
        mid_block_add_attention=False,
        use_quant_conv=False,
        use_post_quant_conv=False,
        scaling_factor=1.0,
    )
    for module in model.modules():
        if isinstance(module, ResnetBlock2D):  # a residual block starts as the identity
            nn.init.zeros_(module.conv2.weight)
            nn.init.zeros_(module.conv2.bias)
    return model


@lru_cache(maxsize=1)
def principal_components(count: int = 3000) -> tuple[Tensor, Tensor]:
    """Matrix (16, 48) and mean (48,) of 4x4 patches with values in [-1, 1], ordered (row, column, channel)."""
    images = (pictures(World().sample(count, 17), list(range(count))) * 2 - 1).permute(0, 2, 3, 1).numpy()
    patches = images.reshape(-1, 16, 4, 16, 4, 3).transpose(0, 1, 3, 2, 4, 5).reshape(-1, 48)
    mean = patches.mean(0)
    values, vectors = np.linalg.eigh(np.cov((patches - mean).T))
    values, vectors = values[::-1][:COMPONENTS], vectors[:, ::-1][:, :COMPONENTS]
    matrix = (vectors / values ** (WHITENING / 2)).T
    # A component's sign is the library's whim: here its largest entry is positive.
    matrix *= np.sign(matrix[np.arange(COMPONENTS), np.abs(matrix).argmax(1)])[:, None]
    scale = np.sqrt((values ** (1 - WHITENING)).mean())  # root mean square of the components
    return torch.from_numpy(matrix / scale).float(), torch.from_numpy(mean).float()


@torch.no_grad()
def write_encoder(model: AutoencoderKL) -> None:
    """Set the encoder's weights so that it computes the components: space to depth twice, then the matrix."""
    matrix, mean = principal_components()
    encoder = model.encoder
    _identity(encoder.conv_in, 3)
    first = encoder.down_blocks[0].downsamplers[0].conv
    first.weight.zero_()
    first.bias.zero_()
    for row in range(2):
        for column in range(2):
            for channel in range(3):
                first.weight[(row * 2 + column) * 3 + channel, channel, row, column] = 1
    _identity(encoder.down_blocks[1].resnets[0].conv_shortcut, 12)
    second = encoder.down_blocks[1].downsamplers[0].conv
    second.weight.zero_()
    second.bias.zero_()
    weights = matrix.view(COMPONENTS, 2, 2, 2, 2, 3)  # component, outer row, inner row, outer column, inner column
    for row in range(2):
        for column in range(2):
            inner = weights[:, row, :, column, :, :].reshape(COMPONENTS, 12)
            second.weight[:COMPONENTS, :12, row, column] = inner
    second.bias[:COMPONENTS] = -(matrix @ mean)
    # The last normalisation would take away each picture's own level. Two constants in every group are so large
    # that mean and deviation are theirs; and far from zero SiLU is the identity.
    width, per_group = CHANNELS[-1] // GROUPS, COMPONENTS // GROUPS
    spread = encoder.down_blocks[2].resnets[0].conv_shortcut
    spread.weight.zero_()
    spread.bias.zero_()
    encoder.conv_norm_out.weight.fill_(float(np.sqrt(2 * _CONSTANT**2 / width)))
    encoder.conv_norm_out.bias.fill_(_OFFSET)
    encoder.conv_out.weight.zero_()
    encoder.conv_out.bias.zero_()
    for component in range(COMPONENTS):
        place = component // per_group * width + component % per_group
        spread.weight[place, component] = 1
        spread.weight[place + per_group, component] = -1  # its mirror image, so that the group's mean stays 0
        encoder.conv_out.weight[component, place, 1, 1] = 1
        encoder.conv_out.bias[component] = -_OFFSET
        encoder.conv_out.bias[COMPONENTS + component] = -14.0  # log variance: the posterior is a point
    for group in range(GROUPS):
        spread.bias[group * width + 2 * per_group] = _CONSTANT
        spread.bias[group * width + 2 * per_group + 1] = -_CONSTANT


@torch.no_grad()
def read_encoder(model: AutoencoderKL) -> tuple[Tensor, Tensor]:
    """Matrix and mean that are written in an encoder: the prior's latents are the shipped autoencoder's own."""
    second = model.encoder.down_blocks[1].downsamplers[0].conv
    matrix = torch.zeros(COMPONENTS, 2, 2, 2, 2, 3)
    for row in range(2):
        for column in range(2):
            matrix[:, row, :, column] = second.weight[:COMPONENTS, :12, row, column].view(COMPONENTS, 2, 2, 3)
    flat = matrix.view(COMPONENTS, 48)
    return flat, -torch.linalg.pinv(flat) @ second.bias[:COMPONENTS]


def _identity(convolution: nn.Conv2d, count: int) -> None:
    middle = convolution.kernel_size[0] // 2
    convolution.weight.zero_()
    convolution.bias.zero_()  # type: ignore[union-attr]
    for channel in range(count):
        convolution.weight[channel, channel, middle, middle] = 1


def linear_latents(images: Tensor, matrix: Tensor, mean: Tensor) -> Tensor:
    """What the encoder computes, in one matrix product: (count, 3, 64, 64) in [-1, 1] to (count, 16, 16, 16)."""
    patches = F.unfold(images, 4, stride=4).view(len(images), 3, 16, 256).permute(0, 3, 2, 1).flatten(2)
    return ((patches - mean) @ matrix.T).transpose(1, 2).reshape(len(images), COMPONENTS, 16, 16)


def psnr(model: AutoencoderKL, count: int = 256) -> float:
    """Decibels of the mean-squared error over held-out scenes, values in [0, 1]."""
    batch, seeds = held_out(count)
    images = pictures(batch, seeds, str(model.device))
    with torch.no_grad():
        errors = [
            (model.decode(model.encode(part * 2 - 1).latent_dist.mode()).sample.clamp(-1, 1) / 2 + 0.5 - part)
            .square().mean()
            for part in images.split(64)
        ]  # fmt: skip
    return float(-10 * torch.stack(errors).mean().log10())


def main(options: argparse.Namespace) -> None:
    world = World()
    model = build()
    if options.go_on:
        model.load_state_dict(AutoencoderKL.from_pretrained(FOLDER).float().state_dict())
    else:
        write_encoder(model)
    model.encoder.requires_grad_(False)
    model.to(options.device, memory_format=torch.channels_last)
    matrix, mean = read_encoder(model)
    batch, seeds = held_out(64)
    images = pictures(batch, seeds) * 2 - 1
    exact = linear_latents(images, matrix, mean)
    with torch.no_grad():
        difference = (model.cpu().encode(images).latent_dist.mode() - exact).abs().max()
    print(f"encoder against the matrix: {float(difference):.4f}; deviation {float(exact.std()):.3f}", flush=True)
    matrix, mean = matrix.to(options.device), mean.to(options.device)
    model.to(options.device)

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        batch, seeds = scenes(world, options.batch, options.seed, step)
        images = pictures(batch, seeds, options.device) * 2 - 1
        latents = linear_latents(images, matrix, mean)
        decoded = model.decode(latents + LATENT_NOISE * torch.randn_like(latents)).sample
        error = F.mse_loss(decoded, images)
        total = error + 0.2 * F.l1_loss(decoded, images)
        return total, {"psnr": float(-10 * (error.detach() / 4).log10())}

    training = Training("autoencoder", model, options, average=0.998)

    def save() -> None:
        """The averaged weights as they stand, so that other recipes can go on."""
        copy = build()
        copy.load_state_dict(model.state_dict())
        with torch.no_grad():
            for name, parameter in copy.named_parameters():
                if name in training.mean:
                    parameter.copy_(training.mean[name])
        reached = psnr(copy.eval())
        print("held-out PSNR", reached, flush=True)
        copy.half().save_pretrained(FOLDER)
        tidy(FOLDER)
        about = "`AutoencoderKL` of the embedded prior, made by `experiments/world/train_autoencoder.py`."
        facts = {"PSNR on 256 held-out scenes": f"{reached:.2f} dB"}
        model_card(FOLDER, "Autoencoder", options, training.seconds, about, **facts)

    save()
    training.run(loss, every=250, inspect=save)
    save()


if __name__ == "__main__":
    main(arguments(__doc__ or "", decoder=(4500, 4, 2e-3)))
