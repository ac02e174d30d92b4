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
from contextlib import nullcontext, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository
from hydra._internal.defaults_list import create_defaults_list
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override, OverrideType
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException

from diffexplain.config.digests import EDITOR_OF_NONE, EDITORS_OF_IMAGES, known
from diffexplain.config.elsewhere import (
    OWN_FOLDERS,
    PLUGINS,
    check_bounded,
    check_nothing_is_decided,
    no_environment,
    own_folders,
)
from diffexplain.config.from_run import FROM_RUN, taken_over
from diffexplain.config.keys import find, leaves, put
from diffexplain.config.numbers import check as check_numbers
from diffexplain.config.overrides import (
    HELP,
    assignment,
    found_by,
    in_hydras_grammar,
    parse,
    plain_text,
    several,
    written,
)
from diffexplain.config.plugins import check as check_plugins
from diffexplain.errors import UserError
from diffexplain.weights.documents import MOST_OF_YAML, from_yaml, read_text
from diffexplain.weights.torchvision import torchvision_weights

FOLDER = Path(__file__).parents[1] / "conf"
"""The package's ``conf/``, which is the repository's."""

COMPARED = "compared"
"""Key of what `compare` names: each classifier's own part of a configuration, by name."""

PUBLISHED = "published"
"""Key of what files in ``conf/`` put into lists, which Hydra does not merge; no composed configuration holds it."""

NEEDS = "needs"
"""Key of what an experiment cannot do without: the keys that it leaves to the command line."""

SEVERAL = {"callbacks": "none", "logger": "local"}
"""Groups of which several may be chosen, ``logger=[wandb,csv]``, each under its name; and their choice that is none."""

OR_LIST: Mapping[str, type] = {
    "classifier.labels": str,
    "classifier.preprocessing.size": int,
    "classifier.preprocessing.crop": int,
    "classifier.preprocessing.mean": str,
    "classifier.preprocessing.std": str,
}
"""Keys whose value may be a list in place of one of this type."""

OTHER_NAMES: Mapping[str, str] = {
    **dict.fromkeys(("prior", "generator", "pipeline"), "diffusion"),
    **dict.fromkeys(("model", "network"), "classifier"),
    "method": "explainer",
}
"""What else a group might be called, as the documentation does itself."""

_UNREAD = re.compile(r"Could not override '(\w+)'")
"""What Hydra says of a group that no defaults list names."""
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
    return known(without_digests(overrides))


def without_digests(overrides: Sequence[str] = ()) -> dict[str, Any]:
    """What `compose` gives, but for the digests: no file that the run is made of is read."""
    typed = parse(overrides)
    parsed = [*parse(taken_over(typed)), *typed]
    for override in parsed:
        if override.is_sweep_override():
            raise several(override)
    folders = [Path(text) for text in own_folders(parsed)]
    groups = available(folders)
    chosen = [override for override in parsed if override.key_or_group in groups]
    for override in chosen:
        _check_choice(override, groups)
    choices = tuple(text for override in chosen for text in _hydras_choices(override))
    taken = len(parsed) > len(typed)
    for folder in folders:
        check_bounded(folder)
    # What a file from elsewhere says, or the command of a run from elsewhere, is resolved without the environment.
    with no_environment() if folders or taken else nullcontext():
        composed = _compose(choices, tuple(folders), _state([FOLDER, *folders]))
        reference = _plain(composed)
    assigned = [override for override in parsed if override not in chosen]
    if _needs_another_editor(reference, parsed):
        return without_digests([*overrides, f"editor={EDITORS_OF_IMAGES[0]}"])
    for override in assigned:
        _check_key(override, reference, groups)
    with no_environment() if taken else nullcontext():
        config = _plain(_assign(composed, assigned)) if assigned else reference
    _check_complete(config, composed.get(NEEDS) or ())
    for override in assigned:
        _check_value(override, reference, config)
    check_numbers(config)
    if folders:
        said = {str(override.key_or_group) for override in typed}
        check_nothing_is_decided(config, _as_published(chosen), said, FOLDER)
    check_plugins(config[PLUGINS])
    compared = _compared(config, groups)
    return {**config, COMPARED: compared} if compared else config


