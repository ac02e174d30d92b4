"""A copy of a finished run on W&B, made again from the run's files; the files stay the truth.

Without a key, or when W&B cannot be reached, the copy is an offline one inside the run's directory, which
``wandb sync`` sends later. Each call logs the whole run under the same id, so it may be repeated.
"""

from __future__ import annotations

import csv
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from diffexplain.config.from_run import SUMMARY
from diffexplain.effects.results import Effect, EffectExample, EffectsResult, Verdict
from diffexplain.errors import RetryableError, UserError
from diffexplain.report import wording
from diffexplain.report.codec import to_plain
from diffexplain.report.load import LoadedRun, load_run
from diffexplain.report.summary import Summary
from diffexplain.report.sweep import CSV
from diffexplain.report.wandb_key import folders, has_key
from diffexplain.runs.record import show
from diffexplain.runs.run import IDENTITY_DIGITS, MANIFEST, REPORT
from diffexplain.runs.sweep import SWEEP
from diffexplain.weights.documents import read_json

STEP = "trainer/global_step"
"""Lightning's axis."""
_SECONDS_TO_CONNECT = 30
_LONGEST_TAG = 64
_MOST_PICTURES = 24
_MEASURED = ("activation", "comparisons", "control", "effects", "object_absence", "quality", "words")
"""Parts of a summary that hold estimates."""
_IN_TABLES = {"over_all", "second"}
"""What a concept and a difference have: these are rows of tables."""
_NUMBERS = ("effect", "low", "high", "adjusted_p", "significant", "n")
"""Columns of an effect."""


def sync(run_directory: str | Path) -> str:
    """Log the run, or the page of the sweep, in ``run_directory`` to W&B from its files, and say where the copy is.

    It goes to the project, entity and group of the run's configuration.

    Raises:
        UserError: there is no finished run in ``run_directory``.
        RetryableError: W&B failed; the run's own files are untouched.
    """
    directory = Path(run_directory).expanduser()
    if (directory / SWEEP).is_file():
        name, settings = directory.resolve().name, _settings_of_sweep(directory)
        return _copied(directory, name, {}, settings, partial(_log_sweep, directory))
    run = load_run(directory)

    def log(logger: Any) -> None:
        for row in run.curve:
            show([logger], run.directory, row)
        _log_findings(logger, run)

    summary = run.summary
    return _copied(directory, summary.identity[:IDENTITY_DIGITS], summary.settings, _settings(directory), log)


def show_sweep(folder: Path, logger: Mapping[str, Any]) -> None:
    """Log a sweep's page beside its runs, where these are logged to W&B; a fault is one warning."""
    if not _is_wandb(logger):
        return
    try:
        sync(folder)
    except (UserError, RetryableError) as error:
        warnings.warn(_first_line(error), stacklevel=2)


def is_copy(logger: Any) -> bool:
    """Whether a logger is W&B's; nothing is imported for one that is not."""
    module = sys.modules.get("lightning.pytorch.loggers")
    return module is not None and isinstance(logger, module.WandbLogger)


def show_findings(logger: Any, run_directory: str | Path) -> None:
    """Add what a run found to the W&B run of ``logger``, which is still open, from the run's files.

    Whatever goes wrong becomes one warning: a fault of the copy is no fault of the run.
    """
    try:
        _log_findings(logger, load_run(run_directory))
    except Exception as error:
        reason = f"{type(error).__name__}: {_first_line(error)}"
        warnings.warn(f"W&B does not show the findings of {run_directory}: {reason}", stacklevel=2)


def mode() -> str:
    """How W&B is used: as ``WANDB_MODE`` says, else online with a key and offline without."""
    return os.environ.get("WANDB_MODE") or ("online" if has_key() else "offline")


def _copied(
    directory: Path, identity: str, config: Mapping[str, Any], options: Mapping[str, Any], log: Callable[[Any], None]
) -> str:
    """Let ``log`` fill a run at W&B, an offline one where W&B cannot be reached."""
    own = folders(directory)
    os.environ.update(own)
    try:
        copy = begun(directory, identity, config, mode=mode(), **options)
        try:
            log(_Logger(copy))
            place = str(Path(copy.dir).parent) if copy.offline else copy.url
        finally:
            copy.finish()
    except Exception as error:
        reason = f"{type(error).__name__}: {_first_line(error)}"
        raise RetryableError(f"{directory} was not copied to W&B: {reason}") from error
    finally:
        for name in own:
            del os.environ[name]
    return f"{directory} is copied to {place}"


@dataclass(frozen=True)
class _Logger:
    """Tells W&B what Lightning's logger would tell it; to import Lightning takes longer than to copy a run."""

    experiment: Any

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        self.experiment.log({**metrics, **({} if step is None else {STEP: step})})

    def log_image(self, key: str, images: Sequence[str], step: int) -> None:
        import wandb

        self.log_metrics({key: [wandb.Image(image) for image in images]}, step)


