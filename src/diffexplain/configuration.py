"""Composing a run's configuration from ``conf/`` and overrides, with every mistake answered by a remedy.

Hydra composes; this module checks first what Hydra would refuse without a hint: unknown groups, choices and
keys, values of the wrong type. It imports no torch.
"""

from __future__ import annotations

import copy
import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override, OverrideType, QuotedString
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from diffexplain.compared import COMPARED
from diffexplain.contents import CONTENTS, EDITOR_OF_NONE, EDITORS_OF_IMAGES, digests
from diffexplain.errors import UserError
from diffexplain.taken_over import taken_over
from diffexplain.torchvision_weights import torchvision_weights

FOLDER = Path(__file__).parents[2] / "conf"
"""The repository's ``conf/``: the package is installed in editable form."""

OWN_FOLDERS = "paths.configs"
"""Key of the user's own configuration folders, in which choices are found beside those in ``conf/``."""

OR_LIST: Mapping[str, type] = {
    "classifier.labels": str,
    "classifier.preprocessing.size": int,
    "classifier.preprocessing.crop": int,
    "classifier.preprocessing.mean": str,
    "classifier.preprocessing.std": str,
}
"""Keys whose value may be a list in place of one of this type."""

HELP = "python run.py --help"
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./:@-]*")
_UNREAD = re.compile(r"Could not override '(\w+)'")
"""What Hydra says of a group that no defaults list names."""
_MEANINGFUL = ("true", "false", "null", "nan", "inf")
_TYPES = {bool: "true or false", int: "a whole number", float: "a number", dict: "a mapping", list: "a list"}


