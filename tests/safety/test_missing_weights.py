"""A run whose weights are not on this machine ends at once, with the line that says how to get them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WITHOUT_TORCH = """
import sys
from diffexplain import cli
status = cli.run(sys.argv[1:])
heavy = {"torch", "torchvision", "diffusers", "transformers", "timm"} & set(sys.modules)
assert not heavy, f"{heavy} imported"
sys.exit(status)
"""


FILES = {
    "caffenet": "bvlc_reference_caffenet.caffemodel",
    "caffenet_onnx": "caffenet-12.onnx",
    "robust_resnet50": "imagenet_l2_3_0.pt",
}


def refused(tmp_path: Path, *arguments: str) -> str:
    """The one line of a run on a machine without a single fetched file."""
    settings = [*arguments, "target=class:flagpole", f"paths.outputs={tmp_path}/outputs"]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *settings],
        cwd=ROOT,
        env=os.environ | {"DIFFEXPLAIN_CACHE": str(tmp_path / "store")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert {path.name for path in (tmp_path / "store").rglob("*")} <= {"digests.json"}
    (line,) = done.stderr.strip().splitlines()
    return line


def test_one_line_says_what_to_fetch_and_how_before_torch_is_imported(tmp_path: Path) -> None:
    assert "diffexplain fetch classifier=caffenet diffusion=sd14_lcm" in refused(tmp_path, "classifier=caffenet")


@pytest.mark.parametrize("classifier", FILES)
def test_it_names_the_classifiers_file_where_the_prior_is_there(tmp_path: Path, classifier: str) -> None:
    line = refused(tmp_path, f"classifier={classifier}", "diffusion=world")
    assert FILES[classifier] in line
    assert f"diffexplain fetch classifier={classifier} diffusion=world" in line
