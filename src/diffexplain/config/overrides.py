"""Overrides as a person types them: read by Hydra's grammar, or as plain text where that cannot, and written so.

Text needs no quotation marks where it can be told from Hydra's own syntax, and a target never does.
"""

from __future__ import annotations

import copy
import re
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override, QuotedString
from hydra.errors import HydraException

from diffexplain.errors import UserError

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
_MEANINGFUL = ("true", "false", "null", "nan", "inf")


def parse(overrides: Sequence[str]) -> list[Override]:
    """Read overrides by Hydra's grammar, and as plain text what that cannot read.

    Raises:
        UserError: one of them is not written as ``key=value``, or a quotation mark is not closed.
    """
    parsed = []
    for text in overrides:
        override = copy.copy(_hydras(in_hydras_grammar(text)))
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
    value = plain_text(value)
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


def in_hydras_grammar(text: str) -> str:
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


def natural(text: str) -> list[Any]:
    """By what texts are sorted so that numbers in them count as numbers."""
    return [int(part) if place % 2 else part for place, part in enumerate(re.split(r"(\d+)", text))]


def found_by(override: Override) -> list[str]:
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


def several(override: Override) -> UserError:
    """What is said to a sweep where one run is asked for."""
    message = f"{override.key_or_group} has several values; -m makes a run of each"
    if override.key_or_group != _TARGET:
        whole = assignment(override.key_or_group, str(override.input_line).partition("=")[2])
        message += f", and quotation marks make one of them: {shell_word(whole)}"
    return UserError(f"{message}.", given=override.input_line)


def plain_text(value: Any) -> Any:
    """``value`` without the quotation marks that Hydra keeps; the two are the same to whoever reads it."""
    return value.text if isinstance(value, QuotedString) else value


def _interpolating(text: str) -> str:
    """``text`` so that OmegaConf, which puts values in the place of ``${...}``, leaves it as it is."""
    return re.sub(r"(\\*)\$\{", lambda found: found[1] * 2 + r"\${", text)


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
