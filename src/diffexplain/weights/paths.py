"""Where files are: ``embedded:<name>`` is shipped inside the package, anything else is the user's."""

from __future__ import annotations

from pathlib import Path

from diffexplain.errors import UserError, nearest

EMBEDDED_PREFIX = "embedded:"
PACKAGE = Path(__file__).parents[1]
EMBEDDED_ROOT = PACKAGE / "world" / "weights"
DATA_ROOTS = (PACKAGE / "classifiers" / "data", PACKAGE / "concepts" / "data")
"""Embedded lists that have nothing to do with the world: class names, phrases."""


def resolve_path(text: str) -> Path:
    """The path that ``text`` names, whether or not it exists.

    ``embedded:prior`` is the package's ``world/weights/prior``, ``embedded:imagenet_labels.json`` is one of its
    lists; anything else is an absolute path or one relative to the current directory, with ``~`` expanded.

    Raises:
        UserError: an embedded name that leaves the package.
    """
    if not text.startswith(EMBEDDED_PREFIX):
        return Path(text).expanduser().absolute()
    name = text[len(EMBEDDED_PREFIX) :]
    root = next((folder for folder in DATA_ROOTS if name and (folder / name).is_file()), EMBEDDED_ROOT)
    path = root / name
    if not name or not path.resolve().is_relative_to(root.resolve()):
        raise UserError("No such embedded name.", given=text, accepted=embedded_names())
    return path


def is_folder(text: str) -> bool:
    """Whether ``text`` names an existing folder, embedded or the user's; nothing is looked for elsewhere."""
    return text.startswith(EMBEDDED_PREFIX) or resolve_path(text).is_dir()


def resolve_folder(text: str) -> Path:
    """The existing folder that ``text`` names.

    Raises:
        UserError: there is none; the message names the path that was looked for.
    """
    path = resolve_path(text)
    if not path.is_dir():
        raise _missing("folder", text, path)
    return path


def resolve_file(text: str) -> Path:
    """The existing file that ``text`` names.

    Raises:
        UserError: there is none; the message names the path that was looked for.
    """
    path = resolve_path(text)
    if not path.is_file():
        raise _missing("file", text, path)
    return path


def embedded_names() -> list[str]:
    """Everything that ``embedded:`` can name, one level and, for classifiers, two levels deep."""
    if not EMBEDDED_ROOT.is_dir():
        return []
    entries = sorted(EMBEDDED_ROOT.iterdir()) + sorted(EMBEDDED_ROOT.glob("classifiers/*"))
    names = [entry.relative_to(EMBEDDED_ROOT).as_posix() for entry in entries]
    names += sorted(entry.name for folder in DATA_ROOTS for entry in folder.glob("*"))
    return [EMBEDDED_PREFIX + name for name in names]


def _missing(sort: str, text: str, path: Path) -> UserError:
    if text.startswith(EMBEDDED_PREFIX):
        message = f"The package has no such {sort}: {path} is missing."
        return UserError(message, given=text, accepted=embedded_names())
    parent = next(folder for folder in path.parents if folder.is_dir())
    is_sort = Path.is_dir if sort == "folder" else Path.is_file
    beside = (
        sorted(entry.name for entry in parent.iterdir() if is_sort(entry))
        if parent == path.parent and not path.exists()
        else []
    )
    what = f"There is no {sort} at {path}"
    if path.exists():
        what = f"{path} is no {sort}"
    elif parent != path.parent:
        what += f", nor is there a folder {path.parent}"
    # What lies beside it is no list of what is accepted; a name that was misspelt is found in it.
    near = nearest(path.name, beside)
    return UserError(f"{what}.", given=path.name, accepted=near, hint=f"ls {parent}")
