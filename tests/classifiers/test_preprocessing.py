"""The differentiable preprocessing gives what the published pipelines of torchvision, timm and transformers give."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from tests.classifiers import photographs
from torch import Tensor, nn
from torchvision import models
from torchvision.transforms import InterpolationMode
from torchvision.transforms._presets import ImageClassification
from transformers import CLIPImageProcessor, ConvNextImageProcessor, ViTImageProcessor

from diffexplain.classifiers import Preprocessing, load_efficientnet_lite0
from diffexplain.classifiers.preprocessing import IMAGENET_MEAN, IMAGENET_STD, preprocessing_from
from diffexplain.classifiers.timm_models import _preprocessing
from diffexplain.classifiers.transformers_preprocessing import read_preprocessing
from diffexplain.config import configuration
from diffexplain.errors import UserError

LIMITS = {"bilinear": 2 / 255, "bicubic": 5 / 255}
"""Of the 99th percentile of pixel differences: what rounding to bytes, which cannot be differentiated, may cost."""

Pipeline = tuple[Preprocessing, Callable[[Image.Image], Tensor]]


def torchvision_pipeline(entry: Any) -> Pipeline:
    transforms = entry.transforms()
    ours = Preprocessing(
        transforms.resize_size,
        transforms.crop_size,
        interpolation=transforms.interpolation.value,
        mean=transforms.mean,
        std=transforms.std,
    )
    return ours, lambda picture: transforms(picture)


def timm_pipeline(**changes: Any) -> Pipeline:
    data = timm.data.resolve_data_config({}, pretrained_cfg=timm.get_pretrained_cfg("resnet50").to_dict() | changes)
    return _preprocessing(data), timm.data.create_transform(**data)


def transformers_pipeline(processor: Any, folder: Path) -> Pipeline:
    processor.save_pretrained(folder)
    return read_preprocessing(folder), lambda picture: processor(picture, return_tensors="pt")["pixel_values"][0]


PIPELINES: dict[str, Callable[[Path], Pipeline]] = {
    "torchvision alexnet": lambda _: torchvision_pipeline(models.AlexNet_Weights.DEFAULT),
    "torchvision resnet50": lambda _: torchvision_pipeline(models.ResNet50_Weights.DEFAULT),
    "torchvision vit, bicubic": lambda _: torchvision_pipeline(models.ViT_B_16_Weights.IMAGENET1K_SWAG_LINEAR_V1),
    "timm": lambda _: timm_pipeline(),
    "timm, odd surplus": lambda _: timm_pipeline(crop_pct=0.95, interpolation="bilinear"),
    "timm, squeezed": lambda _: timm_pipeline(crop_mode="squash", crop_pct=1.0),
    "transformers CLIP": lambda folder: transformers_pipeline(CLIPImageProcessor(), folder),
    "transformers CLIP, odd surplus": lambda folder: transformers_pipeline(
        CLIPImageProcessor(size={"shortest_edge": 231}), folder
    ),
    "transformers ViT": lambda folder: transformers_pipeline(ViTImageProcessor(), folder),
    "transformers ConvNeXt": lambda folder: transformers_pipeline(
        ConvNextImageProcessor(size={"shortest_edge": 224}, crop_pct=0.875), folder
    ),
    "transformers ConvNeXt, large": lambda folder: transformers_pipeline(ConvNextImageProcessor(), folder),
}


def difference(ours: Preprocessing, theirs: Callable[[Image.Image], Tensor], picture: Image.Image) -> float:
    """99th percentile of the difference of pixels, as brightness in 0 to 1."""
    values = ((ours(photographs.tensor(picture)) - theirs(picture)) * ours.std / ours.scale).abs()
    return float(np.quantile(values.numpy(), 0.99))


@pytest.fixture(params=sorted(PIPELINES))
def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> Pipeline:
    return PIPELINES[request.param](tmp_path)


@pytest.mark.parametrize("size", [(641, 427), (300, 521), (180, 150), (224, 224)])
def test_synthetic_pictures_become_what_the_published_pipeline_makes_of_them(
    pipeline: Pipeline, size: tuple[int, int]
) -> None:
    draws = np.random.default_rng(0)
    coarse = Image.fromarray(draws.integers(0, 256, (24, 24, 3), dtype=np.uint8))
    picture = coarse.resize(size, Image.Resampling.BICUBIC)
    assert difference(*pipeline, picture) <= LIMITS[pipeline[0].interpolation]


@photographs.needed
def test_enlarged_photographs_become_what_the_published_pipeline_makes_of_them(pipeline: Pipeline) -> None:
    pictures = photographs.photographs(every=10, enlarged=photographs.ENLARGED)
    largest = max(difference(*pipeline, picture) for _, picture in pictures)
    assert largest <= LIMITS[pipeline[0].interpolation]


@photographs.needed
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_a_network_answers_enlarged_photographs_as_after_the_published_pipeline(interpolation: str) -> None:
    classifier = load_efficientnet_lite0()
    classifier.preprocess.interpolation = interpolation
    published = ImageClassification(
        crop_size=224,
        resize_size=256,
        interpolation=InterpolationMode(interpolation),
        mean=(127 / 255,) * 3,
        std=(128 / 255,) * 3,
    )
    errors, agreed = [], []
    with torch.no_grad():
        for _, picture in photographs.photographs(every=5, enlarged=photographs.ENLARGED):
            expected = classifier.backbone(published(picture)[None])[0]
            found = classifier(photographs.tensor(picture))[0]
            errors.append(float((found - expected).abs().max() / (expected.max() - expected.min())))
            agreed.append(bool(found.argmax() == expected.argmax()))
    print(f"{interpolation}: largest logit error / range {max(errors):.4f}, same first choice {np.mean(agreed):.2f}")
    assert max(errors) <= 0.03
    assert np.mean(agreed) >= 0.99


def test_channels_scale_and_mean_as_caffe_has_them() -> None:
    caffe = Preprocessing((8, 8), 5, mean=(104, 117, 123), std=(1, 1, 1), scale=255, channels="BGR", antialias=False)
    images = torch.zeros(1, 3, 8, 8)
    images[:, 0] = 1  # Red alone.
    prepared = caffe(images)
    assert prepared.shape == (1, 3, 5, 5)
    assert prepared[0, :, 2, 2].tolist() == [-104, -117, 255 - 123]


def test_an_odd_surplus_is_cut_as_the_library_does() -> None:
    images = torch.arange(7.0).view(1, 1, 7, 1).expand(1, 3, 7, 7) / 6
    for odd_surplus, first in (("nearest", 2), ("down", 1)):  # round(1.5) and 1.
        cropped = Preprocessing((7, 7), 4, odd_surplus=odd_surplus).resized(images)
        assert cropped[0, 0, 0, 0] * 6 == pytest.approx(first)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_gradients_reach_images_of_any_size(interpolation: Any) -> None:
    preprocessing = Preprocessing(20, 16, interpolation=interpolation)
    for size in ((33, 50), (12, 10), (16, 16)):
        images = (0.25 + torch.rand(1, 3, *size) / 2).double().requires_grad_()
        weights = torch.rand(1, 3, 16, 16).double()
        preprocessing.double()
        (preprocessing(images) * weights).sum().backward()
        assert images.grad is not None and images.grad[..., size[0] // 2, size[1] // 2].abs().min() > 0


def test_rounding_changes_pictures_by_less_than_a_byte_and_gradients_not_at_all() -> None:
    images = torch.rand(1, 3, 33, 50)
    found = {}
    for bytes_between in (True, False):
        leaf = images.clone().requires_grad_()
        resized = Preprocessing(20, bytes_between=bytes_between).resized(leaf)
        (resized * torch.linspace(0, 1, resized.numel()).view_as(resized)).sum().backward()
        found[bytes_between] = resized.detach(), leaf.grad
    rounded, exact = found[True][0], found[False][0]
    assert 0 < (rounded - exact).abs().max() <= 1.01 / 255
    torch.testing.assert_close(rounded * 255, (rounded * 255).round())
    torch.testing.assert_close(found[True][1], found[False][1])


PICTURE = Image.fromarray(np.random.default_rng(3).integers(0, 256, (6, 9, 3), dtype=np.uint8)).resize((90, 70), 3)
"""Wider than high; smooth, and coloured differently in every corner."""


def by_pil(width: int, height: int, mode: str = "RGB", filter: int = Image.Resampling.BILINEAR) -> Tensor:
    """`PICTURE` resized by PIL, in 0 to 1: (channels, height, width)."""
    values = np.atleast_3d(np.asarray(PICTURE.resize((width, height), filter).convert(mode), dtype=np.float32))
    return torch.from_numpy(values).permute(2, 0, 1) / 255


def normalised(
    values: Tensor, mean: tuple[float, ...] = IMAGENET_MEAN, std: tuple[float, ...] = IMAGENET_STD
) -> Tensor:
    return (values - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


def without_antialias(height: int, width: int) -> Tensor:
    values = torch.from_numpy(np.array(PICTURE)).permute(2, 0, 1)[None] / 255
    return nn.functional.interpolate(values, (height, width), mode="bilinear", align_corners=False)[0]


NONE = ("mean=null", "std=null")
FORMS: dict[str, tuple[tuple[str, ...], Callable[[], Tensor]]] = {
    "nothing is said": ((), lambda: normalised(by_pil(288, 224)[:, :, 32:256])),
    "a size, and the crop follows": (("size=48",), lambda: normalised(by_pil(61, 48)[:, :, 6:54])),
    "height and width": (("size=[48,32]",), lambda: normalised(by_pil(32, 48))),
    "all is kept": (("size=48", "crop=null"), lambda: normalised(by_pil(61, 48))),
    "a smaller crop": (("size=48", "crop=40"), lambda: normalised(by_pil(61, 48)[:, 4:44, 10:50])),
    "a crop of two sides": (("size=48", "crop=[32,40]"), lambda: normalised(by_pil(61, 48)[:, 8:40, 10:50])),
    "an odd surplus": (("size=48", "odd_surplus=down"), lambda: normalised(by_pil(61, 48)[:, :, 6:54])),
    "as large as it is": (("size=null",), lambda: normalised(by_pil(90, 70))),
    "bicubic": (("size=[48,32]", "interpolation=bicubic"), lambda: normalised(by_pil(32, 48, filter=3))),
    "no antialias": (
        ("size=[48,32]", "antialias=false", "bytes_between=false"),
        lambda: normalised(without_antialias(48, 32)),
    ),
    "no normalisation": (("size=[48,32]", *NONE), lambda: by_pil(32, 48)),
    "a mean alone": (("size=[48,32]", "std=null"), lambda: normalised(by_pil(32, 48), std=(1.0, 1.0, 1.0))),
    "0 to 255": (("size=[48,32]", "scale=255", *NONE), lambda: 255 * by_pil(32, 48)),
    "0 to 255, normalised": (
        ("size=[48,32]", "scale=255", "mean=[123.7,116.3,103.5]", "std=[58.4,57.1,57.4]"),
        lambda: normalised(255 * by_pil(32, 48), (123.7, 116.3, 103.5), (58.4, 57.1, 57.4)),
    ),
    "-1 to 1": (
        ("size=[48,32]", "mean=[0.5,0.5,0.5]", "std=[0.5,0.5,0.5]"),
        lambda: 2 * by_pil(32, 48) - 1,
    ),
    "BGR": (
        ("size=[48,32]", "channels=BGR", "scale=255", "mean=[104,117,123]", "std=null"),
        lambda: 255 * by_pil(32, 48)[[2, 1, 0]] - torch.tensor([104.0, 117.0, 123.0])[:, None, None],
    ),
    "one channel": (
        ("size=[48,32]", "mean=[0.5]", "std=[0.25]"),
        lambda: (by_pil(32, 48, "L") - 0.5) / 0.25,
    ),
    "one channel, no normalisation": (("size=[48,32]", "channels=L", *NONE), lambda: by_pil(32, 48, "L")),
    "one channel in 0 to 255": (
        ("size=[48,32]", "scale=255", "mean=[33]", "std=[78]"),
        lambda: (255 * by_pil(32, 48, "L") - 33) / 78,
    ),
}
"""What is said on the command line, and the same change by PIL and torch."""


def as_said(*settings: str) -> Preprocessing:
    overrides = [f"classifier.preprocessing.{setting}" for setting in settings]
    config = configuration.compose(["classifier=checkpoint", *overrides])
    return preprocessing_from(config["classifier"]["preprocessing"])


@pytest.mark.parametrize("name", FORMS)
def test_what_is_said_on_the_command_line_is_what_the_network_is_given(name: str) -> None:
    settings, expected = FORMS[name]
    ours = as_said(*settings)
    found = ours(photographs.tensor(PICTURE))[0]
    wanted = expected()
    assert found.shape == wanted.shape
    # In brightness: two roundings to bytes, in another order for the weights of a resize.
    difference = ((found - wanted) * ours.std[0]).abs() / ours.scale
    assert float(difference.max()) <= 2.5 / 255 and float(difference.mean()) <= 0.5 / 255


def test_brightness_is_pils_to_the_byte() -> None:
    ours = as_said("size=null", "channels=L", "scale=255", *NONE)
    found = ours(photographs.tensor(PICTURE))[0, 0]
    difference = (found - torch.from_numpy(np.array(PICTURE.convert("L"), dtype=np.float32))).abs()
    assert float(difference.max()) <= 1.001 and float((difference > 0.001).float().mean()) < 0.01


def test_gradients_pass_to_every_colour_by_its_brightness() -> None:
    images = torch.rand(1, 3, 8, 8, requires_grad=True)
    as_said("size=null", "channels=L", *NONE)(images).sum().backward()
    assert images.grad is not None
    torch.testing.assert_close(images.grad[0, :, 0, 0], torch.tensor([0.299, 0.587, 0.114]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("size=64", "crop=224"), "black frame"),
        (("size=[64,48]", "crop=64"), "black frame"),
        (("size=null", "crop=64"), "needs a size"),
        (("size=0",), "size must be at least 1"),
        (("size=[64,64,3]",), "number of pixels"),
        (("interpolation=lanczos",), "no such interpolation"),
        (("channels=GBR",), "no such channels"),
        (("odd_surplus=up",), "no such odd_surplus"),
        (("mean=[0.5,0.5]",), "3 numbers"),
        (("channels=L",), "one number"),
        (("channels=RGB", "mean=[0.5]", "std=[0.5]"), "3 numbers"),
        (("mean=[0.5]",), "one number"),
        (("mean=[a,b,c]",), "3 numbers"),
        (("std=[0,1,1]",), "above 0"),
        (("scale=0",), "above 0"),
        (("scale=255",), "in the unit of scale"),
        (("mean=[123.7,116.3,103.5]", "std=[58.4,57.1,57.4]"), "scale=255"),
    ],
)
def test_what_cannot_be_meant_is_refused(settings: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        as_said(*settings)


@pytest.mark.parametrize("wrong", ["size=large", "sizes=3", "mean=0.5", "crop=1.5"])
def test_what_is_no_value_of_a_key_is_refused_as_anywhere(wrong: str) -> None:
    with pytest.raises(UserError):
        as_said(wrong)


def test_an_unknown_key_names_those_that_there_are() -> None:
    with pytest.raises(UserError) as caught:
        preprocessing_from({"size": 64, "croop": 64})
    assert caught.value.nearest[0] == "classifier.preprocessing.crop"


def test_published_preprocessing_that_frames_with_black_is_refused_as_such(tmp_path: Path) -> None:
    framing = timm.data.resolve_data_config({}, pretrained_cfg=timm.get_pretrained_cfg("volo_d4_448").to_dict())
    with pytest.raises(UserError, match="timm's own preprocessing of this model frames pictures with black"):
        _preprocessing(framing)
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=48).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="frames pictures with black"):
        read_preprocessing(tmp_path)


def test_a_processor_with_habits_of_its_own_is_refused(tmp_path: Path) -> None:
    from transformers import EfficientNetImageProcessor

    EfficientNetImageProcessor(rescale_offset=True, rescale_factor=1 / 127.5).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="not supported"):
        read_preprocessing(tmp_path)


def test_preprocessing_has_nothing_to_learn_or_to_save() -> None:
    preprocessing: nn.Module = Preprocessing(8)
    assert not list(preprocessing.parameters())
    assert not preprocessing.state_dict()
