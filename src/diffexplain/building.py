"""Building the object that a part of the configuration describes: ``_target_`` and its arguments.

Only classes and functions of this package, and of packages that the user names under ``plugins``, are
called; a configuration from elsewhere must not run anything else.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from diffexplain.errors import UserError

TARGET = "_target_"
PACKAGE = "diffexplain"


def build(
    node: Mapping[str, Any],
    *arguments: Any,
    plugins: Sequence[str] = (),
    without: Collection[str] = ("name",),
    where: str = "",
) -> Any:
    """Call ``node``'s ``_target_`` with ``arguments`` and with the node's other keys.

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
    _check_options(function, len(arguments), options, where)
    return function(*arguments, **options)


def locate(name: str, plugins: Sequence[str] = (), where: str = "") -> Callable[..., Any]:
    """The class or function with a dotted ``name``.

    Raises:
        UserError: it is not there, or belongs to no allowed package.
    """
    allowed = (PACKAGE, *plugins)
    key = f"{where}.{TARGET}" if where else TARGET
    if not _belongs(name, allowed):
        message = f"{key} must be in {PACKAGE} or in a package that `plugins` names."
        raise UserError(message, given=name, accepted=allowed)
    parts = name.split(".")
    found: Any = None
    for count in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:count])
        try:
            found = importlib.import_module(module)
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
    # `diffexplain.app.os.system` begins with an allowed name too: what counts is where it was defined.
    home = getattr(found, "__module__", None) or getattr(getattr(found, "__func__", None), "__module__", "")
    if not callable(found) or not _belongs(f"{home}.", allowed):
        raise UserError(f"{key} must be a class or function of {' or '.join(allowed)}.", given=name)
    function: Callable[..., Any] = found
    return function


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
            raise UserError(f"{where}.{parameter.name} is missing.", hint="python run.py --cfg")
