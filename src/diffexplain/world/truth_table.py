"""The truth table of a classifier as a file beside its weights: what it learned, whatever was planted.

It is measured and written by `experiments/world/truth.py`. Imports no torch: a report is made without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from diffexplain.errors import UserError
from diffexplain.weights.documents import read_json

TRUTH_TABLE_FILE = "truth_table.json"
SCHEMA_VERSION = "2"
BEFORE_LOG_ODDS = "1"
"""Still read; its tables have no effects on the log-odds."""


@dataclass(frozen=True)
class TruthTable:
    """Measured effects of attribute values on classes; see `experiments.world.truth` for the definition.

    Attributes:
        classifier: name of its folder.
        weights_sha256: of the weights that were measured, as hex.
        seed: of the scenes.
        scenes: that show each subject; each effect rests on so many pairs, or, without the target, on those
            of all other subjects together.
        rows: as `experiments.world.truth.effects` gives them.
        schema_version: of the file that the table was read from.
    """

    classifier: str
    weights_sha256: str
    seed: int
    scenes: int
    rows: tuple[dict[str, Any], ...]
    schema_version: str = SCHEMA_VERSION

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the table in a classifier's folder.

        Raises:
            UserError: there is none, or it has another schema.
        """
        path = folder / TRUTH_TABLE_FILE
        if not path.is_file():
            raise UserError(
                f"The classifier in {folder} has no truth table: {TRUTH_TABLE_FILE} is missing.",
                hint="python -m experiments.world.truth_tables",
            )
        known = (BEFORE_LOG_ODDS, SCHEMA_VERSION)
        try:
            content = read_json(path)
            if content["schema_version"] not in known:
                raise UserError(f"{path} was written by another version; this one reads schemas {' and '.join(known)}.")
            del content["definition"]
            table = cls(**{**content, "rows": tuple(content["rows"])})
            for row in table.rows:
                _ = [row[key] for key in ("class", "attribute", "value")], row["shows_target"]["n"]
                _check_numbers(row["shows_target"]["probability"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path} cannot be read as a truth table: {error!r}.") from error
        return table


def _check_numbers(effect: Mapping[str, Any]) -> None:
    for key in ("effect", "low", "high"):
        if not isinstance(effect[key], int | float):
            raise TypeError(f"{key} is {effect[key]!r:.60}")


def truth_name(path: Sequence[str]) -> tuple[str, str]:
    """Attribute and value of a concept of the world's hierarchy, as its truth tables name them.

    >>> truth_name(("companion", "flag", "striped flag"))
    ('subtype', 'flag/striped')
    """
    if len(path) == 3:
        return "subtype", f"{path[1]}/{path[2].split()[0]}"
    return path[0], path[1]
