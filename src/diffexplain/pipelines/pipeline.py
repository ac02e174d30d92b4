"""What a run does between its configuration and its files: one module for each kind of thing that methods find.

A pipeline is made before any weights are read: what its configuration asks for is checked there. Then it lets the
method ``explain``, in which all processes of the run take part. The first process alone has it ``evaluate``, which
measures what was found, and ``report``, which writes ``summary.json``, pictures and page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from diffexplain.config.instantiate import TARGET, locate
from diffexplain.pipelines.images import ImagesPipeline
from diffexplain.pipelines.prompt import PromptPipeline
from diffexplain.pipelines.ranking import RankingPipeline

Pipeline = PromptPipeline | RankingPipeline | ImagesPipeline
PIPELINES: Mapping[str, type[Pipeline]] = {
    "prompt": PromptPipeline,
    "effects": RankingPipeline,
    "images": ImagesPipeline,
}
"""By what a method says that it ``finds``."""


def pipeline_of(explainer: Mapping[str, Any], plugins: Sequence[str]) -> type[Pipeline]:
    """The pipeline of a method: as its class says by ``finds``; one that says nothing finds a prompt.

    Raises:
        UserError: there is no such method.
    """
    return PIPELINES[getattr(locate(str(explainer[TARGET]), plugins, "explainer"), "finds", "prompt")]
