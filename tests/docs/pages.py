"""The blocks of code of README and docs, and a run that pretends where a page makes one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffexplain import app
from diffexplain.config import configuration
from diffexplain.report import Summary

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
NOTEBOOK = ROOT / "examples" / "quickstart.ipynb"
BLOCK = re.compile(r"^(?:<!-- (?P<mark>[\w ]+) -->\n)?```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
PRETENDING = ("paths.configs=[tests/conf]", "plugins=[tests]")


@dataclass(frozen=True)
class Block:
    """A block of code: its kind (empty: commands), and what its page says of it in a comment above."""

    page: str
    line: int
    kind: str
    mark: str | None
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(*kinds: str) -> list[Block]:
    """Those of some kinds, or all."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in BLOCK.finditer(text):
            line = text.count("\n", 0, block.start("text"))
            found.append(Block(str(page.relative_to(ROOT)), line, block["kind"], block["mark"], block["text"]))
    return [block for block in found if not kinds or block.kind in kinds]


def cells() -> list[str]:
    """The cells of the notebook that hold code."""
    notebook: Mapping[str, Any] = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def pretended(*overrides: str, **network: Any) -> Summary:
    """`diffexplain.explain` where pages are tried: what is typed must compose; what is made is the pretend run.

    A network that is given is explained itself.
    """
    if network:
        others = ("diffusion=pretend", "classifier.vocabulary=tests/conf/vocabulary.yaml")
        return EXPLAIN("experiment=pretend", *others, *PRETENDING, *overrides, **network)
    config = configuration.compose(overrides)
    app.resolve_target(config)
    if config["explainer"]["name"] == "diffex":
        return EXPLAIN("experiment=pretend_effects", "compare=[pretend_other]", "explainer.beam=0", *PRETENDING)
    return EXPLAIN("experiment=pretend", *PRETENDING)


EXPLAIN = app.explain
