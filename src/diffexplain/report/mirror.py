"""Who watches a run: its loggers, several if that is wanted, and callbacks of the user's. They change nothing of it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import Any

from diffexplain.config.identity import identifying
from diffexplain.config.instantiate import TARGET, build, locate
from diffexplain.errors import UserError
from diffexplain.runs.run import IDENTITY_DIGITS, LOGS, Run

LOGGER, CALLBACKS = "logger", "callbacks"
TENSORBOARD = ("tensorboard", "tensorboardX")
"""Packages that write its files; one is enough."""


def check(config: Mapping[str, Any]) -> None:
    """Look whether there are such loggers and callbacks, before anything is loaded.

    Raises:
        UserError: one is not there, or belongs to no allowed package.
    """
    for group in (LOGGER, CALLBACKS):
        for where, node in parts(config, group):
            if node[TARGET] is None:
                message = f"What is your {where}? Name a class, and its package in plugins."
                raise UserError(message, accepted=[f"{where}.{TARGET}=<package>.<class> plugins=[<package>]"])
            locate(str(node[TARGET]), config["plugins"], where)
            if str(node[TARGET]).endswith(".tensorboard_logger") and not any(map(find_spec, TENSORBOARD)):
                message = "TensorBoard is not installed; pip install tensorboard installs it."
                raise UserError(message, given=f"logger={node['name']}")


def callbacks(config: Mapping[str, Any]) -> tuple[Any, ...]:
    """The user's callbacks of Lightning.

    Raises:
        UserError: one cannot be made, or is none.
    """
    from lightning.pytorch import Callback

    made = [build(node, plugins=config["plugins"], where=where) for where, node in parts(config, CALLBACKS)]
    for one in made:
        if not isinstance(one, Callback):
            raise UserError("A callback is a lightning.pytorch.Callback.", given=type(one).__name__)
    return tuple(made)


@contextmanager
def mirror(run: Run, plugins: Sequence[str]) -> Iterator[list[Any]]:
    """The loggers of ``run``, open; none in a helping process.

    When the block has ended well, they show what was found; they are closed in any case.
    """
    loggers: list[Any] = []
    with ExitStack() as opened:
        for where, node in parts(run.config, LOGGER) if run.is_writer else ():
            logger = _built(run, node, plugins, where)
            if logger is not None:
                loggers.append(logger)
                opened.push(_closing(logger))
        yield loggers
        for logger in loggers:
            _show_findings(logger, run)


def in_sweep(config: Mapping[str, Any], group: str) -> dict[str, Any]:
    """``config`` of a run of a sweep: a logger that knows groups is told the sweep's, unless the user has named one."""

    def told(node: Any) -> Any:
        if not isinstance(node, Mapping):
            return node
        within = {key: told(value) for key, value in node.items()}
        return {**within, "group": group} if TARGET in node and node.get("group", "") is None else within

    return {**config, LOGGER: told(config[LOGGER])}


def parts(config: Mapping[str, Any], group: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Place and configuration of each that is chosen in a group: one, or several by their names."""
    node = config.get(group, {})
    if TARGET in node:
        return [(group, node)]
    return [(f"{group}.{name}", one) for name, one in node.items() if isinstance(one, Mapping) and TARGET in one]


def _built(run: Run, node: Mapping[str, Any], plugins: Sequence[str], where: str) -> Any:
    """A logger, given what it takes of these by name: this package's words, and Lightning's for places."""
    offered = {
        "directory": run.directory,
        "identity": run.identity,
        "config": identifying(run.config),
        "save_dir": run.directory / LOGS / str(node.get("name", where)),
        "version": run.identity[:IDENTITY_DIGITS],
    }
    from diffexplain.report import wandb_mirror

    taken = inspect.signature(locate(str(node[TARGET]), plugins, where)).parameters
    given = {name: value for name, value in offered.items() if name in taken and name not in node}
    logger = build({**node, **given}, plugins=plugins, where=where)
    if logger is not None and not wandb_mirror.is_copy(logger):
        logger.log_hyperparams(offered["config"])
    return logger


def _closing(logger: Any) -> Any:
    from diffexplain.report import wandb_mirror

    def close(kind: type[BaseException] | None, *_more: Any) -> None:
        if wandb_mirror.is_copy(logger):
            # Else the next run of a sweep would be logged into this one.
            logger.experiment.finish(exit_code=0 if kind is None else 1)
        else:
            logger.finalize("success" if kind is None else "failed")

    return close


def _show_findings(logger: Any, run: Run) -> None:
    from diffexplain.report import Summary, wandb_mirror

    if wandb_mirror.is_copy(logger):
        wandb_mirror.show_findings(logger, run.directory)
        return
    summary = Summary.load(run.directory)
    numbers = wandb_mirror.headline_numbers(summary).items()
    steps = 0 if summary.optimisation is None else summary.optimisation.steps
    logger.log_metrics({key: float(value) for key, value in numbers if isinstance(value, int | float)}, step=steps)
