"""The verdict in writing says what the numbers say, and a model that rewords it may add nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.concepts.chat_server import KEY, Chat, Reply, running
from tests.report import samples

from diffexplain.concepts import Endpoint
from diffexplain.effects.results import Verdict
from diffexplain.report import Summary, statement

FAITHFUL = "The classifier takes 97 of 100 pictures for a flagpole because of the flag (0.67, 0.62-0.72)."


@pytest.fixture
def summary(tmp_path: Path) -> Summary:
    found = samples.evaluation(comparisons=samples.COMPARISONS, control=samples.control())
    return samples.summary_of(samples.run_in(tmp_path), found, effects=samples.effects(control=samples.idle()))


@pytest.fixture
def chat() -> Iterator[Chat]:
    with running(Chat()) as server:
        yield server


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr("diffexplain.concepts.endpoint.sleep", lambda _: None)


def endpoint(chat: Chat, folder: Path) -> Endpoint:
    return Endpoint(chat.base_url, "writer", memory=str(folder / "replies"), attempts=2)


def answer(text: str) -> Reply:
    return Reply(json.dumps({"text": text}))


def test_the_template_says_what_was_found_and_how_sure_that_is(summary: Summary) -> None:
    assert statement.template(summary) == (
        "A flag raises the probability of “flagpole” most, by 0.67 (95% interval 0.62 to 0.72), and is no part of the "
        "object. world_shortcut_cnn says “flagpole” in 97 of 100 pictures made for it (95% interval 92% to 99%). "
        "“a photo of a flagpole” does so in 60 of 100: a difference of +0.37 (95% interval 0.32 to 0.42). "
        "Written out, the best phrase is “flag pole”, with 34 of 40 pictures. "
        "A flag is spurious: it raises the probability of “flagpole” by 0.67 (95% interval 0.62 to 0.72). "
        "A pole is core: it raises the probability of “flagpole” by 0.19 (95% interval 0.14 to 0.24). "
        "The object itself (a flagpole) helps: it raises the probability of “flagpole” by 0.32 against another object "
        "(95% interval 0.27 to 0.37). world_shortcut_cnn says “flagpole” of 12 of 24 pictures of it. "
        "2 of 4 concepts have an effect beyond ±0.02 once all of them are allowed for; "
        "1 surely has none, 1 is undecided, 1 was not tested. "
        "The flagpole cannot be seen in 40 of 100 activating pictures (CLIP finds it in 48 of 50 of the prior’s own "
        "pictures of it, and wrongly in 3 of 50 others). "
        "Of the prior by itself, under “a photo”, 6 of 100 pictures activate the target. "
        "The control, the same network with random weights, is activated by 8 of 100 pictures of the found prompt, "
        "by 8 of 100 of the neutral one, and answers to none of the 2 concepts tested."
    )


def test_a_control_that_answers_is_a_warning(summary: Summary) -> None:
    assert summary.effects is not None
    loud = replace(summary, effects=replace(summary.effects, control=samples.idle(0.3)))
    assert statement.template(loud).endswith(
        "and answers to a flag, too: "
        "what is said of that may come from the prior's pictures, not from what was learned."
    )
    alone = replace(loud, control=None)
    assert "The control, the same network with random weights, answers to a flag, too" in statement.template(alone)
    unread = replace(summary, effects=replace(summary.effects, control=None))
    assert statement.template(unread).endswith("by 8 of 100 of the neutral one.")


def test_where_no_prompt_was_optimised_the_effects_are_told(tmp_path: Path) -> None:
    text = statement.template(samples.summary_of(samples.run_in(tmp_path), None))
    assert text.startswith("A flag raises the probability of “flagpole” most, by 0.67 (95% interval 0.62 to 0.72), and")
    assert "pictures activate" not in text


def test_nothing_is_told_of_what_was_not_measured(tmp_path: Path) -> None:
    text = statement.template(samples.summary_of(samples.run_in(tmp_path), samples.silent(), effects=None))
    assert "found nothing that activates the target" in text
    assert "No control classifier was asked." in text
    assert "No concept was tested." in text
    assert "None" not in text and "spurious" not in text


def test_without_a_model_the_template_stands(summary: Summary) -> None:
    stated = statement.stated(summary).statement
    assert stated is not None
    assert (stated.text, stated.by, stated.reason) == (statement.template(summary), "template", None)


def test_a_faithful_rewording_is_taken_and_paid_for_once(summary: Summary, chat: Chat, tmp_path: Path) -> None:
    chat.script = [answer(FAITHFUL)]
    first = statement.stated(summary, endpoint(chat, tmp_path))
    again = statement.stated(summary, endpoint(chat, tmp_path))
    assert first == again
    assert first.statement is not None
    assert (first.statement.text, first.statement.by, first.statement.reason) == (FAITHFUL, "writer", None)
    assert len(chat.requests) == 1
    assert statement.template(summary) in chat.requests[0]["messages"][0]["content"]
    assert KEY not in first.to_json()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (FAITHFUL.replace("0.67", "0.76"), "it says 0.76"),
        (FAITHFUL.replace("97 of 100", "97%"), "it says 97%"),
        (FAITHFUL.replace("0.67", "−0.67"), "it says −0.67"),
        (FAITHFUL + " That is twice as much as usual.", "it says twice"),
        (FAITHFUL + " A cloud matters too.", "it speaks of a cloud"),
        ("The classifier takes 97 of 100 pictures for a flagpole.", "it leaves out a flag"),
        ("", "it is empty"),
    ],
)
def test_an_unfaithful_rewording_is_not_taken(
    text: str, fault: str, summary: Summary, chat: Chat, tmp_path: Path
) -> None:
    chat.script = [answer(text)]
    stated = statement.stated(summary, endpoint(chat, tmp_path)).statement
    assert stated is not None
    assert (stated.text, stated.by) == (statement.template(summary), "template")
    assert stated.reason is not None and stated.reason.startswith(f"writer's rewording was not taken: {fault}")


def test_a_setting_may_be_named_without_its_preposition(tmp_path: Path) -> None:
    snow = samples.concept("setting/snow", "in the snow", Verdict.SPURIOUS, 0.3, kind="setting")
    summary = samples.summary_of(samples.run_in(tmp_path), samples.evaluation(), effects=samples.effects(snow))
    statement.check(statement.template(summary), "Snow is what it looks for.", summary)
    with pytest.raises(statement.Unfaithful, match="it leaves out in the snow"):
        statement.check(statement.template(summary), "It looks for the pole.", summary)


def test_an_endpoint_that_fails_costs_no_result(summary: Summary, chat: Chat, tmp_path: Path) -> None:
    refusal = Reply(status=401, body={"error": {"message": "no such key"}})
    overloaded = [Reply(status=503)] * 2
    for script in ([refusal], overloaded, [Reply("words"), Reply("more words")]):
        chat.script = list(script)
        stated = statement.stated(summary, endpoint(chat, tmp_path)).statement
        assert stated is not None
        assert stated.by == "template"
        assert stated.reason is not None and stated.reason.startswith("writer gave no rewording")
        assert KEY not in stated.reason


def test_a_statement_is_read_back(summary: Summary) -> None:
    stated = statement.stated(summary)
    assert Summary.from_json(stated.to_json()) == stated
    assert Summary.from_json(replace(stated, statement=None).to_json()).statement is None
