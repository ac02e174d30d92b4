"""The doctor names the faults that are put before it, each with its remedy and in one line."""

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from packaging.requirements import Requirement
from PIL import Image
from safetensors.numpy import save_file

from diffexplain.cli import doctor
from diffexplain.cli.doctor import Check

NO_NMS = "operator torchvision::nms does not exist"


def modules(**found: object):
    """A stand-in for `importlib.import_module`: a module by name, or the exception that it raises."""

    def load(name: str) -> ModuleType:
        thing = found[name]
        if isinstance(thing, Exception):
            raise thing
        return thing

    return load


def fake_torch(version: str = "2.15.0", cuda: str | None = None, devices: int = 0) -> SimpleNamespace:
    return SimpleNamespace(
        __version__=version,
        version=SimpleNamespace(cuda=cuda),
        zeros=lambda *shape: np.zeros(shape),
        cuda=SimpleNamespace(
            is_available=lambda: devices > 0,
            device_count=lambda: devices,
            get_device_properties=lambda _: SimpleNamespace(name="Some GPU", total_memory=80 * 2**30),
        ),
    )


def fake_torchvision(nms=lambda boxes, scores, threshold: [0]) -> SimpleNamespace:
    return SimpleNamespace(ops=SimpleNamespace(nms=nms))


def weights(root: Path) -> Path:
    """A folder that holds every embedded part, with one tensor each."""
    for part in doctor.EMBEDDED_PARTS:
        (root / part / "inside").mkdir(parents=True)
        save_file({"weight": np.ones((3, 4), dtype=np.float32)}, root / part / "inside" / "model.safetensors")
    return root


def assert_problem(check: Check, *words: str) -> None:
    assert check.status == "problem"
    assert check.remedy
    assert "\n" not in str(check)
    for word in words:
        assert word in str(check)


def test_python_too_old_is_a_problem():
    assert_problem(doctor.check_python((3, 10, 14)), "3.10.14", "older than 3.11")
    assert doctor.check_python((3, 12, 0)).status == "ok"


def test_a_torch_and_torchvision_that_work_together_are_fine():
    check = doctor.check_torch_pair(modules(torch=fake_torch(), torchvision=fake_torchvision()))
    assert check.status == "ok"
    assert "2.15.0" in check.finding


def test_cpu_only_torch_beside_the_cuda_torchvision_is_named():
    version = metadata.version("torch").split("+")[0]
    load = modules(torch=fake_torch(f"{version}+cpu"), torchvision=RuntimeError(NO_NMS))
    assert_problem(doctor.check_torch_pair(load), NO_NMS, "+cpu", "CPU-only build", "make clean install")


def test_torchvision_of_another_release_is_named_with_the_torch_it_was_built_for():
    load = modules(torch=fake_torch("2.0.0"), torchvision=RuntimeError(NO_NMS))
    built_for = next(r for r in map(Requirement, metadata.requires("torchvision")) if r.name == "torch")
    assert_problem(doctor.check_torch_pair(load), f"built for torch{built_for.specifier}")


def test_torchvision_that_imports_but_lacks_its_operators_is_a_problem():
    def nms(*_):
        raise RuntimeError("Couldn't load custom C++ ops.\nMore lines of advice.")

    load = modules(torch=fake_torch(), torchvision=fake_torchvision(nms))
    assert_problem(doctor.check_torch_pair(load), "Couldn't load custom C++ ops.")


@pytest.mark.parametrize(
    "error",
    [ModuleNotFoundError("No module named 'torch'"), OSError("libcudart.so: cannot open shared object")],
)
def test_torch_that_does_not_load_is_a_problem(error):
    assert_problem(doctor.check_torch_pair(modules(torch=error)), str(error))
    assert doctor.check_cuda(modules(torch=error)).status == "note"


def test_no_gpu_is_a_note_and_a_gpu_is_described():
    check = doctor.check_cuda(modules(torch=fake_torch()), driver_present=False)
    assert (check.status, check.remedy) == ("note", "")
    check = doctor.check_cuda(modules(torch=fake_torch(cuda="13.2", devices=3)))
    assert (check.status, check.finding) == ("ok", "Some GPU, 80 GiB and 2 more")


def test_a_gpu_that_torch_does_not_see_is_a_problem():
    cpu_only = doctor.check_cuda(modules(torch=fake_torch("2.15.0+cpu")), driver_present=True)
    assert_problem(cpu_only, "CPU-only build")
    unseen = doctor.check_cuda(modules(torch=fake_torch(cuda="13.2")), driver_present=True)
    assert_problem(unseen, "CUDA 13.2", "CUDA_VISIBLE_DEVICES")


