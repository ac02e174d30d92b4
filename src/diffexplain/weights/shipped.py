"""SHA-256 of the files that come with the package: a disk that loses a bit must not give another classifier.

python -m diffexplain.weights.shipped       remakes the list, after a part was trained again or a list edited
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from diffexplain.errors import UserError
from diffexplain.weights import atomic
from diffexplain.weights.checksums import file_sha256
from diffexplain.weights.documents import read_json
from diffexplain.weights.files import refusal
from diffexplain.weights.paths import DATA_ROOTS, EMBEDDED_PREFIX, EMBEDDED_ROOT, PACKAGE, resolve_path

LIST = EMBEDDED_ROOT / "checksums.json"
_READ_BY_NOBODY = (".md", LIST.name)


def recorded() -> dict[Path, str]:
    """The SHA-256 that each file should have.

    Raises:
        UserError: the list cannot be read.
    """
    try:
        content: dict[str, str] = read_json(LIST)
        return {PACKAGE / str(name): str(digest) for name, digest in content.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(
            f"The checksums of the package's files cannot be read from {LIST}; install it again."
        ) from error


def check(named: Iterable[str]) -> None:
    """See that files of the package are as they were made: those that texts name, and all its lists of words.

    Args:
        named: such as ``embedded:prior``; what is not embedded is nobody's here.

    Raises:
        UserError: one of them holds something else.
    """
    places = [*DATA_ROOTS, *(resolve_path(text) for text in named if text.startswith(EMBEDDED_PREFIX))]
    for path, expected in recorded().items():
        if not any(path.is_relative_to(place) for place in places):
            continue
        try:
            found = f"sha256 {file_sha256(path)}: the file is damaged"
        except OSError as error:
            found = str(error.strerror)
        if not found.startswith(f"sha256 {expected}"):
            raise refusal(path, f"sha256 {expected}", f"{found}; install it again")


def main() -> None:
    """Write the list anew."""
    files = [path for root in (EMBEDDED_ROOT, *DATA_ROOTS) for path in root.rglob("*") if path.is_file()]
    kept = [path for path in files if not path.name.endswith(_READ_BY_NOBODY) and "__pycache__" not in path.parts]
    atomic.write_json(LIST, {path.relative_to(PACKAGE).as_posix(): file_sha256(path) for path in sorted(kept)})


if __name__ == "__main__":
    main()
