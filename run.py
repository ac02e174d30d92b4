"""Explain what an image classifier looks for: `python run.py --help`."""

import sys

try:
    from diffexplain.cli import run
except ModuleNotFoundError as error:
    remedy = "`make install`, and then `source .venv/bin/activate`"
    print(f"diffexplain: {sys.executable} has no {error.name}: {remedy}.", file=sys.stderr)
    sys.exit(2)

if __name__ == "__main__":
    sys.exit(run())
