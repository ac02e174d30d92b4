"""Rules on effects: what they are written like, and what a finished run makes of them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.report import samples

from diffexplain.errors import UserError
from diffexplain.report.rules import Answer, check, parse, worst
from diffexplain.statistics.estimates import SameAnswer


@pytest.mark.parametrize(
    ("rule", "answer", "said"),
    [
        ("a flag > 0.1", Answer.HOLDS, "holds. The effect is +0.670 (95% interval 0.620 to 0.720)."),
        ("flag > 0.62", Answer.OPEN, "undecided. The effect is"),  # touching the bound is not beyond it
        ("a flag > 0.73", Answer.DOES_NOT, "does not hold."),
        ("A FLAG < 0.73", Answer.HOLDS, "holds."),
        ("a flag<-1e-1", Answer.DOES_NOT, "does not hold."),
        ("small < -0.1", Answer.HOLDS, "The effect is \N{MINUS SIGN}0.470"),
        ("small < -0.5", Answer.OPEN, "undecided."),
        ("small < -.6", Answer.DOES_NOT, "does not hold."),
        ("a person > 0.1", Answer.OPEN, "undecided."),
        ("a cloud > 0.1", Answer.DOES_NOT, "does not hold."),
        ("a dog > 0.1", Answer.OPEN, "not tested. Its score in the screen was not among the largest."),
        ("a flog > 0.1", Answer.OPEN, "not tested. The concept was not proposed; nearest: a flag"),
    ],
)
def test_the_whole_interval_decides_and_what_was_not_tested_is_open(
    tmp_path: Path, rule: str, answer: Answer, said: str
) -> None:
    found = samples.effects(samples.FLAG, samples.SMALL, samples.PERSON, samples.CLOUD)
    summary = samples.summary_of(samples.run_in(tmp_path), samples.evaluation(), effects=found)
    (one,) = parse(rule)
    judged, sentence = one.judge(summary)
    assert judged is answer and said in sentence
    # A classifier that answers all alike has told nothing, and a run without effects tested nothing.
    assert one.judge(replace(summary, same_answer=SameAnswer(0.5, 12)))[0] is Answer.OPEN
    assert one.judge(replace(summary, effects=None))[0] is Answer.OPEN


def test_several_rules_and_how_they_are_written() -> None:
    written = ["a flag, small > 0.1, in the snow < -0.2", ["a flag, small > 0.1", "in the snow < -0.2"]]
    assert [[str(rule) for rule in parse(given)] for given in written] == [written[1], written[1]]
    assert parse(None) == parse([]) == ()
    answers = [Answer.DOES_NOT, Answer.OPEN, Answer.HOLDS]
    assert [worst(answers[:count]) for count in range(4)] == [Answer.DOES_NOT, *answers]
    assert [answer.value for answer in answers] == [0, 5, 4]


@pytest.mark.parametrize("given", ["", "a flag", "a flag >", "> 0.1", "a flag > much", "a flag = 0.1", 3, ["a > 1", 2]])
def test_what_is_no_rule_is_refused_with_one_that_is(given: Any) -> None:
    with pytest.raises(UserError, match=r"fail_if='a flag > 0\.1'"):
        parse(given)


def test_a_concept_that_there_is_not_has_its_nearest() -> None:
    concepts = [(("companion", "flag"), "a flag"), (("companion", "dog"), "a dog"), (("colour", "red"), "red")]
    check(parse("FLAG > 0, a dog < 1"), concepts)
    with pytest.raises(UserError, match="nearest:  a flag") as caught:
        check(parse("a flagg > 0"), concepts)
    assert caught.value.nearest[0] == "a flag" and "diffexplain list concepts" in str(caught.value)


def test_a_name_that_several_concepts_have_decides_nothing() -> None:
    concepts = [(("dog", "brown"), "a brown dog"), (("cat", "brown"), "a brown cat"), (("brown",), "brown")]
    check(parse("a brown dog > 0, brown > 0"), concepts)  # the text of one is that one
    with pytest.raises(UserError, match="several concepts") as caught:
        check(parse("brown > 0"), concepts[:2])
    assert caught.value.accepted == ("a brown dog", "a brown cat")
