"""The default run's answer: randomised prompts choose concepts, the engine of effects tests them.

Neither needs an optimised prompt, and the pictures depend on no classifier: what several classifiers of a class need is
made once for all of them, while each is screened and tested as if it were alone. Whole runs, prompt and all, are
`prompts.py`'s.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from diffexplain.concepts import Hierarchy
from diffexplain.config import configuration
from diffexplain.config.instantiate import build
from diffexplain.diffusion import Prior
from diffexplain.editing import Checks
from diffexplain.effects.engine import Engine, others_of
from diffexplain.effects.population import Images, Population
from diffexplain.effects.results import Ranking
from diffexplain.explainers import Discovery
from diffexplain.pipelines.testing import error_of
from diffexplain.target import ResolvedTarget
from experiments.shortcut_bench.explained import Account, Explained, Studied
from experiments.shortcut_bench.methods.edits import explainable, extra_of, files_of, findings_of, pictures_of


class Default:
    """Discovery and test of the default run, without its prompt.

    Args:
        name: in the tables.
        overrides: of the configuration.
    """

    needs: tuple[str, ...] = ()
    shares_edits = False

    def __init__(self, name: str, *overrides: str) -> None:
        self.name = name
        self.overrides = overrides

    def explain(
        self, studied: Sequence[Studied], seed: int, folder: Path, earlier: Mapping[str, Mapping[str, Explained]]
    ) -> Iterator[Explained]:
        started = time.monotonic()
        config = configuration.compose(self.overrides)
        method: Discovery = build(config["discovery"], where="discovery")
        engine: Engine = build(config["effects"], where="effects")
        prior = build(config["diffusion"], where="diffusion")
        explained = explainable(studied)
        target = explained[0].target
        population = engine.population(
            explained,
            build(config["editor"], prior, where="editor"),
            self.proposed(config, prior, target),
            files_of(studied, seed, folder / self.name),
            largest=method.together,
            checks=Checks(build(config["segmenter"], where="segmenter")),
            others=others_of(target, studied[0].model.labels.names),
        )
        result = method.rank(population, explained, engine, error_of(config["diffusion"]))
        seconds = (time.monotonic() - started) / len(studied)
        for one, ranking in zip(studied, result.rankings, strict=True):
            account = cost(population, ranking, method, prior.steps) + Account(seconds=seconds)
            yield self.answer(one, ranking, account)

    def proposed(self, config: Mapping[str, Any], prior: Prior, target: ResolvedTarget) -> Hierarchy:
        """The concepts."""
        found: Hierarchy = build(config["concepts"], where="concepts").propose(None, target)
        return found

    def answer(self, one: Studied, ranking: Ranking, account: Account) -> Explained:
        """What was found of one classifier."""
        return Explained(self.name, one.specification.name, findings_of(ranking), account, extra=extra_of(ranking))


def cost(population: Population, ranking: Ranking, method: Discovery, steps: int) -> Account:
    """What explaining one classifier alone takes.

    Args:
        population: of images.
        ranking: of the classifier.
        method: that chose what it was tested on.
        steps: of the sampler.
    """
    counts = {concept.path: concept.over_all.n for concept in ranking.concepts}
    shares = {path: Images(range(n), tested=True, rivals=min(n, method.others)) for path, n in counts.items()}
    pictures = method.screened(len(population.composition.concepts))
    pictures += len(pictures_of(population, shares, range(population.count)))
    pictures += population.count if population.can_exchange else 0
    return Account(denoiser=pictures * steps, classifier=pictures)
