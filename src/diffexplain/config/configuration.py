"""Composing a run's configuration from ``conf/`` and overrides, with every mistake answered by a remedy.

An override is Hydra's, but for text: what Hydra's grammar cannot read is taken as it is typed, and a target always is.

Hydra composes; this module checks first what Hydra would refuse without a hint: unknown groups, choices and
keys, values of the wrong type. It imports no torch.
"""

from __future__ import annotations

import copy
import itertools
import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from fnmatch import fnmatch
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
from hydra.core.override_parser.types import Glob, Override, OverrideType, QuotedString
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException
from omegaconf.resolvers import oc

from diffexplain.config.digests import EDITOR_OF_NONE, EDITORS_OF_IMAGES, known
from diffexplain.config.from_run import FROM_RUN, taken_over
from diffexplain.config.numbers import check as check_numbers
from diffexplain.config.plugins import check as check_plugins
from diffexplain.errors import UserError
from diffexplain.weights.documents import MOST_OF_YAML, check_yaml, from_yaml, read_text
from diffexplain.weights.torchvision import torchvision_weights

FOLDER = Path(__file__).parents[1] / "conf"
"""The package's ``conf/``, which is the repository's."""

COMPARED = "compared"
"""Key of what `compare` names: each classifier's own part of a configuration, by name."""
OWN_FOLDERS = "paths.configs"
"""Key of the user's own configuration folders, in which choices are found beside those in ``conf/``."""

PUBLISHED = "published"
"""Key of what files in ``conf/`` put into lists, which Hydra does not merge; no composed configuration holds it."""

NEEDS = "needs"
"""Key of what an experiment cannot do without: the keys that it leaves to the command line."""

PLUGINS = "plugins"
"""Key of the packages whose code a run may call: said on the command line, in a Python call, or in ``conf/``."""

OUTPUTS = "paths.outputs"
"""Key of the folder of all runs."""

BANK = "paths.bank"
"""Key of the folder of pictures that runs share."""

_KEY = "key_variable"
"""Key beside a ``base_url``: the environment variable whose content is sent there."""
_REPLIES = "memory"
"""Key beside a ``base_url``: the folder of what it replies."""

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

HELP = "diffexplain run --help"
_TARGET = "target"
_RULES = "fail_if"
_ASSIGNMENT = re.compile(r"((\+{0,2})([^=\s'\"+~][^=\s'\"]*))=(.*)", re.DOTALL)
_QUOTED = re.compile(r"""\s*('([^'\\]|\\.)*'|"([^"\\]|\\.)*")\s*(?=,|$)""", re.DOTALL)
"""A value in quotation marks, up to the comma behind it."""
_NEXT_TARGET = re.compile(r",(?=\s*['\"]?(?:class|unit|file):)")
"""The commas that stand between targets; others belong to the name of a class."""
_FUNCTION = re.compile(r"\s*(choice|glob|interval|range|shuffle|sort|tag)\(")
"""What begins one of Hydra's sweeps, and is no text."""
_OPENING, _CLOSING = "([{", ")]}"
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
    return known(without_digests(overrides))


def without_digests(overrides: Sequence[str] = ()) -> dict[str, Any]:
    """What `compose` gives, but for the digests: no file that the run is made of is read."""
    typed = parse(overrides)
    parsed = [*parse(taken_over(typed)), *typed]
    for override in parsed:
        if override.is_sweep_override():
            raise _several(override)
    folders = [Path(text) for text in _own_folders(parsed)]
    groups = available(folders)
    chosen = [override for override in parsed if override.key_or_group in groups]
    for override in chosen:
        _check_choice(override, groups)
    choices = tuple(text for override in chosen for text in _hydras_choices(override))
    taken = len(parsed) > len(typed)
    for folder in folders:
        _check_bounded(folder)
    # What a file from elsewhere says, or the command of a run from elsewhere, is resolved without the environment.
    with _no_environment() if folders or taken else nullcontext():
        composed = _compose(choices, tuple(folders), _state([FOLDER, *folders]))
        reference = _plain(composed)
    assigned = [override for override in parsed if override not in chosen]
    if _needs_another_editor(reference, parsed):
        return without_digests([*overrides, f"editor={EDITORS_OF_IMAGES[0]}"])
    for override in assigned:
        _check_key(override, reference, groups)
    with _no_environment() if taken else nullcontext():
        config = _plain(_assign(composed, assigned)) if assigned else reference
    _check_complete(config, composed.get(NEEDS) or ())
    for override in assigned:
        _check_value(override, reference, config)
    check_numbers(config)
    if folders:
        _check_nothing_is_decided(config, {str(override.key_or_group) for override in typed}, chosen)
    check_plugins(config[PLUGINS])
    compared = _compared(config, groups)
    return {**config, COMPARED: compared} if compared else config


