"""Texts of the user's are scored like the found prompt, and compared with the class name seed by seed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.evaluation.toy import EVERYTHING, SETTINGS, answers_to_flag, run

from diffexplain.evaluation.settings import EvaluationSettings
from diffexplain.statistics.tests import mcnemar, paired_share_difference
from diffexplain.target import ResolvedTarget

TEXTS = ["a photo of a flag", "a photo of a tree"]


def test_given_texts_are_scored_and_compared_with_the_class_name() -> None:
    found = run(answers_to_flag, EVERYTHING, settings=replace(SETTINGS, texts=TEXTS))
    given = [row for row in found.baselines if row.name == "given text"]
    assert [row.text for row in given] == TEXTS
    assert [row.share.value for row in given] == [1.0, 0.0]
    beside = {one.text: one for one in found.comparisons if one.name == "given text"}
    assert {one.than for one in found.comparisons} == {"class name"}
    # "a photo of a pole" shows no flag: of 40 seeds all change, or none.
    flag, tree = beside[TEXTS[0]], beside[TEXTS[1]]
    assert (flag.difference.value, flag.difference.n) == (1.0, 40)
    assert flag.p == pytest.approx(2 * 0.5**40)
    assert (tree.difference.value, tree.p) == (0.0, 1.0)
    assert tree.difference.low < 0 < tree.difference.high  # 40 seeds do not show that there is no difference at all
    # Random words have fewer images: only the seeds that both have are compared.
    (random,) = (one for one in found.comparisons if one.name == "random words")
    assert random.difference.n == SETTINGS.random_images


def test_without_a_class_the_neutral_prompt_is_what_others_are_compared_with() -> None:
    unit = ResolvedTarget(kind="unit", text="unit:any:3", slug="unit", module="any", channel=3)
    found = run(answers_to_flag, EVERYTHING, target=unit)
    assert {one.than for one in found.comparisons} == {"neutral"}
    assert [one.name for one in found.comparisons] == ["found prompt", "random words"]


@pytest.mark.parametrize(
    ("better", "worse", "p"), [(0, 0, 1.0), (5, 0, 0.0625), (0, 5, 0.0625), (3, 3, 1.0), (9, 1, 22 / 1024)]
)
def test_mcnemar_is_the_exact_two_sided_binomial_test(better: int, worse: int, p: float) -> None:
    assert mcnemar(better, worse) == pytest.approx(p)


def test_the_interval_of_a_paired_difference_is_bonett_and_prices() -> None:
    found = paired_share_difference(8, 2, 38)
    # (9 - 3) / 40 = 0.15, with 1.96 standard errors of sqrt((0.225 + 0.075 - 0.15 ** 2) / 40).
    half = 1.959964 * (0.2775 / 40) ** 0.5
    assert (found.value, found.n) == (pytest.approx(6 / 38), 38)
    assert (found.low, found.high) == (pytest.approx(0.15 - half), pytest.approx(0.15 + half))
    assert paired_share_difference(5, 0, 5).high == 1.0


def test_an_empty_text_is_refused() -> None:
    with pytest.raises(ValueError, match="list of prompts"):
        EvaluationSettings(texts=["a flag", " "])
