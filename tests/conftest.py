"""Every test runs offline, on one thread, and fails if it tries to leave this machine."""

import os
import runpy
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

pytest_plugins = ["pytester"]

GUARD = Path(__file__).parent / "network_guard"
ATTEMPTS = Path(tempfile.mkdtemp(prefix="diffexplain-tests-")) / "network-attempts"
MAKER = os.getpid()

# Set before a test module imports torch, transformers or wandb; inherited by the programs that tests start.
os.environ |= {
    "OMP_NUM_THREADS": "1",  # torch takes its number of threads from these two
    "MKL_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DIFFEXPLAIN_CACHE": str(ATTEMPTS.parent / "store"),  # never the user's own
    "WANDB_MODE": "offline",
    "WANDB_ERROR_REPORTING": "false",
    "DIFFEXPLAIN_TEST_NETWORK_ATTEMPTS": str(ATTEMPTS),
    "PYTHONPATH": os.pathsep.join(filter(None, [str(GUARD), os.environ.get("PYTHONPATH")])),
}
os.environ.pop("WANDB_API_KEY", None)
ATTEMPTS.touch()
runpy.run_path(str(GUARD / "sitecustomize.py"))

# The same examples every time, and no limit on how long one takes: the machine may be busy.
hypothesis.settings.register_profile("diffexplain", deadline=None, derandomize=True)
hypothesis.settings.load_profile("diffexplain")


@pytest.fixture(autouse=True)
def _stays_on_this_machine(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that tried to leave, even where a library swallowed the refusal."""
    known = len(ATTEMPTS.read_text().splitlines())
    yield
    attempts = ATTEMPTS.read_text().splitlines()[known:]
    if attempts and request.node.get_closest_marker("reaches_out") is None:
        pytest.fail("tried to reach the network: " + "; ".join(attempts))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no process is left alone with it at the end."""
    items.sort(key=lambda item: not {"whole_runs", "experiments"} & set(item.path.parts))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what is to run on a GPU where there is none."""
    if item.get_closest_marker("gpu") is None:
        return
    import torch  # Not above, where the variables are not yet set.

    if not torch.cuda.is_available():
        pytest.skip("torch finds no GPU on this machine")


def pytest_unconfigure() -> None:
    """Leave nothing behind in the folder for temporary files, once: processes that tests fork may run tests, too."""
    if os.getpid() == MAKER:
        shutil.rmtree(ATTEMPTS.parent)
