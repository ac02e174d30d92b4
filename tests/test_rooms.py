"""The rooms of the package: few, each with its floor, arrows down only and no circles."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import diffexplain

PACKAGE = Path(diffexplain.__file__).parent
FLOORS = (
    ("errors", "progress"),
    ("target", "memory", "statistics", "weights"),
    ("config", "segmentation"),
    ("runs", "classifiers"),
    ("world", "diffusion", "concepts"),
    ("prompts", "editing", "evaluation"),
    ("effects",),
    ("explainers", "report"),
    ("pipelines",),
    ("app",),
    ("cli",),
)
"""From below; a room knows those on lower floors alone."""
LOOSE = {"__init__.py", "app.py", "errors.py", "memory.py", "progress.py", "py.typed", "target.py"}
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def modules() -> dict[str, Path]:
    found = {}
    for file in PACKAGE.rglob("*.py"):
        parts = ["diffexplain", *file.relative_to(PACKAGE).with_suffix("").parts]
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


MODULES = modules()


def imported(file: Path) -> Iterator[str]:
    """The package's modules that a file imports, wherever in it, for types alone too."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "diffexplain":
            for name in node.names:
                inside = f"{node.module}.{name.name}"
                yield inside if inside in MODULES else str(node.module)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name in MODULES)


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def test_there_are_few_rooms_and_little_beside_them() -> None:
    entries = [entry for entry in PACKAGE.iterdir() if entry.name != "__pycache__"]
    assert {entry.name for entry in entries if entry.is_file()} == LOOSE
    rooms = {entry.name for entry in entries if any(entry.glob("*.py"))}  # others are left of what was moved
    assert rooms == FLOOR.keys() - {Path(name).stem for name in LOOSE}
    assert len(rooms) <= 18 and len(FLOORS) <= 11


@pytest.mark.parametrize("name", sorted(FLOOR))
def test_arrows_run_down(name: str) -> None:
    own = {module: file for module, file in MODULES.items() if room(module) == name}
    up = {
        f"{module} -> {other}"
        for module, file in own.items()
        for other in imported(file)
        if room(other) not in (name, "__init__") and FLOOR[room(other)] >= FLOOR[name]
    }
    assert not up


def test_no_module_leads_back_to_itself() -> None:
    graph = {module: {other for other in imported(file) if other in MODULES} for module, file in MODULES.items()}
    # `diffexplain` gives `explain` and `load_run` from whatever floor they are on, when they are asked for.
    graph.pop("diffexplain")
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}")


def test_the_page_on_architecture_names_files_that_there_are() -> None:
    page = (PACKAGE.parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z_]+(?:/[a-zA-Z_.]+)*(?:\.py|\.md|\.sh|/))`", page))
    missing = [name for name in named if not any((root / name).exists() for root in (PACKAGE, PACKAGE.parents[1]))]
    assert not missing
    assert {f"{name}/" for name in FLOOR if (PACKAGE / name).is_dir()} <= named
    rows = re.findall(r"^\| (\d+) \| `(\w+)(?:/|\.py)` \|", page, re.MULTILINE)
    assert {name: int(floor) for floor, name in rows} == {
        k: v for k, v in FLOOR.items() if k not in ("target", "errors", "memory", "progress")
    }
