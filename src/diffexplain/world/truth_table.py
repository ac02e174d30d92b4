"""The truth table of a classifier as a file beside its weights: what it learned, whatever was planted.

Imports no torch: a report is made without it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from diffexplain.errors import UserError
from diffexplain.weights.documents import read_json

TRUTH_TABLE_FILE = "truth_table.json"
SCHEMA_VERSION = "2"
BEFORE_LOG_ODDS = "1"
"""Still read; its tables have no effects on the log-odds."""
THERE = 0.2
ABSENT = 0.02

Stratum = Literal["shows_target", "without_target"]
Measure = Literal["probability", "log_odds", "logit"]


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

    @staticmethod
    def load(folder: Path) -> TruthTable:
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
            table = TruthTable(**{**content, "rows": tuple(content["rows"])})
            for row in table.rows:
                _ = [row[key] for key in ("class", "attribute", "value")], row["shows_target"]["n"]
                _check_numbers(row["shows_target"]["probability"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path} cannot be read as a truth table: {error!r}.") from error
        return table

    def save(self, folder: Path) -> None:
        """Write the table into a classifier's folder, one row a line."""
        head = {
            "schema_version": self.schema_version,
            "definition": "E[p | do(value)] - E[p | do(not value)], paired renders, 95 % intervals",
            "classifier": self.classifier,
            "weights_sha256": self.weights_sha256,
            "seed": self.seed,
            "scenes": self.scenes,
        }
        rows = ",\n".join(" " + json.dumps(row) for row in self.rows)
        text = json.dumps(head, indent=1).removesuffix("\n}") + f',\n "rows": [\n{rows}\n ]\n}}\n'
        (folder / TRUTH_TABLE_FILE).write_text(text, encoding="utf-8")

    def fits(self, folder: Path) -> bool:
        """Whether the weights in the folder are those that were measured."""
        return weights_digest(folder) == self.weights_sha256

    def row(self, class_name: str, attribute: str, value: str) -> dict[str, Any]:
        """The row of one class and attribute value, e.g. `("flagpole", "companion", "flag")`.

        Raises:
            KeyError: nothing of that name was measured.
        """
        for row in self.rows:
            if (row["class"], row["attribute"], row["value"]) == (class_name, attribute, value):
                return row
        raise KeyError(f"no effect of {attribute}={value} on {class_name} in the truth table")

    def effect(
        self,
        class_name: str,
        attribute: str,
        value: str,
        stratum: Stratum = "shows_target",
        measure: Measure = "probability",
    ) -> float:
        """One effect; the headline by default.

        Raises:
            KeyError: nothing of that name was measured.
            UserError: the table is of schema 1, which has no log-odds.
        """
        measured = self.row(class_name, attribute, value)[stratum]
        if measure not in measured:
            raise UserError(
                f"The truth table of {self.classifier} has schema {self.schema_version}, without effects on {measure}.",
                hint="python -m experiments.world.truth_tables",
            )
        return float(measured[measure]["effect"])

    def largest(self, class_name: str, attributes: Sequence[str]) -> list[tuple[str, str, float]]:
        """Headline effects of these attributes on a class: (attribute, value, effect), largest first."""
        found = [
            (row["attribute"], row["value"], float(row["shows_target"]["probability"]["effect"]))
            for row in self.rows
            if row["class"] == class_name and row["attribute"] in attributes
        ]
        return sorted(found, key=lambda entry: -abs(entry[2]))


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


def weights_digest(folder: Path) -> str:
    """SHA-256 of the classifier's weights, as hex."""
    return sha256((folder / "model.safetensors").read_bytes()).hexdigest()
