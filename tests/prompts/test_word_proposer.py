"""Words of a text encoder as concepts: which tokens are words, which stand for others, and what a run makes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.tiny import WORDS, tiny_prior

import diffexplain
from diffexplain.concepts import Hierarchy
from diffexplain.config import configuration
from diffexplain.diffusion import Prior, load_prior
from diffexplain.effects.results import Verdict
from diffexplain.errors import UserError
from diffexplain.prompts import PriorProposer, WordProposer
from diffexplain.prompts.word_proposer import IN_NO_TEXT, describing, representatives, whole_words
from diffexplain.target import ResolvedTarget

SLED = ResolvedTarget("class", "class:dog_sled", "dog_sled", 0, "dog_sled")


def taught(words: tuple[str, ...]) -> Prior:
    """A prior whose text encoder was taught these words: their embeddings are longer than all others."""
    prior = tiny_prior()
    vocabulary = prior.pipeline.tokenizer.get_vocab()
    with torch.no_grad():
        for word in words:
            prior.pipeline.text_encoder.get_input_embeddings().weight[vocabulary[f"{word}</w>"]] *= 100
    return prior


def names(hierarchy: Hierarchy) -> list[str]:
    return [concept.text for _, concept in hierarchy.concepts()]


def test_a_word_is_one_token_of_three_letters_that_was_taught() -> None:
    lengths = {
        "flag</w>": 2.0, "lag</w>": 0.9, "flag": 2.0, "ox</w>": 2.0, "it's</w>": 2.0, "r2d</w>": 2.0,
        "caf\u00e9</w>": 2.0, "bee</w>": 1.5, "snow</w>": 1.1, IN_NO_TEXT[0]: 1.0, IN_NO_TEXT[1]: 0.8,
    }  # fmt: skip
    vocabulary = {token: place for place, token in enumerate(lengths)}
    assert whole_words(vocabulary, np.asarray(list(lengths.values()))) == ["bee", "flag", "snow"]
    # Where tokens that no text has are as long as others, or there are none, the length says nothing.
    assert whole_words(vocabulary, np.ones(len(lengths))) == ["bee", "flag", "lag", "snow"]
    assert whole_words({"flag</w>": 0, "lag</w>": 1}, np.asarray([2.0, 1.0])) == ["flag", "lag"]


def test_the_word_nearest_to_the_centre_stands_for_its_cluster() -> None:
    degrees = np.deg2rad([0, 10, 25, 180, 188, 200])
    states = np.stack([np.cos(degrees), np.sin(degrees)], axis=1).astype(np.float32)
    assert representatives(states, 2) == [1, 4]
    assert representatives(states * 7, 2) == [1, 4]
    assert representatives(states, 6) == [0, 1, 2, 3, 4, 5]


def test_clusters_are_the_same_again() -> None:
    states = np.random.default_rng(0).standard_normal((300, 8)).astype(np.float32)
    found = representatives(states, 20)
    assert found == representatives(states, 20) == sorted(set(found))
    assert 15 <= len(found) <= 20


def test_all_words_are_proposed_but_the_classs_own_and_those_that_name_nothing() -> None:
    proposer = WordProposer()
    assert isinstance(proposer, PriorProposer)
    hierarchy = proposer.propose_from(taught(WORDS), SLED)
    assert names(hierarchy) == ["bee", "flag", "flagpole", "flower", "grass", "night", "red", "small", "snow"]
    assert {concept.kind for _, concept in hierarchy.concepts()} == {"word", "modifier"}
    assert names(WordProposer(domain="a red bee").propose_from(taught(WORDS), SLED))[:2] == ["dog", "flag"]


def test_of_a_larger_vocabulary_some_words_stand_for_the_others(tmp_path: Path) -> None:
    prior = taught(WORDS)
    hierarchy = WordProposer(clusters=4).propose_from(prior, SLED)
    assert 2 <= len(names(hierarchy)) <= 4 and set(names(hierarchy)) < set(WORDS)
    assert WordProposer(clusters=4).propose_from(prior, SLED) == hierarchy
    hierarchy.save(tmp_path / "words.yaml")
    assert Hierarchy.load(tmp_path / "words.yaml") == hierarchy


def test_a_texts_state_is_what_the_encoder_has_at_its_end() -> None:
    prior = tiny_prior()
    texts = ["flag", "a red flag"]
    states = prior.text_states(texts)
    assert states.shape == (2, 16)
    torch.testing.assert_close(states, prior.encode(texts)[[0, 1], [2, 4]])


def test_words_that_describe_stand_before_the_subject_and_things_behind_it() -> None:
    prior = load_prior("embedded:prior", steps=4)
    words = ["red", "spotted", "small", "purple", "teapot", "flag", "person", "kite"]
    assert describing(prior, words).tolist() == [True] * 4 + [False] * 4


def test_a_tokenizer_without_words_and_no_word_at_all_are_refused() -> None:
    prior = tiny_prior()
    prior.pipeline.tokenizer.get_vocab = lambda: {"flag": 0}
    with pytest.raises(UserError, match="no whole words"):
        WordProposer().propose_from(prior, SLED)
    with pytest.raises(UserError, match="at least one"):
        WordProposer(clusters=0)


def test_many_words_have_a_discovery_of_their_own() -> None:
    for explainer in ("diffexplainer", "randomised_prompts"):
        chosen = [f"explainer={explainer}", "concepts=words"]
        assert configuration.compose(chosen)["discovery"]["name"] == "words"
        assert configuration.compose([*chosen, "discovery=quick"])["discovery"]["name"] == "quick"
    assert configuration.compose(["concepts=words", "evaluation=quick"])["discovery"]["name"] == "quick"
    with pytest.raises(UserError, match="reads no discovery") as refused:
        configuration.compose(["explainer=diffex", "concepts=words"])
    assert refused.value.accepted == ("explainer=diffexplainer", "explainer=randomised_prompts")


def test_the_planted_flag_is_found_by_its_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    quick = ["effects=quick", "effects.images=12", "discovery.noises=1", "discovery.tested=2"]
    run = ["explainer=randomised_prompts", "concepts=words", *quick, f"paths.outputs={tmp_path}", "logger=local"]
    summary = diffexplain.explain(*run)
    assert summary.effects is not None
    (ranking,) = summary.effects.rankings
    for one in ranking.ranked:
        assert one.text in ("flag", "banner") and (one.kind, one.verdict) == ("word", Verdict.SPURIOUS)
        assert one.took is None and one.strayed is None
    assert len(ranking.concepts) == 2 and len(ranking.untested) == 102
    (page,) = (file.read_text(encoding="utf-8") for file in tmp_path.rglob("report.html"))
    assert "\N{LEFT DOUBLE QUOTATION MARK}flag\N{RIGHT DOUBLE QUOTATION MARK}" in page