def as_hydra_reads(overrides: Sequence[str]) -> list[str]:
    """The overrides, which have composed, as Hydra itself is given them."""
    parsed = parse(overrides)
    folders = [f"file://{Path(folder).absolute()}" for folder in _own_folders(parsed)]
    texts = (text for override in parsed for text in _hydras_choices(override))
    return [f"hydra.searchpath={written(folders)}", *map(_in_hydras_grammar, texts)]


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
            alternatives.append([assignment(key, path) for path in _files(override)])
        elif isinstance(override.value(), Glob) or not override.is_discrete_sweep():
            message = "A sweep is a list, range(...) or, of files, glob(...) of values."
            raise UserError(message, given=override.input_line)
        else:
            alternatives.append([assignment(key, _plain_text(value)) for value in override.sweep_iterator()])
    return [list(combination) for combination in itertools.product(*alternatives)]


def natural(text: str) -> list[Any]:
    """By what texts are sorted so that numbers in them count as numbers."""
    return [int(part) if place % 2 else part for place, part in enumerate(re.split(r"(\d+)", text))]


def parse(overrides: Sequence[str]) -> list[Override]:
    """Read overrides by Hydra's grammar, and as plain text what that cannot read.

    Raises:
        UserError: one of them is not written as ``key=value``, or a quotation mark is not closed.
    """
    parsed = []
    for text in overrides:
        override = copy.copy(_hydras(_in_hydras_grammar(text)))
        if override is None or not override.key_or_group:
            raise UserError("This is not written as key=value.", given=text, accepted=["target=class:bee"], hint=HELP)
        override.input_line = text  # Messages repeat what was typed.
        parsed.append(override)
    return parsed


def check_given_once(overrides: Sequence[str]) -> None:
    """Refuse a key that is given twice on a command line: one of the two would be forgotten without a word.

    Raises:
        UserError: there is one; the message holds both.
    """
    given: dict[str, str] = {}
    for override in parse(overrides):
        key, text = str(override.key_or_group), str(override.input_line)
        if key in given:
            raise UserError(f"{key} is given twice; leave one out.", given=f"{given[key]} {text}")
        given[key] = text


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
    return available([Path(folder) for folder in _own_folders(parse(overrides))])


def chosen_files(overrides: Sequence[str]) -> dict[str, Path]:
    """The file of every choice among ``overrides``, by ``group=choice``; single keys are left aside.

    Behind each stand the files of its group that it begins with.

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


def assignment(key: str, value: Any) -> str:
    """The override that gives ``key`` this value: as a person would type it, where that is read back as the same."""
    if key.lstrip("+") == _TARGET and isinstance(value, str):
        typed = f"{key}={value}"
        with suppress(UserError):
            (override,) = parse([typed])
            if not override.is_sweep_override() and override.value() == _interpolating(value):
                return typed
    return f"{key}={written(value)}"


def shell_word(text: str) -> str:
    """``text`` as one word of a shell's command line; easier to read than what `shlex.quote` makes of apostrophes."""
    if "'" not in text or set(text) & set("$`!"):
        return shlex.quote(text)
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def written(value: Any) -> str:
    """``value`` as an override's right-hand side, in Hydra's grammar."""
    value = _plain_text(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{','.join(written(item) for item in value)}]"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{written(key)}:{written(item)}" for key, item in value.items()) + "}"
    if isinstance(value, str) and (not _PLAIN.fullmatch(value) or value.lower() in _MEANINGFUL):
        value = _interpolating(value)
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


def _in_hydras_grammar(text: str) -> str:
    """An override that Hydra reads as it is meant; ``text`` itself where that needs nothing."""
    found = _ASSIGNMENT.fullmatch(text)
    if found is None:
        return text
    key, value = found[1], found[4]
    if found[3] == _TARGET and value.lstrip(" \t'\"").startswith(("class:", "unit:", "file:")):
        return f"{key}={','.join(_written_target(target) for target in _targets(value))}"
    if found[3] == _RULES and not value.lstrip().startswith("[") and value.strip() != "null":
        return f"{key}={_written_target(value)}"  # Commas stand between rules.
    if _hydras(text) is not None:
        return text
    if _FUNCTION.match(value):
        raise UserError("This sweep cannot be read: put the values inside in quotation marks.", given=text, hint=HELP)
    return f"{key}={','.join(_written_part(part, text) for part in _parts(value))}"


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


