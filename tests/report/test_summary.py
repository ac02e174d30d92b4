"""summary.json: the same bytes for the same run, read back as written, and documented."""

import json
import re
import subprocess
import sys
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from tests.report import samples

from diffexplain.effects.results import Verdict
from diffexplain.errors import UserError
from diffexplain.report import SCHEMA_VERSION, Model, Summary
from diffexplain.report.older import BEFORE, BY_INPAINTING, INPAINTING

OLD = Path(__file__).parent / "old"
"""Summaries as earlier versions wrote them."""
DOCUMENT = Path(__file__).parents[2] / "docs" / "summary.md"


@pytest.fixture
def summary(tmp_path: Path) -> Summary:
    return samples.summary_of(samples.run_in(tmp_path), samples.evaluation())


def test_a_summary_is_read_back_as_it_was_written(summary: Summary) -> None:
    assert Summary.from_json(summary.to_json()) == summary


def test_a_summary_of_what_was_not_measured_is_read_back_too(tmp_path: Path) -> None:
    silent = samples.summary_of(samples.run_in(tmp_path), samples.silent())
    again = Summary.from_json(silent.to_json())
    assert again == silent
    assert again.object_absence == samples.silent().object_absence


def test_equal_runs_in_different_places_give_equal_bytes(tmp_path: Path) -> None:
    texts = {
        samples.summary_of(samples.run_in(tmp_path / place), samples.evaluation()).to_json()
        for place in ("here", "there")
    }
    assert len(texts) == 1
    assert str(tmp_path) not in texts.pop()


def test_the_identity_is_that_of_the_settings(summary: Summary) -> None:
    assert "paths" not in summary.settings
    assert "force" not in summary.settings
    assert summary.settings["explainer"] == {"name": "diffexplainer", "steps": 3}
    assert summary.seeds == {"run": 3}


def test_found_and_baselines_are_parts_of_activation(summary: Summary) -> None:
    assert summary.found.name == "found prompt"
    assert [baseline.name for baseline in summary.baselines] == ["class name", "neutral"]
    assert [concept.text for concept in summary.having(Verdict.SPURIOUS)] == ["a flag"]


def test_of_spurious_concepts_the_one_that_raises_leads(tmp_path: Path) -> None:
    lowering = samples.concept("companion/dog", "a dog", Verdict.SPURIOUS, -0.9)
    tested = samples.effects(samples.FLAG, lowering, samples.PERSON)
    both = samples.summary_of(samples.run_in(tmp_path), samples.evaluation(), effects=tested)
    assert [both.leading(verdict) for verdict in (Verdict.SPURIOUS, Verdict.CORE)] == [samples.FLAG, None]
    alone = replace(both, effects=samples.effects(lowering))
    assert alone.leading(Verdict.SPURIOUS) == lowering


@pytest.mark.parametrize("version", ["1", "2", "3"])
def test_elements_of_an_earlier_run_are_concepts_that_were_taken_out_by_inpainting(version: str) -> None:
    read = Summary.load(OLD / f"schema_{version}_prompt.json")
    assert read.schema_version == SCHEMA_VERSION and read.same_answer is None
    assert read.effects is not None and read.effects.budget.policy == INPAINTING
    assert [(one.text, one.verdict.value, one.reason) for one in read.concepts] == [
        ("a flag", "spurious", None),
        ("a flagpole", "core", None),
        ("a cloud", "undecided", BY_INPAINTING),
    ]
    # The raw logit of then says less than log-odds.
    assert read.concepts[0].over_all.score.value == 0.67 and read.concepts[0].over_all.log_odds is None
    assert [one.text for one in read.effects.rankings[0].untested] == ["a person", "a dog"]
    assert read.object_absence is not None and read.object_absence.sensitivity is None
    assert (read.control is None) == (version != "3")


@pytest.mark.parametrize("version", ["2", "3"])
def test_effects_of_an_earlier_run_have_no_verdicts(version: str) -> None:
    read = Summary.load(OLD / f"schema_{version}_effects.json")
    assert {(one.verdict, one.reason) for one in read.concepts} == {(Verdict.UNDECIDED, BEFORE)}
    assert read.effects is not None and read.effects.rankings[0].itself is None


def test_pictures_stay_outside(summary: Summary) -> None:
    assert "examples" not in summary.to_json()


def test_another_schema_version_is_refused_by_name(summary: Summary) -> None:
    plain = json.loads(summary.to_json()) | {"schema_version": "7"}
    with pytest.raises(UserError, match=r"(?s)schema_version 7.*schema_version 4"):
        Summary.from_json(json.dumps(plain))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda plain: plain.pop("words"), "missing: words"),
        (lambda plain: plain.update(colour="red"), "unknown: colour"),
        (
            lambda plain: plain["effects"]["rankings"][0]["concepts"][1].update(verdict="maybe"),
            r"concepts\[1\]\.verdict",
        ),
        (lambda plain: plain["activation"][0]["share"].update(n=0.5), r"activation\[0\]\.share\.n"),
        (lambda plain: plain.update(effects=None, activation=[]), "activation is empty"),
        (lambda plain: plain.update(identity=None), "identity should be"),
    ],
)
def test_a_damaged_summary_says_where(summary: Summary, change: object, told: str) -> None:
    plain = json.loads(summary.to_json())
    change(plain)  # type: ignore[operator]
    with pytest.raises(UserError, match=told):
        Summary.from_json(json.dumps(plain))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 1}', "{"])
def test_what_is_no_summary_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        Summary.from_json(text)


def test_loading_names_the_file_that_is_missing_or_damaged(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"summary\.json"):
        Summary.load(tmp_path)
    (tmp_path / "summary.json").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=r"summary\.json"):
        Summary.load(tmp_path)
    (tmp_path / "summary.json").write_text("{")
    with pytest.raises(UserError, match=r"summary\.json"):
        Summary.load(tmp_path)


def test_what_is_not_a_number_is_never_written(summary: Summary) -> None:
    with pytest.raises(ValueError):
        replace(summary, unit_threshold=float("nan")).to_json()


def test_what_is_not_plain_is_refused(summary: Summary) -> None:
    with pytest.raises(TypeError, match="object"):
        replace(summary, prior=Model("world", "embedded:prior", {"what": object()})).to_json()


def test_every_field_is_documented() -> None:
    documented = set(re.findall(r"`(\w+)`", DOCUMENT.read_text(encoding="utf-8")))
    assert _field_names(Summary) <= documented
    assert f"`{SCHEMA_VERSION}`" in DOCUMENT.read_text(encoding="utf-8")


def test_reading_a_run_back_imports_no_torch() -> None:
    program = "import sys, diffexplain; diffexplain.load_run; sys.exit(bool({'torch', 'wandb'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def _field_names(kind: type) -> set[str]:
    names = set()
    hints = get_type_hints(kind)
    for field in fields(kind):  # type: ignore[arg-type]
        names.add(field.name)
        for inner in (hints[field.name], *get_args(hints[field.name])):
            if is_dataclass(inner):
                names |= _field_names(inner)  # type: ignore[arg-type]
    return names
