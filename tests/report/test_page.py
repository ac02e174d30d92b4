"""The page needs nothing but itself, escapes what is hostile, and is the same for the same run."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.report import samples

from diffexplain.evaluation.results import Activation, Estimate, Evaluation, Quality, Verdict, Words
from diffexplain.report import load_run, render_run, write_report
from diffexplain.target import ResolvedTarget

VOID = {"meta", "img", "input", "link", "br", "hr"}
HOSTILE = "<script>alert('1')</script><img src=http://evil.example/x onerror=alert(1)>\"}}{{7*7}}&"


class Parsed(HTMLParser):
    """Tags, attributes and text of a page; fails where tags are not closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def page_of(
    directory: Path, found: Evaluation, target: ResolvedTarget = samples.FLAGPOLE, name: str | None = None
) -> str:
    run = samples.run_in(directory)
    return write_report(run, samples.summary_of(run, found, target, name), found).read_text(encoding="utf-8")


def assert_self_contained(page: str) -> Parsed:
    parsed = Parsed(page)
    assert not {"script", "link", "iframe", "object", "base", "form"} & set(parsed.tags)
    for tag, name, value in parsed.attributes:
        assert not name.startswith("on"), (tag, name)
        if name in ("src", "href", "srcset", "action", "xlink:href"):
            assert value.startswith("data:image/"), (tag, name, value[:40])
    styles = page[page.index("<style>") : page.index("</style>")]
    assert "@import" not in styles
    assert re.findall(r"url\((.*?)\)", styles) == ["#hatch"]
    return parsed


def test_the_page_is_self_contained_and_says_the_verdict(tmp_path: Path) -> None:
    parsed = assert_self_contained(page_of(tmp_path, samples.evaluation()))
    assert "world_shortcut_cnn says “flagpole” in 97 of 100 pictures; a flag is spurious." in parsed.text
    assert "0.67, interval 0.62 to 0.72" in parsed.text
    assert "python run.py target=class:flagpole" in parsed.text
    for section in (
        "What activates it",
        "Take it out",
        "Compared with other prompts",
        "In words",
        "The search",
    ):
        assert section in parsed.text


def test_only_activating_pictures_are_in_the_grid(tmp_path: Path) -> None:
    found = samples.evaluation()
    page = page_of(tmp_path, found)
    grid = page[page.index('class="grid-of-images') : page.index("Take it out")]
    assert grid.count("<img") == sum(example.activates for example in found.examples) == 4
    assert grid.count('class="spurious"') == grid.count('class="core"') == 3


def test_small_pictures_are_enlarged_pixel_by_pixel_and_large_ones_are_not(tmp_path: Path) -> None:
    assert 'class="grid-of-images pixels"' in page_of(tmp_path / "small", samples.evaluation(side=64))
    assert 'class="grid-of-images large"' in page_of(tmp_path / "large", samples.evaluation(side=256))


def test_equal_runs_give_equal_pages(tmp_path: Path) -> None:
    assert page_of(tmp_path / "a", samples.evaluation()) == page_of(tmp_path / "b", samples.evaluation())


def test_the_page_can_be_made_again_from_the_files(tmp_path: Path) -> None:
    page = page_of(tmp_path, samples.evaluation())
    assert render_run(tmp_path) == page
    assert load_run(tmp_path).report.read_text(encoding="utf-8") == page


def test_hostile_names_are_shown_and_do_nothing(tmp_path: Path) -> None:
    found = samples.evaluation(notes=(HOSTILE,))
    found = replace(
        found,
        elements=(
            replace(found.elements[0], phrase=HOSTILE, of=HOSTILE, reason=HOSTILE),
            *found.elements[2:],
        ),
        examples=tuple(
            replace(e, masks=dict.fromkeys([HOSTILE], samples.block(16, 1, 1, 2, 2))) for e in found.examples
        ),
        edits=tuple(replace(edit, phrase=HOSTILE) for edit in found.edits),
        words=Words(((HOSTILE,),), (), replace(found.found, name="best phrase", text=HOSTILE)),
        baselines=(Activation(HOSTILE, HOSTILE, found.found.share, found.found.mean),),
    )
    target = ResolvedTarget("class", f"class:{HOSTILE}", "hostile", 0, HOSTILE)
    parsed = assert_self_contained(page_of(tmp_path, found, target, HOSTILE))
    assert parsed.text.count(HOSTILE) > 8
    assert "49" not in parsed.text.replace(HOSTILE, "").split("7*7")[0][:200]


def test_when_nothing_activates_the_page_says_so(tmp_path: Path) -> None:
    parsed = assert_self_contained(page_of(tmp_path, samples.silent()))
    assert "never says “flagpole”" in parsed.text
    assert "None of these pictures activates the target." in parsed.text
    assert "No element of the vocabulary was seen often enough" in parsed.text
    assert "There is no best phrase: no phrase was tried." in parsed.text
    assert "5 elements were not tested" in parsed.text


