"""What every shipped prior costs with every explainer: the table of ``docs/cost.md``, which this command writes.

Nothing is fetched or loaded: counts follow from the configurations, operations and memory from the networks' shapes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from diffexplain import app
from diffexplain.config import configuration
from diffexplain.pipelines.calls import BACKWARD, DENOISER, IMAGES
from diffexplain.pipelines.cost import CARDS, SHARE, cost, duration, tera
from experiments.marked import write_between

PAGE = Path(__file__).parents[2] / "docs" / "cost.md"
BEGIN, END = "<!-- cost: begin -->", "<!-- cost: end -->"
WITHOUT = ("local", "pipeline", "flux2_klein", "sdxl_turbo")
"""Choices of the prior that name none by themselves, or are read as pipelines, whose networks are not known here."""
SHOWN = ("4090", "a100", "h100")


def rows(priors: Sequence[str], explainers: Sequence[str]) -> list[str]:
    """A line of the table for each prior and explainer."""
    found = []
    for prior in priors:
        classifier = "world_shortcut_cnn" if prior == "world" else "resnet50"
        for explainer in explainers:
            chosen = [f"classifier={classifier}", f"diffusion={prior}", f"explainer={explainer}", "logger=local"]
            config = configuration.compose([*chosen, "target=class:flagpole"])
            known = cost(config, app.resolve_target(config), SHOWN[0])
            calls, most = known.forecast.calls, "" if known.forecast.exact else "≤ "
            # A card is not kept busy by networks as small as the world's: their time is not that of their operations.
            times = (
                "–" if prior == "world" else duration(known.operations / (CARDS[card][1] * SHARE)) for card in SHOWN
            )
            found.append(
                f"| `{prior}` | `{explainer}` | {most}{calls[IMAGES]:,} | {most}{calls[DENOISER]:,} "
                f"| {calls[DENOISER + BACKWARD]:,} | {most}{tera(known.operations)} | {known.memory / 1e9:.1f} "
                f"| {' | '.join(times)} |"
            )
            print(found[-1], flush=True)
    return found


def table(priors: Sequence[str], explainers: Sequence[str]) -> str:
    """All of it, as Markdown."""
    cards = " | ".join(CARDS[card][0] for card in SHOWN)
    head = f"| prior | explainer | images | denoiser calls | with gradient | TFLOP | memory, GB | {cards} |"
    return "\n".join([head, "|" + "---|" * head.count(" | ") + "---|", *rows(priors, explainers)])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    choices = configuration.available()
    priors = [name for name in choices["diffusion"] if name not in WITHOUT]
    parser.add_argument("--print", action="store_true", help="leave docs/cost.md as it is")
    options = parser.parse_args(arguments)
    text = table(priors, choices["explainer"])
    if not options.print:
        write_between(PAGE, BEGIN, END, text)


if __name__ == "__main__":
    main()
