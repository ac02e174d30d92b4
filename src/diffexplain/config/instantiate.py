"""Building the object that a part of the configuration describes: ``_target_`` and its arguments.

Only classes and functions of this package that are parts of a run, and of packages that the user names under
``plugins``, are called; a configuration from elsewhere must not run anything else.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from diffexplain.config.former_names import present
from diffexplain.config.plugins import check as check_plugins
from diffexplain.config.plugins import load as load_plugin
from diffexplain.errors import UserError

TARGET = "_target_"
PARTS = tuple(
    f"diffexplain.{part}"
    for part in (
        "classifiers",
        "concepts",
        "diffusion",
        "editing",
        "effects",
        "evaluation",
        "explainers",
        "pipelines.proposers",
        "prompts",
        "report.file_loggers",
        "report.wandb_logger",
        "segmentation",
    )
)
"""Where the parts of a run are. The rest of the package is not for a configuration to call: `build` itself would take
other plugins, and a command writes files or reaches the network."""


def build(
    node: Mapping[str, Any],
    *arguments: Any,
    plugins: Sequence[str] = (),
    without: Collection[str] = ("name",),
    where: str = "",
) -> Any:
    """Call ``node``'s ``_target_`` with ``arguments`` and with the node's other keys.

    A part that looks names up itself takes ``plugins``, and is given those of the run.

    Args:
        node: of the configuration.
        plugins: packages beside this one whose code may be called.
        without: keys of the node that somebody else reads.
        where: the node's place in the configuration, for messages.

    Raises:
        UserError: nothing of that name, not allowed, or a key that it does not take.
    """
    function = locate(str(node[TARGET]), plugins, where)
    options = {key: value for key, value in node.items() if key != TARGET and key not in without}
    if "plugins" in options:
        raise UserError("The packages that may be called are named by the run alone.", given=f"{where}.plugins")
    if "plugins" in inspect.signature(function).parameters:
        options["plugins"] = tuple(plugins)
    _check_options(function, len(arguments), options, where)
    return function(*arguments, **options)


def locate(name: str, plugins: Sequence[str] = (), where: str = "") -> Callable[..., Any]:
    """The class or function with a dotted ``name``.

    Raises:
        UserError: it is not there, or belongs to no allowed package.
    """
    found = find(name, plugins, where)
    allowed = (*PARTS, *plugins)
    # `diffexplain.classifiers.classifier.json.loads` begins with an allowed name too: what counts is where it was
    # defined. A partial's or a wrapper's home is functools, an inherited method's its own class's.
    home = getattr(found, "__module__", None) or getattr(getattr(found, "__func__", None), "__module__", "")
    if not callable(found) or not _belongs(f"{home}.", allowed):
        raise UserError(f"{_key(where)} must be a class or function of {' or '.join(allowed)}.", given=name)
    function: Callable[..., Any] = found
    return function


def find(name: str, plugins: Sequence[str] = (), where: str = "") -> Any:
    """What has the dotted ``name`` in an allowed package, of whatever kind; it is not called.

    Raises:
        UserError: it is not there, the name is of no allowed package, or a plugin cannot be one.
    """
    check_plugins(plugins)
    name = present(name)
    allowed = (*PARTS, *plugins)
    key = _key(where)
    parts = name.split(".")
    # No private name: `__globals__` and the like lead everywhere.
    if not _belongs(name, allowed) or any(not part or part.startswith("_") for part in parts):
        raise UserError(
            f"{key} must be a part of a run, or in a package that `plugins` names.", given=name, accepted=allowed
        )
    found: Any = None
    for count in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:count])
        try:
            found = importlib.import_module(module) if _belongs(name, PARTS) else load_plugin(module)
        except ModuleNotFoundError as error:
            # An import that fails inside the module is that module's fault, and must be seen.
            if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                raise
            continue
        break
    for part in parts[count:]:
        known = [attribute for attribute in dir(found) if not attribute.startswith("_")]
        found = getattr(found, part, None)
        if found is None:
            raise UserError(f"{key} names nothing.", given=part, accepted=known)
    return found


def _key(where: str) -> str:
    """The key that holds the name: ``where`` itself if it is dotted, else the ``_target_`` of that part."""
    return where if "." in where else f"{where}.{TARGET}" if where else TARGET


def _belongs(name: str, packages: Sequence[str]) -> bool:
    return any(name.startswith(f"{package}.") for package in packages)


def _check_options(function: Callable[..., Any], positional: int, options: Mapping[str, Any], where: str) -> None:
    parameters = list(inspect.signature(function).parameters.values())
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    known = [
        parameter.name
        for index, parameter in enumerate(parameters)
        if parameter.kind is parameter.KEYWORD_ONLY
        or (parameter.kind is parameter.POSITIONAL_OR_KEYWORD and index >= positional)
    ]
    for key in options:
        if key not in known and not takes_any:
            name = f"{where}.{key}" if where else key
            raise UserError("There is no such key.", given=name, accepted=[f"{where}.{k}" for k in known])
    for parameter in parameters:
        annotation = str(parameter.annotation)
        typed = parameter.annotation is not parameter.empty and "Any" not in annotation
        if typed and "None" not in annotation and options.get(parameter.name, "") is None:
            raise UserError(f"{where}.{parameter.name} must have a value.", given="null")
    for parameter in parameters[positional:]:
        required = parameter.default is parameter.empty and parameter.kind in (
            parameter.KEYWORD_ONLY,
            parameter.POSITIONAL_OR_KEYWORD,
        )
        if required and parameter.name not in options:
            raise UserError(f"{where}.{parameter.name} is missing.", hint="diffexplain run --cfg")
