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

from diffexplain.effects.results import Budget, EffectsResult, Ranking
from diffexplain.errors import UserError
from diffexplain.evaluation.results import Verdict
from diffexplain.report import SCHEMA_VERSION, Model, Summary
from diffexplain.report.summary import ObjectAbsence

SINCE_CONTROL = ("comparisons", "control", "quality", "statement")
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
    assert again.object_absence == ObjectAbsence(None, samples.silent().object_absent_reason)


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
    assert [element.phrase for element in summary.having(Verdict.SPURIOUS)] == ["a flag"]


def test_a_summary_from_before_there_were_effects_is_read(summary: Summary) -> None:
    plain = json.loads(summary.to_json()) | {"schema_version": "1"}
    for later in ("effects", *SINCE_CONTROL):
        del plain[later]
    assert Summary.from_json(json.dumps(plain)) == summary


def test_a_summary_from_before_there_was_a_control_is_read(summary: Summary) -> None:
    plain = json.loads(summary.to_json()) | {"schema_version": "2"}
    del plain["words"]["captions"]
    for later in SINCE_CONTROL:
        del plain[later]
    assert Summary.from_json(json.dumps(plain)) == summary


def test_effects_from_before_photographs_were_told_apart_are_read(summary: Summary) -> None:
    budget = Budget("uniform", 1, 0, 2, 3, 4, 5)
    score = samples.estimate(0.5)
    ranking = Ranking("world_shortcut_cnn", "class:flagpole", (), score, None, ())
    made = replace(summary, effects=EffectsResult("a flagpole", (ranking,), (), budget))
    plain = json.loads(made.to_json()) | {"schema_version": "2"}
    del plain["effects"]["confirmation"]
    for later in SINCE_CONTROL:
        del plain[later]
    assert Summary.from_json(json.dumps(plain)) == made


def test_a_summary_from_before_there_were_log_odds_is_read_without_the_raw_logits(summary: Summary) -> None:
    plain = json.loads(summary.to_json()) | {"schema_version": "3"}
    del plain["same_answer"]
    for element in plain["elements"]:
        if element["removal"] is not None:
            element["removal"]["logit_drop"] = element["removal"].pop("log_odds_drop")
    read = Summary.from_json(json.dumps(plain))
    assert summary.elements[0].removal is not None and summary.elements[0].removal.log_odds_drop is not None
    assert read.elements[0].removal == replace(summary.elements[0].removal, log_odds_drop=None)
    assert read.same_answer is None and read.schema_version == "4"


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
        (lambda plain: plain["elements"][1].update(verdict="maybe"), r"elements\[1\]\.verdict"),
        (lambda plain: plain["activation"][0]["share"].update(n=0.5), r"activation\[0\]\.share\.n"),
        (lambda plain: plain["activation"].clear(), "activation is empty"),
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
