"""What a watermark does to every class of a classifier, on photographs of a folder, as a page.

    python -m experiments.watermark.make <folder> [overrides] [--write]

`diffexplain doctor --self-test <folder>` prints the same of a network of yours.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from diffexplain.errors import UserError
from diffexplain.pipelines.watermark import found_in

RESULTS = Path(__file__).with_name("RESULTS.md")


def main(arguments: Sequence[str]) -> int:
    """Print the tables; the exit status."""
    given = [text for text in arguments if text != "--write"]
    if not given:
        raise UserError("Name a folder of photographs.", hint=__doc__)
    folder, *overrides = given
    command = " ".join(["python -m experiments.watermark.make <folder>", *overrides, "--write"])
    head = ["# A watermark, and what it does to every class", "", f"`{command}`", ""]
    text = "\n".join([*head, *found_in(folder, *overrides)]) + "\n"
    print(text)
    if "--write" in arguments:
        RESULTS.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
