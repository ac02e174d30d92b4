"""DiffEx (arXiv 2412.18604): which semantics move the classifier, as a ranked tree.

The paper edits images along a hierarchy of concepts, scores them with the classifier, and finds the best joint
combination by beam search (Algorithm 1). Ours differs where the paper leaves it open or its released code errs:
effects are signed paired differences over a population of images, with intervals and control over the whole tree
(`diffexplain.effects`); a budget decides which concepts get more images; the beam is refreshed from each level's
survivors; and "beats its parent" means beyond the noise of the images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from diffexplain.effects.engine import Engine, Studied
from diffexplain.effects.estimation import PriorError
from diffexplain.effects.population import Population
from diffexplain.effects.results import EffectsResult
from diffexplain.errors import UserError
from diffexplain.explainers.beam_search import Search


@dataclass(frozen=True)
class DiffEx:
    """The method and its settings: every concept of the hierarchy is tried, then those that raise the score together.

    Attributes:
        beam: B, the combinations kept at each level; 0 leaves the search out.
        threshold: delta, the least gain in score of a concept that the search begins with.
        roots: so many concepts are extended by and extended with at most, those with the largest gains.
        largest: concepts in a combination at most.
        search_images: images that each combination is tried on, the first of those that concepts are tested on.
    """

    finds: ClassVar[str] = "effects"

    beam: int = 4
    threshold: float = 0.0
    roots: int = 8
    largest: int = 2
    search_images: int = 24

    def __post_init__(self) -> None:
        if self.search_images < 2:
            given = f"explainer.search_images={self.search_images}"
            raise UserError("A gain needs at least two images.", given=given)

    @property
    def together(self) -> int:
        """Concepts that are put in together at most."""
        return self.largest if self.beam else 1

    def rank(
        self, population: Population, studied: Sequence[Studied], engine: Engine, error: PriorError | None = None
    ) -> EffectsResult:
        """The concepts of the hierarchy for every classifier, on the same edits.

        Args:
            population: of images.
            studied: at least one, in the order of the population's readers.
            engine: of the effects.
            error: of the prior.
        """
        own = [who for who, one in enumerate(studied) if not one.control]
        shares = engine.share_out(population, own)
        rankings = [engine.ranking(population, who, one, shares, error=error) for who, one in enumerate(studied)]
        tree = population.made
        if self.beam:
            for who in own:
                found = self.search(population, who, engine).run(shares)
                rankings[who] = replace(rankings[who], combinations=found)
        return engine.result(population, studied, shares, rankings, error=error, tree=tree)

    def search(self, population: Population, who: int, engine: Engine) -> Search:
        """Algorithm 1 for one classifier."""
        return Search(
            population,
            who,
            engine.mean(population),
            beam=self.beam,
            threshold=self.threshold,
            roots=self.roots,
            largest=self.largest,
            indices=engine.testing(population)[: self.search_images],
            significance=engine.significance,
        )
