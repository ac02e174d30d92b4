"""A hub with little in it, a store, and a configuration that asks for what is there."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import yaml
from tests.hub.server import TOKEN, Hub, Repo

ROOT = Path(__file__).parents[2]
PRIOR, NEWER = "a" * 40, "b" * 40
BIG = bytes(range(256)) * 400


class Place:
    """A hub with one small repository and one plain file, a store, and a configuration that asks for both."""

    def __init__(self, folder: Path, hub: Hub, worker: subprocess.Popen[str]) -> None:
        self.hub, self.store, self.configs, self.worker = hub, folder / "store", folder / "conf", worker
        files = {"config.json": b"{}", "unet/big.safetensors": BIG, "code.py": b"raise SystemExit", "a.bin": b"pickle"}
        hub.repos["owner/prior"] = Repo(PRIOR, files)
        hub.plain["net.caffemodel"] = BIG[::-1]
        self.ask({"repository": "owner/prior", "files": ["*.json", "unet/big.safetensors"]})

    def ask(self, *sources: dict[str, object]) -> None:
        """Ask for these in place of what was asked for before."""
        weights = [{"licence": "mit", "megabytes": 1, **source} for source in sources]
        (self.configs / "diffusion").mkdir(parents=True, exist_ok=True)
        node = {"_target_": "diffexplain.diffusion.load_prior", "name": "small", "steps": 1, "weights": weights}
        (self.configs / "diffusion" / "small.yaml").write_text(yaml.safe_dump(node))

    def plain(self, **more: object) -> None:
        """Ask for the plain file."""
        self.ask({"url": f"{self.hub.endpoint}/plain/net.caffemodel", **more})

    @property
    def overrides(self) -> list[str]:
        return [f"paths.configs=[{self.configs}]", "diffusion=small", "segmenter=world"]

    def fetch(self, status: int = 0, **environment: str) -> str:
        """Run the command; gives what it printed."""
        order = [["fetch", *self.overrides], {"DIFFEXPLAIN_CACHE": str(self.store), **environment}]
        self.worker.stdin.write(json.dumps(order) + "\n")
        self.worker.stdin.flush()
        ended, printed = json.loads(self.worker.stdout.readline())
        assert ended == status, printed
        assert TOKEN not in printed
        return printed

    def folder(self) -> Path:
        return self.store / "repositories" / "owner--prior" / PRIOR

    def lock(self) -> dict[str, dict[str, dict[str, object]]]:
        return json.loads((self.store / "lock.json").read_text())


def environment(hub: Hub, **more: str) -> dict[str, str]:
    """Of a process that may talk to ``hub``."""
    return {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HUB_OFFLINE": "0", **more}
