"""Concepts without a language model: from files, CLIP and a vocabulary, and a finished run; and their merging."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.report.samples import evaluation, run_in, summary_of

from diffexplain import configuration
from diffexplain.building import build
from diffexplain.concepts import ClipProposer, Concept, FileProposer, Hierarchy, RunProposer
from diffexplain.concepts.matching import Clip
from diffexplain.concepts.merging import Draft, draft_of, finished, merged, normal_form
from diffexplain.errors import UserError
from diffexplain.paths import resolve_folder
from diffexplain.target import ResolvedTarget
from diffexplain.world.gates.held_out import renderings
from diffexplain.world.worlds import SHORTCUT_WORLD

IMAGES = 24


def target(name: str) -> ResolvedTarget:
    return ResolvedTarget("class", f"class:{name}", name, 0, name)


def rendered(subject: str) -> torch.Tensor:
    scenes = [scene for scene in SHORTCUT_WORLD.sample(600, seed=1) if scene.subject == subject][:IMAGES]
    return renderings(scenes, range(IMAGES))[0]


def names(hierarchy: Hierarchy) -> list[str]:
    return [concept.name for _, concept in hierarchy.concepts()]


@pytest.mark.parametrize(
    ("subject", "first", "kinds"),
    [
        ("flagpole", "flag", ["striped flag", "plain flag", "tricolour flag"]),
        ("bee", "flower", ["red flower", "yellow flower"]),
        ("dog_sled", "dog", ["brown dog", "white dog"]),
    ],
)
def test_clip_finds_the_planted_companion_with_its_kinds(subject: str, first: str, kinds: list[str]) -> None:
    proposer = ClipProposer("embedded:clip", "embedded:vocabulary.yaml")
    hierarchy = proposer.propose(rendered(subject), target(subject))
    companion = hierarchy.roots[0].children[0]
    assert (companion.name, companion.kind) == (first, "object")
    assert [child.name for child in companion.children] == kinds
    assert len(names(hierarchy)) < 15  # of 42 phrases
    assert ("in the snow" in names(hierarchy)) == (subject == "dog_sled")


def test_clip_proposes_nothing_for_noise_or_without_images() -> None:
    proposer = ClipProposer("embedded:clip", "embedded:vocabulary.yaml", significance=1e-12)
    with pytest.raises(UserError, match="No phrase"):
        proposer.propose(torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0)), target("bee"))
    with pytest.raises(UserError, match="4 images"):
        proposer.propose(None, target("bee"))
    with pytest.raises(UserError, match="no folder"):
        ClipProposer("nowhere", "embedded:vocabulary.yaml")
    with pytest.raises(UserError, match="another model"):
        ClipProposer("embedded:clipseg", "embedded:vocabulary.yaml").propose(rendered("bee"), target("bee"))


def test_a_file_is_proposed_as_it_is_whatever_the_images() -> None:
    proposer = FileProposer("birds")
    assert proposer.propose(None, target("bee")) == proposer.hierarchy


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run of DiffExplainer: a flag, a person and a cloud, and the words flag, banner, pole and mast."""
    made = run_in(tmp_path, classifier={"name": "cnn", "vocabulary": "embedded:vocabulary.yaml"})
    (tmp_path / "summary.json").write_text(summary_of(made, evaluation()).to_json())
    return tmp_path


def test_a_finished_run_proposes_what_it_found(run: Path) -> None:
    hierarchy = RunProposer(str(run)).propose(None, target("flagpole"))
    assert [(path[0], path[-1]) for path, _ in hierarchy.concepts()] == [
        ("companions", "flag"),
        ("companions", "striped flag"),
        ("companions", "plain flag"),
        ("companions", "tricolour flag"),
        ("companions", "person"),
        ("companions", "cloud"),
        ("objects", "banner"),
        ("objects", "pole"),
        ("objects", "mast"),
    ]
    assert "flagpole" in names(RunProposer(str(run)).propose(None, target("bee")))


def test_descriptions_that_were_found_stand_below_what_they_are_one_of(tmp_path: Path) -> None:
    vocabulary = {"vocabulary": "embedded:vocabulary.yaml", "more_phrases": "embedded:descriptions.yaml"}
    flag = evaluation().elements[0]
    blue = replace(flag, phrase="blue", kind="description", of="colour", overlap=None)
    made = run_in(tmp_path, classifier={"name": "cnn", **vocabulary})
    summary = replace(summary_of(made, evaluation()), elements=(flag, blue))
    for settings in (summary.settings, {**summary.settings, "classifier": {"name": "cnn"}}):
        (tmp_path / "summary.json").write_text(replace(summary, settings=settings).to_json())
        hierarchy = RunProposer(str(tmp_path), words=0).propose(None, target("flagpole"))
        found = {path: concept.kind for path, concept in hierarchy.concepts()}
        assert found["colour", "blue"] == "attribute"
        assert sum(path[-1] == "flag" for path in found) == 1


