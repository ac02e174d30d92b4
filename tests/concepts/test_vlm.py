"""A vision-language model on this machine: a tiny LLaVA with random weights, saved and read as a large one is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.concepts.chat_server import CATEGORIES, SUBTYPES

from diffexplain.concepts.asking import Turn
from diffexplain.concepts.elicitation import Categories
from diffexplain.concepts.pictures import pictures
from diffexplain.concepts.vlm import LocalModel
from diffexplain.config.instantiate import build
from diffexplain.errors import UserError
from diffexplain.target import ResolvedTarget

BEE = ResolvedTarget("class", "class:bee", "bee", 1, "bee")
IMAGES = torch.rand(3, 3, 20, 20, generator=torch.Generator().manual_seed(0))
SIDE, PATCH = 16, 8
TEMPLATE = (
    "{% for message in messages %}{{ message['role'] + ': ' }}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LLaVA of two layers that reads bytes, with its processor."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        PreTrainedTokenizerFast,
    )

    signs = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={sign: index for index, sign in enumerate(signs)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", bos_token="<bos>")
    fast.add_special_tokens({"additional_special_tokens": ["<image>"]})
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=8,
            intermediate_size=8,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=SIDE,
            patch_size=PATCH,
            projection_dim=8,
        ),
        text_config=LlamaConfig(
            vocab_size=len(fast),
            hidden_size=8,
            intermediate_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=8192,
            pad_token_id=fast.pad_token_id,
            bos_token_id=fast.bos_token_id,
            eos_token_id=fast.eos_token_id,
        ),
        image_token_index=fast.convert_tokens_to_ids("<image>"),
    )
    place = tmp_path_factory.mktemp("llava")
    torch.manual_seed(0)
    LlavaForConditionalGeneration(config).save_pretrained(place)
    square = {"height": SIDE, "width": SIDE}
    LlavaProcessor(
        CLIPImageProcessor(size=square, crop_size=square),
        fast,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    ).save_pretrained(place)
    return place


def respondent(folder: Path, **options: Any) -> dict[str, Any]:
    source = {"repository": str(folder), "licence": "none", "megabytes": 1}
    target = "diffexplain.concepts.LocalModel"
    return {"_target_": target, "model": "tiny", "weights": [source], "dtype": "float32", "device": "cpu", **options}


def proposer(folder: Path, **options: Any) -> Any:
    node = {"_target_": "diffexplain.concepts.ModelProposer", "respondent": respondent(folder, max_new_tokens=8)}
    return build({**node, **options}, where="concepts")


def test_the_model_sees_text_and_images_and_its_nonsense_is_one_clear_error(folder: Path) -> None:
    with pytest.raises(UserError, match="tiny gave no usable answer") as caught:
        proposer(folder).propose(IMAGES, BEE)
    assert caught.value.exit_status == 2


def test_a_reply_is_the_new_tokens_alone_and_the_same_every_time(folder: Path) -> None:
    model = build(respondent(folder, max_new_tokens=4))
    question = Turn("user", "What is it?", tuple(pictures(IMAGES, 2, 20)))
    first = model.reply([question], Categories)
    assert "What" not in first
    assert model.reply([question], Categories) == first
    assert model.close() == ""
    assert model.reply([question, Turn("assistant", first), Turn("user", "Again.")], Categories) is not None


def test_a_good_answer_becomes_a_hierarchy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a trained model would say is put in the place of its tokens; all else is the real path."""
    from transformers import LlavaForConditionalGeneration

    made = proposer(folder)
    answers = [json.dumps(CATEGORIES), *[json.dumps(SUBTYPES)] * 3]
    seen: list[dict[str, Any]] = []

    def generate(self: Any, input_ids: torch.Tensor, **inputs: Any) -> torch.Tensor:
        seen.append(inputs)
        tokenizer = made.respondent._loaded[0].tokenizer
        said = tokenizer(answers.pop(0), return_tensors="pt", add_special_tokens=False).input_ids
        return torch.cat([input_ids, said], dim=1)

    monkeypatch.setattr(LlavaForConditionalGeneration, "generate", generate)
    hierarchy = made.propose(IMAGES, BEE)
    assert ("crest", "a crest", "pointed crest") in [path for path, _ in hierarchy.concepts()]
    assert seen[0]["pixel_values"].shape == (len(IMAGES), 3, SIDE, SIDE)
    assert "pixel_values" not in seen[1]
    assert seen[0]["do_sample"] is False


def test_mistakes_are_named_before_weights_are_read(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="dtype"):
        build(respondent(folder, dtype="float8"))
    with pytest.raises(UserError, match="one token"):
        build(respondent(folder, max_new_tokens=0))
    source = {"repository": "owner/name", "licence": "none", "megabytes": 1}
    with pytest.raises(UserError, match="fetch concepts=vlm"):
        LocalModel("owner/name", [source])
    empty = build(respondent(tmp_path))
    with pytest.raises(UserError, match=r"config\.json"):
        empty.reply([Turn("user", "What?")], Categories)
