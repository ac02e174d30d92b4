"""Sentences say what the numbers say, and in the degenerate cases that nothing was found or tested."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.report import samples

from diffexplain.effects.results import ConceptEffect, ObjectItself, Untested, Verdict, without_mirrors
from diffexplain.evaluation.results import ObjectAbsence
from diffexplain.report import Summary, findings, wording
from diffexplain.statistics.estimates import Estimate
from diffexplain.target import ResolvedTarget

SNOW = samples.concept("setting/snow", "in the snow", Verdict.SPURIOUS, 0.5, kind="setting")
DOG = samples.concept("companion/dog", "a dog", Verdict.SPURIOUS, -0.3)


def summary_of(tmp_path: Path, *concepts: ConceptEffect, **changes: Any) -> Summary:
    """A run that tested these concepts; ``changes``: of the ranking."""
    ranking = samples.ranking(*concepts, **{"untested": (), **changes})
    tested = samples.effects(rankings=(ranking,))
    return samples.summary_of(samples.run_in(tmp_path), samples.evaluation(), effects=tested)


def headline(summary: Summary) -> str:
    return "".join(text for text, _ in findings.headline(summary)).replace("\N{NO-BREAK SPACE}", " ")


def told(summary: Summary) -> str:
    return " ".join(text for _, text in findings.findings(summary)).replace("\N{NO-BREAK SPACE}", " ")


FLAG_RAISES = "A flag raises the probability of “flagpole” most, by 0.67 (95% interval 0.62 to 0.72)"


def test_the_headline_says_what_moves_the_class_most_by_how_much_and_how_sure_that_is(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, samples.FLAG, samples.SMALL, samples.LARGE)
    assert headline(summary) == f"{FLAG_RAISES}, and is no part of the object."
    assert ("A flag", "spurious") in findings.headline(summary)
    assert headline(summary_of(tmp_path, samples.FLAG)).startswith(
        "A flag raises the probability of “flagpole” by 0.67"
    )


def test_other_spurious_concepts_are_named_or_counted(tmp_path: Path) -> None:
    two = headline(summary_of(tmp_path, samples.FLAG, SNOW))
    assert two == f"{FLAG_RAISES}, and is no part of the object; “in the snow” (+0.50) is spurious, too."
    ball, tree = (samples.concept(f"companion/{one}", f"a {one}", Verdict.SPURIOUS, 0.2) for one in ("ball", "tree"))
    four = summary_of(tmp_path, ball, tree, SNOW, samples.FLAG)
    assert headline(four).endswith("; “in the snow” (+0.50), a ball (+0.20) and 1 more are spurious, too.")
    assert "“in the snow” is spurious: it raises the probability of “flagpole” by 0.50" in told(four)
    look = headline(summary_of(tmp_path, samples.SMALL, samples.LARGE, replace(samples.FLAG, over_all=SNOW.over_all)))
    assert look.startswith("A flag") and look.endswith("no part of the object.")


def test_a_spurious_concept_that_lowers_is_said_to_lower(tmp_path: Path) -> None:
    alone = summary_of(tmp_path, DOG)
    assert headline(alone).startswith("A dog lowers the probability of “flagpole” by 0.30 (95% interval 0.25 to 0.35)")
    both = summary_of(tmp_path, DOG, samples.FLAG)
    assert headline(both).endswith("; a dog (−0.30) is spurious, too.")
    lowers = "A dog is spurious: it lowers the probability of “flagpole” by 0.30 (95% interval 0.25 to 0.35)."
    assert (
        f"A flag is spurious: it raises the probability of “flagpole” by 0.67 (95% interval 0.62 to 0.72). {lowers}"
        in (told(both))
    )


@pytest.mark.parametrize(
    ("concepts", "said"),
    [
        (
            (samples.SMALL, samples.LARGE, samples.POLE),
            "Being large raises the probability of “flagpole” most, by 0.47 (95% interval 0.42 to 0.52), and is a look "
            "of the object.",
        ),
        (
            (samples.POLE,),
            "A pole raises the probability of “flagpole” by 0.19 (95% interval 0.14 to 0.24), and is part of the "
            "object.",
        ),
        (
            (replace(samples.FLAG, verdict=Verdict.RELEVANT),),
            "A flag raises the probability of “flagpole” by 0.67 (95% interval 0.62 to 0.72).",
        ),
        (
            (samples.CLOUD, samples.PERSON),
            "None of the 2 concepts tested moves the probability of “flagpole” beyond doubt; 1 is undecided.",
        ),
        ((samples.CLOUD,), "The one concept tested does not move the probability of “flagpole” beyond doubt."),
        ((), "world_shortcut_cnn says “flagpole” in 97 of 100 pictures made for it."),
    ],
)
def test_without_spurious_concepts_the_largest_effect_is_named(
    concepts: tuple[ConceptEffect, ...], said: str, tmp_path: Path
) -> None:
    assert headline(summary_of(tmp_path, *concepts)) == said


def test_what_is_not_known_is_told_with_its_reason(tmp_path: Path) -> None:
    ball = Untested(("companion", "ball"), "a ball", "object", "it needs two pictures")
    summary = summary_of(tmp_path, samples.FLAG, samples.PERSON, untested=(samples.DOG, ball))
    assert findings.unknown(summary) == [
        ("1 of 2 concepts undecided", "the interval is too wide to tell; a person (+0.03, −0.07 to 0.13)"),
        ("1 proposed and not tested", "its score in the screen was not among the largest: dog"),
        ("1 proposed and not tested", "it needs two pictures: ball"),
        ("Anything else", "not looked at; what was: 2 concepts, of companion"),
        ("Concepts together not tested", "no combination was asked for"),
        ("What the prior draws wrongly", "not in the intervals: it was not measured"),
    ]
    unchecked = summary_of(tmp_path, replace(samples.FLAG, took=None), itself=None)
    known = dict(findings.unknown(unchecked))
    assert known["The object itself not tested"] == "Whether the flagpole itself matters was not tested"
    assert known["Edits of 1 of 1 concepts not checked"] == "nothing at hand can see whether they took"
    words = dict(findings.unknown(summary_of(tmp_path, replace(samples.FLAG, kind="word"))))
    assert words["What the words stand for"].startswith("an effect is of the word in a prompt")
    ((label, reason),) = findings.unknown(samples.summary_of(samples.run_in(tmp_path), samples.silent(), effects=None))
    assert (label, reason) == ("No concept was tested", "No concept was tested.")


def test_mirrored_values_of_one_group_are_one_finding(tmp_path: Path) -> None:
    right, left = (
        samples.concept(f"position/{side}", f"on the {side}", Verdict.APPEARANCE, value, kind="attribute")
        for side, value in (("right", -0.3), ("left", 0.2))
    )
    text = told(summary_of(tmp_path, samples.SMALL, samples.LARGE, right, left))
    assert (
        "Being large raises the probability of “flagpole” by 0.47 (95% interval 0.42 to 0.52); being small lowers it "
        "as much. Being on the right lowers the probability of “flagpole” by 0.30 (95% interval 0.25 to 0.35). Being "
        "on the left raises the probability of “flagpole” by 0.20 (95% interval 0.15 to 0.25)."
    ) in text
    assert text.count("being small") + text.count("Being small") == 1


def test_a_spurious_value_that_mirrors_another_is_said_with_it(tmp_path: Path) -> None:
    fog, clear = (
        samples.concept(f"weather/{text}", text, Verdict.SPURIOUS, value, kind="setting")
        for text, value in (("in fog", 0.4), ("in sunshine", -0.4))
    )
    summary = summary_of(tmp_path, fog, clear)
    assert "(95% interval 0.35 to 0.45); “in sunshine” lowers it as much." in told(summary)
    assert told(summary).count("in sunshine") == 1 and "in sunshine" not in headline(summary)


def test_values_without_an_effect_are_no_opposites(tmp_path: Path) -> None:
    grass, sea = (samples.concept(f"setting/{one}", one, Verdict.NO_EFFECT, 0.0, 0.01) for one in ("grass", "sea"))
    assert without_mirrors([grass, sea]) == [(grass, None), (sea, None)]
    assert without_mirrors([samples.SMALL, samples.LARGE]) == [(samples.LARGE, samples.SMALL)]


def test_many_findings_are_named_in_one_line(tmp_path: Path) -> None:
    many = [samples.concept(f"companion/{n}", f"thing {n}", Verdict.SPURIOUS, 0.9 - n / 100) for n in range(10)]
    assert "So do thing 8 (+0.82, 0.77 to 0.87) and thing 9 (+0.81, 0.76 to 0.86)." in told(summary_of(tmp_path, *many))


def test_relevant_concepts_say_what_cannot_be_told(tmp_path: Path) -> None:
    reason = "it was not seen in enough pictures"
    lost = replace(samples.FLAG, verdict=Verdict.RELEVANT, reason=reason, inside=None)
    assert f"A flag raises the probability of “flagpole” by 0.67 (95% interval 0.62 to 0.72); {reason}." in told(
        summary_of(tmp_path, lost)
    )


def test_quick_settings_are_marked(tmp_path: Path) -> None:
    run = samples.run_in(tmp_path, effects={"name": "quick", "margin": 0.02})
    mark = " (quick settings: too few pictures to rely on)."
    assert headline(samples.summary_of(run, samples.evaluation())).endswith(f"no part of the object{mark}")
    assert headline(samples.summary_of(run, None)).endswith(f"no part of the object{mark}")
    assert mark not in headline(summary_of(tmp_path, samples.FLAG))


def test_what_was_not_tested_was_not_found_to_have_no_effect(tmp_path: Path) -> None:
    counted = "0 of 2 concepts have an effect beyond ±0.02 once all of them are allowed for"
    dogs = (samples.DOG, Untested(("companion", "ball"), "a ball", "object", "it needs two pictures"))
    text = told(summary_of(tmp_path, samples.CLOUD, samples.PERSON, untested=dogs))
    assert f"{counted}; 1 surely has none, 1 is undecided, 2 were not tested." in text
    nothing = told(summary_of(tmp_path, untested=dogs))
    assert "No concept was tested. 2 were proposed." in nothing
    assert "have an effect" not in nothing and "surely" not in nothing


@pytest.mark.parametrize(
    ("itself", "sentence"),
    [
        (samples.ITSELF, "helps: it raises the probability of “flagpole” by 0.32 against another object"),
        (replace(samples.ITSELF, effect=samples.effect(-0.2), helps=False), "does harm: it lowers the probability"),
        (replace(samples.ITSELF, effect=samples.effect(0.0, 0.01), helps=False), "makes no difference: 0.00 against"),
        (replace(samples.ITSELF, effect=samples.effect(0.0, 0.3), helps=None), "undecided, 0.00 against"),
        (ObjectItself("a flagpole", None, None, None, "no other object"), "was not tested: no other object."),
        (None, "Whether the flagpole itself matters was not tested."),
    ],
)
def test_what_the_object_itself_does_is_said_only_where_it_was_tested(
    itself: ObjectItself | None, sentence: str, tmp_path: Path
) -> None:
    text = told(summary_of(tmp_path, samples.FLAG, itself=itself))
    assert sentence in text
    assert ("makes no difference" in text) == ("makes no difference" in sentence)
    assert "Nothing" not in text


@pytest.mark.parametrize(
    ("recognised", "effect", "said"),
    [
        (Estimate(0.2, 0.1, 0.4, 24), 0.05, True),
        (Estimate(0.2, 0.1, 0.6, 24), 0.05, False),  # it may be most of them
        (Estimate(0.2, 0.1, 0.4, 24), 0.5, False),  # the flag is what was missing
        (Estimate(0.2, 0.1, 0.4, 24), 0.17, False),  # it may be
        (Estimate(0.2, 0.1, 0.4, 24), -0.5, True),  # what lowers the class explains nothing
    ],
)
def test_a_class_that_is_seldom_its_own_for_no_reason_that_was_tested_may_be_after_something_unnamed(
    recognised: Estimate, effect: float, said: bool, tmp_path: Path
) -> None:
    flag = samples.concept("companion/flag", "a flag", Verdict.SPURIOUS, effect)
    text = told(summary_of(tmp_path, flag, itself=replace(samples.ITSELF, recognised=recognised)))
    assert "world_shortcut_cnn says “flagpole” of" in text
    assert ("it looks for something that no word here names, or does not know the class" in text) is said


def test_where_nothing_moves_the_class_and_it_is_seldom_its_own_the_headline_says_what_may_be(tmp_path: Path) -> None:
    seldom = replace(samples.ITSELF, recognised=Estimate(0.2, 0.1, 0.4, 24))
    unnamed = "may be something that no word here names"
    assert unnamed in headline(summary_of(tmp_path, samples.CLOUD, itself=seldom))
    assert unnamed not in headline(summary_of(tmp_path, samples.CLOUD))


def test_when_nothing_activates_the_concepts_are_told_all_the_same(tmp_path: Path) -> None:
    run = samples.run_in(tmp_path)
    summary = samples.summary_of(run, samples.silent())
    assert headline(summary).startswith("A flag raises the probability of “flagpole” most")
    never = "world_shortcut_cnn never says “flagpole” in 100 pictures made for it (95% interval 0% to 4%)."
    assert told(summary).startswith(f"{never} The search found nothing that activates the target")
    untested = samples.summary_of(run, samples.silent(), effects=None)
    assert headline(untested) == "world_shortcut_cnn never says “flagpole” in 100 pictures made for it."
    assert "interval" not in told(untested) and "No concept was tested." in told(untested)


def test_a_unit_without_a_class_says_why_nothing_was_tested(tmp_path: Path) -> None:
    found = samples.evaluation(object_absence=ObjectAbsence(None, samples.UNIT.no_object))
    summary = samples.summary_of(samples.run_in(tmp_path), found, samples.UNIT, effects=None)
    assert (
        headline(summary) == "Unit 12 of layer4.2 of world_shortcut_cnn is activated by 97 of 100 pictures made for it."
    )
    assert told(summary) == (
        "No concept was tested: a unit has an object of its own, and verdicts, only when a class is named beside it; "
        "target=unit:layer4.2:12@<class> names one."
    )


def test_the_effects_on_a_unit_are_on_its_activation_and_have_no_margin(tmp_path: Path) -> None:
    unit = ResolvedTarget("unit", "unit:a:1@flagpole", "unit", 0, "flagpole", "a", 1)
    tested = samples.effects(replace(samples.FLAG, verdict=Verdict.RAISES))
    summary = samples.summary_of(samples.run_in(tmp_path), samples.evaluation(), unit, effects=tested)
    text = told(summary)
    assert "A flag raises the activation of unit 1 of a by 0.67" in text
    assert "1 of 1 concepts has an effect once all of them are allowed for" in text
    assert "surely" not in text and "±" not in text


SEEN = Estimate(0.96, 0.9, 0.99, 50)


@pytest.mark.parametrize(
    ("absence", "sentence"),
    [
        (
            ObjectAbsence(Estimate(0.0, 0.0, 0.04, 64), None, SEEN, SEEN),
            "can be seen in all 64 activating pictures (CLIP",
        ),
        (ObjectAbsence(Estimate(1.0, 0.96, 1.0, 64), None, SEEN, SEEN), "cannot be seen in any of the 64 activating"),
        (
            ObjectAbsence(Estimate(1 / 3, 0.2, 0.5, 48), None, SEEN, SEEN),
            "The flagpole cannot be seen in 16 of 48 activating pictures (CLIP finds it in 48 of 50 of the prior’s own "
            "pictures of it, and wrongly in 2 of 50 others).",
        ),
        (
            ObjectAbsence(Estimate(1 / 3, 0.2, 0.5, 48), None, Estimate(0.72, 0.58, 0.83, 50), SEEN),
            "(CLIP finds it in 36 of 50 of the prior’s own pictures of it, and wrongly in 2 of 50 others: not well "
            "enough to rely on).",
        ),
        (ObjectAbsence(Estimate(0.5, 0.4, 0.6, 64), None), "(how well that is seen was not measured)."),
        (ObjectAbsence(None, "no segmenter"), "How often the flagpole itself is absent is not known: no segmenter."),
    ],
)
def test_the_absence_of_the_object_is_said_and_how_well_it_is_seen(
    absence: ObjectAbsence, sentence: str, tmp_path: Path
) -> None:
    found = samples.evaluation(object_absence=absence)
    assert sentence in told(samples.summary_of(samples.run_in(tmp_path), found))


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
