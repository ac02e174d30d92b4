"""Texts of others that are deep, endless or beyond all bounds, at every place that reads some: a few words, no more."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.config.test_configuration import LAUGHS
from tests.safety.test_source import MODULES, calls

from diffexplain.classifiers.classifier import read_config
from diffexplain.classifiers.labels import read_labels
from diffexplain.classifiers.timm_models import load_timm
from diffexplain.concepts.hierarchy import Hierarchy
from diffexplain.concepts.vocabulary import Vocabulary
from diffexplain.config.from_run import taken_over
from diffexplain.effects.estimation import PRIOR_ERROR_FILE, PriorError
from diffexplain.errors import UserError, printable
from diffexplain.report.load import read_curve
from diffexplain.report.summary import Summary
from diffexplain.segmentation.clipseg import Calibration
from diffexplain.weights import documents
from diffexplain.weights.files import read_shapes
from diffexplain.weights.store import Lock

DEEP = 100_000
HOSTILE = {
    "nothing": "",
    "a list": "[]",
    "an object": "{}",
    "a number": "5",
    "a text": '"text"',
    "null": "null",
    "lists in lists": "[" * DEEP + "]" * DEEP,
    "lists without end": "[" * DEEP,
    "objects in objects": '{"classes":' * DEEP + "1" + "}" * DEEP,
    "deeper than is read": "[" * 900 + "]" * 900,
    "beyond all bounds": '{"classes": [{"index": 1e999, "name": "a"}], "schema_version": 1e999, "absolute": 1e999}',
    "no number": '{"mask_threshold": NaN, "absolute": NaN, "classes": NaN}',
    "a number of 100,000 digits": '{"num_classes": ' + "9" * 100_000 + ', "architecture": "a"}',
    "a thousand million classes": '{"num_classes": 999999999, "architecture": "a"}',
    "not text": "\0\udcff",
}


def in_place(name: str, read: Callable[[Path], object]) -> Callable[[Path, str], object]:
    def reading(folder: Path, text: str) -> object:
        (folder / name).write_bytes(text.encode(errors="surrogateescape"))
        return read(folder)

    return reading


def shapes(folder: Path, text: str) -> object:
    data = text.encode(errors="surrogateescape")
    (folder / "a.safetensors").write_bytes(len(data).to_bytes(8, "little") + data)
    return read_shapes(folder / "a.safetensors")


def refusal(reader: Callable[[Path, str], object], folder: Path, text: str) -> str | None:
    """What the user is told of a text; None where it is read."""
    try:
        reader(folder, text)
    except UserError as error:
        return str(error)
    return None


def command_of(folder: Path) -> object:
    from diffexplain.config.overrides import parse

    return taken_over(parse([f"from_run={folder}"]))


READERS: dict[str, Callable[[Path, str], object]] = {
    "class names": in_place("labels.json", lambda folder: read_labels(folder / "labels.json")),
    "class names in YAML": in_place("labels.yaml", lambda folder: read_labels(folder / "labels.yaml")),
    "phrases": in_place("phrases.yaml", lambda folder: Vocabulary.load(str(folder / "phrases.yaml"))),
    "concepts": in_place("concepts.yaml", lambda folder: Hierarchy.load(str(folder / "concepts.yaml"))),
    "a classifier's configuration": in_place("config.json", read_config),
    "timm's configuration": in_place(
        "config.json", lambda folder: load_timm(str(folder), weights=[{"repository": str(folder)}])
    ),
    "a segmenter's calibration": in_place("calibration.json", Calibration.load),
    "a prior's calibration": in_place(PRIOR_ERROR_FILE, PriorError.load),
    "a summary": in_place("summary.json", Summary.load),
    "a run's command": in_place("summary.json", command_of),
    "a run's curve": in_place("metrics.jsonl", read_curve),
    "the lock file": in_place("lock.json", Lock),
    "a header of weights": shapes,
}
HARMLESS = {
    *(("a run's curve", what) for what in HOSTILE),
    ("a segmenter's calibration", "an object"),
    ("phrases", "a list"),
    ("the lock file", "a thousand million classes"),
    ("the lock file", "an object"),
    ("a header of weights", "an object"),
}
"""Where it may be read, or passed over, without a word."""


@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_such_document_is_refused_in_a_few_words(reader: str, tmp_path: Path) -> None:
    for what, text in HOSTILE.items():
        said = refusal(READERS[reader], tmp_path, text)
        assert ((reader, what) in HARMLESS) if said is None else (len(said) < 2500), what


@pytest.mark.parametrize("reader", ["class names in YAML", "phrases", "concepts"])
@pytest.mark.parametrize("text", [LAUGHS, "- &a [*a]", "elements: &a\n  - *a", "concepts: &a\n  - children: *a"])
def test_what_unfolds_without_end_is_refused(reader: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        READERS[reader](tmp_path, text)
    assert len(str(caught.value)) < 2500


def test_documents_as_they_should_be_are_read_as_the_libraries_read_them() -> None:
    text = '{"a": [1, 2.5, -1e3, null, true, "x"], "b": {"c": {}}}'
    assert documents.from_json(text) == json.loads(text)
    assert documents.from_yaml("a: &a [1, 2.5]\nb: *a") == {"a": [1, 2.5], "b": [1, 2.5]}
    assert documents.from_yaml("") is None
    documents.check_yaml("a: [")  # Whoever reads it says so.


@pytest.mark.parametrize("text", ["? [a]\n: b", "a: 2020-99-99", "!!python/object/apply:os.system [x]", "a: !!int x"])
def test_yaml_that_cannot_be_data_is_unreadable(text: str) -> None:
    with pytest.raises(documents.Unreadable):
        documents.from_yaml(text)


OF_THE_RUN_ITSELF = {"runs/run.py", "runs/lock.py", "effects/population.py", "explainers/diffexplainer.py"}
"""Modules that read what the same run has written."""
READING = ("json.load", "json.loads", "yaml.safe_load", "yaml.compose", "yaml.safe_load_all", "OmegaConf.load")


@pytest.mark.parametrize("path", sorted(MODULES.keys() - OF_THE_RUN_ITSELF - {"weights/documents.py"}))
def test_there_is_one_reader_of_documents(path: str) -> None:
    found = [name for name, _ in calls(MODULES[path])]
    assert [name for name in found if name in READING or name.endswith(("response.json", ").json"))] == []


def test_what_rewrites_the_terminal_is_written_out() -> None:
    assert printable("a\x1b[2J\r\n\tb\u202ec é") == "a\\x1b[2J\\r\n\tb\\u202ec é"
    assert ast.literal_eval(f'"{printable(chr(7))}"') == chr(7)
