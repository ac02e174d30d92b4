"""Captions of images: by a CLIP over the vocabulary, by a tiny model of transformers', and scored as prompts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from tests.evaluation.toy import SETTINGS, answers_to_flag, run
from torch import Tensor

from diffexplain.concepts.vocabulary import Vocabulary
from diffexplain.errors import UserError
from diffexplain.evaluation.captions import ClipCaptioner, ModelCaptioner, prompts_of
from diffexplain.segmentation import Segmenter
from diffexplain.world.held_out import renderings
from diffexplain.world.scenes import Companion, Scene

CPU = torch.device("cpu")
WORDS = ["a", "flag", "tree", "in", "snow"]


class Captioner:
    """Says "a flag" of every second image, else "a tree"."""

    def captions(self, images: Tensor) -> list[str]:
        return ["a flag" if place % 2 == 0 else "a tree" for place in range(len(images))]


def test_captions_are_prompts_in_turn_and_counted() -> None:
    found = run(answers_to_flag, captioner=Captioner())
    row = found.baselines[-1]
    assert (row.name, row.text, row.share.n) == ("captions", "a flag", SETTINGS.images)
    # A picture of "a flag" activates, one of "a tree" does not.
    assert 0.3 < row.share.value < 0.7
    assert sum(caption.count for caption in found.words.captions) == found.activating_images
    assert [caption.text for caption in found.words.captions] == ["a flag", "a tree"]
    assert found.comparisons[-1].name == "captions"


def test_no_caption_is_tried_on_the_seed_of_its_own_image() -> None:
    captions, indices = ["first", "second", "third"], [0, 1, 5]
    prompts = prompts_of(captions, indices, 12)
    own = dict(zip(indices, captions, strict=True))
    assert all(own.get(seed) != prompt for seed, prompt in enumerate(prompts))
    assert set(Counter(prompts)) == set(captions)


def test_the_embedded_clip_says_what_scenes_show() -> None:
    scenes = [
        Scene("flagpole", colour="red", setting="snow", companions=(Companion("flag", "striped"),)),
        Scene("bee", colour="yellow", setting="grass", companions=(Companion("flower", "red"),)),
        Scene("teapot", colour="blue", setting="sea"),
    ]
    images = renderings(scenes, range(len(scenes)))[0]
    vocabulary = Vocabulary.load("embedded:vocabulary.yaml")
    captions = ClipCaptioner(Segmenter.load("embedded:clipseg"), vocabulary).captions(images)
    for caption, subject in zip(captions, ("a flagpole", "a bee", "a teapot"), strict=True):
        assert subject in caption
    assert "flag" in captions[0].replace("flagpole", "")
    assert "flower" in captions[1]
    phrases = [phrase.said for phrase in vocabulary.phrases if phrase.kind == "setting"]
    assert all(sum(phrase in caption for phrase in phrases) <= 1 for caption in captions)


def save_captioner(folder: Path) -> Path:
    """A BLIP of one layer with random weights, with its processor."""
    from transformers import (
        BertTokenizerFast,
        BlipConfig,
        BlipForConditionalGeneration,
        BlipImageProcessor,
        BlipProcessor,
    )

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(words))
    tower = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**tower, "vocab_size": len(words), "encoder_hidden_size": 8, "bos_token_id": 2, "sep_token_id": 3}
    vision = {**tower, "image_size": 16, "patch_size": 8}
    config = BlipConfig(text_config=text, vision_config=vision, projection_dim=8)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        BlipForConditionalGeneration(config).save_pretrained(folder)
    tokenizer = BertTokenizerFast(str(folder / "vocab.txt"))
    BlipProcessor(BlipImageProcessor(size={"height": 16, "width": 16}), tokenizer).save_pretrained(folder)
    return folder


def test_a_captioner_of_transformers_says_the_same_of_the_same_image(tmp_path: Path) -> None:
    captioner = ModelCaptioner(str(save_captioner(tmp_path / "blip")), CPU)
    image = torch.rand(1, 3, 20, 24, generator=torch.Generator().manual_seed(0))
    captions = captioner.captions(torch.cat([image, image]))
    assert len(captions) == 2
    assert captions[0] == captions[1]
    assert set(captions[0].split()) <= set(WORDS)


def test_a_folder_that_holds_no_captioner_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no folder"):
        ModelCaptioner(str(tmp_path / "none"), CPU)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty"):
        ModelCaptioner(str(tmp_path / "empty"), CPU).captions(torch.rand(1, 3, 8, 8))
