"""A run writes into its own folder and the store of fetched files, and nowhere else."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
RUN_AND_SYNC = """
import sys
from pathlib import Path
from diffexplain import cli
status = cli.run(sys.argv[1:])
(summary,) = Path(OUTPUTS).rglob("summary.json")
sys.exit(status or cli.main(["sync", str(summary.parent)]))
"""


def test_nothing_is_written_into_the_users_home(tmp_path: Path) -> None:
    home, outputs, store = (tmp_path / name for name in ("home", "outputs", "store"))
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "XDG_", "MPL", "ORT_"))}
    environment = kept | {"HOME": str(home), "WANDB_MODE": "offline", "DIFFEXPLAIN_CACHE": str(store)}
    settings = ["paths.configs=[tests/conf]", "plugins=[tests]", "experiment=pretend", "logger=[wandb,csv]"]
    settings.append("classifier._target_=tests.safety.libraries.load_classifier")
    program = RUN_AND_SYNC.replace("OUTPUTS", repr(str(outputs)))
    command = [sys.executable, "-c", program, *settings, f"paths.outputs={outputs}"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert list(outputs.rglob("*.wandb")) and list(outputs.rglob("metrics.csv"))
    assert [str(path) for path in home.rglob("*") if path.is_file()] == []
