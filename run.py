"""Explain what an image classifier looks for: `python run.py --help`."""

import sys

from diffexplain.cli import run

if __name__ == "__main__":
    sys.exit(run())