def as_hydra_reads(overrides: Sequence[str]) -> list[str]:
    """The overrides, which have composed, as Hydra itself is given them."""
    parsed = parse(overrides)
    folders = [f"file://{Path(folder).absolute()}" for folder in own_folders(parsed)]
    texts = (text for override in parsed for text in _hydras_choices(override))
    return [f"hydra.searchpath={written(folders)}", *map(in_hydras_grammar, texts)]


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
        elif isinstance(override.value(), Glob) and override.key_or_group not in available():
            alternatives.append([assignment(key, path) for path in found_by(override)])
        elif isinstance(override.value(), Glob) or not override.is_discrete_sweep():
            message = "A sweep is a list, range(...) or, of files, glob(...) of values."
            raise UserError(message, given=override.input_line)
        else:
            alternatives.append([assignment(key, plain_text(value)) for value in override.sweep_iterator()])
    return [list(combination) for combination in itertools.product(*alternatives)]


def available(more: Sequence[Path] = ()) -> dict[str, list[str]]:
    """The choices of every group, from ``conf/`` and from ``more`` folders of the user."""
    if not FOLDER.is_dir():
        raise UserError(f"{FOLDER} is missing: install the package again.")
    groups: dict[str, set[str]] = {}
    for folder in (FOLDER, *more):
        for file in folder.glob("*/*.yaml"):
            groups.setdefault(file.parent.name, set()).add(file.stem)
    return {name: sorted(choices) for name, choices in sorted(groups.items())}


def available_to(overrides: Sequence[str]) -> dict[str, list[str]]:
    """The choices of every group for a command that may name folders of the user's."""
    return available([Path(folder) for folder in own_folders(parse(overrides))])


def chosen_files(overrides: Sequence[str]) -> dict[str, Path]:
    """The file of every choice among ``overrides``, by ``group=choice``; single keys are left aside.

    Behind each stand the files of its group that it begins with.

    Raises:
        UserError: there is no such choice.
    """
    parsed = parse(overrides)
    folders = [FOLDER, *(Path(text) for text in own_folders(parsed))]
    groups = available(folders[1:])
    found = {}
    for override in parsed:
        if override.key_or_group in groups and override.value() is not None:
            _check_choice(override, groups)
            group, choice = override.key_or_group, override.get_value_string()
            file, *bases = _with_bases(folders, group, choice)
            found[f"{group}={choice}"] = file
            found |= {f"{group}={choice}, from {base.parent.name}/{base.name}": base for base in bases}
    return found


def defaults() -> dict[str, str | None]:
    """The choice of every group where nothing is chosen; one may follow from another, as the prior's segmenter.

    None for what the default method does not read.
    """
    config = compose()
    return {group: config[group]["name"] if group in config else None for group in available()}


def _with_bases(folders: Sequence[Path], group: str, choice: str) -> Iterator[Path]:
    """The file of a choice, and those of its group that it begins with, and that they do."""
    file = next((path for folder in folders if (path := folder / group / f"{choice}.yaml").is_file()), None)
    if file is None:
        return
    yield file
    with suppress(ValueError):
        for base in _bases(read_text(file, MOST_OF_YAML)):
            yield from _with_bases(folders, group, base)


@lru_cache(maxsize=1024)
def _bases(text: str) -> list[str]:
    """The choices of its own group that a file of this text begins with."""
    content = from_yaml(text)
    entries = (content.get("defaults") or ()) if isinstance(content, dict) else ()
    named = [entry for entry in entries if isinstance(entry, str) and not entry.startswith(("/", "_self_"))]
    return [entry.partition("@")[0] for entry in named]


OmegaConf.register_new_resolver("torchvision_weights", torchvision_weights, replace=True)


