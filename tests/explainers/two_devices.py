"""Started by ``test_two_devices.py``: one run shared by as many CPU processes as asked for."""

from __future__ import annotations

import sys
from pathlib import Path

# The processes are started by path, so the package of tests has to be found first.
sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.explainers.support import BEE, explainer
from tests.tiny import WORDS, TinyClassifier, tiny_prior

from diffexplain.explainers import Cutouts, TrainerSettings
from diffexplain.runs.run import Run, process_rank


def main(directory: Path, devices: int) -> None:
    """Explain in ``directory`` and say what this process found."""
    run = Run(directory, {"seed": 0}, BEE.text, is_writer=process_rank() == 0)
    settings = TrainerSettings(accelerator="cpu", devices=devices, progress="none")
    method = explainer(batch=4, steps=3)
    found = method.explain(
        BEE,
        TinyClassifier(),
        tiny_prior(steps=2),
        run,
        vocabulary=WORDS,
        augmentation=Cutouts(views=3),
        trainer=settings,
    )
    print(f"found {found.embeddings.sum().item():.6f} {found.best_step} {found.steps}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