def test_a_run_of_another_method_has_no_words_to_propose(tmp_path: Path) -> None:
    made = replace(summary_of(run_in(tmp_path), evaluation()), words=None)
    (tmp_path / "summary.json").write_text(made.to_json())
    with pytest.raises(UserError, match="a run of DiffExplainer"):
        RunProposer(str(tmp_path))


def test_what_a_run_found_may_be_narrowed_to_its_verdicts(run: Path) -> None:
    spurious = RunProposer(str(run), words=0, verdicts=["spurious"], domain="an object")
    hierarchy = spurious.propose(None, target("flagpole"))
    assert (names(hierarchy), hierarchy.domain) == (["flag"], "an object")
    fair = replace(summary_of(run_in(run / "fair"), evaluation()), elements=evaluation().elements[1:])
    (run / "fair" / "summary.json").write_text(fair.to_json())
    with pytest.raises(UserError, match="found nothing spurious"):
        RunProposer(str(run / "fair"), words=0, verdicts=["spurious"])
    with pytest.raises(UserError, match="no such verdict"):
        RunProposer(str(run), verdicts=["spurios"])


def test_the_runs_vocabulary_may_be_gone(tmp_path: Path) -> None:
    made = run_in(tmp_path, classifier={"name": "cnn", "vocabulary": "nowhere.yaml"})
    (tmp_path / "summary.json").write_text(summary_of(made, evaluation()).to_json())
    assert names(RunProposer(str(tmp_path), words=1).propose(None, target("flagpole"))) == [
        *("flag", "person", "cloud", "pole"),
    ]


def test_what_a_run_found_comes_on_top_of_a_file_that_stays_as_it_is(run: Path) -> None:
    alone = FileProposer("world").hierarchy
    both = FileProposer("world", from_run=str(run)).propose(None, target("flagpole"))
    assert [c.name for c in both.roots[: len(alone.roots)]] == [c.name for c in alone.roots]
    assert set(names(alone)) <= set(names(both))
    assert len({normal_form(concept.text) for _, concept in both.concepts()}) == len(names(both))


def test_a_directory_without_a_finished_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="may not be finished"):
        RunProposer(str(tmp_path))
    with pytest.raises(UserError, match="no folder"):
        FileProposer("world", from_run=str(tmp_path / "none"))


def test_duplicates_are_merged_with_their_sub_types_and_empty_categories_go() -> None:
    drafts = [
        Draft("hair", "", "object", [draft_of("blond hair", "object", [draft_of("a blond braid", "attribute")])]),
        Draft("Hair", "", "object", [draft_of("grey hair", "object"), draft_of("the gray hairs", "object")]),
        Draft("colour", "", "object", [draft_of("Blond  hair", "object", [draft_of("a fair plait", "attribute")])]),
    ]
    (hair,) = finished(merged(drafts))
    assert [(child.text, [c.text for c in child.children]) for child in hair.children] == [
        ("blond hair", ["a blond braid", "a fair plait"]),
        ("grey hair", []),
    ]


def test_what_differs_is_kept_and_names_are_told_apart() -> None:
    texts = ["a red hat", "a red cat", "long hair", "a dog", "dogs in a row", "a crest", "a pine tree", "a vine tree"]
    drafts = [Draft("crest", "", "object", [draft_of(text, "object") for text in texts])]
    (category,) = finished(merged(drafts))
    assert [child.text for child in category.children] == texts
    assert (category.name, category.children[5].name) == ("crest", "a crest")


def test_clip_tells_synonyms_and_keeps_kinds_apart_from_their_object() -> None:
    clip = Clip.load(resolve_folder("embedded:clip"))
    kinds = [draft_of(text, "attribute") for text in ("a striped flag", "a plain flag", "a tricolour flag")]
    flag, banner = draft_of("a flag", "object", kinds[:2]), draft_of("a banner", "object", kinds[2:])
    first, second = finished(merged([flag, banner, draft_of("a dog", "object")], clip.alike))
    assert [child.text for child in first.children] == ["a striped flag", "a plain flag", "a tricolour flag"]
    assert second == Concept("dog", "a dog", "object")
    assert len(merged([draft_of("a flag", "object"), draft_of("a banner", "object")])) == 2  # spelling does not tell


@pytest.mark.parametrize("file", sorted((configuration.FOLDER / "concepts").glob("*.yaml")), ids=lambda file: file.stem)
def test_every_choice_is_built_or_says_what_it_lacks(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIFFEXPLAIN_CACHE", str(tmp_path))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    node = configuration.compose(["explainer=diffex", f"concepts={file.stem}"])["concepts"]
    assert node["name"] == file.stem
    lacking = {
        "from_run": "concepts.from_run must have a value",
        "openai": "OPENAI_API_KEY",
        "vlm": "diffexplain fetch concepts=vlm",
    }
    if file.stem in lacking:
        with pytest.raises(UserError, match=lacking[file.stem]):
            build(node, where="concepts")
    else:
        assert callable(build(node, where="concepts").propose)
