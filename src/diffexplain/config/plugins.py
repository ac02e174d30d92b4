"""Code of the user's: which packages may be called, where they lie, what they are made of, and whose fault an error is.

A plugin is a package of the user's, beside the working directory or installed, or an installed library that makes
networks, such as ``torchvision.models`` or ``timm``. Python's own library and what a run itself is made with are none:
in ``subprocess``, ``torch`` and ``hydra`` lies all that opens files, fetches and executes, for every ``_target_`` and
``classifier.network`` in a file. Imports no torch.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from diffexplain.errors import UserError

_OF_THE_RUN = (
    "diffexplain",
    "diffusers",
    "huggingface_hub",
    "hydra",
    "lightning",
    "numpy",
    "omegaconf",
    "safetensors",
    "scipy",
    "torch",
    "transformers",
    "wandb",
    "yaml",
)
"""Installed packages that are no plugins. A network of transformers' is `classifier=huggingface`."""
WATCHING = ("lightning.pytorch.callbacks", "lightning.pytorch.loggers")
"""Parts of these that may be named: loggers and callbacks watch a run, and write where they are told to."""
_SHARED = ("site-packages", "dist-packages")
"""Folders in which every package's siblings are other people's."""
_IMPORT = re.compile(r"^[ \t]*(?:from|import)[ \t]+([A-Za-z_]\w*)", re.MULTILINE)
_SHOWN = 8
"""Places named where a package was looked for."""

_loaded: dict[str, Path] = {}
"""Folder or file of every plugin of this process, by name: it tells the user's frames in a traceback."""


def check(plugins: Any) -> None:
    """Refuse what cannot be a plugin, whoever names it.

    Raises:
        UserError: no list of dotted names, or one of Python's own library or of what a run is made with.
    """
    if not isinstance(plugins, list | tuple):
        raise UserError("plugins must be a list of packages.", given=plugins)
    for name in plugins:
        parts = name.split(".") if isinstance(name, str) else [""]
        if not all(part.isidentifier() and not part.startswith("_") for part in parts):
            raise UserError("A plugin is the dotted name of a package or module.", given=name)
        if parts[0] in sys.stdlib_module_names:
            raise UserError("Python's own library is no plugin: it opens and executes anything.", given=name)
        if parts[0] in _OF_THE_RUN and name not in WATCHING:
            message = "This package is no plugin: a run is made with it, and it opens and executes anything."
            raise UserError(message, given=name)


def require(plugins: Sequence[str]) -> None:
    """See that every plugin is there; none is imported.

    Raises:
        UserError: one is missing, with the places in which it was looked for.
    """
    for name in plugins:
        if _spec(name.partition(".")[0]) is None:
            raise _missing(name)


def load(module: str) -> ModuleType:
    """Import a module of a plugin, from the working directory if it is there, else as Python finds it.

    What the plugin imports from beside it is found, too, behind everything that is installed.

    Raises:
        UserError: the package is missing, or another of that name is already imported.
        ModuleNotFoundError: it has no such module.
    """
    top = module.partition(".")[0]
    spec = _spec(top)
    if spec is None:
        raise _missing(top)
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    if top not in _OF_THE_RUN:
        _loaded[top] = _place(spec)
    before = sys.modules.get(top)
    if before is None:
        _execute(spec)
    elif spec.origin is not None and Path(getattr(before, "__file__", None) or "").resolve() != _resolved(spec.origin):
        message = f"Two packages are called {top}: {spec.origin}, and one that is imported already. Rename yours."
        raise UserError(message, given=getattr(before, "__file__", None) or top)
    return importlib.import_module(module)


