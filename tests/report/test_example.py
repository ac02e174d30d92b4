"""The script in ``examples`` does what it says."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_example_explains_and_reads_the_run_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    main = runpy.run_path(str(ROOT / "examples" / "explain_from_python.py"))["main"]
    overrides = ("paths.configs=[tests/conf]", "plugins=[tests]", "experiment=pretend", "target=class:pole")
    main(*overrides, outputs=str(tmp_path))
    told = capsys.readouterr().out
    assert "pretend says pole in" in told
    assert "a flag: spurious" in told
    (page,) = tmp_path.rglob("report.html")
    assert str(page) in told