def _files(override: Override) -> list[str]:
    """The paths that a key's ``glob(...)`` finds, in natural order."""
    asked = override.value()
    assert isinstance(asked, Glob)
    patterns = [Path(pattern).expanduser() for pattern in asked.include]
    found = {path for one in patterns for path in Path(one.anchor).glob(str(one.relative_to(one.anchor)))}
    paths = {str(path) for path in found if not path.name.startswith(".")}
    kept = [path for path in paths if not any(fnmatch(path, pattern) for pattern in asked.exclude)]
    if not kept:
        raise UserError("No file or folder is found by this.", given=override.input_line, hint="ls")
    return sorted(kept, key=natural)


def _several(override: Override) -> UserError:
    message = f"{override.key_or_group} has several values; -m makes a run of each"
    if override.key_or_group != _TARGET:
        whole = assignment(override.key_or_group, str(override.input_line).partition("=")[2])
        message += f", and quotation marks make one of them: {shell_word(whole)}"
    return UserError(f"{message}.", given=override.input_line)


def _targets(text: str) -> list[str]:
    """The targets with commas between them, each as it was typed."""
    found = []
    while text:
        quoted = _QUOTED.match(text)
        comma = _NEXT_TARGET.search(text)
        end = quoted.end() if quoted is not None else comma.start() if comma is not None else len(text)
        found.append(text[:end])
        text = text[end + 1 :]
    return found


def _written_target(text: str) -> str:
    return text if _QUOTED.fullmatch(text) else written(text.strip())


def _written_part(part: str, given: str) -> str:
    """One value in Hydra's grammar: as it is where Hydra reads it, otherwise as text; in a list, each element so."""
    part = part.strip()
    if _hydras(f"key={part}") is not None:
        return part
    if part.startswith("[") and part.endswith("]"):
        return f"[{','.join(_written_part(inner, given) for inner in _parts(part[1:-1]))}]"
    if part.startswith(("'", '"')):
        message = "A value that begins with a quotation mark ends with one; those inside stand behind a backslash."
        raise UserError(message, given=given, accepted=["key='a value'", r"key='the kit\'s value'"], hint=HELP)
    return written(part)


def _parts(text: str) -> list[str]:
    """What the commas separate that stand outside of quotation marks and brackets at the beginning of a part."""
    parts, begin = [], 0
    while True:
        end = _end_of_part(text, begin)
        parts.append(text[begin:end])
        if end == len(text):
            return parts
        begin = end + 1


def _end_of_part(text: str, begin: int) -> int:
    quoted = _QUOTED.match(text, begin)
    if quoted is not None:
        return quoted.end()
    comma = text.find(",", begin)
    comma = len(text) if comma < 0 else comma
    if text[begin:].lstrip()[:1] not in ("[", "{"):
        return comma
    depth = 0
    for position in range(begin, len(text)):
        depth += (text[position] in _OPENING) - (text[position] in _CLOSING)
        if depth == 0 and text[position] in _CLOSING:
            following = text.find(",", position)
            return len(text) if following < 0 else following
    return comma


@lru_cache(maxsize=1024)
def _hydras(text: str) -> Override | None:
    """The override as Hydra reads it; None if it does not. Kept, as the runs of a sweep have most of them in common."""
    try:
        (override,) = OverridesParser.create().parse_overrides([text])
    except HydraException:
        return None
    return override


def _plain_text(value: Any) -> Any:
    return value.text if isinstance(value, QuotedString) else value


def _interpolating(text: str) -> str:
    """``text`` so that OmegaConf, which puts values in the place of ``${...}``, leaves it as it is."""
    return re.sub(r"(\\*)\$\{", lambda found: found[1] * 2 + r"\${", text)


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


def _methods_with(pattern: str) -> list[str]:
    """The choices of a method whose files, which say more than the method's own keys, hold a line of this pattern."""
    texts = {file.stem: file.read_text(encoding="utf-8") for file in sorted((FOLDER / "explainer").glob("*.yaml"))}
    whole = {name: text for name, text in texts.items() if "# @package _global_" in text}
    return [f"explainer={name}" for name, text in whole.items() if re.search(pattern, text, re.MULTILINE)]


