"""Every file that a small run reads, damaged in every way: never a traceback, and never another answer without a word.

A damaged file of an unfinished run is made again, or is named; one of the user's is refused, or makes another run,
whose identity says so.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from diffexplain.weights.paths import resolve_folder
from experiments.reliability.runs import FEW, SHARED, Record, artefacts, emptied, run

EXPLAINER = ("explainer=randomised_prompts", "discovery=quick", *FEW)
OF_A_RUN = (
    *("manifest.json", "timings.json", "concepts.yaml"),
    *("effects/null-*.json", "effects/edits-*.json", "effects/drawn-*.json"),
)
"""Files that an unfinished run goes on from; of several, the first."""
PARTS: Mapping[str, Sequence[str]] = {
    "prior": (
        "model_index.json",
        "scheduler/scheduler_config.json",
        "unet/config.json",
        "tokenizer/tokenizer.json",
        "unet/diffusion_pytorch_model.safetensors",
        "text_encoder/model.safetensors",
    ),
    "classifiers/shortcut_cnn": ("config.json", "labels.json", "model.safetensors"),
    "clipseg": ("config.json", "processor_config.json", "model.safetensors"),
}
"""Files of parts, which are copies of the embedded ones under paths of the user's, so that no checksum is known."""
KEYS = {"prior": "diffusion.folder", "classifiers/shortcut_cnn": "classifier.folder", "clipseg": "segmenter.folder"}


EVERY = [(part, name) for part, names in {"run": OF_A_RUN, **PARTS}.items() for name in names]


def flipped(content: bytes) -> bytes:
    """With one bit of the middle turned over."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


DAMAGES: Mapping[str, Callable[[bytes], bytes]] = {
    "truncated": lambda content: content[: len(content) // 2],
    "flipped": flipped,
    "emptied": lambda _: b"",
    "nested": lambda _: b"[" * 100_000,
    "of another type": lambda _: b"3\n",
}

RECORD = "corruptions.jsonl"


def damage(folder: Path, most: int, end: float = float("inf")) -> list[dict[str, Any]]:
    """Try what has not been tried yet, up to ``most``, none begun after ``end``; the lines of all that has been."""
    record = Record(folder / RECORD)
    done = {(line["file"], line["damage"]) for line in record.lines}
    whole = folder / "undamaged"
    for kind in DAMAGES:
        for part, name in EVERY:
            if (f"{part}: {name}", kind) in done or len(record.lines) >= most or time.monotonic() > end:
                continue
            if not whole.is_dir() or not list(whole.rglob("summary.json")):
                _asked(emptied(whole), folder / "logs" / "undamaged.log")
            record.add(_of_run(folder, whole, name, kind) if part == "run" else _of_part(folder, part, name, kind))
    return record.lines


def table(lines: Sequence[Mapping[str, Any]]) -> str:
    """What came of every file and damage."""
    rows = [f"| file | {' | '.join(DAMAGES)} |", "|---" * (len(DAMAGES) + 1) + "|"]
    found = {(line["file"], line["damage"]): line["came"] for line in lines}
    names = dict.fromkeys(line["file"] for line in lines)
    told = {name: [found.get((name, kind), "not tried") for kind in DAMAGES] for name in names}
    return "\n".join([*rows, *(f"| `{name}` | {' | '.join(cells)} |" for name, cells in told.items())])


def _asked(outputs: Path, log: Path, *more: str) -> Any:
    return run([*SHARED, *EXPLAINER, *more, f"paths.outputs={outputs}"], log)


def _of_run(folder: Path, whole: Path, name: str, kind: str) -> dict[str, Any]:
    outputs = folder / "damaged"
    shutil.rmtree(outputs, ignore_errors=True)
    shutil.copytree(whole, outputs)
    (finished,) = outputs.rglob("finished.json")
    finished.unlink()
    path = min(finished.parent.glob(name))
    path.write_bytes(DAMAGES[kind](path.read_bytes()))
    ended = _asked(outputs, folder / "logs" / "damaged.log")
    equal = artefacts(outputs) == artefacts(whole)
    came = "traceback" if "Traceback" in ended.said else "byte-equal" if equal else f"status {ended.status}"
    if ended.status == 0 and not equal:
        came = "ANOTHER ANSWER"
    return {"file": f"run: {name}", "damage": kind, "came": came, "status": ended.status}


def _of_part(folder: Path, part: str, name: str, kind: str) -> dict[str, Any]:
    copy = folder / "part"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(resolve_folder(f"embedded:{part}"), copy)
    path = copy / name
    path.write_bytes(DAMAGES[kind](path.read_bytes()))
    labels = [f"classifier.labels={copy}/labels.json"] if "labels.json" in PARTS[part] else []
    log = folder / "logs" / "damaged.log"
    ended = _asked(emptied(folder / "damaged"), log, f"{KEYS[part]}={copy}", *labels)
    came = "traceback" if "Traceback" in ended.said else f"status {ended.status}"
    if ended.status == 0:
        came = "a run of its own"
    return {"file": f"{part}: {name}", "damage": kind, "came": came, "status": ended.status}
