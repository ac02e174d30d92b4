"""What the picture bank spares: two classifiers on one target and prior.

    python -m experiments.bank.measure <folder> [--write]

Once with every concept tested on every picture, once with a run's own settings. For either three runs, each a process
of its own: the first classifier with an empty bank, the second with what that left, and the second without a bank. The
files of the last two must be the same, byte for byte. Phases are counted in the process's CPU seconds, since other
programs may use the machine; imports stand apart. What is finished is not made again.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).with_name("RESULTS.md")
COMMAND = "import sys, time; time.perf_counter = time.process_time; from diffexplain import cli; sys.exit(cli.run())"
"""The command line, whose clock is the process's own."""
SETTINGS = ("logger=local", "trainer=cpu")
MEASUREMENTS = {
    "every concept on every picture": ("explainer=randomised_prompts", "discovery.others=24"),
    "the default run": (),
}
"""By name: what is typed behind `python run.py`."""
RUNS = {
    "first": ("world_shortcut_cnn", True),
    "second": ("world_fair_cnn", True),
    "second, without a bank": ("world_fair_cnn", False),
}
"""By name: the classifier, and whether there is a bank."""


def main(arguments: Sequence[str]) -> int:
    """Make the runs and print the tables; the exit status is 1 where a byte differs."""
    (folder,) = [Path(text).absolute() for text in arguments if text != "--write"]
    text, differs = HEAD, False
    for title, overrides in MEASUREMENTS.items():
        made = {name: run(folder / title.replace(" ", "-"), name, overrides) for name in RUNS}
        text += section(title, made, overrides)
        differs |= not same(made)
    print(text)
    if "--write" in arguments:
        RESULTS.write_text(text, encoding="utf-8")
    return int(differs)


def run(folder: Path, name: str, overrides: Sequence[str]) -> Path:
    """The directory of a run, made now if it is not there."""
    classifier, banked = RUNS[name]
    outputs = folder / name.replace(", ", "-").replace(" ", "-")
    bank = ["bank.gigabytes=1", f"paths.bank={folder / 'bank'}"] if banked else []
    command = [*SETTINGS, f"classifier={classifier}", f"paths.outputs={outputs}", *bank, *overrides]
    subprocess.run([sys.executable, "-c", COMMAND, *command], cwd=ROOT, check=True)
    (finished,) = outputs.glob("*/*/*/finished.json")
    return finished.parent


def read(directory: Path, name: str) -> Any:
    """A JSON file of a run."""
    return json.loads((directory / name).read_text(encoding="utf-8"))


def same(made: dict[str, Path]) -> bool:
    """Whether the second classifier's files are the same with a bank and without."""
    with_bank, without = (read(made[name], "finished.json") for name in ("second", "second, without a bank"))
    return bool(with_bank == without)


HEAD = """# What the picture bank spares

`python -m experiments.bank.measure <folder> --write`

CPU seconds of one process, one thread; evaluations are samples that the denoising network was called on.
"""


def section(title: str, made: dict[str, Path], overrides: Sequence[str]) -> str:
    """A measurement's table, and how it was made."""
    lines = [
        "",
        f"## {title.capitalize()}",
        "",
        f"`{' '.join(('python run.py', *overrides))}`",
        "",
        "| run | made | spared | import | build | explain | evaluate | report | all but import |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    rest = {}
    for name, directory in made.items():
        timings = read(directory, "timings.json")
        seconds = timings["seconds"]
        rest[name] = seconds["total"] - seconds["import"]
        bank = timings.get("bank", {"made": "all", "taken": 0})
        phases = [f"{seconds[phase]:.1f}" for phase in ("import", "build", "explain", "evaluate", "report")]
        lines.append(f"| {name} | {bank['made']} | {bank['taken']} | {' | '.join(phases)} | {rest[name]:.1f} |")
    size = sum(path.stat().st_size for path in (made["first"].parents[3] / "bank").rglob("*") if path.is_file())
    ratio = rest["second, without a bank"] / rest["second"]
    lines += [
        "",
        f"The second classifier takes {ratio:.1f} times less than without a bank, imports aside. The bank holds "
        f"{size / 1e6:.1f} MB. Its files are {'the same, byte for byte' if same(made) else 'NOT the same'}.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
