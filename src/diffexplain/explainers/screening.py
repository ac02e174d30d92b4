"""Where an optimisation begins: where the screen of concepts ended, or, without one, at a posterior over words.

Where concepts were screened and tested (`randomised_prompts`), the first half of the tokens begins at the class's own
words, the second at the words of what raises it: what was found already need not be found again.

Without one, each token begins at the posterior over words, from a few images of each word:

    p(word | target in every image)  ~  prod_z p(target | G(word, z)),        all words alike beforehand

greedily: the first tokens by images of one word alone, the next ones given the best word of those. This is a design
choice of ours, not of the paper: far from any image that activates the target the gradient says nothing, and a prompt
that starts at random may never come near one. It costs forward passes only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from diffexplain.diffusion import AnyPrior
from diffexplain.explainers.divergence import Diverged, unanswered
from diffexplain.explainers.objective import Objective
from diffexplain.progress import progress
from diffexplain.prompts.soft_prompt import SoftPrompt
from diffexplain.runs.draws import Draws

ROUNDS = 2
"""A prompt says the main thing with one half of its tokens, and what goes with it with the other."""

OWN = 20.0
"""Weight of the class's own words, in nats: what is known stands clear of the noise that a prompt begins with."""

IMAGES_AT_ONCE = 64
"""Held in memory; the prior makes them in micro-batches of its own."""


@dataclass(frozen=True)
class Beginning:
    """What is known before the optimisation.

    Attributes:
        own: words of the class's own name.
        raising: by word, the weight of the concept that it says, in nats: `OWN` of the largest effect that was tested,
            and of a smaller one its share; else its score in the screen, in standard errors.
    """

    own: Sequence[str]
    raising: Mapping[str, float]

    def log_weights(self, prompt: SoftPrompt) -> Tensor:
        """Of the words at each of the prompt's tokens, (n, V), in nats."""
        weights = torch.zeros(prompt.tokens, len(prompt.words), device=prompt.word_embeddings.device)
        first, second = torch.arange(prompt.tokens).tensor_split(ROUNDS)
        for place, word in enumerate(prompt.words):
            weights[first, place] = OWN * (word in self.own)
            weights[second, place] = max(0.0, self.raising.get(word, 0.0))
        return weights


@torch.no_grad()
def screen(prompt: SoftPrompt, prior: AnyPrior, objective: Objective, draws: Draws, images: int) -> Tensor:
    """Log weights (n, V) of the words at each of the prompt's tokens, from ``images`` images of each word and round.

    A word's images are those of a prompt that says it with every token still open. All words have the same noise, so
    that they differ by what they say alone.

    Raises:
        Diverged: the loss of some word's images is not finite.
    """
    words = prompt.word_embeddings
    tokens = torch.zeros(prompt.tokens, words.shape[1], device=words.device)
    log_weights = torch.zeros(prompt.tokens, len(words), device=words.device)
    for number, places in enumerate(torch.arange(prompt.tokens).tensor_split(ROUNDS)):
        if not len(places):
            continue
        latents = draws.normals("screen", number, images, prior.latent_shape).to(prior.device)
        merits: list[Tensor] = []
        lots = words.split(max(1, IMAGES_AT_ONCE // images))
        for some in progress(lots, f"words to begin with, {len(lots[0])} at a time"):
            conditions = []
            for word in some:
                tokens[places[0] :] = word
                conditions.append(prior.encode_embeddings(tokens, prompt.prefix))
            condition = torch.cat(conditions).repeat_interleave(images, dim=0)
            shown = prior.generate(condition, torch.cat([latents] * len(some)))
            for of_word in shown.split(images):
                loss, scores = objective(of_word)
                if not torch.isfinite(loss):
                    why = unanswered(int((~scores.isfinite()).sum()), images)
                    word = prompt.words[len(merits)]
                    raise Diverged(0, f"the loss is {loss.item()} where the words are screened, at {word!r}{why}")
                merits.append(-loss)
        merit = torch.stack(merits).to(words.device)
        log_weights[places] = images * objective.log_weights(merit)
        tokens[places] = words[log_weights[places[0]].argmax()]
    return log_weights