@contextmanager
def _no_environment() -> Iterator[None]:
    """Refuse the environment's variables to configurations from elsewhere: they hold keys, and runs are shown."""

    def refuse(name: str, *_default: Any) -> None:
        message = f"What a folder of {OWN_FOLDERS} or another run says cannot read the environment; set the key here."
        raise UserError(message, given=f"${{oc.env:{name}}}")

    OmegaConf.register_new_resolver("oc.env", refuse, replace=True)
    try:
        yield
    finally:
        OmegaConf.register_new_resolver("oc.env", oc.env, replace=True)


def _check_nothing_is_decided(config: Mapping[str, Any], typed: set[str], chosen: Sequence[Override]) -> None:
    """Refuse what only a file in a folder of the user's can have said and only the command line may.

    That is which code is called, where runs go, and which key is sent to an address.

    Args:
        config: as composed.
        typed: keys on the command line.
        chosen: the groups' choices.

    Raises:
        UserError: it is not as in ``conf/``, or in an experiment in it.
    """
    experiments = [
        str(override.input_line)
        for override in chosen
        if override.key_or_group == "experiment"
        and (FOLDER / "experiment" / f"{override.get_value_string()}.yaml").is_file()
    ]
    published = _plain(_compose(tuple(experiments), (), _state([FOLDER])))
    if PLUGINS not in typed and config[PLUGINS] != published[PLUGINS]:
        raise UserError(
            f"A file in a folder of {OWN_FOLDERS} names packages whose code it would have called; only the command "
            f"line can: {PLUGINS}=[<package>].",
            given=config[PLUGINS],
        )
    for key in (OUTPUTS, BANK):
        if key not in typed and _find(config, key) != _find(published, key):
            raise _says_where(key, str((_find(config, key) or (None,))[0]))
    for key, said in leaves(config):
        part, _, last = key.rpartition(".")
        address = _find(config, f"{part}.base_url")
        if said is None or address is None or key in typed:
            continue
        if last == _REPLIES:
            raise _says_where(key, said)
        if last == _KEY and (address[0], said) not in _published_keys():
            raise UserError(
                f"A file in a folder of {OWN_FOLDERS} would have sent a key of yours to {address[0]}; only the command "
                f"line can say which: {key}=<variable>, or null for none.",
                given=said,
            )


def _says_where(key: str, given: str) -> UserError:
    message = f"A file in a folder of {OWN_FOLDERS} says where files go; only the command line can: {key}=<folder>."
    return UserError(message, given=given)


@lru_cache(maxsize=1)
def _published_keys() -> frozenset[tuple[str, str]]:
    """The addresses in ``conf/`` with the variables whose keys they are sent."""
    found = set()
    for file in FOLDER.glob("*/*.yaml"):
        for node in _mappings(from_yaml(read_text(file))):
            if "base_url" in node and isinstance(node.get(_KEY), str):
                found.add((node["base_url"], node[_KEY]))
    return frozenset(found)


def _mappings(node: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _mappings(value)


def _check_bounded(folder: Path) -> None:
    """Refuse files that would unfold without end when Hydra reads them.

    Raises:
        UserError: there is one, whether it is chosen or not.
    """
    for file in sorted(folder.rglob("*.yaml")):
        try:
            status = file.stat()
            _check_file(file, status.st_mtime_ns, status.st_size)
        except (OSError, ValueError) as error:
            raise UserError(f"The configuration {file} cannot be read: {error}") from error


@lru_cache(maxsize=4096)
def _check_file(file: Path, _changed: int, _size: int) -> None:
    check_yaml(read_text(file, MOST_OF_YAML))


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
        folders = f"{OWN_FOLDERS}={written(config['paths']['configs'])}"
        found[name] = without_digests([folders, f"classifier={name}"])["classifier"]
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
    if _find(reference, key) is not None:
        return
    if key.startswith(("hydra.", "hydra/")):
        message = "Hydra's own configuration is read by launchers of a sweep alone."
        accepted = ["paths.outputs=<folder>", "-m hydra/launcher=<launcher>"]
        raise UserError(message, given=override.input_line, accepted=accepted, hint=HELP)
    parent = _find(reference, key.rpartition(".")[0]) if "." in key else None
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
    missing = [key for key in needs if _find(config, key) in (None, (None,))]
    if missing:
        accepted = [f"{key}=<{'directory' if key == FROM_RUN else 'folder'}>" for key in missing]
        raise UserError(f"This experiment needs {' and '.join(missing)}.", accepted=accepted, hint=HELP)


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
        raise UserError(f"{key} must be {_TYPES.get(wanted, 'text')}.", given=override.input_line)


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
