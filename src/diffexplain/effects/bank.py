"""The picture bank: what does not depend on the classifier, kept by what made it, so that it is made once.

A block is what is always made together: pictures of one lot, and what checks see in them. It is taken whole or made
whole, so that no bit of a run depends on what was there; several processes may share a bank without a lock, since the
same name always means the same content. Nothing that is lost or damaged matters: it is made again.
"""

from __future__ import annotations

import json
import os
import platform
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from diffexplain import memory
from diffexplain.config.digests import CONTENTS
from diffexplain.errors import RetryableError
from diffexplain.runs.machine import device_name
from diffexplain.runs.manifest import versions
from diffexplain.weights import atomic
from diffexplain.weights.documents import from_json
from diffexplain.weights.paths import PACKAGE
from diffexplain.weights.store import store_folder

PICTURES = "pictures"
"""The bank's folder beside the fetched weights, where no other is named."""
_PARTS = ("diffusion", "editor", "segmenter", "memory")
"""Parts of a configuration that make pictures, or look at them."""
_CHECKSUM = 32
_LOOK_AFTER = 50
"""After so small a part of the bank's size was written, it is looked at as a whole: others write, too."""


@dataclass(frozen=True)
class Block:
    """Pictures made together.

    Attributes:
        images: (n, 3, H, W) in [0, 1] on the CPU.
        said: of them, as JSON can hold it.
        evaluations: samples that the denoising network was called on for them, whoever made them.
    """

    images: Tensor
    said: Any
    evaluations: int


class Bank:
    """A folder of blocks, of which the least recently used go when it is full.

    Args:
        folder: made when there is something to keep.
        gigabytes: how large it may become; 1 GB is 10^9 bytes.
        made_by: all that the bits of a block depend on beside what is asked for.

    Attributes:
        taken: evaluations of the denoising network that were spared here.
    """

    def __init__(self, folder: Path, gigabytes: float, made_by: Any) -> None:
        self.folder = folder
        self.size = int(gigabytes * 1e9)
        self.made_by = made_by
        self.taken = 0
        self._since_looked: int | None = None

    def block(self, asked: Any, make: Callable[[], Block]) -> Block:
        """The block of what is asked for: from the bank, or made now and kept."""
        key = sha256(json.dumps([self.made_by, asked], sort_keys=True).encode()).hexdigest()
        path = self.folder / key[:2] / key
        block = self._read(path, key)
        if block is not None:
            self.taken += block.evaluations
            return block
        block = make()
        if not memory.was_short():  # It was made in smaller parts than the configuration says.
            self._keep(path, key, block)
        return block

    def _read(self, path: Path, key: str) -> Block | None:
        try:
            data = path.read_bytes()
        except OSError:
            return None
        try:
            if sha256(data[_CHECKSUM:]).digest() != data[:_CHECKSUM]:
                raise ValueError("its checksum is another")
            content = load(data[_CHECKSUM:])
            said = from_json(content["said"].numpy().tobytes().decode())
            if said["key"] != key:
                raise ValueError("it is another block")
            layout = torch.channels_last if said["channels_last"] else torch.contiguous_format
            with suppress(OSError):
                os.utime(path)
            return Block(content["images"].contiguous(memory_format=layout), said["said"], int(said["evaluations"]))
        except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
            warnings.warn(f"{path} is damaged, and is made again: {error}", stacklevel=2)
            return None

    def _keep(self, path: Path, key: str, block: Block) -> None:
        last = not block.images.is_contiguous()
        said = {"key": key, "said": block.said, "evaluations": block.evaluations, "channels_last": last}
        text = torch.frombuffer(bytearray(json.dumps(said).encode()), dtype=torch.uint8)
        body = save({"images": block.images.contiguous(), "said": text})
        try:
            self._make_room(_CHECKSUM + len(body))
            if _CHECKSUM + len(body) <= self.size:
                atomic.write_bytes(path, sha256(body).digest() + body)
        except (OSError, RetryableError) as error:
            warnings.warn(f"Pictures are not kept in {self.folder}: {error}", stacklevel=2)

    def _make_room(self, needed: int) -> None:
        """Delete what was not used for the longest time, until there is room."""
        since = self._since_looked
        self._since_looked = needed if since is None else since + needed
        if since is not None and self._since_looked < self.size / _LOOK_AFTER:
            return
        files = []
        for path in self.folder.rglob("*"):
            with suppress(OSError):  # Another process has deleted it.
                if path.is_file():
                    files.append((path.stat().st_mtime_ns, path.stat().st_size, path))
        left = self.size - self.size // _LOOK_AFTER - needed
        for _, size, path in sorted(files, reverse=True):
            left -= size
            if left < 0:
                path.unlink(missing_ok=True)
        self._since_looked = needed


def bank_of(config: Mapping[str, Any], target: str, device: torch.device) -> Bank | None:
    """The bank that a run's configuration asks for; None for none.

    Args:
        config: with the digests of its files.
        target: what the run's random draws are keyed by.
        device: that makes the pictures.
    """
    gigabytes = float(config.get("bank", {}).get("gigabytes", 0))
    if not gigabytes:
        return None
    contents = config.get(CONTENTS, {})
    made_by = {
        **{part: config.get(part) for part in _PARTS},
        **{key: contents[key] for key in contents if key.partition(".")[0] in (*_PARTS, "images", "plugins")},
        "batch_size": config["effects"]["batch_size"],
        "draws": [config["seed"], target],
        "threads": config["threads"],
        "device": [device_name(device.type), torch.backends.cpu.get_cpu_capability(), _processor()],
        "made_with": [versions(), _source()],
    }
    folder = config["paths"].get("bank")
    place = store_folder() / PICTURES if folder is None else Path(folder).expanduser().absolute()
    return Bank(place, gigabytes, made_by)


@cache
def _source() -> str:
    """SHA-256 of the package's own code."""
    files = sorted(PACKAGE.rglob("*.py"))
    return sha256(b"".join(sha256(file.read_bytes()).digest() for file in files)).hexdigest()


@cache
def _processor() -> str:
    """The processor's model, by which libraries choose their kernels."""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return platform.processor()
