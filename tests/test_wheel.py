"""A wheel holds all that a run needs, and works in an environment and a folder that know nothing of the repository."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

import diffexplain

ROOT = Path(__file__).parents[1]
BUILD = "import setuptools.build_meta as backend; backend.build_wheel('.')"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, since a build leaves its folders behind."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in ("src/diffexplain", "conf"):
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run([sys.executable, "-c", BUILD], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of an environment that has the wheel, and everything else from the one of the tests."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "others.pth").write_text(sysconfig.get_paths()["purelib"])
    uv = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--offline", "--no-cache", "--no-deps"]
    subprocess.run([*uv, "--python", str(folder / "bin" / "python"), str(wheel)], check=True, capture_output=True)
    return folder / "bin" / "diffexplain"


def said(command: Path, *arguments: str, folder: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(command), *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_wheel_holds_every_file_of_the_package_and_of_conf(wheel: Path) -> None:
    package = ROOT / "src" / "diffexplain"
    files = {path.relative_to(package) for path in package.rglob("*") if path.is_file()}
    files |= {path.relative_to(ROOT) for path in (ROOT / "conf").rglob("*") if path.is_file()}
    wanted = {f"diffexplain/{path.as_posix()}" for path in files if "__pycache__" not in path.parts}
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == wanted
    assert {f"diffexplain/{name}" for name in ("py.typed", "conf/config.yaml", "report/templates/page.js")} <= held


def test_an_installed_wheel_works_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    assert said(installed, "--version", folder=tmp_path) == f"diffexplain {diffexplain.__version__}\n"
    assert "classifier=world_shortcut_cnn *" in said(installed, "list", "choices", folder=tmp_path)
    assert "flagpole" in said(installed, "list", "classes", folder=tmp_path)
    configuration = said(installed, "run", "--cfg", folder=tmp_path)
    assert str(ROOT) not in configuration and "world_shortcut_cnn" in configuration
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_an_installed_wheel_explains_a_class(installed: Path, tmp_path: Path) -> None:
    out = said(installed, "run", "explainer.steps=2", "evaluation=quick", "logger=local", folder=tmp_path)
    assert Path(out.split("Report: ")[1].strip()).is_relative_to(tmp_path / "outputs")
    assert [path.name for path in tmp_path.iterdir()] == ["outputs"]


def test_the_citation_is_of_this_version() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^(?:version|license): (.+)$", citation, re.MULTILINE) == [diffexplain.__version__, "Apache-2.0"]
