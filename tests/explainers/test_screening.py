"""The optimisation begins at the words whose images activate the target."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from tests.explainers.support import GREEN, artefacts, explain, explainer
from tests.tiny import WORDS, TinyClassifier, tiny_prior
from torch import Tensor

from diffexplain.explainers import Diverged
from diffexplain.explainers.objective import ClassObjective, UnitObjective
from diffexplain.explainers.screening import OWN, Beginning, screen
from diffexplain.prompts import ConstrainedPrompt, FreePrompt
from diffexplain.runs.draws import Draws

DRAWS = Draws(0, "class:bee")


def mean_log_probability(text: str, images: int, round_: int) -> float:
    """Of the class bee in images of a text, by the pipeline's own tokenizer."""
    prior = tiny_prior(steps=2)
    latents = DRAWS.normals("screen", round_, images, prior.latent_shape)
    return float(TinyClassifier()(prior.generate([text], latents)).log_softmax(dim=1)[:, 1].mean())


def test_the_first_half_is_screened_alone_and_the_second_after_the_best_word() -> None:
    prior = tiny_prior(steps=2)
    prompt = ConstrainedPrompt(prior, WORDS, DRAWS, tokens=2)
    weights = screen(prompt, prior, ClassObjective(TinyClassifier(), 1), DRAWS, images=3)
    assert weights.shape == (2, len(WORDS))
    alone = [3 * mean_log_probability(f"{word} {word}", 3, 0) for word in WORDS]
    assert weights[0].tolist() == pytest.approx(alone, abs=1e-4)
    best = WORDS[int(weights[0].argmax())]
    after = [3 * mean_log_probability(f"{best} {word}", 3, 1) for word in WORDS]
    assert weights[1].tolist() == pytest.approx(after, abs=1e-4)


def test_a_single_token_is_screened_once() -> None:
    prior = tiny_prior(steps=2)
    prompt = ConstrainedPrompt(prior, WORDS, DRAWS, tokens=1)
    weights = screen(prompt, prior, ClassObjective(TinyClassifier(), 1), DRAWS, images=2)
    assert weights[0].tolist() == pytest.approx([2 * mean_log_probability(w, 2, 0) for w in WORDS], abs=1e-4)


def test_a_constrained_prompt_leans_to_the_posterior() -> None:
    prompt = ConstrainedPrompt(tiny_prior(), WORDS, DRAWS, tokens=2, initial_noise=0.0, temperature=0.5)
    weights = torch.randn(2, len(WORDS), generator=torch.Generator().manual_seed(0))
    prompt.lean(weights)
    assert torch.allclose(prompt.nearness(), weights.softmax(dim=1))


def test_a_free_prompt_leans_to_the_posteriors_mean() -> None:
    prompt = FreePrompt(tiny_prior(), WORDS, DRAWS, tokens=2, initial_noise=0.0)
    weights = torch.full((2, len(WORDS)), -50.0)
    weights[0, 3] = weights[1, 5] = 0.0
    prompt.lean(weights)
    assert torch.allclose(prompt.embeddings(), prompt.word_embeddings[[3, 5]], atol=1e-4)


def test_activations_of_any_scale_say_the_same() -> None:
    objective = UnitObjective(TinyClassifier(), "colours", 1)
    merits = torch.tensor([0.1, 0.4, 0.2])
    assert torch.allclose(objective.log_weights(merits), objective.log_weights(1000 * merits - 7), atol=1e-4)
    assert objective.log_weights(torch.ones(3)).eq(0).all()


def test_a_run_begins_higher_and_a_resumed_one_is_not_screened_again(tmp_path: Path) -> None:
    method = partial(explainer, partial(FreePrompt, initial_noise=0.0), screening_images=8)
    whole = explain(tmp_path / "whole", method(), target=GREEN)
    unscreened = explain(tmp_path / "unscreened", method(screening_images=0), target=GREEN)
    assert whole.curve[0]["score"] > unscreened.curve[0]["score"]

    class Counts(TinyClassifier):
        calls = 0

        def activation(self, images: Tensor, module: str, channel: int) -> Tensor:
            self.calls += 1
            if self.calls == stop_at:
                raise KeyboardInterrupt
            return super().activation(images, module, channel)

    screened, stop_at = 2 * len(WORDS), 2 * len(WORDS) + 4
    with pytest.raises(BaseException):  # noqa: B017
        explain(tmp_path / "stopped", method(), target=GREEN, classifier=Counts())
    stop_at, again = -1, Counts()
    explain(tmp_path / "stopped", method(), target=GREEN, classifier=again)
    assert again.calls < screened
    assert artefacts(tmp_path / "stopped") == artefacts(tmp_path / "whole")


@pytest.mark.parametrize("tokens", [1, 2, 3])
def test_after_a_screen_of_concepts_the_first_half_begins_at_the_class_and_the_second_at_what_raises_it(
    tokens: int,
) -> None:
    prompt = ConstrainedPrompt(tiny_prior(), WORDS, DRAWS, tokens=tokens, initial_noise=0.0)
    weights = Beginning(["bee"], {"flower": 4.0, "grass": 2.0, "dog": -3.0, "unheard": 9.0}).log_weights(prompt)
    first = (tokens + 1) // 2
    bee, flower, grass = (WORDS.index(word) for word in ("bee", "flower", "grass"))
    expected = torch.zeros(tokens, len(WORDS))
    expected[:first, bee] = OWN
    expected[first:, flower], expected[first:, grass] = 4.0, 2.0
    assert torch.equal(weights, expected)  # what lowers the class weighs as little as what nothing is known of


def test_a_run_begins_where_the_screen_of_concepts_ended_and_screens_no_words(tmp_path: Path) -> None:
    beginning = Beginning(["bee"], {"flower": 20.0})
    prompt = partial(ConstrainedPrompt, initial_noise=0.0)
    found = explain(tmp_path / "one", explainer(prompt, screening_images=4), beginning=beginning)
    assert found.curve[0]["words"] == ["bee", "flower"]
    at_random = explain(tmp_path / "two", explainer(prompt, screening_images=0), beginning=beginning)
    without = explain(tmp_path / "three", explainer(prompt, screening_images=0))
    assert at_random.curve == without.curve


def test_a_loss_that_is_no_number_is_named(tmp_path: Path) -> None:
    class Broken(TinyClassifier):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images) * float("nan")

    with pytest.raises(Diverged, match="screened"):
        explain(tmp_path, explainer(screening_images=1), classifier=Broken())