@lru_cache(maxsize=128)
def _compose(choices: tuple[str, ...], folders: tuple[Path, ...], state: tuple[Any, ...]) -> DictConfig:
    """What Hydra composes of ``choices``; ``state`` is that of the files, so that edits are noticed.

    Kept because it takes a fifth of a second, and a sweep may be over a thousand classes. Hydra's settings of itself,
    which would take as long again and be thrown away, are composed only where a file of the user's speaks of them.
    """
    search = written([f"file://{folder.absolute()}" for folder in folders])
    said = [*([f"hydra.searchpath={search}"] if folders else []), *choices]
    try:
        with initialize_config_dir(str(FOLDER), version_base="1.3"):
            loader = GlobalHydra.instance().config_loader()
            assert isinstance(loader, ConfigLoaderImpl)
            # Else by the public way, which takes all of Hydra, and says what is wrong; these are names of 1.3 alone.
            with suppress(HydraException, OmegaConfBaseException, AttributeError, TypeError):
                overrides = OverridesParser.create().parse_overrides(said)
                files = CachingConfigRepository(loader.repository)
                files.cache = read = _read(folders, state)
                loader._process_config_searchpath("config", overrides, files)
                chosen = create_defaults_list(files, "config", overrides, prepend_hydra=False, skip_missing=False)
                top = [f"config_path={default.config_path}" for default in chosen.defaults if not default.package]
                files.cache = read | {key: copy.deepcopy(read[key]) for key in top}  # Others are merged into these.
                composed = loader._compose_config_from_defaults_list(chosen.defaults, files)
                if "hydra" not in composed:
                    OmegaConf.set_struct(composed, True)
                    return composed
            return hydra_compose("config", said)
    except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        raise _cannot_compose(error) from error


@lru_cache(maxsize=8)
def _read(folders: tuple[Path, ...], state: tuple[Any, ...]) -> dict[str, Any]:
    """What Hydra has read of the files while these were in this state, by path."""
    own = _read((), _state([FOLDER])) if folders else {}  # No file of the user's hides one in conf/.
    return {path: content for path, content in own.items() if content is not None}


def _assign(composed: DictConfig, assigned: Sequence[Override]) -> DictConfig:
    """A copy of ``composed`` with single keys set, as Hydra sets them."""
    composed = copy.deepcopy(composed)
    for override in assigned:
        try:
            with open_dict(composed) if override.is_add() else nullcontext():
                OmegaConf.update(composed, override.key_or_group, override.value(), merge=True)
        except ConfigKeyError as error:
            place = str(error.full_key).rpartition(".")[0]
            known = [f"{place}.{key}" for key in OmegaConf.select(composed, place) or ()]
            hint = "diffexplain run --cfg"
            raise UserError("There is no such key.", given=error.full_key, accepted=known, hint=hint) from error
        except OmegaConfBaseException as error:
            raise _cannot_compose(error) from error
    return composed


def _plain(composed: DictConfig) -> dict[str, Any]:
    try:
        config = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise _cannot_compose(error) from error
    assert isinstance(config, dict)
    return {str(key): value for key, value in config.items() if key not in (NEEDS, PUBLISHED)}


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
        return UserError(message, given=unread[1], accepted=_methods_with(rf"- /{unread[1]}"))
    return UserError(f"The configuration cannot be composed: {reason}", hint=HELP)


def _as_published(chosen: Sequence[Override]) -> dict[str, Any]:
    """What ``conf/`` says by itself, with the experiment in it that is among the groups' choices, if one is."""
    experiments = [
        str(override.input_line)
        for override in chosen
        if override.key_or_group == "experiment"
        and (FOLDER / "experiment" / f"{override.get_value_string()}.yaml").is_file()
    ]
    return _plain(_compose(tuple(experiments), (), _state([FOLDER])))


def _methods_with(pattern: str) -> list[str]:
    """The choices of a method whose files, which say more than the method's own keys, hold a line of this pattern."""
    texts = {file.stem: file.read_text(encoding="utf-8") for file in sorted((FOLDER / "explainer").glob("*.yaml"))}
    whole = {name: text for name, text in texts.items() if "# @package _global_" in text}
    return [f"explainer={name}" for name, text in whole.items() if re.search(pattern, text, re.MULTILINE)]


def _state(folders: Sequence[Path]) -> tuple[Any, ...]:
    files = [(file, file.stat()) for folder in folders for file in sorted(folder.rglob("*.yaml"))]
    return tuple((str(file), status.st_mtime_ns, status.st_size) for file, status in files)


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
        folders = assignment(OWN_FOLDERS, config["paths"]["configs"])
        found[name] = without_digests([folders, f"classifier={name}"])["classifier"]
    return found


