"""Does a run survive what can happen to it? Interrupts and damages small runs of every explainer on the embedded world.

    python -m experiments.reliability.torture                  as far as it is not done yet
    python -m experiments.reliability.torture --trials 2       so many interrupted runs of each explainer

Goes on where it stopped.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from experiments.reliability import interruptions
from experiments.reliability.runs import load_libraries


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outputs", type=Path, default=Path("outputs/reliability"))
    parser.add_argument(
        "--trials", type=int, default=8, help="interrupted runs of each explainer (default: %(default)s)"
    )
    given = parser.parse_args(arguments)
    given.outputs.mkdir(parents=True, exist_ok=True)
    load_libraries()
    lines = interruptions.torment(given.outputs.absolute(), given.trials)
    print(interruptions.table(lines))


if __name__ == "__main__":
    main()