def source_files(name: str) -> dict[str, Path]:
    """The source files of a plugin's package, and of those beside it that they import, by path from their folder.

    Empty if there is no such package, or none of its files is source.
    """
    found: dict[str, Path] = {}
    waiting = [name.partition(".")[0]]
    seen = set(waiting)
    while waiting:
        spec = _spec(waiting.pop())
        if spec is None:
            continue
        place = _place(spec)
        files = dict(_sources(place))
        found |= files
        if place.parent.name in _SHARED:
            continue
        imported = frozenset().union(*(_imports(path, path.stat().st_mtime_ns) for path in files.values()))
        for other in sorted(imported - seen):
            beside = (place.parent / f"{other}.py", place.parent / other / "__init__.py")
            if any(candidate.is_file() for candidate in beside):
                waiting.append(other)
        seen |= imported
    return found


def shown(error: BaseException | None) -> str | None:
    """The traceback of an error in a plugin's code, from the first of its frames on; ``None`` if none is in it."""
    while error is not None:
        frame = error.__traceback__
        while frame is not None and _whose(frame.tb_frame.f_code.co_filename) is None:
            frame = frame.tb_next
        broken = _whose(error.filename or "") if isinstance(error, SyntaxError) else None
        name = broken if frame is None else _whose(frame.tb_frame.f_code.co_filename)
        if name is not None:
            lines = traceback.TracebackException(type(error), error, frame).format(chain=False)
            return f"An error in your code ({name}), not in diffexplain's:\n{''.join(lines)}"
        error = error.__cause__ or error.__context__
    return None


def _spec(top: str) -> ModuleSpec | None:
    """Where a package is: in the working directory, else where Python finds it, else a folder without `__init__.py`."""
    here = PathFinder.find_spec(top, [str(Path.cwd())])
    if here is not None and here.origin is not None:
        return here
    try:
        return importlib.util.find_spec(top) or here
    except ValueError:  # a module that was made by hand
        return here


def _execute(spec: ModuleSpec) -> None:
    if spec.loader is None or spec.origin is None:
        return  # A folder without `__init__.py` has nothing to execute; Python finds it by sys.path.
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(spec.name, None)
        raise


def _place(spec: ModuleSpec) -> Path:
    """The folder of a package, or the file of a module."""
    folders = list(spec.submodule_search_locations or ())
    return Path(folders[0] if folders else spec.origin or spec.name).absolute()


def _sources(place: Path) -> Iterator[tuple[str, Path]]:
    """The source files of a package or module, by path from the folder that it lies in."""
    if place.is_file():
        yield from [(place.name, place)] if place.suffix == ".py" else []
        return
    for folder, folders, names in os.walk(place):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__")) and name not in _SHARED)
        inside = Path(folder).relative_to(place.parent).as_posix()
        for name in sorted(names):
            if name.endswith(".py") and (path := Path(folder, name)).is_file():
                yield f"{inside}/{name}", path


@lru_cache(maxsize=4096)
def _imports(path: Path, _changed: int) -> frozenset[str]:
    """First names of what a source file may import."""
    try:
        return frozenset(_IMPORT.findall(path.read_text(encoding="utf-8", errors="replace")))
    except OSError:
        return frozenset()


def _whose(filename: str) -> str | None:
    """The plugin that a source file belongs to; of plugins in one another's folders, the innermost."""
    path = Path(filename)
    owners = [name for name, place in _loaded.items() if path == place or path.is_relative_to(place)]
    return max(owners, key=lambda name: len(_loaded[name].parts), default=None)


def _resolved(path: str) -> Path:
    return Path(path).resolve()


def _missing(name: str) -> UserError:
    top = name.partition(".")[0]
    places = [str(Path.cwd()), *(place for place in sys.path if place and Path(place).is_dir())]
    unique = list(dict.fromkeys(places))
    more = f" and {len(unique) - _SHOWN} more" if len(unique) > _SHOWN else ""
    return UserError(
        f"There is no package {top}, which plugins names: neither {top}.py nor a folder {top} was found.\n"
        f"  looked in: {', '.join(unique[:_SHOWN])}{more}\n"
        "  remedy:    start from the folder that it lies in, or install it.",
        given=name,
    )
