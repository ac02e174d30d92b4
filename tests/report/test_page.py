"""The page needs nothing but itself, escapes what is hostile, and is the same for the same run."""

import base64
import hashlib
import html
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.report import samples

from diffexplain import report
from diffexplain.effects.results import Combination, Confirmation, ConfirmedConcept, EffectsResult, Verdict
from diffexplain.evaluation.results import Activation, Evaluation, ObjectAbsence, Quality, Words
from diffexplain.report import load_run, views, wording, write_report
from diffexplain.report.page import render
from diffexplain.statistics.estimates import Estimate
from diffexplain.target import ResolvedTarget
from diffexplain.weights.paths import resolve_folder
from experiments.world.truth import TruthTable

OLD = Path(__file__).parent / "old"
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
        if self.open[-1:] not in (["style"], ["script"]):
            self.text += data


def page_of(
    directory: Path,
    found: Evaluation,
    target: ResolvedTarget = samples.FLAGPOLE,
    name: str | None = None,
    effects: EffectsResult | None = samples.TESTED,
) -> str:
    run = samples.run_in(directory)
    return samples.written(run, samples.summary_of(run, found, target, name, effects), found).read_text(
        encoding="utf-8"
    )


def assert_self_contained(page: str) -> Parsed:
    parsed = Parsed(page)
    assert not {"link", "iframe", "object", "base", "form"} & set(parsed.tags)
    script = (Path(report.__file__).parent / "templates" / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    # One script, the page's own, and a policy under which no other runs.
    assert parsed.tags.count("script") == page.count(f"<script>{script}</script>") == 1
    assert page.count(f"script-src 'sha256-{digest}'\">") == 1
    assert len(page) < 1_000_000
    for tag, name, value in parsed.attributes:
        assert not name.startswith("on"), (tag, name)
        if name in ("src", "href", "srcset", "action", "xlink:href"):
            assert value.startswith(("data:image/", "#")), (tag, name, value[:40])
    styles = page[page.index("<style>") : page.index("</style>")]
    assert "@import" not in styles
    assert re.findall(r"url\((.*?)\)", styles) == ["#hatch"]
    return parsed


def test_the_page_is_self_contained_and_says_the_verdict(tmp_path: Path) -> None:
    page = page_of(tmp_path, samples.evaluation())
    parsed = assert_self_contained(page)
    assert "A flag raises the probability of “flagpole” most, by 0.67 (95% interval 0.62 to 0.72)" in parsed.text
    assert "raises +0.67 0.62 to 0.72" in parsed.text and "1 not tested" in parsed.text
    assert "97 of 100 pictures made for it (95% interval 92% to 99%)" in parsed.text
    assert "python run.py target=class:flagpole" in parsed.text
    sections = [
        "Largest effects",
        "The same picture, without it and with it",
        "Not known",
        "What moves it",
        "Without it and with it",
        "What activates it",
        "Compared with other prompts",
        "Prior or classifier?",
        "In words",
        "The search",
        "What it cost",
        "How to read this page",
        "To pass on",
    ]
    assert re.findall(r"<h2>(.*?)</h2>", page)[: len(sections)] == sections


def test_a_run_that_optimised_no_prompt_has_the_same_page_without_what_it_did_not_measure(tmp_path: Path) -> None:
    run = samples.run_in(tmp_path)
    both = samples.concept("companion/snow", "in the snow", Verdict.SPURIOUS, 0.3)
    ranking = samples.ranking(samples.FLAG, both)
    combination = Combination((samples.FLAG.path, both.path), samples.estimate(0.8), samples.estimate(0.1), None)
    effects = samples.effects(rankings=(replace(ranking, combinations=(combination,)),))
    summary = samples.summary_of(run, None, effects=effects)
    page = write_report(run, summary, effects=samples.effect_examples()[:2]).read_text(encoding="utf-8")
    parsed = assert_self_contained(page)
    assert "Best together: flag and snow, +0.80 (95% interval 0.75 to 0.85)." in parsed.text
    assert "Together" in re.findall(r"<h2>(.*?)</h2>", page)
    for absent in ("What activates it", "Compared with", "In words", "The search", "Prior or classifier?", "Activates"):
        assert absent not in parsed.text


@pytest.mark.parametrize("name", ["schema_1_prompt", "schema_2_prompt", "schema_3_prompt"])
def test_the_page_of_an_earlier_run_says_how_its_concepts_were_tested(name: str, tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_bytes((OLD / f"{name}.json").read_bytes())
    parsed = assert_self_contained(render(load_run(tmp_path)))
    assert "A flag raises the probability of “flagpole”" in parsed.text and "97 of 100 pictures" in parsed.text
    assert "taken out by inpainting, an earlier way of testing" in parsed.text
    # Nobody counted then, and nothing was put in.
    for unmeasured in ("edited pictures", "denoising", "put into pictures", "surely ha", "Edits that failed"):
        assert unmeasured not in parsed.text


@pytest.mark.parametrize("name", ["schema_2_effects", "schema_3_effects"])
def test_the_page_of_an_earlier_ranking_claims_no_verdicts(name: str, tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_bytes((OLD / f"{name}.json").read_bytes())
    parsed = assert_self_contained(render(load_run(tmp_path)))
    assert "A flag raises the probability of “pole” most, by 0.98 (" in parsed.text
    assert "2 move it" in parsed.text
    for unsaid in ("spurious", "surely ha", "undecided, raises"):
        assert unsaid not in parsed.text


def test_only_activating_pictures_are_in_the_grid(tmp_path: Path) -> None:
    found = samples.evaluation()
    page = page_of(tmp_path, found)
    grid = page[page.index('class="grid-of-images') : page.index("<h2>Compared with")]
    assert grid.count("<img") == sum(example.activates for example in found.examples) == 4
    assert grid.count('class="spurious"') == grid.count('class="core"') == 3


def test_outlines_are_in_the_colour_of_the_concept_that_the_phrase_is_of(tmp_path: Path) -> None:
    snow = samples.concept("setting/snow", "in the snow", Verdict.SPURIOUS, 0.3, kind="setting")
    red = samples.concept("companion/flag/red", "a red flag", Verdict.CORE, 0.2)
    concepts = (snow, red, samples.FLAG, samples.PERSON)
    known = {"snow": snow, "a flag": samples.FLAG, "flag": samples.FLAG, "now": None}
    assert {phrase: views.concept_of(phrase, concepts) for phrase in known} == known
    masks = dict.fromkeys(("snow", "a person", "a bird"), samples.block(16, 1, 1, 2, 2))
    examples = tuple(replace(example, masks=masks) for example in samples.evaluation().examples[:1])
    page = page_of(tmp_path, samples.evaluation(examples=examples), effects=samples.effects(*concepts))
    grid = page[page.index('class="grid-of-images') : page.index("<h2>Compared with")]
    assert re.findall(r'<path class="(\w+)"', grid) == ["setting"]
    assert "in the snow" in grid and "a person" not in grid


def test_small_pictures_are_enlarged_pixel_by_pixel_and_large_ones_are_not(tmp_path: Path) -> None:
    assert 'class="grid-of-images pixels"' in page_of(tmp_path / "small", samples.evaluation(side=64))
    assert 'class="grid-of-images large"' in page_of(tmp_path / "large", samples.evaluation(side=256))


def test_equal_runs_give_equal_pages(tmp_path: Path) -> None:
    assert page_of(tmp_path / "a", samples.evaluation()) == page_of(tmp_path / "b", samples.evaluation())


def test_the_page_can_be_made_again_from_the_files(tmp_path: Path) -> None:
    page = page_of(tmp_path, samples.evaluation())
    assert render(load_run(tmp_path)) == page
    assert load_run(tmp_path).report.read_text(encoding="utf-8") == page


def test_hostile_names_are_shown_and_do_nothing(tmp_path: Path) -> None:
    found = samples.evaluation(notes=(HOSTILE,))
    found = replace(
        found,
        examples=tuple(
            replace(e, masks=dict.fromkeys([HOSTILE], samples.block(16, 1, 1, 2, 2))) for e in found.examples
        ),
        words=Words(((HOSTILE,),), (), replace(found.found, name="best phrase", text=HOSTILE)),
        baselines=(Activation(HOSTILE, HOSTILE, found.found.share, found.found.mean),),
    )
    concepts = replace(samples.FLAG, text=HOSTILE), replace(samples.POLE, path=(HOSTILE, HOSTILE), reason=HOSTILE)
    ranking = samples.ranking(*concepts, untested=(replace(samples.DOG, path=(HOSTILE,), reason=HOSTILE),))
    effects = samples.effects(subject=HOSTILE, rankings=(ranking,))
    target = ResolvedTarget("class", f"class:{HOSTILE}", "hostile", 0, HOSTILE)
    parsed = assert_self_contained(page_of(tmp_path, found, target, HOSTILE, effects))
    assert parsed.text.count(HOSTILE) > 8
    assert "49" not in parsed.text.replace(HOSTILE, "").split("7*7")[0][:200]


def test_when_nothing_activates_the_page_says_so(tmp_path: Path) -> None:
    parsed = assert_self_contained(page_of(tmp_path, samples.silent()))
    assert "never says “flagpole”" in parsed.text
    assert "None of these pictures activates the target." in parsed.text
    assert "There is no best phrase: no phrase was tried." in parsed.text
    assert "A flag raises" in parsed.text and "1 not tested" in parsed.text


def test_a_unit_without_a_class_says_why_nothing_was_tested(tmp_path: Path) -> None:
    found = samples.evaluation(object_absence=ObjectAbsence(None, "no class"), unit_threshold=3.25)
    parsed = assert_self_contained(page_of(tmp_path, found, samples.UNIT, effects=None))
    assert "No concept was tested: a unit has an object of its own" in parsed.text
    assert "The unit lies above 3.25" in parsed.text
    for unsaid in ("spurious", "no effect", "Object not seen", "What it cost"):
        assert unsaid not in parsed.text
    assert "None" not in parsed.text.replace("None of these", "")


@pytest.mark.parametrize("share", [Estimate(1.0, 0.96, 1.0, 64), Estimate(0.0, 0.0, 0.04, 64)])
def test_an_object_that_is_never_or_always_there(tmp_path: Path, share: Estimate) -> None:
    parsed = Parsed(page_of(tmp_path, samples.evaluation(object_absence=ObjectAbsence(share, None))))
    assert ("cannot be seen in any of the 64" in parsed.text) == (share.value == 1)
    assert ("can be seen in all 64" in parsed.text) == (share.value == 0)


def test_a_run_without_pictures_or_curve_says_so(tmp_path: Path) -> None:
    run = samples.run_in(tmp_path)
    (tmp_path / "metrics.jsonl").unlink()
    found = samples.evaluation(examples=())
    parsed = Parsed(write_report(run, samples.summary_of(run, found)).read_text(encoding="utf-8"))
    assert "The run kept no pictures." in parsed.text
    assert "The run kept no curve" in parsed.text


def test_what_the_prior_shows_by_itself_is_on_every_page(tmp_path: Path) -> None:
    parsed = assert_self_contained(page_of(tmp_path, samples.evaluation()))
    assert "Of the prior by itself, under “a photo”, 6 of 100 pictures" in parsed.text
    assert "evaluation.control=random_weights" in parsed.text


def test_a_control_stands_beside_the_classifier(tmp_path: Path) -> None:
    found = samples.evaluation(control=samples.control())
    quiet = assert_self_contained(page_of(tmp_path / "q", found, effects=samples.effects(control=samples.idle())))
    assert "answers to none of the 2 concepts tested" in quiet.text
    loud = assert_self_contained(page_of(tmp_path / "l", found, effects=samples.effects(control=samples.idle(0.3))))
    assert "answers to a flag, too" in loud.text
    assert "a flag0.67 (0.62 to 0.72) spurious0.30 (0.25 to 0.35)" in loud.text


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


def test_mirrored_values_are_one_row_and_every_row_leads_to_its_pictures(tmp_path: Path) -> None:
    page = page_of(tmp_path, samples.evaluation(), effects=samples.effects(samples.FLAG, samples.SMALL, samples.LARGE))
    rows = re.findall(r"<tr data-kind=.*?</tr>", page, re.DOTALL)
    assert [re.findall(r'class="name" data-value="(.*?)"', row)[0] for row in rows] == ["flag", "large", "dog"]
    assert "and small, the opposite" in rows[1]
    assert "pictures of flag" in rows[0] and "pictures of" not in rows[1]
    assert 'id="pictures-companion-flag"' in page and 'href="#pictures-companion-flag"' in rows[0]


def test_pictures_say_what_they_show_to_whom_cannot_see_them(tmp_path: Path) -> None:
    parsed = Parsed(page_of(tmp_path, samples.evaluation()))
    texts = [value for tag, name, value in parsed.attributes if (tag, name) == ("img", "alt")]
    assert len(texts) == parsed.tags.count("img") and all(texts)
    assert "picture 0 without a flag, score 0.31" in texts and "the same picture with a flag, score 0.98" in texts


def test_true_effects_stand_beside_the_stated_ones_where_the_weights_were_measured(tmp_path: Path) -> None:
    run, found = samples.run_in(tmp_path), samples.evaluation()
    table = TruthTable.load(resolve_folder("embedded:classifiers/shortcut_cnn"))
    true = f"{table.effect('flagpole', 'companion', 'flag'):+.2f}"
    summary = samples.summary_of(run, found)
    unknown = samples.written(run, summary, found).read_text(encoding="utf-8")
    assert "True effect" not in Parsed(unknown).text
    known = replace(summary, weights={"classifier.folder/model.safetensors": table.weights_sha256})
    parsed = Parsed(samples.written(run, known, found).read_text(encoding="utf-8"))
    assert f"The largest, a flag: stated +0.67, true {true}." in parsed.text
    # A pole is no value of the table.
    assert "0 of 1 intervals hold" not in parsed.text and "of 3 intervals hold the true effect" in parsed.text


def test_what_an_earlier_run_found_is_confirmed_or_not_beside_what_it_stated(tmp_path: Path) -> None:
    earlier, ways = samples.run_in(tmp_path / "earlier"), (samples.effect(0.57), samples.effect(0.04, 0.2))
    write_report(earlier, samples.summary_of(earlier, samples.evaluation()))
    run = samples.run_in(tmp_path / "now", concepts={"from_run": str(tmp_path / "earlier")})
    for put_in, answer in ((ways[0], "confirmed"), (ways[1], "not confirmed"), (samples.effect(-0.5), "the other way")):
        asked = Confirmation(3, 24, (ConfirmedConcept(samples.FLAG.path, put_in, None),))
        effects = samples.effects(samples.FLAG, confirmation=asked)
        text = Parsed(write_report(run, samples.summary_of(run, None, effects=effects)).read_text("utf-8")).text
        assert f"A flag is {answer}" in text and "put into 24 photographs of other classes it" in text
        assert f"on photographs: {wording.signed(put_in.score.value)} (95% interval" in text
        assert "where it is put in; the earlier run stated +0.67 (95% interval 0.62 to 0.72)" in text
        assert "combination was kept" not in text and "Best together" not in text
    asked = Confirmation(0, 1, (ConfirmedConcept(samples.FLAG.path, None, None),))
    effects = samples.effects(samples.FLAG, confirmation=asked)
    text = Parsed(write_report(run, samples.summary_of(run, None, effects=effects)).read_text("utf-8")).text
    assert "A flag is not tested on photographs: there were too few; the earlier" in text


def test_the_model_card_is_markdown_that_holds_no_tag(tmp_path: Path) -> None:
    hostile = replace(samples.FLAG, path=("companion", f"{HOSTILE}|x"))
    page = page_of(tmp_path, samples.evaluation(), effects=samples.effects(hostile, samples.SMALL, samples.LARGE))
    card = html.unescape(re.findall(r"<pre tabindex=\"0\">(## .*?)</pre>", page, re.DOTALL)[0])
    for heading in ("### Asked", "### Found", "### Not known", "### Made with"):
        assert heading in card
    assert "| large (small: the opposite) | appearance | +0.47 | 0.42 to 0.52 |" in card
    assert "<" not in card and "\\|x" in card
    assert "- 1 proposed and not tested: its score in the screen was not among the largest: dog" in card


def test_where_all_that_was_proposed_stayed_untested_the_page_lists_it(tmp_path: Path) -> None:
    effects = samples.effects(rankings=(samples.ranking(),))
    parsed = assert_self_contained(page_of(tmp_path, samples.evaluation(), effects=effects))
    assert "0 move it" in parsed.text and "1 not tested" in parsed.text
    assert "Its score in the screen was not among the largest" in parsed.text