def test_libraries_too_old_or_missing_are_named_beside_the_good_ones():
    found = doctor.check_libraries(
        [
            "numpy>=1",
            "pytest>=9999",
            "no-such-library>=2",
            'also-missing; extra == "dev"',
            "win; sys_platform == 'x'",
        ]
    )
    good, old, missing = found
    assert good.status == "ok"
    assert good.finding == f"numpy {metadata.version('numpy')}"
    assert_problem(old, f"pytest {metadata.version('pytest')} is installed", "pytest>=9999 is needed")
    assert_problem(missing, "no-such-library>=2 is not installed")


def test_the_installed_package_finds_its_own_libraries():
    assert {check.status for check in doctor.check_libraries()} == {"ok"}


def test_complete_weights_are_counted(tmp_path):
    check = doctor.check_weights(weights(tmp_path))
    assert check.status == "ok"
    assert "8 embedded parts, 8 files, 0.0 MB" in check.finding


def test_missing_weights_are_named(tmp_path):
    (weights(tmp_path) / "oracle/inside/model.safetensors").unlink()
    assert_problem(doctor.check_weights(tmp_path), "oracle", "git status")
    assert "clipseg" not in doctor.check_weights(tmp_path).finding


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs", None])
def test_damaged_weights_are_named(tmp_path, content):
    path = weights(tmp_path) / "clipseg/inside/model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] if content is None else content)
    assert_problem(doctor.check_weights(tmp_path), str(path), "damaged")


def test_outputs_need_not_exist_and_are_not_made(tmp_path):
    outputs = tmp_path / "not" / "yet"
    assert doctor.check_outputs(outputs).status == "ok"
    assert list(tmp_path.iterdir()) == []


def test_outputs_that_cannot_be_written_are_a_problem(tmp_path):
    (tmp_path / "file").touch()
    assert_problem(doctor.check_outputs(tmp_path / "file" / "outputs"), "cannot be written", "paths.outputs=")


def test_a_full_disk_is_a_problem(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert_problem(doctor.check_outputs(tmp_path), "No space left on device")


def test_exit_status_and_count(monkeypatch, capsys):
    checks = [
        Check("one", "ok", "fine"),
        Check("two", "note", "so"),
        Check("three", "problem", "bad", "mend it"),
    ]
    monkeypatch.setattr(doctor, "all_checks", lambda outputs: checks)
    assert doctor.main([]) == 2
    assert "1 problem found" in capsys.readouterr().out
    monkeypatch.setattr(doctor, "all_checks", lambda outputs: checks[:2])
    assert doctor.main([]) == 0


def test_a_classifier_is_asked_about_a_watermark_where_nothing_stands_in_the_way(monkeypatch, capsys, tmp_path):
    for number in range(6):
        shades = np.linspace(20 * number, 255 - 20 * number, 64, dtype=np.uint8)
        Image.fromarray(np.tile(shades, (64, 1))).save(tmp_path / f"{number}.png")
    asked = ["--self-test", str(tmp_path), "classifier=world_fair_cnn"]
    monkeypatch.setattr(doctor, "all_checks", lambda outputs: [Check("one", "problem", "bad", "mend it")])
    assert doctor.main(asked) == 2 and "photographs" not in capsys.readouterr().out
    monkeypatch.setattr(doctor, "all_checks", lambda outputs: [])
    assert doctor.main(asked) == 0
    said = capsys.readouterr().out
    assert "6 photographs as `world_fair_cnn` reads them" in said and "No class is a carton" in said
    assert said.index("## Characters") < said.index("| 8 |") < said.index("## Letters")


def test_the_program_survives_the_fault_and_exits_2(tmp_path):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch/__init__.py").write_text(
        "from types import SimpleNamespace\n"
        "__version__ = '2.13.0+cpu'\n"
        "version = SimpleNamespace(cuda=None)\n"
        "cuda = SimpleNamespace(is_available=lambda: False)\n"
    )
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision/__init__.py").write_text(f"raise RuntimeError({NO_NMS!r})\n")
    path = os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])
    done = subprocess.run(
        [sys.executable, "-m", "diffexplain.cli.doctor", "--outputs", str(tmp_path / "outputs")],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr == ""
    line = next(line for line in done.stdout.splitlines() if NO_NMS in line)
    assert line.startswith("problem")
    assert "2.13.0+cpu" in line
    assert "make clean install" in line
