"""Asking an endpoint: its faults are mended, waited for or named; answers are paid for once; the key stays unseen."""

from __future__ import annotations

import base64
import io
import json
import logging
import re
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tests.concepts.chat_server import CATEGORIES, KEY, Chat, Reply, running

from diffexplain.concepts import Hierarchy
from diffexplain.config.instantiate import build
from diffexplain.errors import RetryableError, UserError
from diffexplain.target import ResolvedTarget

BEE = ResolvedTarget("class", "class:bee", "bee", 1, "bee")
UNIT = ResolvedTarget("unit", "unit:a:1", "unit-a-1", module="a", channel=1)
IMAGES = torch.rand(40, 3, 24, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def chat() -> Iterator[Chat]:
    with running(Chat()) as server:
        yield server


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were asked for, none of which is made."""
    made: list[float] = []
    monkeypatch.setattr("diffexplain.concepts.endpoint.sleep", made.append)
    return made


def proposer(chat: Chat, folder: Path, more: dict[str, Any] | None = None, **options: Any) -> Any:
    respondent = {
        "_target_": "diffexplain.concepts.Endpoint",
        "base_url": chat.base_url,
        "model": "looker",
        "memory": str(folder / "replies"),
        **(more or {}),
    }
    node = {"_target_": "diffexplain.concepts.ModelProposer", "respondent": respondent, "domain": "a bird", "images": 2}
    return build({**node, **options}, where="concepts")


def proposed(chat: Chat, folder: Path, more: dict[str, Any] | None = None, **options: Any) -> Hierarchy:
    return proposer(chat, folder, more, **options).propose(IMAGES, BEE)


def texts(hierarchy: Hierarchy) -> list[tuple[str, ...]]:
    return [path for path, _ in hierarchy.concepts()]


def test_a_hierarchy_is_made_of_well_formed_answers(chat: Chat, tmp_path: Path) -> None:
    hierarchy = proposed(chat, tmp_path)
    assert hierarchy.domain == "a bird"
    # "a red crest" is a sub-type of "a crest" too; "Striped" and "gray" are there already; nobody asked about "a beak".
    assert texts(hierarchy) == [
        ("crest", "a crest"),
        ("crest", "a crest", "pointed crest"),
        ("crest", "a crest", "red crest"),
        ("crest", "crown of feathers"),
        ("plumage", "striped"),
        ("plumage", "grey"),
        ("place", "in the snow"),
        ("place", "at night"),
        ("place", "at night", "under the moon"),
    ]
    kinds = {concept.text: concept.kind for _, concept in hierarchy.concepts()}
    assert (kinds["a crest"], kinds["a pointed crest"], kinds["under the moon"]) == ("object", "attribute", "setting")
    assert len(chat.requests) == 1 + len(CATEGORIES["categories"])


def test_the_request_is_the_protocols(chat: Chat, tmp_path: Path) -> None:
    proposed(chat, tmp_path, {"options": {"temperature": 0.2}}, images=32, image_side=12)
    first, second = chat.requests[:2]
    assert (first["model"], first["temperature"]) == ("looker", 0.2)
    assert first["response_format"]["json_schema"]["strict"] is True
    assert first["response_format"]["json_schema"]["schema"]["additionalProperties"] is False
    text, *shown = first["messages"][0]["content"]
    assert "a bird" in text["text"]
    assert len(shown) == 32
    prefix, content = shown[0]["image_url"]["url"].split(",")
    assert prefix == "data:image/png;base64"
    assert Image.open(io.BytesIO(base64.b64decode(content))).size == (8, 12)
    assert isinstance(second["messages"][0]["content"], str)
    assert set(chat.keys) == {f"Bearer {KEY}"}


def test_images_and_sub_types_can_be_left_out_and_the_domain_is_the_class(chat: Chat, tmp_path: Path) -> None:
    hierarchy = proposer(chat, tmp_path, domain="", subtypes=0, categories=1, concepts=2).propose(None, BEE)
    (request,) = chat.requests
    assert "a bee" in request["messages"][0]["content"]
    assert texts(hierarchy) == [("crest", "a crest"), ("crest", "red crest")]
    with pytest.raises(UserError, match=r"concepts\.domain"):
        proposer(chat, tmp_path, domain="").propose(None, UNIT)


@pytest.mark.parametrize(
    ("reply", "fault"),
    [
        ("I see many birds.", "no JSON object"),
        ('{"categories": [{"name": "crest", "kind": "object"', "no JSON object|EOF"),
        ('{"categories": [{"name": "crest", "kind": "thing", "concepts": ["a crest"]}]}', r"categories\.0\.kind"),
        ('{"categories": [{"name": "crest", "kind": "object", "concepts": [7]}]}', r"categories\.0\.concepts\.0"),
        ('{"categories": []}', "at least one category"),
        ('{"categories": [], "more": 1}', "categories|more"),
        ("", "no JSON object"),
    ],
)
def test_a_malformed_answer_is_mended_once(chat: Chat, tmp_path: Path, reply: str, fault: str) -> None:
    chat.script = [Reply(reply)]
    assert ("crest", "a crest") in texts(proposed(chat, tmp_path))
    first, repair = chat.requests[:2]
    assert repair["messages"][:1] == first["messages"]
    assert repair["messages"][1] == {"role": "assistant", "content": reply}
    assert "cannot be used" in repair["messages"][2]["content"]
    assert re.search(fault, repair["messages"][2]["content"])


def test_malformed_twice_is_one_clear_error_and_is_asked_again_the_next_time(chat: Chat, tmp_path: Path) -> None:
    chat.script = [Reply("no"), Reply("still no")]
    with pytest.raises(UserError, match="looker gave no usable answer") as caught:
        proposed(chat, tmp_path)
    assert caught.value.exit_status == 2
    assert "still no" in str(caught.value)
    assert len(chat.requests) == 2
    assert ("crest", "a crest") in texts(proposed(chat, tmp_path))


def test_fences_and_words_around_the_answer_are_overlooked(chat: Chat, tmp_path: Path) -> None:
    chat.script = [Reply(f"Here you are:\n```json\n{json.dumps(CATEGORIES)}\n```")]
    proposed(chat, tmp_path)
    assert len(chat.requests) == 4


def test_an_overloaded_server_is_waited_for_as_it_asks(chat: Chat, tmp_path: Path, waits: list[float]) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True)
    chat.script = [
        Reply(status=429, headers={"Retry-After": "7"}),
        Reply(status=503, headers={"Retry-After": later}),
        Reply(status=500, body="oh"),
        Reply(status=429, headers={"Retry-After": "soon"}),
    ]
    proposed(chat, tmp_path)
    assert waits[0] == 7
    assert 35 < waits[1] <= 40
    assert waits[2:] == [4, 8]


def test_a_long_wait_and_a_lasting_fault_end_in_a_retryable_error(
    chat: Chat, tmp_path: Path, waits: list[float]
) -> None:
    chat.script = [Reply(status=429, headers={"Retry-After": "3600"}, body={"error": {"message": "daily limit"}})]
    with pytest.raises(RetryableError, match=r"wait 3600 s.*daily limit"):
        proposed(chat, tmp_path)
    assert waits == []
    chat.script = [Reply(status=500)] * 3
    with pytest.raises(RetryableError, match="in 3 attempts"):
        proposed(chat, tmp_path, {"attempts": 3})
    assert waits == [1, 2]
    assert len(chat.requests) == 4


def test_a_server_that_hangs_or_is_not_there_is_given_up(tmp_path: Path) -> None:
    with running(Chat([Reply(pause=0.3), Reply(pause=0.3)])) as chat:
        with pytest.raises(RetryableError, match=r"no answer within 0\.05 s"):
            proposed(chat, tmp_path, {"timeout": 0.05, "attempts": 2})
        assert len(chat.requests) == 2
    with pytest.raises(RetryableError, match="in 2 attempts"):
        proposed(chat, tmp_path, {"attempts": 2})


@pytest.mark.parametrize(
    ("reply", "complaint"),
    [
        (Reply(status=401, body={"error": {"message": f"bad key {KEY}"}}), r"key in OPENAI_API_KEY.*bad key \*\*\*"),
        (Reply(status=400, body={"error": {"message": "no images, please"}}), "no images, please"),
        (Reply(status=404, body="nothing here"), "nothing here"),
        (Reply(status=302, headers={"Location": "http://127.0.0.1:9/v1"}), "302"),
        (Reply(body="<html>"), "JSON"),
        (Reply(body={"id": 3}), "chat-completions"),
        (Reply(body="[" * 100_000), "JSON"),
        (Reply(body='{"choices": [], "usage": {"prompt_tokens": 1e999}}'), "JSON"),
        (Reply(body="x" * ((1 << 24) + 1)), "more than 16 MiB"),
        (Reply(body={"choices": [{"message": {"content": None, "refusal": "I must not"}}]}), "I must not"),
    ],
)
def test_a_refusal_is_not_asked_again(chat: Chat, tmp_path: Path, reply: Reply, complaint: str) -> None:
    chat.script = [reply]
    with pytest.raises(UserError, match=complaint):
        proposed(chat, tmp_path)
    assert len(chat.requests) == 1


def test_an_answer_in_an_encoding_that_it_is_not_in_is_given_up(chat: Chat, tmp_path: Path, waits: list[float]) -> None:
    chat.script = [Reply(body="{}", headers={"Content-Encoding": "gzip"})] * 2
    with pytest.raises(RetryableError, match="in 2 attempts"):
        proposed(chat, tmp_path, {"attempts": 2})


def test_a_rerun_asks_nothing_and_gives_the_same_bytes(
    chat: Chat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chat.script = [Reply("not yet")]
    prices = {"price_per_million": {"input": 2.0, "output": 10.0}}
    first = proposed(chat, tmp_path, prices)
    assert "5 requests and 0 replies from the disk; 5000 tokens in, 250 out; cost 0.0125" in capsys.readouterr().err
    asked = len(chat.requests)
    monkeypatch.delenv("OPENAI_API_KEY")
    again = proposed(chat, tmp_path, prices)
    assert again.to_yaml() == first.to_yaml()
    assert len(chat.requests) == asked
    assert "0 requests and 5 replies from the disk; 0 tokens in, 0 out; cost 0.0000" in capsys.readouterr().err


def test_another_question_is_another_request(chat: Chat, tmp_path: Path) -> None:
    first = proposer(chat, tmp_path)
    first.propose(IMAGES, BEE)
    asked = len(chat.requests)
    proposer(chat, tmp_path).propose(1 - IMAGES, BEE)
    assert len(chat.requests) == asked + 1  # the sub-types are asked for without images
    proposed(chat, tmp_path, {"options": {"seed": 1}})
    assert len(chat.requests) == 2 * asked + 1


def test_a_damaged_reply_on_the_disk_is_asked_for_again(chat: Chat, tmp_path: Path) -> None:
    proposed(chat, tmp_path)
    asked = len(chat.requests)
    for file in (tmp_path / "replies").iterdir():
        file.write_text("{")
    proposed(chat, tmp_path)
    assert len(chat.requests) == 2 * asked


def test_the_key_is_in_no_file_no_message_and_no_traceback(
    chat: Chat, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    echo = json.dumps(CATEGORIES).replace("at night", KEY)
    chat.script = [
        Reply(status=500, body={"error": {"message": f"{KEY} came too often"}}),
        Reply(f"you sent {KEY}"),
        Reply(echo),
        *[Reply(status=403, body=f"what is {KEY}")] * 4,
    ]
    made = proposer(chat, tmp_path)
    with pytest.raises(UserError) as caught:
        made.propose(IMAGES, BEE)
    said = "".join(traceback.format_exception(caught.value)) + repr(vars(made)) + repr(vars(made.respondent))
    said += caplog.text + "".join(capsys.readouterr())
    assert "***" in said
    assert KEY not in said
    assert set(chat.keys) == {f"Bearer {KEY}"}
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) == 2
    assert not any(KEY in file.read_text() for file in files)


def test_a_missing_key_is_named_before_anything_is_asked(
    chat: Chat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(UserError, match="OPENAI_API_KEY"):
        proposer(chat, tmp_path)
    with pytest.raises(UserError, match="MY_KEY"):
        proposer(chat, tmp_path, {"key_variable": "MY_KEY"})
    monkeypatch.setenv("MY_KEY", KEY)
    proposed(chat, tmp_path, {"key_variable": "MY_KEY"}, subtypes=0)
    proposed(chat, tmp_path / "other", {"key_variable": None}, subtypes=0)
    assert chat.keys == [f"Bearer {KEY}", None]


@pytest.mark.parametrize(
    ("more", "options", "complaint"),
    [
        ({"base_url": "api.openai.com"}, {}, "https://"),
        ({"base_url": "https://me:secret@host/v1"}, {}, "https://"),
        ({"options": {"messages": []}}, {}, "messages"),
        ({"timeout": 0}, {}, "timeout"),
        ({"price_per_million": {"inputs": 1}}, {}, "input"),
        ({"modle": "x"}, {}, r"concepts\.respondent\.model"),
        ({"_target_": "os.system"}, {}, "part of a run"),
        ({}, {"images": 33}, "32"),
        ({}, {"categories": 0}, "At least one"),
        ({}, {"clip": "nowhere"}, "no folder"),
    ],
)
def test_mistakes_in_the_configuration_are_named_when_it_is_built(
    chat: Chat, tmp_path: Path, more: dict[str, Any], options: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(UserError, match=complaint) as caught:
        proposer(chat, tmp_path, more, **options)
    assert "secret" not in str(caught.value)
    assert chat.requests == []
