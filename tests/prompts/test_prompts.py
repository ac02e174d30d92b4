"""Both kinds of prompt: what they read as, what they are near, and that diffusers reads them alike."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from tests.tiny import tiny_prior

from diffexplain.concepts.content_words import content_words
from diffexplain.errors import UserError
from diffexplain.prompts import ConstrainedPrompt, FreePrompt, SoftPrompt, textual_inversion
from diffexplain.runs.draws import Draws

WORDS = ["flagpole", "flag", "bee", "flower"]
DRAWS = Draws(0, "class:flagpole")
STRATEGIES = [FreePrompt, ConstrainedPrompt]


def saying(words: list[str], prefix: str = "") -> ConstrainedPrompt:
    """A constrained prompt whose tokens are these words outright."""
    prompt = ConstrainedPrompt(tiny_prior(), WORDS, DRAWS, tokens=len(words), prefix=prefix)
    with torch.no_grad():
        prompt.logits.fill_(-100.0)
        for token, word in enumerate(words):
            prompt.logits[token, WORDS.index(word)] = 100.0
    return prompt


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_one_parameter_one_gradient_same_start(strategy: type[FreePrompt | ConstrainedPrompt]) -> None:
    prompt, again = (strategy(tiny_prior(), WORDS, DRAWS, tokens=3, prefix="a red") for _ in range(2))
    assert [p.shape[0] for p in prompt.parameters()] == [3]
    assert list(prompt.state_dict()) == [name for name, _ in prompt.named_parameters()]
    assert prompt.embeddings().shape == (3, 16)
    states = prompt()
    assert states.shape == (1, 16, 16)
    states.square().mean().backward()
    (parameter,) = prompt.parameters()
    assert parameter.grad is not None
    assert parameter.grad.abs().max() > 0
    assert torch.equal(again.embeddings(), prompt.embeddings())
    other = strategy(tiny_prior(), WORDS, Draws(1, "class:flagpole"), tokens=3, prefix="a red")
    assert not torch.equal(other.embeddings(), prompt.embeddings())


def test_a_prompt_of_words_reads_as_their_text() -> None:
    prompt = saying(["flag", "bee"], prefix="a red")
    expected = tiny_prior().encode(["a red flag bee"])
    torch.testing.assert_close(prompt(), expected, rtol=0, atol=1e-6)


def test_nearest_words_of_a_constrained_prompt_are_its_weights() -> None:
    prompt = saying(["flag", "bee"])
    first, second = prompt.nearest_words(2)
    assert (first[0].text, second[0].text) == ("flag", "bee")
    assert first[0].nearness == pytest.approx(1.0)
    assert first[1].nearness == pytest.approx(0.0, abs=1e-6)


def test_nearest_words_of_a_free_prompt_are_by_angle() -> None:
    prompt = FreePrompt(tiny_prior(), WORDS, DRAWS, tokens=1)
    with torch.no_grad():
        prompt.offset[0] = (3.0 * (prompt.word_embeddings[2] - prompt.centre)) / prompt.spread
    ((word, *others),) = prompt.nearest_words(10)
    assert (word.text, word.nearness) == ("bee", pytest.approx(1.0, abs=1e-5))
    assert len(others) == len(WORDS) - 1


def test_a_constrained_prompt_is_its_likeliest_words_with_the_gradient_of_their_mixture() -> None:
    prompt = ConstrainedPrompt(tiny_prior(), WORDS, DRAWS, tokens=2)
    likeliest = [WORDS.index(token[0].text) for token in prompt.nearest_words(1)]
    assert prompt.said() == tuple(likeliest)
    assert torch.equal(prompt.embeddings(), prompt.word_embeddings[likeliest])
    assert torch.equal(prompt.eval().embeddings(), prompt.word_embeddings[likeliest])
    assert not torch.equal(prompt.mixture(), prompt.embeddings())
    assert torch.equal(prompt(), prior_of_words(likeliest))
    assert not torch.equal(prompt(mixed=True), prompt())
    direction = torch.randn(2, 16, generator=torch.Generator().manual_seed(0))
    gradients = [
        torch.autograd.grad((embeddings * direction).sum(), prompt.logits)[0]
        for embeddings in (prompt.embeddings(), prompt.mixture())
    ]
    assert torch.equal(*gradients)
    assert gradients[0].abs().max() > 0


def prior_of_words(places: list[int]) -> torch.Tensor:
    """Hidden states of these words as text."""
    return tiny_prior().encode([" ".join(WORDS[place] for place in places)])


def test_the_entropy_penalty_grows_and_vanishes_on_single_words() -> None:
    uniform = ConstrainedPrompt(tiny_prior(), WORDS, DRAWS, initial_noise=0.0, entropy_weight=0.5)
    assert uniform.penalty(0.0).item() == 0.0
    assert uniform.penalty(1.0).item() == pytest.approx(0.5 * math.log(4) / math.log(4))
    assert uniform.penalty(0.5).item() == pytest.approx(0.25)
    assert saying(["flag"]).penalty(1.0).item() == pytest.approx(0.0, abs=1e-6)
    assert FreePrompt(tiny_prior(), WORDS, DRAWS).penalty(1.0).item() == 0.0


@pytest.mark.parametrize("tokens", [1, 3])
def test_diffusers_reads_the_saved_prompt_alike(tokens: int, tmp_path: Path) -> None:
    prior = tiny_prior()
    prompt: SoftPrompt = FreePrompt(prior, WORDS, DRAWS, tokens=tokens, prefix="a red", initial_noise=1.0)
    ours = prompt().detach()
    (tmp_path / "prompt.safetensors").write_bytes(textual_inversion(prompt.embeddings(), "<target>"))

    pipeline = tiny_prior().pipeline
    pipeline.load_textual_inversion(str(tmp_path / "prompt.safetensors"))
    theirs, _ = pipeline.encode_prompt("a red <target>", torch.device("cpu"), 1, False)
    torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-6)


def test_wrong_sizes_are_the_users_error() -> None:
    prior = tiny_prior()
    with pytest.raises(UserError, match="at least one"):
        FreePrompt(prior, WORDS, DRAWS, tokens=0)
    with pytest.raises(UserError, match="empty"):
        FreePrompt(prior, [], DRAWS)
    with pytest.raises(UserError, match="reads 16"):
        ConstrainedPrompt(prior, WORDS, DRAWS, tokens=15)


def test_content_words() -> None:
    phrases = ["a striped flag", "a flag on the pole", "dog_sled", "Night sky"]
    assert content_words(phrases) == ["striped", "flag", "pole", "dog", "sled", "night", "sky"]
