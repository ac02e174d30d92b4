"""The page in a real browser: what its first screen says, that nothing overflows, that its table sorts and filters."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from dataclasses import replace
from typing import Any

import pytest
from tests.report import samples

from diffexplain.effects.results import Verdict
from diffexplain.report import write_report

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on this machine")
WIDE, NARROW = (1280, 800), (390, 844)
SNOW = samples.concept("setting/snow", "in the snow", Verdict.SPURIOUS, 0.5, kind="setting")
LOOK = """
const visible = (element) => element.checkVisibility() && element.getClientRects().length > 0;
function look(frame) {
  const page = frame.contentDocument, view = frame.contentWindow, found = {};
  const all = (selector) => [...page.querySelectorAll(selector)];
  const texts = page.createTreeWalker(page.body, NodeFilter.SHOW_TEXT), first = [];
  for (let text = texts.nextNode(); text; text = texts.nextNode()) {
    const range = page.createRange();
    range.selectNodeContents(text);
    const at = range.getBoundingClientRect();
    if (visible(text.parentElement) && at.width && at.bottom <= view.innerHeight) first.push(text.data);
  }
  found.first = first.join(" ");
  const box = (one) => one.getBoundingClientRect();
  found.images = all("img").filter((image) => visible(image) && box(image).bottom <= view.innerHeight).length;
  found.overflow = page.documentElement.scrollWidth - page.documentElement.clientWidth;
  const wide = (one) => visible(one) && !one.closest("svg") && box(one).right > view.innerWidth + 1;
  found.beyond = all("body *").filter(wide).map((one) => one.outerHTML.slice(0, 80));
  const names = () => all("#concept-table tbody tr").filter(visible).map((row) => row.cells[0].dataset.value);
  const head = (label) => all("#concept-table th button").find((one) => one.textContent === label);
  found.names = names();
  head("Concept").click(); found.ascending = names();
  head("Concept").click(); found.descending = names();
  found.sorted = head("Concept").closest("th").getAttribute("aria-sort");
  head("Effect").click(); found.effects = names();
  all("button[data-kind=spurious]")[0].click(); found.spurious = names();
  found.told = page.querySelector(".filters output").value;
  all("[data-choose='not tested']")[0].click(); found.untested = names();
  all("button[data-kind='']")[0].click();
  const search = page.querySelector(".filters input");
  search.value = "SNOW"; search.dispatchEvent(new Event("input")); found.searched = names();
  const term = all("a.term")[0], tip = page.getElementById("tip");
  term.focus(); term.click();
  found.tip = visible(tip) && tip.textContent;
  found.tipEnd = tip.getBoundingClientRect().right;
  term.blur(); found.tipAfter = visible(tip);
  found.links = all("a[href^='#']").filter((link) => !page.getElementById(link.hash.slice(1))).map((link) => link.hash);
  return found;
}
addEventListener("load", () => {
  const found = [...document.querySelectorAll("iframe")].map(look);
  document.getElementById("found").textContent = JSON.stringify(found);
});
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a browser shows of the page of a classifier with two shortcuts, on a wide screen and on a phone."""
    folder = tmp_path_factory.mktemp("browser")
    run = samples.run_in(folder)
    concepts = (samples.FLAG, SNOW, samples.PERSON, samples.CLOUD, samples.SMALL, samples.LARGE)
    shown = [
        replace(one, path=path) for one in samples.effect_examples()[:2] for path in (samples.FLAG.path, SNOW.path)
    ]
    page = write_report(run, samples.summary_of(run, None, effects=samples.effects(*concepts)), effects=shown)
    text = html.escape(page.read_text(encoding="utf-8"))
    frames = "".join(
        f'<iframe style="width:{width}px;height:{height}px;border:0" srcdoc="{text}"></iframe>'
        for width, height in (WIDE, NARROW)
    )
    harness = folder / "harness.html"
    # A frame can be as narrow as a phone, which a window cannot; the page keeps its own policy of what may run.
    harness.write_text(f'<!doctype html>{frames}<pre id="found"></pre><script>{LOOK}</script>', encoding="utf-8")
    quiet = ("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync")
    options = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}", *quiet)
    command = [str(BROWSER), *options, "--virtual-time-budget=5000", "--dump-dom", harness.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found is not None and found[1], done.stderr
    wide, narrow = json.loads(html.unescape(found[1]))
    return wide, narrow


@pytest.mark.parametrize("screen", [0, 1])
def test_the_first_screen_names_both_shortcuts_how_sure_they_are_and_what_was_not_tested(
    seen: tuple[dict[str, Any], ...], screen: int
) -> None:
    first = " ".join(seen[screen]["first"].split())
    for said in (
        "A flag raises the probability of “flagpole” most, by 0.67 (95% interval 0.62 to 0.72)",
        "raises +0.67 0.62 to 0.72 flag spurious",
        "raises +0.50 0.45 to 0.55 snow spurious",
        "large appearance size; small does the opposite, as much",
        "1 not tested",
    ):
        assert said in first


def test_the_first_wide_screen_shows_the_pictures_and_all_that_is_not_known(seen: tuple[dict[str, Any], ...]) -> None:
    wide, _ = seen
    first = " ".join(wide["first"].split())
    assert wide["images"] == 4
    for said in (
        "1 of 6 concepts undecided",
        "1 proposed and not tested",
        "Anything else",
        "Concepts together not tested",
    ):
        assert said in first


@pytest.mark.parametrize("screen", [0, 1])
def test_nothing_overflows(seen: tuple[dict[str, Any], ...], screen: int) -> None:
    assert seen[screen]["overflow"] == 0
    assert seen[screen]["beyond"] == []


@pytest.mark.parametrize("screen", [0, 1])
def test_the_table_sorts_and_filters_and_its_links_lead_somewhere(
    seen: tuple[dict[str, Any], ...], screen: int
) -> None:
    found = seen[screen]
    assert found["names"] == ["flag", "snow", "large", "person", "cloud", "dog"]
    assert found["ascending"] == ["cloud", "dog", "flag", "large", "person", "snow"] == found["descending"][::-1]
    assert found["sorted"] == "descending"
    # What was not tested comes last, however it is sorted.
    assert found["effects"] == ["flag", "snow", "large", "person", "cloud", "dog"]
    assert found["spurious"] == ["flag", "snow"] and found["told"] == "2 of 7 concepts"  # "large" is two of them
    assert found["untested"] == ["dog"] and found["searched"] == ["snow"]
    assert found["links"] == []


@pytest.mark.parametrize(("screen", "width"), [(0, WIDE[0]), (1, NARROW[0])])
def test_a_term_says_what_it_means(seen: tuple[dict[str, Any], ...], screen: int, width: int) -> None:
    found = seen[screen]
    assert found["tip"] and found["tip"].startswith("It moves the target beyond ±0.02")
    assert found["tipEnd"] <= width and found["tipAfter"] is False
