"""The summary of a run: the public contract of ``summary.json`` (field by field in ``docs/summary.md``).

Equal runs give equal bytes: no time, no memory, no path of the machine is in it. Imports no torch, so that a
finished run can be read back at once.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffexplain.concepts.concept import WORDS
from diffexplain.config.from_run import SUMMARY
from diffexplain.config.identity import identifying
from diffexplain.effects.results import ConceptEffect, EffectsResult, Verdict
from diffexplain.errors import UserError
from diffexplain.evaluation.results import Activation, Comparison, Control, Evaluation, ObjectAbsence, Quality, Words
from diffexplain.report import notebook
from diffexplain.report.codec import Malformed, from_plain, to_plain
from diffexplain.report.older import READ, as_present
from diffexplain.report.older import SCHEMA_VERSION as SCHEMA_VERSION
from diffexplain.runs import manifest
from diffexplain.runs.run import FINISHED, IDENTITY_DIGITS, Run, changed_files
from diffexplain.statistics.estimates import SameAnswer
from diffexplain.target import ResolvedTarget
from diffexplain.weights.atomic import to_json
from diffexplain.weights.documents import from_json
from diffexplain.weights.files import some


@dataclass(frozen=True)
class Model:
    """A frozen model of the run: the classifier or the prior.

    ``source`` is as the configuration names it (``embedded:prior``, a folder, a library's model name), never
    resolved to a path of this machine. ``facts``: what a reader wants to know, for example the image size.
    """

    name: str
    source: str
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Optimisation:
    """How the prompt was found. ``best_step``: the step whose prompt is kept, counted from 0."""

    steps: int
    best_step: int | None
    stopped: str | None


@dataclass(frozen=True)
class Statement:
    """The verdict in writing: ``by`` the template, or by the model that reworded it; ``reason``: why it did not."""

    text: str
    by: str
    reason: str | None


@dataclass(frozen=True, repr=False)
class Summary:
    """What a run found, how sure that is, and what it was made with.

    What no method of the run's kind measures is ``None`` or empty: of one that finds images ``effects``, of one that
    ranks concepts alone ``optimisation``, ``activation``, ``activating_images``, ``words`` and ``object_absence``.

    ``activation`` holds the found prompt first, then the baselines; ``comparisons`` are between them. ``control``:
    what a classifier that has learned nothing makes of the same images, if the run asked for one. ``quality``: of the
    prompts' images, if it asked for that. ``statement``: all of this in a paragraph. ``effects``: every concept that
    was tested, with its verdict, and those that were not. ``same_answer``: what the classifier answered to all pictures
    alike, so that nothing else can be told; None where answers differ. ``images_generated``: by the prior for the
    evaluation, or read by the classifier for the effects where nothing else was evaluated.
    ``command`` repeats the run. ``settings`` is the configuration that the identity is the hash of.
    """

    schema_version: str
    identity: str
    command: str
    explainer: str
    target: ResolvedTarget
    classifier: Model
    prior: Model
    seeds: Mapping[str, int]
    optimisation: Optimisation | None
    activation: tuple[Activation, ...]
    unit_threshold: float | None
    activating_images: int | None
    images_generated: int
    words: Words | None
    object_absence: ObjectAbsence | None
    effects: EffectsResult | None
    notes: tuple[str, ...]
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    weights: Mapping[str, str]
    comparisons: tuple[Comparison, ...] = ()
    control: Control | None = None
    quality: tuple[Quality, ...] = ()
    statement: Statement | None = None
    same_answer: SameAnswer | None = None

    @property
    def found(self) -> Activation:
        """Activation of the found prompt."""
        return self.activation[0]

    @property
    def baselines(self) -> tuple[Activation, ...]:
        """Activation of the prompts that it is compared with."""
        return self.activation[1:]

    @property
    def concepts(self) -> tuple[ConceptEffect, ...]:
        """Those that were tested on the explained classifier, the largest effect first."""
        return () if self.effects is None else self.effects.rankings[0].ranked

    def having(self, *verdicts: Verdict) -> tuple[ConceptEffect, ...]:
        """The concepts with one of these verdicts, the largest effect first."""
        return tuple(concept for concept in self.concepts if concept.verdict in verdicts)

    def leading(self, verdict: Verdict) -> ConceptEffect | None:
        """Of the concepts with this verdict the one that raises the target most, or else lowers it most."""
        found = self.having(verdict)
        return next((concept for concept in found if concept.over_all.score.value > 0), found[0] if found else None)

    def __repr__(self) -> str:
        """What a prompt of Python shows; all of it is in `to_json`."""
        of = f"{self.classifier.name}, {self.target.text}, {self.explainer}"
        return f"<Summary of {of}: {len(self.concepts)} concepts, identity {self.identity[:IDENTITY_DIGITS]}>"

    def _repr_html_(self) -> str:
        """What Jupyter shows: the largest effects on the explained classifier, and what was not tested."""
        said = None if self.statement is None else self.statement.text
        untested = 0 if self.effects is None else len(self.effects.rankings[0].untested)
        return notebook.html(f"{self.classifier.name}, {self.target.text}", said, self.concepts, untested)

    def to_json(self) -> str:
        """As JSON text with sorted keys; equal summaries give equal text.

        Raises:
            ValueError: a number is NaN or infinite.
        """
        return to_json(to_plain(self))

    @staticmethod
    def from_json(text: str) -> Summary:
        """The summary that `to_json` wrote, now or when the schema was another one of `READ`.

        Raises:
            UserError: not a summary, or one of another schema version.
        """
        try:
            plain = from_json(text)
        except ValueError as error:
            raise UserError(f"This is not a summary: {error}") from error
        version = plain.get("schema_version") if isinstance(plain, dict) else None
        if version not in READ:
            raise UserError(
                "This summary has a schema that this version of diffexplain does not read.",
                given=f"schema_version {version}",
                accepted=[f"schema_version {known}" for known in READ],
            )
        try:
            summary: Summary = from_plain(Summary, plain if version == SCHEMA_VERSION else as_present(plain))
        except Malformed as error:
            raise UserError(f"This summary is damaged: {error}") from error
        if summary.effects is None and not summary.activation:
            raise UserError("This summary is damaged: activation is empty")
        if summary.effects is not None and not summary.effects.rankings:
            raise UserError("This summary is damaged: effects.rankings is empty")
        return summary

    @staticmethod
    def load(path: str | Path) -> Summary:
        """Read a ``summary.json``, or the one in a run's directory; a warning names what was changed there since.

        Raises:
            UserError: it is missing, damaged or of another schema version.
        """
        path = Path(path)
        if path.is_dir():
            _warn_of_changes(path)
            path = path / SUMMARY
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise UserError(f"There is no summary here; the run may not be finished: {path}") from None
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"The summary cannot be read: {path}: {error}") from error
        try:
            return Summary.from_json(text)
        except UserError as error:
            raise UserError(f"{path}: {error.message}", given=error.given, accepted=error.accepted) from None


def summarise(
    evaluation: Evaluation | None,
    effects: EffectsResult | None,
    *,
    run: Run,
    target: ResolvedTarget,
    classifier: Model,
    prior: Model,
    command: str,
    optimisation: Optimisation | None = None,
    notes: tuple[str, ...] = (),
    same_answer: SameAnswer | None = None,
) -> Summary:
    """Bring together what was measured and what it was measured with; pictures stay outside.

    Args:
        evaluation: of the found prompt or images; None where nothing was optimised.
        effects: of concepts; None where none was tested.
        notes: for the reader, before those on what was not measured.
        same_answer: what the classifier answered to all pictures of the run alike.
    """
    measured: dict[str, Any] = dict.fromkeys(("unit_threshold", "activating_images", "words", "object_absence"))
    measured |= {"activation": (), "images_generated": 0 if effects is None else effects.budget.read}
    if evaluation is not None:
        more = ("images_generated", "comparisons", "control", "quality")
        measured = {name: getattr(evaluation, name) for name in (*measured, *more) if name != "activation"}
        measured["activation"] = (evaluation.found, *evaluation.baselines)
        notes = (*notes, *evaluation.notes)
    made_with = manifest.made_with(run.config)
    return Summary(
        schema_version=SCHEMA_VERSION,
        identity=run.identity,
        command=command,
        explainer=str(run.config["explainer"]["name"]),
        target=target,
        classifier=classifier,
        prior=prior,
        seeds={"run": int(run.config["seed"])},
        optimisation=optimisation,
        effects=effects,
        notes=(*_nameless(target), *notes, *([] if effects is None else _notes(effects))),
        settings=to_plain(identifying(run.config)),
        versions=made_with["versions"],
        weights=made_with["weights"],
        same_answer=same_answer,
        **measured,
    )


def _warn_of_changes(directory: Path) -> None:
    """What was changed in a finished run may show other results than it had."""
    try:
        changed = changed_files(directory)
    except (OSError, ValueError) as error:
        message = f"Whether the run in {directory} is as it was finished cannot be told: {FINISHED}: {error}."
        warnings.warn(message, stacklevel=3)
        return
    if changed:
        message = f"The run in {directory} is not as it was when it was finished: {some(changed)} changed or missing."
        warnings.warn(message, stacklevel=3)


def _nameless(target: ResolvedTarget) -> tuple[str, ...]:
    """What cannot be said of a class whose name is no word."""
    return (f"{target.no_object}.",) if target.class_index is not None and target.class_name is None else ()


def _notes(effects: EffectsResult) -> tuple[str, ...]:
    """What was not measured, of concepts that say what is to be seen; of words nobody has said that."""
    concepts = [concept for concept in effects.rankings[0].concepts if concept.kind not in WORDS]
    unchecked = [concept for concept in concepts if concept.took is None]
    if not unchecked:
        return ()
    kinds = sorted({concept.kind for concept in unchecked})
    return (
        f"Whether the edit took was not checked for {len(unchecked)} of {len(concepts)} concepts "
        f"(kind: {', '.join(kinds)}): nothing that was at hand can see them.",
    )
