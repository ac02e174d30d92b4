"""A sweep by each of Hydra's launchers, on its real engine: one run is done, one fails."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.overriding import changed
from tests.pretend import ACCIDENT

from diffexplain import cli
from diffexplain.report import Summary

ROOT = Path(__file__).parents[2]
ENGINES = {
    "basic": ("hydra",),
    "joblib": ("hydra_plugins.hydra_joblib_launcher", "hydra.launcher.n_jobs=2"),
    "submitit_local": ("hydra_plugins.hydra_submitit_launcher", "hydra.launcher.timeout_min=10"),
    "ray": (
        "hydra_plugins.hydra_ray_launcher",
        "+hydra.launcher.ray.init.num_cpus=2",
        "+hydra.launcher.ray.init.include_dashboard=false",
    ),
}
Run = Callable[..., int]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(ROOT)  # The paths in tests/conf are relative.
    settings = ["paths.configs=[tests/conf]", "plugins=[tests]", "experiment=pretend", f"paths.outputs={tmp_path}/out"]
    return lambda *more: cli.run(changed(settings, *more))


# Ray asks on its own which cloud it is in; it is in no lock, so this one is skipped unless it was installed.
@pytest.mark.parametrize(
    "launcher", [pytest.param(name, marks=pytest.mark.reaches_out if name == "ray" else ()) for name in ENGINES]
)
@pytest.mark.filterwarnings("ignore:`fork` start method")
def test_one_run_is_done_and_one_has_failed(
    launcher: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module, *keys = ENGINES[launcher]
    pytest.importorskip(module)
    monkeypatch.setenv(ACCIDENT, "bug tree")
    if launcher == "joblib":  # Its workers are forked: what they would import is there.
        monkeypatch.setattr("joblib.externals.loky.backend.context._DEFAULT_START_METHOD", "fork")
    if launcher == "ray":  # Its agents know this machine by an address that the guard takes for another's.
        monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    try:
        assert run("-m", "target=class:pole,class:tree", f"hydra/launcher={launcher}", *keys) == 3
    finally:
        if launcher == "joblib":
            from joblib.externals.loky import get_reusable_executor

            get_reusable_executor().shutdown()  # They would wait for more.
    lines = capsys.readouterr().out.splitlines()
    (done,) = [line.split()[:2] for line in lines if line.startswith("target=class:pole ")]
    (failed,) = [line.split()[:2] for line in lines if line.startswith("target=class:tree ")]
    assert (done[1], failed[1]) == ("done", "failed")
    assert lines[-4:-2] == ["target=class:tree: failed", "  ZeroDivisionError: a bug"]
    (record,) = tmp_path.glob("out/sweeps/*/sweep.json")
    jobs = json.loads(record.read_text())["jobs"]
    assert [job["status"] for job in jobs] == ["done", "failed"]
    assert Summary.load(record.parent / jobs[0]["directory"]).concepts[0].text == "a flag"
    assert not Path(ROOT / "multirun").exists()


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["-m", "hydra/launcher=submitit_lcal"], ["no such launcher", "nearest:  submitit_local"]),
        (["-m", "hydra/launcher=basic", "hydra.launcher.n_jobs=2"], ["has no such key", "hydra.launcher.n_jobs"]),
        (["-m", "hydra.launcher.n_jobs=2"], ["Choose the launcher", "hydra/launcher=joblib"]),
        (["hydra/launcher=basic"], ["starts the runs of a sweep", "-m hydra/launcher=basic"]),
    ],
)
def test_what_is_no_launcher_is_told_before_anything_is_made(
    overrides: list[str], told: list[str], run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*overrides) == 2
    error = capsys.readouterr().err
    assert all(text in error for text in told), error
    assert not list(tmp_path.rglob("launched*"))


def test_a_launcher_that_is_not_installed_is_told_with_its_extra(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hydra._internal.config_loader_impl.ConfigLoaderImpl.get_group_options", lambda *_: ["basic"])
    assert run("-m", "hydra/launcher=submitit_slurm") == 2
    assert "pip install 'diffexplain[slurm]'" in capsys.readouterr().err
