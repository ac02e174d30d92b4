"""A copy of a finished run on W&B, made again from the run's files; the files stay the truth.

Without a key, or when W&B cannot be reached, the copy is an offline one inside the run's directory, which
``wandb sync`` sends later. Each call logs the whole run under the same id, so it may be repeated.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from diffexplain.effects.results import Effect, EffectExample, EffectsResult, Verdict
from diffexplain.errors import RetryableError
from diffexplain.report import wording
from diffexplain.report.load import LoadedRun, load_run
from diffexplain.report.summary import Summary
from diffexplain.report.wandb_key import folders, has_key
from diffexplain.runs.run import IDENTITY_DIGITS, MANIFEST
from diffexplain.weights.documents import read_json
from diffexplain.weights.store import inside

PROJECT = "diffexplain"
_SECONDS_TO_CONNECT = 30
_MOST_PICTURES = 24
_NUMBERS = ("effect", "low", "high", "adjusted_p", "significant", "n")
"""Columns of an effect."""


def sync(run_directory: str | Path) -> str:
    """Log the run in ``run_directory`` to W&B from its files, and say where the copy is.

    It goes to the project and entity of the run's configuration.

    Raises:
        UserError: there is no finished run in ``run_directory``.
        RetryableError: W&B failed; the run's own files are untouched.
    """
    run = load_run(run_directory)
    own = folders(run.directory)
    os.environ.update(own)
    try:
        return _sync(run)
    except Exception as error:
        reason = f"{type(error).__name__}: {_first_line(error)}"
        raise RetryableError(f"{run.directory} was not copied to W&B: {reason}") from error
    finally:
        for name in own:
            del os.environ[name]


def show_findings(copy: Any, run_directory: str | Path) -> None:
    """Add what a run found to ``copy``, its W&B run that is still open, from the run's files.

    Whatever goes wrong becomes one warning: a fault of the copy is no fault of the run.
    """
    try:
        _log_findings(copy, load_run(run_directory))
    except Exception as error:
        reason = f"{type(error).__name__}: {_first_line(error)}"
        warnings.warn(f"W&B does not show the findings of {run_directory}: {reason}", stacklevel=2)


def mode() -> str:
    """How W&B is used: as ``WANDB_MODE`` says, else online with a key and offline without."""
    return os.environ.get("WANDB_MODE") or ("online" if has_key() else "offline")


def _sync(run: LoadedRun) -> str:
    import wandb

    chosen = mode()
    try:
        copy = _start(run, chosen)
    except wandb.errors.Error as error:
        if chosen != "online":
            raise
        warnings.warn(f"W&B cannot be reached, so the copy is offline: {_first_line(error)}", stacklevel=3)
        copy = _start(run, "offline")
    try:
        _log_curve(copy, run)
        _log_findings(copy, run)
        place = str(Path(copy.dir).parent) if copy.offline else copy.url
    finally:
        copy.finish()
    return f"{run.directory} is copied to {place}"


def _start(run: LoadedRun, chosen: str) -> Any:
    import wandb

    summary = run.summary
    logger = _logger(run.directory)
    return wandb.init(
        id=summary.identity[:IDENTITY_DIGITS],
        project=logger.get("project", PROJECT),
        entity=logger.get("entity"),
        name=run.directory.resolve().name,
        config=dict(summary.settings),
        mode=chosen,  # type: ignore[arg-type]  # W&B itself says which words it takes
        dir=run.directory,
        reinit="create_new",
        settings=wandb.Settings(
            silent=True,
            console="off",
            disable_git=True,
            save_code=False,
            x_disable_stats=True,
            x_disable_meta=True,
            init_timeout=_SECONDS_TO_CONNECT,
        ),
    )


def _logger(directory: Path) -> Mapping[str, Any]:
    """The logger's part of the run's configuration; empty where the manifest is not kept."""
    try:
        manifest = read_json(directory / MANIFEST)
    except OSError:
        return {}
    logger: Mapping[str, Any] = manifest["config_as_given"].get("logger", {})
    return logger


def _log_curve(copy: Any, run: LoadedRun) -> None:
    import wandb

    for row in run.curve:
        values: dict[str, Any] = {
            key: value for key, value in row.items() if isinstance(value, int | float) and key != "step"
        }
        # A run may come from elsewhere: nothing but what lies in its folder is sent away.
        picture = inside(run.directory, row["image"]) if isinstance(row.get("image"), str) else None
        if picture is not None and picture.is_file():
            values["generated"] = wandb.Image(str(picture))
        copy.log(values, step=row["step"])


def _log_findings(copy: Any, run: LoadedRun) -> None:
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
        copy.log(final)
    copy.summary.update(headline_numbers(run.summary))


def concept_table(effects: EffectsResult) -> Any:
    """The concepts of every classifier as a ``wandb.Table``: the largest absolute effect first, the untested last."""
    import wandb

    columns: list[str | int] = ["classifier", "concept", "kind", "verdict", "reason", *_NUMBERS, "took", "inside"]
    table = wandb.Table(columns=columns)
    for ranking in effects.rankings:
        for concept in ranking.ranked:
            shares = [None if share is None else share.value for share in (concept.took, concept.inside)]
            said = (" > ".join(concept.path), concept.kind, concept.verdict.value, concept.reason)
            table.add_data(ranking.classifier, *said, *_numbers(concept.over_all), *shares)
        for one in ranking.untested:
            said = (" > ".join(one.path), one.kind, Verdict.NOT_TESTED.value, one.reason)
            table.add_data(ranking.classifier, *said, *[None] * (len(_NUMBERS) + 2))
    return table


def combination_table(effects: EffectsResult) -> Any:
    """What the search kept for every classifier as a ``wandb.Table``, best first."""
    import wandb

    columns: list[str | int] = ["classifier", "concepts", "gain", "low", "high", "over_parent", "took"]
    table = wandb.Table(columns=columns)
    for ranking in effects.rankings:
        for found in ranking.combinations:
            names = " and ".join(" > ".join(path) for path in found.paths)
            others = [None if estimate is None else estimate.value for estimate in (found.over_parent, found.took)]
            table.add_data(ranking.classifier, names, found.gain.value, found.gain.low, found.gain.high, *others)
    return table


def difference_table(effects: EffectsResult) -> Any:
    """The effect on one classifier minus that on another as a ``wandb.Table``."""
    import wandb

    columns: list[str | int] = ["first", "second", "concept", *_NUMBERS]
    table = wandb.Table(columns=columns)
    for difference in effects.differences:
        name = " > ".join(difference.path)
        table.add_data(difference.first, difference.second, name, *_numbers(difference.effect))
    return table


def _numbers(effect: Effect) -> tuple[float, float, float, float, bool, int]:
    score = effect.score
    return score.value, score.low, score.high, effect.adjusted_p, effect.significant, effect.n


def _caption(shown: EffectExample) -> str:
    return f"{shown.path[-1]}: {shown.score_without:.2f} without, {shown.score_present:.2f} with"


def headline_numbers(summary: Summary) -> Mapping[str, Any]:
    """The numbers by which runs are compared on W&B; what was not measured is not among them."""
    numbers: dict[str, Any] = {f"activation/{row.name}": row.share.value for row in summary.activation}
    numbers["same_answer"] = summary.same_answer is not None
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
        numbers[f"{verdict.value}/top"] = None if leading is None else leading.text
        numbers[f"{verdict.value}/top_effect"] = None if leading is None else leading.over_all.score.value
    return numbers


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or ["no reason given"])[0]
