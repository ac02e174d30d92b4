"""DiffEx: the concepts of the world's hierarchy, edited into pictures of the class and ranked by their effect.

The pictures depend on no classifier: every concept is edited into every picture once for all classifiers of a class.
What the policy would have done for one of them alone is then found on these edits, and that alone is its cost.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from diffexplain.concepts import Hierarchy
from diffexplain.diffusion import load_prior
from diffexplain.editing import Change, Paired
from diffexplain.editing.editor import changed_states
from diffexplain.effects.engine import Engine
from diffexplain.effects.engine import Studied as Explainable
from diffexplain.effects.population import Images, Population, Shares
from diffexplain.effects.records import key_of
from diffexplain.effects.results import ConceptEffect, Ranking
from diffexplain.effects.verdicts import asks_for_more
from diffexplain.explainers.diffex import DiffEx
from diffexplain.pipelines.testing import error_of
from diffexplain.runs.run import Run
from diffexplain.target import Target
from experiments.shortcut_bench.explained import HIERARCHY, Account, Explained, Finding, Studied, concepts
from experiments.shortcut_bench.specification import Value
from experiments.world.common import prior_steps

BEHIND = 1e-6
"""What was not tested is ordered by the screen, but behind what was."""


def prior_settings() -> dict[str, Any]:
    """What `load_prior` is given."""
    return {"folder": "embedded:prior", "steps": prior_steps()}


class Edits:
    """DiffEx with its defaults and one policy for the budget.

    Args:
        name: in the tables.
        policy: by its name in the configuration.
        images: of each concept; fewer than by default only with the policy `uniform`.
    """

    needs: tuple[str, ...] = ()
    shares_edits = True

    def __init__(self, name: str, policy: str, images: int = Engine.images) -> None:
        self.name = name
        self.method, self.engine = DiffEx(), Engine(policy=policy)
        self.images = images

    def explain(
        self, studied: Sequence[Studied], seed: int, folder: Path, earlier: Mapping[str, Mapping[str, Explained]]
    ) -> Iterator[Explained]:
        started = time.monotonic()
        edited = population(tuple(studied), seed, folder)
        replace(self.engine, policy="uniform").share_out(edited, range(len(studied)))
        shared = (time.monotonic() - started) / len(studied)
        for who, one in enumerate(studied):
            started = time.monotonic()
            shares = self.engine.share_out(edited, [who])
            if self.images < edited.count:
                shares = dict.fromkeys(shares, Images(range(self.images), True, rivals=self.images))
            extra: dict[str, Any] = {"images": {"/".join(path): len(those.indices) for path, those in shares.items()}}
            if one.specification.kind == "pair" and self.images == edited.count and self.engine.policy == "uniform":
                found = self.method.search(edited, who, self.engine).run(shares)
                extra["combinations"] = [[concepts()[path] for path in joint.paths] for joint in found]
            ranking = ranked(self.engine, edited, who, one, shares)
            findings, extra = findings_of(ranking), {**extra, **extra_of(ranking)}
            account = cost(edited, shares, shared + time.monotonic() - started)
            yield Explained(self.name, one.specification.name, findings, account, extra=extra)


@lru_cache(maxsize=1)
def population(studied: tuple[Studied, ...], seed: int, folder: Path) -> Population:
    """The pictures of these classifiers' class, kept in a directory that these classifiers, by their names, share."""
    editor, hierarchy = Paired(load_prior(**prior_settings())), Hierarchy.load(HIERARCHY)
    files = files_of(studied, seed, folder / "edits")
    return Engine().population(explainable(studied), editor, hierarchy, files, largest=DiffEx().together)


def explainable(studied: Sequence[Studied]) -> list[Explainable]:
    """The classifiers as the engine of effects takes them."""
    return [
        Explainable(
            one.specification.name,
            one.model,
            Target.parse(f"class:{one.specification.class_name}").resolve(one.model.labels),
        )
        for one in studied
    ]


def files_of(studied: Sequence[Studied], seed: int, folder: Path) -> Run:
    """A directory that these classifiers of one class, by their names, share."""
    class_name = studied[0].specification.class_name
    names = ",".join(one.specification.name for one in studied)
    directory = folder / f"{class_name}-{seed}-{hashlib.sha256(names.encode()).hexdigest()[:8]}"
    directory.mkdir(parents=True, exist_ok=True)
    return Run(directory, {"seed": seed}, f"class:{class_name}")


def ranked(engine: Engine, edited: Population, who: int, one: Studied, shares: Shares) -> Ranking:
    """What a run of this classifier alone states: its intervals allow for the prior's error, as it was calibrated."""
    (studied,) = explainable([one])
    return engine.ranking(edited, who, studied, shares, error=error_of(prior_settings()))


def findings_of(ranking: Ranking) -> tuple[Finding, ...]:
    """One finding for each concept, tested or not."""
    tested = {concept.path: concept for concept in ranking.concepts}
    screened = {one.path: one.screened or 0.0 for one in ranking.untested}
    return tuple(
        finding_of(value, tested[path])
        if path in tested
        else Finding(value, BEHIND * screened.get(path, 0.0), reported=False, verdict="not tested")
        for path, value in concepts().items()
    )


def extra_of(ranking: Ranking) -> dict[str, Any]:
    """What is said besides of concepts: the object itself, with its interval, and whether something unnamed may be.

    Nothing of what was not tested.
    """
    itself = ranking.itself
    extra: dict[str, Any] = {}
    if itself is not None and itself.effect is not None:
        effect = itself.effect.score
        extra["itself"] = [effect.value, effect.low, effect.high]
    if itself is not None and itself.recognised is not None:
        extra["recognised"] = [itself.recognised.value, itself.recognised.n]
        extra["asks_for_more"] = asks_for_more(ranking)
    return extra


def finding_of(value: Value, concept: ConceptEffect) -> Finding:
    """The effect of a concept that was tested."""
    effect = concept.over_all
    stated = (effect.score.value, effect.score.low, effect.score.high)
    return Finding(value, effect.score.value, effect.significant, *stated, effect.n, concept.verdict.value)


def cost(edited: Population, shares: Shares, seconds: float) -> Account:
    """Of the edits that one classifier needs for these shares, each picture counted once."""
    pictures = len(pictures_of(edited, shares, range(max(those.indices.stop for those in shares.values()))))
    return Account(denoiser=pictures * prior_steps(), classifier=pictures, seconds=seconds)


def pictures_of(edited: Population, shares: Shares, null: range) -> set[tuple[int, str]]:
    """The pictures, by index and what each shows, that these shares and the null edits take."""

    def changed(change: Change, upto: range) -> set[tuple[int, str]]:
        states = changed_states(edited.composition, edited.states(upto), upto, [change], edited.files.draws)
        return {(index, key_of(state)) for index, state in zip(upto, states, strict=True)}

    # The null edits, which show what a picture shows anyway, are among the others where a concept changes nothing.
    pictures = {(index, key_of(state)) for index, state in zip(null, edited.states(null), strict=True)}
    for path, those in shares.items():
        upto = range(those.indices.stop)  # what chose a concept was made for it, too
        pictures |= changed(Change(path), upto) | changed(Change(path, reverse=True), upto)
        for rival in edited.composition.rivals(path):
            pictures |= changed(Change(rival), range(those.indices.start + those.rivals))
    return pictures
