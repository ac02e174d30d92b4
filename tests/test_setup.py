"""The project's files agree, `import diffexplain` is light, and tests cannot leave the machine."""

import re
import socket
import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import diffexplain

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = (ROOT / "requirements.lock.txt").read_text()
# A machine that the project must run on without the lock: its own torch, and whatever else by wheel.
GPU_MACHINE = {"torch": "2.11.0", "torchvision": "0.26.0", "transformers": "5.17.0"}
# Extras that the lock leaves out, and that no test needs: Ray brings 34 more packages.
UNLOCKED = {"ray"}
OUTSIDE = "192.0.2.1"  # TEST-NET-1: belongs to nobody


def locked() -> dict[str, str]:
    """Every locked package with its version."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", LOCK, re.MULTILINE))


def requirements() -> list[Requirement]:
    extras = [group for name, group in PROJECT["optional-dependencies"].items() if name not in UNLOCKED]
    return [Requirement(text) for group in (PROJECT["dependencies"], *extras) for text in group]


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_every_locked_package_is_pinned_and_hashed():
    blocks = re.split(r"^(?=[a-z0-9])", re.sub(r"^ *#.*\n", "", LOCK, flags=re.MULTILINE), flags=re.MULTILINE)
    blocks = [block for block in blocks if block.strip()]
    assert len(blocks) == len(locked()) > 50
    for block in blocks:
        assert re.fullmatch(r"[a-z0-9-]+==\S+(?: ;[^\\]+)? \\\n(    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+", block)


def test_the_lock_names_no_host_and_no_path():
    assert not re.search(r"://|--(extra-)?index|--find-links|^/|@ ", LOCK, re.MULTILINE)


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_the_lock_satisfies_the_project(requirement):
    assert requirement.specifier.contains(locked()[canonicalize_name(requirement.name)])


def test_the_bounds_admit_the_gpu_machine():
    bounds = {r.name: r.specifier for r in requirements()}
    assert {name for name, version in GPU_MACHINE.items() if version not in bounds[name]} == set()
    assert "3.12" in Requirement(f"python{PROJECT['requires-python']}").specifier


def test_torch_too_old_to_read_weights_safely_is_refused():
    assert "2.9.1" not in next(r for r in requirements() if r.name == "torch").specifier


def test_version_is_a_release_number():
    assert re.fullmatch(r"\d+\.\d+\.\d+", diffexplain.__version__)


def test_import_is_light_and_offers_the_public_names():
    heavy = "{'torch', 'diffusers', 'transformers', 'lightning', 'wandb'}"
    done = python(f"import sys, diffexplain; print(dir(diffexplain), {heavy} & set(sys.modules))")
    assert done.returncode == 0, done.stderr
    assert "'explain'" in done.stdout
    assert "'load_run'" in done.stdout
    assert done.stdout.rstrip().endswith("set()")


def test_public_names_come_from_their_modules():
    from diffexplain.app import explain
    from diffexplain.report import load_run

    assert diffexplain.explain is explain
    assert diffexplain.load_run is load_run


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'explian'"):
        _ = diffexplain.explian


def test_make_help_lists_every_target():
    text = (ROOT / "Makefile").read_text()
    targets = set(re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE).group(1).split())
    assert targets >= {"help", "demo", "test", "lint", "format", "world-check", "bench", "doctor", "clean"}
    assert set(re.findall(r"^([a-z-]+):.*## ", text, re.MULTILINE)) == targets


def test_licence_and_changelog():
    licence = (ROOT / "LICENSE").read_text()
    assert "Apache License" in licence
    assert "the diffexplain authors" in licence
    assert PROJECT["license"] == "Apache-2.0"
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text()


def test_torch_uses_one_thread():
    import torch

    assert torch.get_num_threads() == 1


@pytest.mark.reaches_out
def test_connections_that_leave_are_refused():
    with socket.socket() as stream, pytest.raises(OSError, match="stay on this machine"):
        stream.connect((OUTSIDE, 9))
    with (
        socket.socket(type=socket.SOCK_DGRAM) as datagrams,
        pytest.raises(OSError, match="stay on this machine"),
    ):
        datagrams.sendto(b"", (OUTSIDE, 9))
    with pytest.raises(OSError, match="stay on this machine"):
        socket.getaddrinfo("diffexplain.invalid", 80)


@pytest.mark.reaches_out
def test_programs_that_tests_start_are_guarded_too():
    done = python(f"import socket; socket.create_connection(({OUTSIDE!r}, 9))")
    assert done.returncode == 1
    assert "the tests stay on this machine" in done.stderr


def test_loopback_is_open():
    with socket.create_server(("127.0.0.1", 0)) as server:
        answer = threading.Thread(target=lambda: server.accept()[0].close())
        answer.start()
        with socket.create_connection(("localhost", server.getsockname()[1])) as client:
            assert client.recv(1) == b""
        answer.join()


def test_a_swallowed_attempt_fails_its_test(pytester):
    conftest = ROOT / "tests" / "conftest.py"
    pytester.makeconftest(conftest.read_text().replace("Path(__file__).parent", f"Path({str(conftest.parent)!r})"))
    pytester.makepyfile(
        f"""
        import contextlib, socket

        def test_it():
            with contextlib.suppress(OSError):
                socket.socket().connect(({OUTSIDE!r}, 9))
        """
    )
    outcome = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    outcome.assert_outcomes(passed=1, errors=1)
    outcome.stdout.fnmatch_lines(["*tried to reach the network: socket.connect*"])
