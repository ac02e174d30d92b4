"""Weights of other people's making: a file is known to be whole, and to be the one meant, before anything is built.

A safetensors file begins with the length of its header, then the header: JSON with the type, shape and place of
every tensor. So all that can be wrong with a file is found without reading its weights, and without torch.
"""

from __future__ import annotations

import argparse
import logging
import pathlib
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffexplain.errors import RetryableError, UserError
from diffexplain.weights.documents import from_json

if TYPE_CHECKING:
    from torch import Tensor, nn

Shapes = Mapping[str, Sequence[int]]
"""For every tensor's name, its shape."""

_LENGTH_BYTES = 8
_HEADER_LIMIT = 100_000_000  # the format's own
_NAMED_AT_MOST = 5
_SAID_AT_MOST = 600
"""Characters of a library's message; some name every tensor."""
_REMEDY = "save the tensors alone where it was made: torch.save(network.state_dict(), 'weights.pth')"
_FOREIGN = {
    b"PK\x03\x04": "a zip archive or pickle, as torch.save writes it (`diffexplain convert` makes safetensors of it)",
    b"\x80": "a pickle (`diffexplain convert` makes safetensors of it)",
    b"version https://git-lfs": "a Git LFS pointer in place of the file (`git lfs pull` brings it)",
    b"<": "a web page or XML",
}


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor in the safetensors file at ``path``; its weights are not read.

    Raises:
        UserError: it is missing, cut off, longer than it says, or no safetensors file; the message names the
            file, what was expected and what was found.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(64)
            length = int.from_bytes(start[:_LENGTH_BYTES], "little")
            if size < _LENGTH_BYTES + 2 or start[_LENGTH_BYTES:][:1] != b"{" or not 2 <= length <= _HEADER_LIMIT:
                raise refusal(path, "a safetensors file", describe_start(start))
            file.seek(_LENGTH_BYTES)
            header = file.read(length)
    except OSError as error:
        raise UserError(f"The weights cannot be read from {path}: {error.strerror}.") from error
    if len(header) < length:
        raise refusal(path, f"a header of {length} bytes", f"{len(header)} bytes: the file is cut off")
    try:
        entries: dict[str, Any] = from_json(header)
        entries.pop("__metadata__", None)
        shapes = {name: tuple(int(side) for side in entry["shape"]) for name, entry in entries.items()}
        end = max((int(entry["data_offsets"][1]) for entry in entries.values()), default=0)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise refusal(path, "a safetensors header", f"what cannot be read as one ({error})") from error
    whole = _LENGTH_BYTES + length + end
    if size != whole:
        reason = "the file is cut off" if size < whole else "something was added to it"
        raise refusal(path, f"{whole} bytes", f"{size} bytes: {reason}")
    return shapes


