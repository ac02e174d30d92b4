"""What a run does between its configuration and its files: one module for each kind of thing that methods find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from diffexplain.config.instantiate import TARGET, locate
from diffexplain.pipelines.images import ImagesPipeline
from diffexplain.pipelines.prompt import PromptPipeline
from diffexplain.pipelines.ranking import RankingPipeline

if TYPE_CHECKING:
    from diffexplain.report import Model, Summary

AnyPipeline = type[PromptPipeline] | type[RankingPipeline] | type[ImagesPipeline]
PIPELINES: Mapping[str, AnyPipeline] = {"prompt": PromptPipeline, "effects": RankingPipeline, "images": ImagesPipeline}
"""By what a method says that it ``finds``."""


class Pipeline(Protocol):
    """One run's way, made before any weights are read: what its configuration asks for is checked there."""

    def explain(self, classifier: Any, prior: Any, loggers: Sequence[Any]) -> None:
        """Let the method do its work; all processes of the run take part."""

    def evaluate(self) -> None:
        """Measure what was found, in the first process alone."""

    def report(self, *, classifier: Model, prior: Model, command: str) -> Summary:
        """Write ``summary.json``, pictures and page."""


def pipeline_of(explainer: Mapping[str, Any], plugins: Sequence[str]) -> AnyPipeline:
    """The pipeline of a method: as its class says by ``finds``; one that says nothing finds a prompt.

    Raises:
        UserError: there is no such method.
    """
    return PIPELINES[getattr(locate(str(explainer[TARGET]), plugins, "explainer"), "finds", "prompt")]