def begun(directory: Path, identity: str, config: Mapping[str, Any], *, mode: str, **options: Any) -> Any:
    """A run at W&B that is open, an offline one where W&B cannot be reached: one of its own, whatever else this process
    logs there.
    """
    import wandb

    if mode == "online":
        try:
            return _begun(directory, identity, config, mode=mode, **options)
        except wandb.errors.Error as error:
            warnings.warn(f"W&B cannot be reached, so the copy is offline: {_first_line(error)}", stacklevel=3)
            mode = "offline"
    return _begun(directory, identity, config, mode=mode, **options)


def _begun(directory: Path, identity: str, config: Mapping[str, Any], *, mode: str, **options: Any) -> Any:
    import wandb

    tags = [*options.pop("tags", ()), *_tags(config)]
    experiment = wandb.init(
        id=identity,
        name=directory.resolve().name,
        config=dict(config),
        dir=directory,
        mode=mode,  # type: ignore[arg-type]  # W&B itself says which words it takes
        resume=None if mode == "offline" else "allow",
        reinit="create_new",
        tags=list(dict.fromkeys(tags)),
        settings=wandb.Settings(
            silent=True,
            console="off",
            disable_git=True,
            save_code=False,
            x_disable_stats=True,
            x_disable_meta=True,
            init_timeout=_SECONDS_TO_CONNECT,
        ),
        **options,
    )
    experiment.define_metric(STEP)
    experiment.define_metric("*", step_metric=STEP, step_sync=True)
    return experiment


def _tags(config: Mapping[str, Any]) -> list[str]:
    nodes = [config.get(group) for group in ("classifier", "diffusion", "explainer")]
    return [str(node["name"])[:_LONGEST_TAG] for node in nodes if isinstance(node, Mapping) and node.get("name")]


def _settings(directory: Path) -> dict[str, Any]:
    """What the run's configuration says of its copy at W&B; only the project where the manifest is not kept."""
    logger: dict[str, Any] = {}
    path = directory / MANIFEST
    try:
        logger = dict(read_json(path)["config_as_given"].get("logger", {}))
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is damaged, so that the run's project on W&B is not known: {error}") from error
    node = next((one for one in (logger, *logger.values()) if _is_wandb(one, below=False)), logger)
    known = {key: node[key] for key in ("project", "entity", "group", "job_type", "tags") if node.get(key)}
    return {"project": "diffexplain", **known}


def _is_wandb(node: Any, below: bool = True) -> bool:
    """Whether a logger's configuration is W&B's, or one of several is."""
    if not isinstance(node, Mapping):
        return False
    own = str(node.get("_target_", "")).rpartition(".")[2] == "wandb_logger"
    return own or (below and any(_is_wandb(one, below=False) for one in node.values()))


def _settings_of_sweep(folder: Path) -> dict[str, Any]:
    """Those of its runs, whose group is the sweep's."""
    try:
        names = [job["directory"] for job in read_json(folder / SWEEP)["jobs"] if job["directory"] is not None]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder / SWEEP} is damaged, so that its runs are not known: {error}") from error
    settings = _settings(folder / names[0]) if names else {"project": "diffexplain"}
    return {"group": folder.resolve().name, **settings, "job_type": "sweep"}


def _log_sweep(folder: Path, logger: Any) -> None:
    import wandb

    with (folder / CSV).open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    cells = [[_cell(text) for text in row] for row in rows]
    table = wandb.Table(columns=list(header), data=cells, allow_mixed_types=True)
    logger.log_metrics({"runs": table, "report": wandb.Html((folder / REPORT).read_text(encoding="utf-8"))})
    _log_files(logger, folder, "sweep")


def _cell(text: str) -> str | float | None:
    """A cell of a CSV: a number where it is one, missing where it is empty."""
    try:
        return float(text)
    except ValueError:
        return text or None


def _log_files(logger: Any, directory: Path, kind: str) -> None:
    """Report and summary, to be kept as an artifact."""
    import wandb

    artifact = wandb.Artifact(f"{kind}-{logger.experiment.id}", type=kind)
    for name in (REPORT, SUMMARY):
        artifact.add_file(str(directory / name), name=name)
    logger.experiment.log_artifact(artifact)


def _log_findings(logger: Any, run: LoadedRun) -> None:
    import wandb

    final: dict[str, Any] = {}
    effects = run.summary.effects
    if effects is not None:
        final["concepts"] = concept_table(effects)
        if any(ranking.combinations for ranking in effects.rankings):
            final["combinations"] = combination_table(effects)
        if effects.differences:
            final["differences"] = difference_table(effects)
    if run.examples:
        final["examples"] = [
            wandb.Image(example.image, caption=f"score {example.score:.2f}")
            for example in run.examples[:_MOST_PICTURES]
        ]
    if run.effects:
        final["edits"] = [
            wandb.Image(np.concatenate([shown.without, shown.present], axis=1), caption=_caption(shown))
            for shown in run.effects[:_MOST_PICTURES]
        ]
    if final:
        logger.log_metrics(final)
    logger.experiment.summary.update(headline_numbers(run.summary))
    _log_files(logger, run.directory, "report")