def _hydras_choices(override: Override) -> list[str]:
    """The override as Hydra composes it: of several choices, each in a place of its own."""
    group, value = override.key_or_group, override.value()
    if group not in SEVERAL or not isinstance(value, list):
        return [str(override.input_line)]
    return [f"{group}={SEVERAL[group]}", *(f"+{group}@{group}.{name}={name}" for name in value)]


def _check_choice(override: Override, groups: Mapping[str, Sequence[str]]) -> None:
    group, value = override.key_or_group, override.value()
    if group in SEVERAL and isinstance(value, list):
        for name in value:
            if name not in groups[group]:
                raise UserError(f"There is no such {group}.", given=name, accepted=groups[group], hint=HELP)
        return
    if override.type is OverrideType.DEL or override.package is not None or isinstance(value, dict | list):
        raise UserError(f"{group} needs one of its choices.", given=override.input_line, hint=HELP)
    if value is None and group == "experiment":
        return
    text = override.get_value_string()
    if text not in groups[group]:
        typed = str(override.input_line).partition("=")[2]
        raise UserError(f"There is no such {group}.", given=typed, accepted=groups[group], hint=HELP)


def _check_key(override: Override, reference: Mapping[str, Any], groups: Mapping[str, Sequence[str]]) -> None:
    key = override.key_or_group
    if override.type is OverrideType.DEL or override.package is not None:
        raise UserError("A key can be set, and not taken away or moved.", given=override.input_line, hint=HELP)
    if find(reference, key) is not None:
        return
    if key.startswith(("hydra.", "hydra/")):
        message = "Hydra's own configuration is read by launchers of a sweep alone."
        accepted = ["paths.outputs=<folder>", "-m hydra/launcher=<launcher>"]
        raise UserError(message, given=override.input_line, accepted=accepted, hint=HELP)
    parent = find(reference, key.rpartition(".")[0]) if "." in key else None
    if override.is_add() and parent is not None and isinstance(parent[0], dict) and "_target_" in parent[0]:
        return  # An argument left at its default: whatever is built refuses those that it does not know.
    if key in OTHER_NAMES:
        group = OTHER_NAMES[key]
        message = f"There is no such key; it is called {group}: {group}=<choice>."
        raise UserError(message, given=override.get_value_string(), accepted=groups[group], hint=HELP)
    known = [*groups, *(name for name, _ in leaves(reference))]
    same_ending = [name for name in known if name.rpartition(".")[2] == key.rpartition(".")[2]]
    reading = _methods_with(rf"^{re.escape(key)}:")
    if reading:
        message = f"The method that is chosen reads no {key}; another one does."
        raise UserError(message, given=key, accepted=[*reading, *same_ending], hint="diffexplain run --cfg")
    raise UserError("There is no such key.", given=key, accepted=same_ending or known, hint="diffexplain run --cfg")


def _check_complete(config: Mapping[str, Any], needs: Sequence[str]) -> None:
    """Refuse an experiment that leaves keys to the command line where these are not given; all are named at once."""
    missing = [key for key in needs if find(config, key) in (None, (None,))]
    if missing:
        accepted = [f"{key}=<{'directory' if key == FROM_RUN else 'folder'}>" for key in missing]
        raise UserError(f"This experiment needs {' and '.join(missing)}.", accepted=accepted, hint=HELP)


def _check_value(override: Override, reference: Mapping[str, Any], config: dict[str, Any]) -> None:
    key = override.key_or_group
    before, now = find(reference, key), find(config, key)
    assert now is not None
    value = now[0]
    for name, leaf in leaves({key: value}):
        if isinstance(leaf, float) and not math.isfinite(leaf):
            raise UserError(f"{name} must be finite.", given=leaf)
    built = "_target_" in (find(reference, key.partition(".")[0]) or ({},))[0] if "." in key else False
    if before is None or before[0] is None or (value is None and built):
        return  # What may be null is known to the function that is called.
    wanted = type(before[0])
    if wanted is float and type(value) is int:
        put(config, key, float(value))
    elif wanted is str and type(value) in (int, float, bool):
        put(config, key, override.get_value_string())
    elif type(value) is not wanted and not (key in OR_LIST and isinstance(value, OR_LIST[key] | list)):
        raise UserError(f"{key} must be {_TYPES.get(wanted, 'text')}.", given=override.input_line)