def test_a_unit_without_a_class_has_a_page_without_verdicts(tmp_path: Path) -> None:
    elements = tuple(
        replace(element, verdict=Verdict.UNDECIDED, removal=None) for element in samples.evaluation().elements
    )
    found = samples.evaluation(
        elements=elements, object_absent=None, object_absent_reason="no class", unit_threshold=3.25, edits=()
    )
    parsed = assert_self_contained(page_of(tmp_path, found, samples.UNIT))
    assert "No class was named beside this unit" in parsed.text
    assert "The unit lies above 3.25" in parsed.text
    assert "Strongest spurious element" not in parsed.text
    assert "only when a class is named beside it" in parsed.text
    assert "None" not in parsed.text.replace("None of these", "")


@pytest.mark.parametrize("share", [Estimate(1.0, 0.96, 1.0, 64), Estimate(0.0, 0.0, 0.04, 64)])
def test_an_object_that_is_never_or_always_there(tmp_path: Path, share: Estimate) -> None:
    parsed = Parsed(page_of(tmp_path, samples.evaluation(object_absent=share)))
    assert ("cannot be seen in any of the 64" in parsed.text) == (share.value == 1)
    assert ("can be seen in all 64" in parsed.text) == (share.value == 0)


def test_a_run_without_pictures_or_curve_says_so(tmp_path: Path) -> None:
    run = samples.run_in(tmp_path)
    (tmp_path / "metrics.jsonl").unlink()
    found = samples.evaluation(examples=(), edits=())
    parsed = Parsed(write_report(run, samples.summary_of(run, found), found).read_text(encoding="utf-8"))
    assert "The run kept no pictures." in parsed.text
    assert "The run kept no curve" in parsed.text


def test_what_the_prior_shows_by_itself_is_on_every_page(tmp_path: Path) -> None:
    parsed = assert_self_contained(page_of(tmp_path, samples.evaluation()))
    assert "Of the prior by itself, under “a photo”, 6 of 100 pictures" in parsed.text
    assert "a flag is seen in 10% of such pictures, and in 90% of the activating ones" in parsed.text
    assert "evaluation.control=random_weights" in parsed.text


def test_a_control_stands_beside_the_classifier(tmp_path: Path) -> None:
    quiet = assert_self_contained(page_of(tmp_path / "quiet", samples.evaluation(control=samples.control())))
    assert "answers to none of the 2 elements tested" in quiet.text
    assert "a flag0.67 (0.62 to 0.72) spurious0.00 (−0.05 to 0.05) not relevant" in quiet.text
    loud = assert_self_contained(page_of(tmp_path / "loud", samples.evaluation(control=samples.control(0.3))))
    assert "answers to a flag too" in loud.text


def test_prompts_are_compared_with_the_class_name(tmp_path: Path) -> None:
    parsed = assert_self_contained(page_of(tmp_path, samples.evaluation(comparisons=samples.COMPARISONS)))
    assert "+0.37 (+0.32 to +0.42) beside the class name, p <0.001" in parsed.text


def test_the_quality_of_the_pictures_is_a_table_or_says_why_not(tmp_path: Path) -> None:
    assert "How good and how varied" not in page_of(tmp_path / "none", samples.evaluation())
    reason = "CLIP-IQA was not measured: this CLIP does not know good"
    rows = (
        Quality("found prompt", None, None, None, samples.estimate(0.3), samples.estimate(0.0123), reason),
        Quality("neutral", "a photo", None, None, samples.estimate(0.2), None, reason),
    )
    text = assert_self_contained(page_of(tmp_path / "some", samples.evaluation(quality=rows))).text
    assert "The found prompt––0.30 (0.25 to 0.35)0.0123 (−0.0377 to 0.0623)" in text
    assert reason in text


def test_a_description_is_shown_in_whole_pictures_of_the_object(tmp_path: Path) -> None:
    found = samples.evaluation()
    flag, *others = found.elements
    blue = replace(flag, phrase="blue", kind="description", of="colour", overlap=None)
    edits = tuple(replace(edit, phrase="blue") if edit.phrase == "a flag" else edit for edit in found.edits)
    parsed = assert_self_contained(page_of(tmp_path, replace(found, elements=(blue, *others), edits=edits)))
    assert "Blue is spurious: another colour in its place lowers the probability of “flagpole” by 0.67" in parsed.text
    assert "0.97 blue 0.31 another colour" in parsed.text
    assert "so described and with another description in its place" in parsed.text
    alone = assert_self_contained(page_of(tmp_path / "alone", found))
    assert "another description" not in alone.text
