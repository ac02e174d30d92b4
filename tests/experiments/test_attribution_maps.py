"""Attribution maps of classifiers whose reasons are known."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import timm.models.vision_transformer
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional
from transformers import ViTConfig, ViTForImageClassification

from diffexplain.classifiers import Classifier, Preprocessing, load_classifier
from diffexplain.classifiers.architectures import SmallCNN, SmallViT
from diffexplain.errors import UserError
from diffexplain.target import Label, Labels, ResolvedTarget, Target
from diffexplain.world.held_out import renderings, scenes_and_seeds
from experiments.attribution import AttentionRollout, Attribution, GradCAM, IntegratedGradients, SmoothGrad
from experiments.attribution.rollout import rollout

SIDE = 8
PATCH = (slice(2, 4), slice(5, 7))
LABELS = Labels("pair", (Label(0, "bee"), Label(1, "yawl")))
BEE, YAWL = (Target.parse(f"class:{name}").resolve(LABELS) for name in LABELS.names)


def classifier(backbone: nn.Module, size: int = SIDE, crop: int | None = None) -> Classifier:
    preprocessing = Preprocessing((size, size), crop, mean=(0, 0, 0), std=(1, 1, 1), bytes_between=False)
    return Classifier(backbone, LABELS, "toy", preprocessing)


def images(count: int = 3, side: int = SIDE) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1))


class PatchReader(nn.Module):
    """Answers to the red of one patch: its sum of squares for the first class, its sum for the second."""

    def forward(self, inputs: Tensor) -> Tensor:
        red = inputs[:, 0, *PATCH].flatten(1)
        return torch.stack([(red**2).sum(dim=1), -3 * red.sum(dim=1)], dim=1)


class RedAndGreen(nn.Module):
    """Keeps the colours as its channels; the logits are mean red, and mean green less mean red."""

    def __init__(self) -> None:
        super().__init__()
        self.colours = nn.Conv2d(3, 3, 1, bias=False)
        self.colours.weight.data = torch.eye(3).view(3, 3, 1, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        red, green, _ = self.colours(inputs).mean(dim=(2, 3)).unbind(dim=1)
        return torch.stack([red, green - red], dim=1)


def outside(maps: Tensor) -> Tensor:
    rest = maps.clone()
    rest[:, *PATCH] = 0
    return rest


def test_integrated_gradients_share_out_the_difference_from_a_black_image() -> None:
    toy, pictures = classifier(PatchReader()), images()
    method = IntegratedGradients(toy, steps=4)
    contributions = method.contributions(pictures, BEE)
    expected = toy(pictures)[:, 0] - toy(torch.zeros_like(pictures))[:, 0]
    torch.testing.assert_close(contributions.sum(dim=(1, 2, 3)), expected)
    torch.testing.assert_close(method.maps(pictures, BEE)[:, *PATCH], pictures[:, 0, *PATCH] ** 2)
    assert not outside(method.maps(pictures, BEE)).any()
    # What speaks against a class has no place in its map.
    assert method.contributions(pictures, YAWL).sum() < 0
    assert not method.maps(pictures, YAWL).any()


def test_smooth_grad_is_the_size_of_the_gradient_and_leaves_the_random_state_alone() -> None:
    method, pictures = SmoothGrad(classifier(PatchReader()), samples=4), images()
    state = torch.get_rng_state()
    maps = method.maps(pictures, YAWL)
    assert torch.equal(torch.get_rng_state(), state)
    torch.testing.assert_close(maps[:, *PATCH], torch.full((3, 2, 2), 3.0))
    assert not outside(maps).any()
    of_squares = method.maps(pictures, BEE)
    assert torch.equal(of_squares, method.maps(pictures, BEE))
    assert not torch.equal(of_squares, SmoothGrad(method.classifier, samples=4, seed=1).maps(pictures, BEE))


def test_grad_cam_weighs_channels_with_their_mean_gradient() -> None:
    toy, pictures = classifier(RedAndGreen()), images()
    red, green, _ = pictures.unbind(dim=1)
    torch.testing.assert_close(GradCAM(toy).maps(pictures, BEE), red / SIDE**2)
    torch.testing.assert_close(GradCAM(toy, batch_size=2).maps(pictures, YAWL), (green - red).clamp(min=0) / SIDE**2)
    unit = Target.parse("unit:colours:1").resolve(LABELS)
    torch.testing.assert_close(GradCAM(toy, module="colours").maps(pictures, unit), green / SIDE**2)


def test_what_preprocessing_cuts_off_gets_nothing() -> None:
    toy, pictures = classifier(RedAndGreen(), size=SIDE, crop=4), images(side=2 * SIDE)
    maps = GradCAM(toy).maps(pictures, BEE)
    assert maps.shape == (3, 16, 16)
    # 16 pixels become 8, of which the middle 4 are kept: pixels 4 to 11, and those whose weight they share.
    assert (maps[:, 4:12, 4:12] > 0).all()
    assert not maps[:, :3].any()
    assert not maps[:, :, 13:].any()


def test_grad_cam_finds_the_last_map_that_the_answer_depends_on() -> None:
    torch.manual_seed(0)
    found: dict[str, nn.Module] = {
        "stages": SmallCNN(2, (4, 6), (1, 1)),
        "blocks.1.attention_norm": small_vit(),
        "layer4": torchvision.models.resnet18(num_classes=2),
        "permute": swin(),
        "encoder.layers.encoder_layer_1.ln_1": torchvision_vit(),
        "blocks.1.norm1": timm_vit(),
        "vit.layers.1.layernorm_before": hugging_face_vit(),
    }
    for path, backbone in found.items():
        for head in (module for module in backbone.modules() if isinstance(module, nn.Linear)):
            nn.init.normal_(head.weight, std=0.2)  # the libraries begin with heads of nothing
        toy = classifier(backbone, 64)
        assert GradCAM(toy).module(BEE) == path
        maps = GradCAM(toy).maps(images(side=40), BEE)
        assert maps.shape == (3, 40, 40)
        assert maps.isfinite().all() and (maps >= 0).all()


def small_vit() -> nn.Module:
    return SmallViT(2, 64, 8, 2, 2)


def torchvision_vit() -> nn.Module:
    return torchvision.models.VisionTransformer(64, 8, 2, 2, 8, 8, num_classes=2)


def timm_vit() -> nn.Module:
    return timm.models.vision_transformer.VisionTransformer(64, 8, embed_dim=8, depth=2, num_heads=2, num_classes=2)


def swin() -> nn.Module:
    return torchvision.models.SwinTransformer([4, 4], 8, [1, 1], [1, 1], [2, 2], num_classes=2)


def hugging_face_vit() -> nn.Module:
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8}
    return ViTForImageClassification(ViTConfig(**sizes, image_size=64, patch_size=8))


def test_channels_may_come_last() -> None:
    torch.manual_seed(0)
    toy, pictures = classifier(swin(), 32), images(side=32)
    first, last = GradCAM(toy, "permute").maps(pictures, BEE), GradCAM(toy, "norm").maps(pictures, BEE)
    assert first.any()
    torch.testing.assert_close(first, last)


def test_without_a_map_grad_cam_says_what_it_needs() -> None:
    toy = classifier(nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE**2, 2)))
    with pytest.raises(UserError, match="no module whose output is a map"):
        GradCAM(toy).maps(images(), BEE)
    with pytest.raises(UserError) as caught:
        GradCAM(classifier(RedAndGreen()), module="colour").maps(images(), BEE)
    assert caught.value.nearest == ["colours"]


class Looker(nn.Module):
    """Four places of 4 x 4 pixels behind a class token; in both blocks every token looks at one place alone."""

    def __init__(self, place: int) -> None:
        super().__init__()
        self.place = place

    def forward(self, inputs: Tensor) -> Tensor:
        tokens = functional.adaptive_avg_pool2d(inputs, 2).flatten(2).transpose(1, 2)
        tokens = torch.cat([torch.zeros_like(tokens[:, :1]), tokens], dim=1)[:, None]
        seen = torch.zeros(5, 5, dtype=torch.bool)
        seen[:, 1 + self.place] = True
        for _ in range(2):
            tokens = tokens + functional.scaled_dot_product_attention(tokens, tokens, tokens, attn_mask=seen)
        return tokens[:, 0, 0, :2]


def test_roll_out_follows_attention_to_the_place_that_is_looked_at() -> None:
    maps = AttentionRollout(classifier(Looker(place=1))).maps(images(), BEE)
    corner = maps[:, :2, 6:]
    # Of the class token a quarter passes by both blocks; the rest comes from the place, top right.
    torch.testing.assert_close(corner, torch.full_like(corner, 0.75))
    assert not maps[:, :2, :2].any()
    assert not maps[:, 6:, :].any()


def test_roll_out_of_attention_that_is_known() -> None:
    same, even = torch.eye(4)[None], torch.full((1, 4, 4), 0.25)
    torch.testing.assert_close(rollout([same, same, same]), same)
    torch.testing.assert_close(rollout([even, even]), same / 4 + 0.75 * even)
    first = torch.tensor([[[0.0, 1.0], [0.0, 1.0]]])
    second = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    # By hand: [[1, 0], [.5, .5]] @ [[.5, .5], [0, 1]], the second block from the left.
    torch.testing.assert_close(rollout([first, second]), torch.tensor([[[0.5, 0.5], [0.25, 0.75]]]))


@pytest.mark.parametrize("make", [small_vit, torchvision_vit, timm_vit, hugging_face_vit])
def test_roll_out_reads_the_attention_of_every_library(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    toy, pictures = classifier(make(), 64), images(side=64)
    before = toy(pictures)
    maps = AttentionRollout(toy).maps(pictures, BEE)
    assert torch.equal(toy(pictures), before)
    assert (maps > 0).all()
    # Each token's place is 8 x 8 pixels. A class token keeps a quarter for itself and gives little more.
    mass = maps.sum(dim=(1, 2)) / 64
    assert (mass <= 1.0001).all() and (mass >= 0.7).all()


def test_roll_out_of_a_network_without_attention_is_refused() -> None:
    with pytest.raises(UserError, match="no plain vision transformer"):
        AttentionRollout(classifier(RedAndGreen())).maps(images(), BEE)


@pytest.mark.parametrize("name", ["shortcut_cnn", "shortcut_vit"])
def test_every_method_works_on_the_worlds_classifiers(name: str) -> None:
    world = load_classifier(f"embedded:classifiers/{name}")
    pictures, _ = renderings(*scenes_and_seeds(3, stream=90))
    bee: ResolvedTarget = Target.parse("class:bee").resolve(world.labels)
    methods: list[Attribution] = [GradCAM(world), IntegratedGradients(world, 4), SmoothGrad(world, 2)]
    if name.endswith("vit"):
        methods.append(AttentionRollout(world))
    for method in methods:
        maps = method.maps(pictures, bee)
        assert maps.shape == (3, 64, 64)
        assert maps.isfinite().all() and (maps >= 0).all()
        assert not maps.requires_grad
        # An image's map does not depend on its company; SmoothGrad's noise does.
        if not isinstance(method, SmoothGrad):
            torch.testing.assert_close(method.maps(pictures[1:2], bee), maps[1:2])