def compose(overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The resolved configuration of one run, in plain containers.

    Args:
        overrides: Hydra's: ``target=class:bee``, ``classifier=world_fair_cnn``, ``explainer.steps=40``.

    Of the classifiers that `compare` names, ``compared`` holds the part of a configuration that each would have alone.
    Where it names files that say what the run finds, ``contents`` holds their digests.

    Raises:
        UserError: something in ``overrides`` is not understood, a file in ``conf/`` is wrong, or there is no folder of
            photographs where one is named.
    """
    parsed = parse(overrides)
    parsed = [*parse(taken_over(parsed)), *parsed]
    for override in parsed:
        if override.is_sweep_override():
            message = f"{override.key_or_group} has several values; -m makes a run of each."
            raise UserError(message, given=override.input_line)
    folders = [Path(text) for text in _own_folders(parsed)]
    groups = available(folders)
    chosen = [override for override in parsed if override.key_or_group in groups]
    for override in chosen:
        _check_choice(override, groups)
    choices = tuple(str(override.input_line) for override in chosen)
    composed = _compose(choices, tuple(folders), _state([FOLDER, *folders]))
    reference = _plain(composed)
    assigned = [override for override in parsed if override not in chosen]
    if _needs_another_editor(reference, parsed):
        return compose([*overrides, f"editor={EDITORS_OF_IMAGES[0]}"])
    for override in assigned:
        _check_key(override, reference, groups)
    config = _plain(_assign(composed, assigned)) if assigned else reference
    for override in assigned:
        _check_value(override, reference, config)
    compared = _compared(config, groups)
    config |= {COMPARED: compared} if compared else {}
    contents = digests(config)
    return {**config, CONTENTS: contents} if contents else config


def expand(overrides: Sequence[str]) -> list[list[str]]:
    """One list of overrides for each run of a sweep: every combination, the last key changing fastest.

    Raises:
        UserError: an override is malformed.
    """
    alternatives = []
    for override in parse(overrides):
        key = override.get_key_element()
        if not override.is_sweep_override():
            alternatives.append([str(override.input_line)])
        elif isinstance(override.value(), Glob) or not override.is_discrete_sweep():
            raise UserError("A sweep is a list or range(...) of values.", given=override.input_line)
        else:
            alternatives.append([f"{key}={written(value)}" for value in override.sweep_iterator()])
    return [list(combination) for combination in itertools.product(*alternatives)]


def parse(overrides: Sequence[str]) -> list[Override]:
    """Read overrides by Hydra's grammar.

    Raises:
        UserError: one of them does not follow it.
    """
    parsed = []
    for text in overrides:
        try:
            parsed += OverridesParser.create().parse_overrides([text])
        except HydraException as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"This is not written as key=value: {reason}.", given=text, hint=HELP) from None
    return parsed


def available(more: Sequence[Path] = ()) -> dict[str, list[str]]:
    """The choices of every group, from ``conf/`` and from ``more`` folders of the user."""
    if not FOLDER.is_dir():
        raise UserError(f"{FOLDER} is missing: install the package in editable form (pip install -e .).")
    groups: dict[str, set[str]] = {}
    for folder in (FOLDER, *more):
        for file in folder.glob("*/*.yaml"):
            groups.setdefault(file.parent.name, set()).add(file.stem)
    return {name: sorted(choices) for name, choices in sorted(groups.items())}


def chosen_files(overrides: Sequence[str]) -> dict[str, Path]:
    """The file of every choice among ``overrides``, by ``group=choice``; single keys are left aside.

    Raises:
        UserError: there is no such choice.
    """
    parsed = parse(overrides)
    folders = [FOLDER, *(Path(text) for text in _own_folders(parsed))]
    groups = available(folders[1:])
    found = {}
    for override in parsed:
        if override.key_or_group in groups and override.value() is not None:
            _check_choice(override, groups)
            group, choice = override.key_or_group, override.get_value_string()
            paths = [folder / group / f"{choice}.yaml" for folder in folders]
            found[f"{group}={choice}"] = next(path for path in paths if path.is_file())
    return found


def defaults() -> dict[str, str | None]:
    """The choice of every group where nothing is chosen; one may follow from another, as the prior's segmenter.

    None for what the default method does not read.
    """
    config = compose()
    return {group: config[group]["name"] if group in config else None for group in available()}


def written(value: Any) -> str:
    """``value`` as an override's right-hand side, in Hydra's grammar."""
    value = value.text if isinstance(value, QuotedString) else value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{','.join(written(item) for item in value)}]"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{written(key)}:{written(item)}" for key, item in value.items()) + "}"
    if isinstance(value, str) and (not _PLAIN.fullmatch(value) or value.lower() in _MEANINGFUL):
        # A backslash is itself unless it stands before a quotation mark.
        return "'" + re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + found[2].replace("'", r"\'"), value) + "'"
    return str(value)


def leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key and value of everything in ``config`` that is not a non-empty mapping."""
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


OmegaConf.register_new_resolver("torchvision_weights", torchvision_weights, replace=True)


@lru_cache(maxsize=16)
def _compose(choices: tuple[str, ...], folders: tuple[Path, ...], state: tuple[Any, ...]) -> DictConfig:
    """What Hydra composes of ``choices``; ``state`` is that of the files, so that edits are noticed.

    Kept because it takes a fifth of a second, and a sweep may be over a thousand classes.
    """
    try:
        with initialize_config_dir(str(FOLDER), version_base="1.3"):
            search = written([f"file://{folder.absolute()}" for folder in folders])
            return hydra_compose("config", [f"hydra.searchpath={search}", *choices])
    except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        raise _cannot_compose(error) from error


def _assign(composed: DictConfig, assigned: Sequence[Override]) -> DictConfig:
    """A copy of ``composed`` with single keys set, as Hydra sets them."""
    composed = copy.deepcopy(composed)
    for override in assigned:
        try:
            with open_dict(composed) if override.is_add() else nullcontext():
                OmegaConf.update(composed, override.key_or_group, override.value(), merge=True)
        except OmegaConfBaseException as error:
            raise _cannot_compose(error) from error
    return composed


def _plain(composed: DictConfig) -> dict[str, Any]:
    try:
        config = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise _cannot_compose(error) from error
    assert isinstance(config, dict)
    return {str(key): value for key, value in config.items()}


def _cannot_compose(error: Exception) -> UserError:
    cause: BaseException | None = error
    while cause is not None:  # What a resolver has said is wrapped several times.
        if isinstance(cause, UserError):
            return cause
        cause = cause.__cause__ or cause.__context__
    reason = " ".join(str(error).split())
    unread = _UNREAD.search(reason)
    if unread is not None:
        message = f"The method that is chosen reads no {unread[1]}; another one does."
        return UserError(message, given=unread[1], accepted=[f"explainer={name}" for name in available()["explainer"]])
    return UserError(f"The configuration cannot be composed: {reason}", hint=HELP)


def _state(folders: Sequence[Path]) -> tuple[Any, ...]:
    files = [file for folder in folders for file in sorted(folder.rglob("*.yaml"))]
    return tuple((str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files)


def _needs_another_editor(reference: Mapping[str, Any], parsed: Sequence[Override]) -> bool:
    """Whether photographs are given, no editor is named, and the usual one edits none."""
    given = {override.key_or_group: override.value() for override in parsed}
    usual = reference.get("editor", {}).get("name") == EDITOR_OF_NONE
    return usual and "editor" not in given and given.get("images", reference.get("images")) is not None


def _compared(config: Mapping[str, Any], groups: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The configuration of every classifier that is compared with the explained one, by name.

    Raises:
        UserError: there is none of that name, or it is named twice.
    """
    found: dict[str, Any] = {}
    for name in config.get("compare", ()):
        if name not in groups["classifier"]:
            message = "There is no such classifier to compare with."
            raise UserError(message, given=name, accepted=groups["classifier"], hint="diffexplain list choices")
        if name in (*found, config["classifier"]["name"]):
            raise UserError("compare names every classifier once, and not the one that is explained.", given=name)
        folders = f"{OWN_FOLDERS}={written(config['paths']['configs'])}"
        found[name] = compose([folders, f"classifier={name}"])["classifier"]
    return found


def _own_folders(parsed: Sequence[Override]) -> list[str]:
    folders: list[str] = []
    for override in parsed:
        if override.key_or_group == OWN_FOLDERS:
            value = override.value()
            folders = [str(item) for item in value] if isinstance(value, list) else [str(value)]
    for folder in folders:
        if not Path(folder).is_dir():
            raise UserError(f"{OWN_FOLDERS} is a list of folders; this is none.", given=folder)
    return folders


def _check_choice(override: Override, groups: Mapping[str, Sequence[str]]) -> None:
    group, value = override.key_or_group, override.value()
    if override.type is OverrideType.DEL or override.package is not None or isinstance(value, dict | list):
        raise UserError(f"{group} needs one of its choices.", given=override.input_line, hint=HELP)
    if value is None and group == "experiment":
        return
    text = override.get_value_string()
    if text not in groups[group]:
        raise UserError(f"There is no such {group}.", given=text, accepted=groups[group], hint=HELP)


def _check_key(override: Override, reference: Mapping[str, Any], groups: Mapping[str, Sequence[str]]) -> None:
    key = override.key_or_group
    if override.type is OverrideType.DEL or override.package is not None:
        raise UserError("A key can be set, and not taken away or moved.", given=override.input_line, hint=HELP)
    if _find(reference, key) is not None:
        return
    parent = _find(reference, key.rpartition(".")[0]) if "." in key else None
    if override.is_add() and parent is not None and isinstance(parent[0], dict) and "_target_" in parent[0]:
        return  # An argument left at its default: whatever is built refuses those that it does not know.
    known = [*groups, *(name for name, _ in leaves(reference))]
    same_ending = [name for name in known if name.rpartition(".")[2] == key.rpartition(".")[2]]
    raise UserError("There is no such key.", given=key, accepted=same_ending or known, hint="python run.py --cfg")


def _check_value(override: Override, reference: Mapping[str, Any], config: dict[str, Any]) -> None:
    key = override.key_or_group
    before, now = _find(reference, key), _find(config, key)
    assert now is not None
    value = now[0]
    for name, leaf in leaves({key: value}):
        if isinstance(leaf, float) and not math.isfinite(leaf):
            raise UserError(f"{name} must be finite.", given=leaf)
    built = "_target_" in (_find(reference, key.partition(".")[0]) or ({},))[0] if "." in key else False
    if before is None or before[0] is None or (value is None and built):
        return  # What may be null is known to the function that is called.
    wanted = type(before[0])
    if wanted is float and type(value) is int:
        _set(config, key, float(value))
    elif wanted is str and type(value) in (int, float, bool):
        _set(config, key, override.get_value_string())
    elif type(value) is not wanted and not (key in OR_LIST and isinstance(value, OR_LIST[key] | list)):
        raise UserError(f"{key} must be {_TYPES.get(wanted, 'text')}.", given=override.get_value_string())


def _find(config: Mapping[str, Any], key: str) -> tuple[Any] | None:
    node: Any = config
    for part in key.split("."):
        if not isinstance(node, Mapping) or part not in node:
            return None
        node = node[part]
    return (node,)


def _set(config: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for part in parents:
        config = config[part]
    config[last] = value
