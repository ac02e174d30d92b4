"""Reading a run back from its directory, for notebooks, for the page and for the copy on W&B."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import escape
from numpy.typing import NDArray

from diffexplain.effects.results import EffectExample
from diffexplain.errors import UserError
from diffexplain.evaluation.results import Example
from diffexplain.report import notebook
from diffexplain.report.images import data_uri, read_pictures
from diffexplain.report.summary import Summary
from diffexplain.runs.run import PROMPT, REPORT, run_directory
from diffexplain.weights.documents import from_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

METRICS = "metrics.jsonl"


@dataclass(frozen=True, repr=False)
class LoadedRun:
    """A finished run.

    Attributes:
        examples: pictures of the found prompt with the masks of what is seen in them.
        effects: pictures without a concept and with it.
        curve: one record for each step of the optimisation, as in ``metrics.jsonl``.
    """

    directory: Path
    summary: Summary
    examples: tuple[Example, ...]
    effects: tuple[EffectExample, ...]
    curve: tuple[Mapping[str, Any], ...]

    @property
    def images(self) -> list[NDArray[np.uint8]]:
        """The pictures of the found prompt, each (H, W, 3) uint8."""
        return [example.image for example in self.examples]

    @property
    def report(self) -> Path:
        """The page."""
        return self.directory / REPORT

    @property
    def prompt(self) -> Path:
        """The found prompt, for diffusers' ``load_textual_inversion``: ``<target>`` in a text stands for its words.

        Raises:
            UserError: this run optimised no prompt that has embeddings.
        """
        path = self.directory / PROMPT
        if not path.is_file():
            message = "This run optimised no prompt whose embeddings could be loaded."
            raise UserError(message, given=f"explainer={self.summary.explainer}", accepted=["explainer=diffexplainer"])
        return path

    def table(self) -> Any:
        """What was tested and what was not, as a pandas frame: a row for each classifier and concept.

        Of what was not tested the numbers are missing, and ``reason`` says why.

        Raises:
            UserError: pandas is not installed.
        """
        return notebook.frame(() if self.summary.effects is None else self.summary.effects.rankings)

    def figure(self, concepts: int = 4, pictures: int = 3) -> Figure:
        """The pictures without a concept and with it, a line for each concept, as a matplotlib figure.

        Args:
            concepts: so many at most, in the order of the page.
            pictures: pairs of each at most.

        Raises:
            UserError: the run kept no such pictures.
        """
        texts = {concept.path: concept.text for concept in self.summary.concepts}
        return notebook.pairs(self.effects, texts, concepts, pictures)

    def __repr__(self) -> str:
        """What a prompt of Python shows."""
        return f"<LoadedRun in {self.directory}: {self.summary!r}>"

    def _repr_html_(self) -> str:
        """What Jupyter shows: the summary, a few pictures of the found prompt, and where the page is."""
        shown = "".join(
            f'<img src="{data_uri(image)}" alt="a picture of the found prompt" width="96"> '
            for image in self.images[:6]
        )
        return f"{self.summary._repr_html_()}<p>{shown}</p><p>{escape(str(self.report))}</p>"


def load_run(run: str | Path | Summary, outputs: str | Path = "outputs") -> LoadedRun:
    """Read a finished run back.

    Args:
        run: its directory, or the summary that `diffexplain.explain` returned.
        outputs: for a summary, the folder of all runs (``paths.outputs``).

    Raises:
        UserError: there is no such run, or it is of another schema version.
    """
    if isinstance(run, Summary):
        directory = run_directory(run.settings, outputs, run.target.slug)
    else:
        directory = Path(run).expanduser()
    if not directory.is_dir():
        raise UserError(f"There is no such run: {directory}")
    summary = Summary.load(directory)
    try:
        gallery = read_pictures(directory)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"The pictures of this run are damaged: {directory}: {error}") from error
    try:
        curve = read_curve(directory)
    except OSError as error:
        raise UserError(f"{directory / METRICS} cannot be read: {error.strerror}.") from error
    return LoadedRun(directory, summary, gallery.examples, gallery.effects, curve)


def read_curve(directory: Path) -> tuple[Mapping[str, Any], ...]:
    """The records of ``metrics.jsonl`` that have a step, one for each step; a line cut short is left out."""
    try:
        lines = (directory / METRICS).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return ()
    steps: dict[int, dict[str, Any]] = {}
    for line in lines:
        try:
            record = from_json(line)
        except ValueError:
            continue
        if isinstance(record, dict) and isinstance(record.get("step"), int):
            steps.setdefault(record["step"], {}).update(record)
    return tuple(steps[step] for step in sorted(steps))
