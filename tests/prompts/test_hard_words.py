"""DEXTER's prompt: real words, drawn; a gradient to their distributions; pseudo-labels by history means."""

import pytest
import torch
from tests.tiny import tiny_prior

from diffexplain.prompts import HardWordsPrompt
from diffexplain.runs.draws import Draws

WORDS = ["flagpole", "flag", "bee", "flower"]
DRAWS = Draws(0, "class:flagpole")


def prompt(tokens: int = 2, prefix: str = "a", **settings: float) -> HardWordsPrompt:
    return HardWordsPrompt(tiny_prior(), WORDS, DRAWS, tokens=tokens, prefix=prefix, **settings)


def drawn(of: HardWordsPrompt) -> list[str]:
    return [WORDS[place] for place in of.chosen().argmax(dim=1).tolist()]


def test_the_text_encoder_reads_the_drawn_words_in_the_template() -> None:
    one = prompt()
    first, second = drawn(one)
    torch.testing.assert_close(one(), tiny_prior().encode([f"a {first} with {second}"]), rtol=0, atol=1e-5)


def test_words_are_drawn_anew_at_each_step_and_alike_within_it() -> None:
    one = prompt()
    seen = set()
    for _ in range(12):
        assert drawn(one) == drawn(one)
        seen.add(tuple(drawn(one)))
        one.observe(torch.tensor(1.0))
    assert len(seen) > 3


def test_the_gradient_reaches_every_distribution() -> None:
    one = prompt()
    one().square().mean().backward()
    assert one.logits.grad is not None
    assert (one.logits.grad.abs().amax(dim=1) > 0).all()


def test_a_label_is_the_word_with_the_lowest_mean_loss() -> None:
    one = prompt(tokens=1)
    losses = {"flagpole": 4.0, "flag": 1.0, "bee": 3.0, "flower": 2.0}
    for _ in range(40):
        one.observe(torch.tensor(losses[drawn(one)[0]]))
    assert WORDS[int(one.labels[0])] == "flag"
    assert float(one.label_losses[0]) == pytest.approx(1.0)
    assert drawn(one.eval()) == ["flag"]


def test_one_lucky_draw_is_averaged_with_the_later_ones() -> None:
    one = prompt(tokens=1)
    with torch.no_grad():
        one.logits.copy_(torch.tensor([[-50.0, 50.0, -50.0, -50.0]]))
    for loss in (2.0, 4.0, 0.0):
        one.observe(torch.tensor(loss))
    # Means 2, 3, 2: none falls below the one that was stored first.
    assert float(one.label_losses[0]) == pytest.approx(2.0)
    assert float(one.loss_sums[0, 1] / one.draws_made[0, 1]) == pytest.approx(2.0)


def test_the_penalty_is_the_cross_entropy_of_the_labels() -> None:
    one = prompt(tokens=1, label_weight=0.5)
    assert one.penalty(0.0).item() == 0.0
    one.observe(torch.tensor(1.0))
    log_share = one.logits.log_softmax(dim=1)[0, one.labels[0]]
    assert one.penalty(0.0).item() == pytest.approx(-0.5 * log_share.item())


def test_what_was_drawn_is_kept_with_the_parameter() -> None:
    one, other = prompt(), prompt()
    for step in range(5):
        one.observe(torch.tensor(float(5 - step)))
    other.load_state_dict(one.state_dict())
    assert drawn(one) == drawn(other)
    assert torch.equal(one.labels, other.labels)
    assert drawn(one.eval()) == drawn(other.eval())