def read_weights(path: Path, expected: Shapes) -> dict[str, Tensor]:
    """The tensors of a safetensors file, which are those ``expected``, on the CPU and in the file's own type.

    Raises:
        UserError: as `read_shapes`, or a tensor is missing, unknown or of another shape.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    check_shapes(path, read_shapes(path), expected)
    try:
        return load_file(path)
    except SafetensorError as error:  # offsets that overlap, an unknown type
        raise refusal(path, "a safetensors file", f"a damaged one ({error})") from error


def read_pickle(path: Path) -> Any:
    """What is in a file by ``torch.save``, tensors on the CPU; nothing in it is called.

    Raises:
        UserError: it is damaged, no such file, or names code; torch's own message, which would have it executed, is
            not passed on.
    """
    import torch

    program = _program(path)
    if program is not None:
        raise refusal(path, "a file of tensors by torch.save", program)
    try:
        with torch.serialization.safe_globals(_records()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"The weights cannot be read from {path}: {error.strerror}.") from error
    except MemoryError:
        raise
    except Exception as error:  # On bytes that are no such file torch raises anything: KeyError, EOFError, ...
        code = re.search(r"GLOBAL (\S+)", str(error))
        with path.open("rb") as file:
            start = describe_start(file.read(64))
        found = f"code to be executed: {code[1]} ({_REMEDY})" if code else f"a damaged file, or another kind: {start}"
        raise refusal(path, "a file of tensors by torch.save", found) from None


def check_shapes(path: Path, found: Shapes, expected: Shapes) -> None:
    """Refuse weights that are not those of the network which is to be built.

    Raises:
        UserError: a tensor is missing, unknown or of another shape.
    """
    wrong = [name for name, shape in expected.items() if name not in found or tuple(found[name]) != tuple(shape)]
    unknown = [name for name in found if name not in expected]
    if wrong:
        given = [f"{name} {shown(found[name])}" if name in found else f"no {name}" for name in wrong]
        raise refusal(path, some([f"{name} {shown(expected[name])}" for name in wrong]), some(given))
    if unknown:
        raise refusal(path, f"{len(expected)} tensors", f"also {some(unknown)}")


def check_folder(folder: Path) -> None:
    """Refuse a folder in which a safetensors file is damaged; for libraries that load folders on their own.

    Raises:
        UserError: as `read_shapes`.
    """
    for path in sorted(folder.rglob("*.safetensors")):
        read_shapes(path)


def load_whole(kind: Any, folder: Path, **options: Any) -> Any:
    """The model of a library's class ``kind`` in ``folder``, every tensor of it from the safetensors files there.

    transformers and diffusers would go on with random values in place of what is missing. ``options``: of
    ``from_pretrained`` besides.

    Raises:
        UserError: the weights are missing, damaged or not all of them this model's.
    """
    check_folder(folder)
    options |= {"use_safetensors": True, "local_files_only": True, "output_loading_info": True}
    options |= {"ignore_mismatched_sizes": True}  # They are named below.
    with library_reads(f"The model in {folder} cannot be loaded"), _quiet("transformers", "diffusers"):
        model, found = kind.from_pretrained(folder, **options)
    missing = sorted(map(str, found["missing_keys"]))
    reshaped = sorted(str(key[0] if isinstance(key, tuple) else key) for key in found["mismatched_keys"])
    if missing or reshaped:
        unknown = sorted(map(str, found["unexpected_keys"]))
        said = (("no", missing), ("another shape of", reshaped), ("also", unknown))
        names = "; ".join(f"{what} {some(keys)}" for what, keys in said if keys)
        raise refusal(folder, f"the {len(model.state_dict())} tensors of {type(model).__name__}", names)
    return model


@contextmanager
def library_reads(failure: str) -> Iterator[None]:
    """Turn what a library says of files that are not as it writes them into one short line, which ``failure`` begins.

    Raises:
        UserError: in place of the library's errors; want of memory is not one.
    """
    try:
        yield
    except (UserError, RetryableError, MemoryError):
        raise
    except Exception as error:  # Libraries raise anything: KeyError, RecursionError, Exception itself.
        if type(error).__name__ == "OutOfMemoryError" or "allocate memory" in str(error):
            raise
        said = " ".join(str(error).split()) or type(error).__name__
        more = f"... ({len(said) - _SAID_AT_MOST} more characters)" if len(said) > _SAID_AT_MOST else ""
        raise UserError(f"{failure}: {said[:_SAID_AT_MOST]}{more}") from error


@contextmanager
def _quiet(*libraries: str) -> Iterator[None]:
    """Without the warnings of libraries, which list every tensor that does not fit."""
    levels = {logger: logger.level for logger in map(logging.getLogger, libraries)}
    try:
        for logger in levels:
            logger.setLevel(logging.ERROR)
        yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)


def shapes_of(module: nn.Module) -> dict[str, tuple[int, ...]]:
    """What ``module`` expects to be loaded; one on the meta device will do."""
    return {name: tuple(value.shape) for name, value in module.state_dict().items()}


def beside(pickled: Path) -> Path:
    """The safetensors file that `diffexplain convert` has made of a pickle, in the same folder.

    Raises:
        UserError: it is not there; the message holds the command that makes it.
    """
    path = pickled.with_suffix(".safetensors")
    if not path.is_file():
        raise UserError(f"{path} is missing; make it once: diffexplain convert {pickled} {path}")
    return path


def refusal(path: Path, expected: str, found: str) -> UserError:
    """The error of a file that is not what it should be."""
    return UserError(f"{path} cannot be used.\n  expected: {expected}\n  found:    {found}")


def describe_start(start: bytes) -> str:
    """What a file is that begins with ``start``, as far as that can be told."""
    if not start:
        return "an empty file"
    for magic, description in _FOREIGN.items():
        if start.startswith(magic):
            return description
    return f"a file that begins with {start[:12]!r}"


def some(names: Sequence[str]) -> str:
    """The first of ``names``, and how many more there are."""
    rest = len(names) - _NAMED_AT_MOST
    return ", ".join(names[:_NAMED_AT_MOST]) + (f" and {rest} more" if rest > 0 else "")


def _program(path: Path) -> str | None:
    """What a file is that holds a program beside its tensors, and what can be done with it; ``None`` for any other."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return None
    scripted = any(name.endswith("/constants.pkl") for name in names) and any("/code/" in name for name in names)
    exported = any(name.endswith("archive_format") for name in names)
    if not scripted and not exported:
        return None
    kind, load = ("TorchScript", "torch.jit.load") if scripted else ("torch.export", "torch.export.load")
    return (
        f"a {kind} archive, which is a program: call {load} in a function of yours (plugins=[my_package] "
        "classifier.network=my_package.build, without classifier.checkpoint), or export the network as ONNX"
    )


def _records() -> list[Any]:
    """What trainers write down beside tensors, and what holds values and does nothing: their options and scores."""
    import numpy as np

    numbers = [getattr(np.dtypes, f"{kind}DType") for kind in ("Float64", "Float32", "Int64", "Int32", "Bool")]
    paths = [pathlib.PosixPath, pathlib.PurePosixPath, pathlib.PureWindowsPath]
    make_number = np.float64(0).__reduce__()[0]  # numpy's own, which has moved from module to module
    return [argparse.Namespace, *paths, np.dtype, *numbers, make_number]


def shown(shape: Sequence[int]) -> str:
    """A tensor's shape: ``3x64x64``."""
    return "x".join(map(str, shape)) or "scalar"
