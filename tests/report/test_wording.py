"""Sentences say what the numbers say, and in the degenerate cases that nothing was found."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.report import samples

from diffexplain.evaluation.results import Estimate, Evaluation, Verdict
from diffexplain.report import Summary, wording
from diffexplain.target import ResolvedTarget


def summary_of(tmp_path: Path, found: Evaluation, target: ResolvedTarget = samples.FLAGPOLE) -> Summary:
    return samples.summary_of(samples.run_in(tmp_path), found, target)


def headline(summary: Summary) -> str:
    return "".join(text for text, _ in wording.headline(summary)).replace("\N{NO-BREAK SPACE}", " ")


def told(summary: Summary) -> str:
    return " ".join(text for _, text in wording.findings(summary)).replace("\N{NO-BREAK SPACE}", " ")


def test_the_headline_names_the_spurious_element(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, samples.evaluation())
    assert headline(summary) == "world_shortcut_cnn says “flagpole” in 97 of 100 pictures; a flag is spurious."
    assert ("a flag", "spurious") in wording.headline(summary)


def test_the_findings_give_effects_with_their_intervals(tmp_path: Path) -> None:
    assert told(summary_of(tmp_path, samples.evaluation())) == (
        "A flag is spurious: taking it out lowers the probability of “flagpole” by 0.67 "
        "(95% interval 0.62 to 0.72). "
        "A flagpole is core: taking it out lowers the probability of “flagpole” by 0.19 "
        "(95% interval 0.14 to 0.24). "
        "The flagpole itself cannot be seen in 40 of 100 activating pictures. "
        "1 element was seen but could not be tested."
    )


def test_several_spurious_elements_are_named_or_counted(tmp_path: Path) -> None:
    spurious = [samples.element(name, Verdict.SPURIOUS, 0.5) for name in ("a flag", "snow", "a dog")]
    two = summary_of(tmp_path, samples.evaluation(elements=tuple(spurious[:2])))
    assert headline(two).endswith("; a flag and snow are spurious.")
    three = summary_of(tmp_path, samples.evaluation(elements=tuple(spurious)))
    assert headline(three).endswith("; a flag and 2 other elements are spurious.")
    assert "So are snow and a dog." in told(three)


def test_without_spurious_or_core_elements_it_says_so(tmp_path: Path) -> None:
    elements = tuple(samples.element(name, Verdict.NOT_RELEVANT, 0.0) for name in ("a cloud", "a flagpole"))
    summary = summary_of(tmp_path, samples.evaluation(elements=elements))
    assert headline(summary).endswith("; nothing spurious was found.")
    assert "Nothing that is part of the flagpole itself was found to matter." in told(summary)


def test_what_could_not_be_tested_was_not_found_to_be_harmless(tmp_path: Path) -> None:
    untested = samples.element("a flower", Verdict.UNDECIDED, None)
    assert untested.shown is not None
    elements = (samples.element("a cloud", Verdict.NOT_RELEVANT, 0.0), untested)
    summary = summary_of(tmp_path, samples.evaluation(elements=elements))
    assert headline(summary).endswith("; nothing spurious of the one element that could be tested, and 1 could not.")
    assert "nothing spurious was found" not in headline(summary)
    assert "Whether the flagpole itself matters was not tested" in told(summary)
    assert "Nothing that is part of the flagpole" not in told(summary)


def test_when_no_element_was_seen_the_headline_claims_nothing(tmp_path: Path) -> None:
    elements = (samples.element("a dog", Verdict.NOT_SEEN, None),)
    summary = summary_of(tmp_path, samples.evaluation(elements=elements))
    assert headline(summary).endswith("in 97 of 100 pictures.")
    assert "0 of 1 elements were seen often enough to be tested" in told(summary)


def test_when_nothing_activates_nothing_is_called_core_or_spurious(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, samples.silent())
    assert headline(summary) == "world_shortcut_cnn never says “flagpole” in 100 pictures made for it."
    assert "found nothing that activates the target" in told(summary)
    assert "interval" not in told(summary)


def test_a_unit_without_a_class_gets_no_verdicts_and_the_remedy(tmp_path: Path) -> None:
    elements = tuple(
        replace(element, verdict=Verdict.UNDECIDED, removal=None) for element in samples.evaluation().elements
    )
    found = samples.evaluation(elements=elements, object_absent=None, object_absent_reason="no class")
    summary = summary_of(tmp_path, found, samples.UNIT)
    assert headline(summary) == ("Unit 12 of layer4.2 of world_shortcut_cnn is activated by 97 of 100 pictures.")
    assert told(summary) == (
        "No class was named beside this unit, so no element is called core or spurious; "
        "target=unit:layer4.2:12@<class> names one."
    )


@pytest.mark.parametrize(
    ("share", "sentence"),
    [
        (Estimate(0.0, 0.0, 0.04, 64), "The flagpole itself can be seen in all 64 activating pictures."),
        (
            Estimate(1.0, 0.96, 1.0, 64),
            "The flagpole itself cannot be seen in any of the 64 activating pictures.",
        ),
        (None, "How often the flagpole itself is absent is not known: no segmenter."),
    ],
)
def test_the_absence_of_the_object_is_said(tmp_path: Path, share: Estimate | None, sentence: str) -> None:
    reason = None if share else "no segmenter"
    found = samples.evaluation(object_absent=share, object_absent_reason=reason)
    assert sentence in told(summary_of(tmp_path, found))


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        (wording.number, -0.5, "−0.50"),
        (wording.number, -0.001, "0.00"),
        (wording.signed, 0.5, "+0.50"),
        (wording.signed, -0.5, "−0.50"),
        (wording.signed, 0.001, "0.00"),
        (wording.percent, 0.001, "<1%"),
        (wording.percent, 0.999, ">99%"),
        (wording.percent, 1.0, "100%"),
        (wording.p_value, 0.0002, "<0.001"),
        (wording.p_value, 0.03, "0.030"),
        (wording.listed, ["a", "b", "c"], "a, b and c"),
        (wording.listed, [], ""),
    ],
)
def test_numbers_are_written_for_people(function: Any, value: Any, text: str) -> None:
    assert function(value) == text


def test_an_effect_that_is_a_rise_is_called_one(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, samples.evaluation())
    rising = samples.element("a cloud", Verdict.NOT_RELEVANT, -0.3)
    assert wording.effect_sentence(rising, summary) == (
        "taking it out raises the probability of “flagpole” by 0.30 (95% interval 0.25 to 0.35)"
    )
