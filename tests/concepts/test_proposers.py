"""Concepts without a language model: from files, CLIP and a vocabulary, and a finished run; and their merging."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.concepts.finished import CLOUD, DOG, FLAG, LARGE, SNOW, STRIPED
from tests.concepts.finished import finished as finished_run

from diffexplain.concepts import ClipProposer, Concept, Hierarchy
from diffexplain.concepts.matching import Clip
from diffexplain.concepts.merging import Draft, draft_of, finished, merged, normal_form
from diffexplain.config import configuration
from diffexplain.config.instantiate import build
from diffexplain.effects.results import Untested
from diffexplain.errors import UserError
from diffexplain.pipelines.proposers import FileProposer, RunProposer
from diffexplain.prompts import PriorProposer
from diffexplain.report import Summary
from diffexplain.target import ResolvedTarget
from diffexplain.weights.paths import resolve_folder
from diffexplain.world.held_out import renderings
from experiments.world.worlds import SHORTCUT_WORLD

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
    """A finished run of DiffExplainer that found flags, striped ones at that, dogs and a size to matter."""
    finished_run(tmp_path, FLAG, CLOUD, STRIPED, SNOW, LARGE, DOG)
    return tmp_path


def test_a_finished_run_proposes_what_it_found(run: Path) -> None:
    hierarchy = RunProposer(str(run)).propose(None, target("flagpole"))
    assert [(path, concept.kind) for path, concept in hierarchy.concepts()] == [
        (("companion", "flag"), "object"),
        (("companion", "flag", "striped"), "attribute"),
        (("companion", "flag", "plain flag"), "attribute"),  # said with "flag", the prompt's nearest word
        (("companion", "flag", "tricolour flag"), "attribute"),
        (("companion", "dog"), "object"),
        (("size", "large"), "attribute"),
        (("objects", "banner"), "object"),
        (("objects", "pole"), "object"),
        (("objects", "mast"), "object"),
    ]


def test_what_had_no_effect_or_was_not_told_or_not_tested_is_not_proposed(run: Path) -> None:
    found = names(RunProposer(str(run), words=0).propose(None, target("flagpole")))
    assert found == ["flag", "striped", "dog", "large"]  # in the order of their effects, below their categories


def test_of_a_kind_that_was_found_its_object_is_proposed_too(tmp_path: Path) -> None:
    untested = Untested(FLAG.path, FLAG.text, FLAG.kind, "not tested")
    finished_run(tmp_path, STRIPED, untested=[untested])
    hierarchy = RunProposer(str(tmp_path), words=0).propose(None, target("flagpole"))
    assert [(path, concept.text, concept.kind) for path, concept in hierarchy.concepts()] == [
        (("companion", "flag"), "a flag", "object"),
        (("companion", "flag", "striped"), "a striped flag", "attribute"),
    ]


@pytest.mark.parametrize("version", ["1", "2", "3"])
def test_a_run_from_before_concepts_were_tested_alike_is_read(version: str, tmp_path: Path) -> None:
    plain = json.loads(finished_run(tmp_path).to_json()) | {"schema_version": version, "effects": None}
    plain["object_absence"] = {"share": None, "reason": "few"}
    removal = dict.fromkeys(("drop", "raw_drop", "null_drop", "took"), plain["activation"][0]["mean"])
    removal |= {"logit_drop": removal["drop"], "blur_drop": None, "neutral_drop": None, "p": 0.001, "adjusted_p": 0.002}
    told = {"shown": None, "shown_neutral": None, "lift": None, "overlap": None, "reason": None}
    plain["elements"] = [
        {"phrase": "a flag", "kind": "object", "of": None, "verdict": "spurious", "removal": removal, **told},
        {"phrase": "a striped flag", "kind": "attribute", "of": "a flag", "verdict": "spurious"}
        | {"removal": removal, **told},
        {"phrase": "blue", "kind": "description", "of": "colour", "verdict": "spurious", "removal": removal, **told},
        {"phrase": "a flagpole", "kind": "object", "of": None, "verdict": "core", "removal": removal, **told},
        {"phrase": "a cloud", "kind": "object", "of": None, "verdict": "not relevant", "removal": removal, **told},
        {"phrase": "a dog", "kind": "object", "of": None, "verdict": "not seen", "removal": None, **told},
    ]
    for later in {"1": ("effects",), "2": (), "3": ()}[version]:
        del plain[later]
    if version != "3":
        for later in ("comparisons", "control", "quality", "statement"):
            del plain[later]
        del plain["words"]["captions"]
    del plain["same_answer"]
    (tmp_path / "summary.json").write_text(json.dumps(plain))
    hierarchy = RunProposer(str(tmp_path), words=0).propose(None, target("flagpole"))
    assert [(path, concept.text, concept.kind) for path, concept in hierarchy.concepts()] == [
        (("flag",), "a flag", "object"),
        (("flag", "striped flag"), "a striped flag", "attribute"),
        (("colour", "blue"), "blue", "attribute"),
    ]
    # Of another target the flagpole is a concept as any.
    assert "flagpole" in names(RunProposer(str(tmp_path), words=0).propose(None, target("bee")))


def test_a_run_without_words_proposes_its_concepts_and_one_without_either_nothing(run: Path) -> None:
    made = replace(Summary.load(run), words=None)
    (run / "summary.json").write_text(made.to_json())
    assert names(RunProposer(str(run)).propose(None, target("flagpole"))) == names(
        RunProposer(str(run), words=0).propose(None, target("flagpole"))
    )
    (run / "summary.json").write_text(replace(made, effects=None).to_json())
    with pytest.raises(UserError, match="a run that tested concepts"):
        RunProposer(str(run))


def test_what_a_run_found_may_be_narrowed_to_its_verdicts(run: Path) -> None:
    spurious = RunProposer(str(run), words=0, verdicts=["spurious"], domain="an object")
    hierarchy = spurious.propose(None, target("flagpole"))
    assert (names(hierarchy), hierarchy.domain) == (["flag", "striped", "dog"], "an object")
    finished_run(run / "fair", LARGE, CLOUD)
    with pytest.raises(UserError, match="found nothing spurious"):
        RunProposer(str(run / "fair"), words=0, verdicts=["spurious"])
    for wrong in ("spurios", "no effect", "undecided", "not tested"):
        with pytest.raises(UserError, match="no such verdict"):
            RunProposer(str(run), verdicts=[wrong])


def test_the_runs_vocabulary_may_be_gone(tmp_path: Path) -> None:
    finished_run(tmp_path, FLAG, vocabulary="nowhere.yaml")
    proposed = RunProposer(str(tmp_path), words=1).propose(None, target("flagpole"))
    assert names(proposed) == ["flag", "pole"]  # the word "flag" is the concept that was found


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
    node = configuration.compose([f"concepts={file.stem}"])["concepts"]
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
        proposer = build(node, where="concepts")
        assert isinstance(proposer, PriorProposer) or callable(proposer.propose)