def concept_table(effects: EffectsResult) -> Any:
    """The concepts of every classifier as a ``wandb.Table``: the largest absolute effect first, the untested last."""
    rows: list[list[Any]] = []
    for ranking in effects.rankings:
        for concept in ranking.ranked:
            shares = [None if share is None else share.value for share in (concept.took, concept.inside)]
            said = (" > ".join(concept.path), concept.kind, concept.verdict.value, concept.reason)
            rows.append([ranking.classifier, *said, *_numbers(concept.over_all), *shares])
        for one in ranking.untested:
            said = (" > ".join(one.path), one.kind, Verdict.NOT_TESTED.value, one.reason)
            rows.append([ranking.classifier, *said, *[None] * (len(_NUMBERS) + 2)])
    return _table(("classifier", "concept", "kind", "verdict", "reason", *_NUMBERS, "took", "inside"), rows)


def combination_table(effects: EffectsResult) -> Any:
    """What the search kept for every classifier as a ``wandb.Table``, best first."""
    rows: list[list[Any]] = []
    for ranking in effects.rankings:
        for found in ranking.combinations:
            names = " and ".join(" > ".join(path) for path in found.paths)
            others = [None if estimate is None else estimate.value for estimate in (found.over_parent, found.took)]
            rows.append([ranking.classifier, names, found.gain.value, found.gain.low, found.gain.high, *others])
    return _table(("classifier", "concepts", "gain", "low", "high", "over_parent", "took"), rows)


def difference_table(effects: EffectsResult) -> Any:
    """The effect on one classifier minus that on another as a ``wandb.Table``."""
    rows = [[one.first, one.second, " > ".join(one.path), *_numbers(one.effect)] for one in effects.differences]
    return _table(("first", "second", "concept", *_NUMBERS), rows)


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Any:
    import wandb

    table = wandb.Table(columns=list(columns))
    for row in rows:
        table.add_data(*row)
    return table


def _numbers(effect: Effect) -> tuple[float, float, float, float, bool, int]:
    score = effect.score
    return score.value, score.low, score.high, effect.adjusted_p, effect.significant, effect.n


def _caption(shown: EffectExample) -> str:
    return f"{shown.path[-1]}: {shown.score_without:.2f} without, {shown.score_present:.2f} with"


def headline_numbers(summary: Summary) -> dict[str, Any]:
    """The numbers by which runs are compared on W&B; what was not measured is not among them.

    Beside those by which one compares first stands every estimate of the summary, by its place there; of concepts,
    combinations and differences the tables say more.
    """
    numbers: dict[str, Any] = {f"activation/{row.name}": row.share.value for row in summary.activation}
    numbers["same_answer"] = summary.same_answer is not None
    numbers |= dict(_estimates({part: to_plain(getattr(summary, part)) for part in _MEASURED}))
    if summary.statement is not None:
        numbers["statement"] = summary.statement.text
    if summary.object_absence is not None and summary.object_absence.share is not None:
        numbers["object_absent"] = summary.object_absence.share.value
    if summary.same_answer is not None or not summary.concepts:
        return numbers
    first = summary.concepts[0]
    numbers["effects/count"] = sum(concept.over_all.significant for concept in summary.concepts)
    numbers["effects/top"], numbers["effects/top_effect"] = first.text, first.over_all.score.value
    for verdict in (Verdict.SPURIOUS, Verdict.CORE) if wording.judged(summary) else ():
        leading = summary.leading(verdict)
        numbers[f"{verdict.value}/count"] = len(summary.having(verdict))
        if leading is not None:
            numbers[f"{verdict.value}/top"] = leading.text
            numbers[f"{verdict.value}/top_effect"] = leading.over_all.score.value
    return numbers


def _estimates(value: Any, place: str = "") -> Iterator[tuple[str, float]]:
    """Every estimate in plain ``value``, by its place; of several things, by what they are called."""
    if isinstance(value, Mapping):
        if {"value", "low", "high"} <= value.keys():
            yield place, value["value"]
            return
        for key, one in value.items():
            yield from _estimates(one, f"{place}/{key}" if place else str(key))
    elif isinstance(value, list):
        for one in value:
            called = [one[key] for key in ("name", "classifier", "path") if isinstance(one, Mapping) and key in one]
            if called and not _IN_TABLES & one.keys():
                name = called[0] if isinstance(called[0], str) else " > ".join(called[0])
                yield from _estimates(one, f"{place}/{name}")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or ["no reason given"])[0]
