"""The segmenter against transformers' own forward, on a tiny CLIPSeg with random weights."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from tests.tiny import TOKENS, tiny_tokenizer
from transformers import CLIPSegConfig, CLIPSegForImageSegmentation, CLIPSegProcessor, ViTImageProcessor

from diffexplain.errors import UserError
from diffexplain.segmentation import Calibration, Segmenter

SIDE = 16
PHRASES = ["a flag", "a red flower", "snow"]


def tiny_model() -> CLIPSegForImageSegmentation:
    tokenizer = tiny_tokenizer()
    tower = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
    config = CLIPSegConfig(
        text_config={
            **tower,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": TOKENS,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={**tower, "image_size": SIDE, "patch_size": 4},
        projection_dim=16,
        extract_layers=[0, 1, 2],
        reduce_dim=8,
        decoder_num_attention_heads=2,
        decoder_intermediate_size=16,
        initializer_factor=5.0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return CLIPSegForImageSegmentation(config).eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clipseg")
    tiny_model().save_pretrained(path)
    images = ViTImageProcessor(
        size={"height": SIDE, "width": SIDE}, image_mean=[0.4, 0.5, 0.6], image_std=[0.2, 0.3, 0.25]
    )
    CLIPSegProcessor(images, tiny_tokenizer()).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def segmenter(folder: Path) -> Segmenter:
    return Segmenter.load(str(folder))


def some_images(count: int, side: int = SIDE) -> torch.Tensor:
    values = np.random.Generator(np.random.Philox(key=3)).random((count, 3, side, side), dtype=np.float32)
    return torch.from_numpy(values)


def test_logits_are_those_of_the_models_own_forward(folder: Path, segmenter: Segmenter) -> None:
    images = some_images(2)
    processor = CLIPSegProcessor.from_pretrained(folder)
    tokens = processor.tokenizer(PHRASES, padding=True, return_tensors="pt")
    for image, found in zip(images, segmenter.logits(images, PHRASES), strict=True):
        mean, std = (torch.tensor(v).view(3, 1, 1) for v in ([0.4, 0.5, 0.6], [0.2, 0.3, 0.25]))
        pixels = ((image - mean) / std).expand(len(PHRASES), -1, -1, -1)
        expected = segmenter.model(pixel_values=pixels, **tokens).logits
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_similarity_is_the_cosine_of_the_models_own_clip(folder: Path, segmenter: Segmenter) -> None:
    images = some_images(2, side=SIDE)
    tokens = CLIPSegProcessor.from_pretrained(folder).tokenizer(PHRASES, padding=True, return_tensors="pt")
    clip = segmenter.model.clip
    scaled = clip(pixel_values=segmenter.preprocess(images), **tokens).logits_per_image
    found = segmenter.similarity(images, PHRASES)
    torch.testing.assert_close(found, scaled / clip.logit_scale.exp(), rtol=1e-4, atol=1e-5)
    assert segmenter.similarity(some_images(2, side=2 * SIDE), PHRASES).shape == (2, len(PHRASES))
    assert segmenter.similarity(images, []).shape == (2, 0)


def test_preprocessing_is_the_processors(folder: Path, segmenter: Segmenter) -> None:
    values = (some_images(1, 40)[0] * 255).round().to(torch.uint8)
    picture = Image.fromarray(values.permute(1, 2, 0).numpy())
    expected = CLIPSegProcessor.from_pretrained(folder)(images=picture, return_tensors="pt")["pixel_values"]
    found = segmenter.preprocess(values.unsqueeze(0).float() / 255)
    # The processor resizes bytes, so each of its values is rounded to the nearest of 255.
    torch.testing.assert_close(found, expected, rtol=0, atol=1.01 / 255 / 0.2)


def test_chunks_do_not_change_the_result(segmenter: Segmenter, folder: Path) -> None:
    one_by_one = Segmenter.load(str(folder), pairs_at_once=1)
    images = some_images(3)
    found, expected = one_by_one.masks(images, PHRASES), segmenter.masks(images, PHRASES)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_masks_have_the_models_size_and_keep_their_order(segmenter: Segmenter) -> None:
    images = some_images(2, 40)
    masks = segmenter.masks(images, PHRASES)
    assert masks.shape == (2, 3, SIDE, SIDE)
    assert masks.min() >= 0
    assert masks.max() <= 1
    other_order = segmenter.masks(images[1:], PHRASES[::-1])[0]
    torch.testing.assert_close(other_order, masks[1].flip(0), rtol=1e-3, atol=1e-4)
    assert segmenter.masks(images, []).shape == (2, 0, SIDE, SIDE)


def test_gradients_reach_the_images_and_no_weight(segmenter: Segmenter) -> None:
    images = some_images(1).requires_grad_()
    segmenter.train()
    assert not segmenter.model.training
    segmenter.masks(images, ["a flag"]).sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in segmenter.parameters())


def test_calibration_lies_beside_the_weights(tmp_path: Path) -> None:
    assert Calibration.load(tmp_path) == Calibration()
    Calibration(0.4, 0.02).save(tmp_path)
    assert Calibration.load(tmp_path) == Calibration(0.4, 0.02)
    (tmp_path / "calibration.json").write_text('{"mask_treshold": 0.4}')
    with pytest.raises(UserError, match="mask_threshold"):
        Calibration.load(tmp_path)


def test_a_folder_without_a_model_is_a_users_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be loaded"):
        Segmenter.load(str(tmp_path))


def test_damaged_and_foreign_weights_are_a_users_error(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    weights = copy / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"(?s)model\.safetensors.*cut off"):
        Segmenter.load(str(copy))
    save_file({"head.weight": torch.ones(2, 3)}, weights)
    with pytest.raises(UserError, match=r"expected: the \d+ tensors of CLIPSegForImageSegmentation"):
        Segmenter.load(str(copy))
    network = tiny_model().state_dict() | {"decoder.reduces.0.weight": torch.ones(3, 3)}
    save_file({name: value.contiguous() for name, value in network.items()}, weights)
    with pytest.raises(UserError, match=r"decoder\.reduces\.0\.weight|mismatch|size"):
        Segmenter.load(str(copy))


def test_a_phrase_has_the_same_bits_whatever_was_encoded_with_it_or_before() -> None:
    texts = ["a flag", "a photo of a red bee with a striped flag and a dog in the snow", "in the snow"]
    together, apart = Segmenter.load("embedded:clipseg"), Segmenter.load("embedded:clipseg")
    rows = together.text_features(texts)
    for text in reversed(texts):
        (alone,) = apart.text_features([text])
        assert torch.equal(rows[texts.index(text)], alone)
