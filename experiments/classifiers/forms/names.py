"""The names of the classes: files in every form, classes given in every way, names with every character."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from experiments.classifiers.forms.form import Form
from experiments.classifiers.forms.outputs import own

CLASSES = (
    ("n03355925", "flagpole", "flagstaff"),
    ("n02206856", "bee", "bumblebee"),
    ("n03218198", "dogsled", "dog sled"),
    ("n03874599", "padlock", "lock"),
    ("n04251144", "snorkel", "diving mask"),
    ("n04507155", "umbrella", "parasol"),
    ("n04612504", "yawl", "sailboat"),
    ("n03544143", "hourglass", "sandglass"),
    ("n04398044", "teapot", "kettle"),
    ("n07734744", "mushroom", "toadstool"),
    ("n02782093", "balloon", "hot air balloon"),
    ("n02676566", "acoustic guitar", "guitar"),
)
"""WordNet id, name and synonym of the twelve columns."""
NAMES = tuple(name for _, name, _ in CLASSES)
ODD = (
    *("carpenter's kit", "rock & roll", "C#", "Königin", "旗杆", "a=b", "50% off", "{brace}"),
    *('the "big" one', "x: y", "back\\slash", "$HOME"),
)
"""Names with characters that a shell, YAML or Hydra's grammar reads in a way of its own."""
SEVENTH = 6


def lines(classes: Sequence[str], end: str = "\n", before: str = "") -> bytes:
    """One class a line."""
    return (before + "".join(f"{line}{end}" for line in classes)).encode()


def structure(content: Any) -> bytes:
    """As JSON."""
    return json.dumps(content, ensure_ascii=False).encode()


def shuffled(classes: Sequence[Any]) -> list[tuple[int, Any]]:
    """Index and class, in another order."""
    return sorted(enumerate(classes), key=lambda pair: (pair[0] * 7) % 12)


def written(name: str, content: bytes) -> Callable[[Path], None]:
    """What writes the file of class names."""

    def write(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return write


def file(
    form: str,
    name: str,
    content: bytes,
    target: str = "yawl",
    *,
    word: str | None = "yawl",
    position: int = SEVENTH,
    refused: str | None = None,
) -> Form:
    """A form whose class names are in a file."""
    return Form(
        form,
        own(labels=name),
        refused=refused,
        write=written(name, content),
        target=f"class:{target}",
        position=position,
        word=word,
    )


def given(form: str, target: str, word: str | None, position: int, refused: str | None = None) -> Form:
    """A form of the embedded classifier itself, whose class is given in some way."""
    overrides = ("classifier=world_shortcut_cnn",)
    return Form(form, overrides, refused=refused, target=target, position=position, word=word)


SYNSETS = tuple(f"{wnid} {name}, {synonym}" for wnid, name, synonym in CLASSES)
WNIDS = tuple(wnid for wnid, _, _ in CLASSES)
LISTED = f"[{','.join(NAMES)}]"
HEADED = lines(["wnid,name,index", *(f"{wnid},{name},{k}" for k, (wnid, name, _) in shuffled(CLASSES))])
NUMBERS = tuple(str(11 - index) for index in range(12))

NAME_FORMS = (
    file("names, one a line", "names.txt", lines(NAMES)),
    file("names from Windows, with a mark and comments", "n.txt", lines(["# mine", *NAMES], "\r\n", "\ufeff")),
    file("names in UTF-16", "names.txt", "\n".join(NAMES).encode("utf-16")),
    file("names without a last end of line", "names.txt", lines(NAMES).rstrip()),
    file("WordNet ids, one a line", "wnids.txt", lines(WNIDS), "n04612504"),
    file("the name of a WordNet id", "wnids.txt", lines(WNIDS), "yawl"),
    file("WordNet ids and names", "synset_words.txt", lines(SYNSETS), "sailboat"),
    file("names and synonyms", "names.txt", lines([f"{name}, {other}" for _, name, other in CLASSES]), "sailboat"),
    file("indices and names", "names.txt", lines([f"{k} {name}" for k, name in shuffled(NAMES)])),
    file("names and indices", "map.txt", lines([f"{name} {k}" for k, name in shuffled(NAMES)])),
    file("a list in JSON", "names.json", structure(NAMES)),
    file("a mapping from indices", "names.json", structure({str(k): name for k, name in shuffled(NAMES)})),
    file(
        "a mapping from indices to ids and names",
        "index.json",
        structure({str(k): [wnid, name] for k, (wnid, name, _) in shuffled(CLASSES)}),
        "n04612504",
    ),
    file("a mapping to indices", "class_to_idx.json", structure({name: k for k, name in shuffled(NAMES)})),
    file(
        "transformers' configuration",
        "config.json",
        structure({"model_type": "vit", "id2label": {str(k): name for k, name in shuffled(NAMES)}}),
    ),
    file(
        "this package's own form",
        "labels.json",
        structure(
            {
                "name": "mine",
                "classes": [
                    {"index": k, "name": name, "wnid": wnid, "synonyms": [other]}
                    for k, (wnid, name, other) in enumerate(CLASSES)
                ],
            }
        ),
        "sailboat",
    ),
    file("a list in YAML", "names.yaml", lines([f"- {name}" for name in NAMES])),
    file("a table with a header", "names.csv", HEADED),
    file("a table without a header", "names.csv", lines([f"{k},{name}" for k, name in shuffled(NAMES)])),
    file("what Python prints", "names.txt", str(dict(enumerate(NAMES))).encode()),
    Form("a list on the command line", own(labels=LISTED), target="class:yawl", position=SEVENTH, word="yawl"),
    file("names that are numbers", "names.txt", lines(NUMBERS), "name:5", word=None),
    file("an index where names are numbers", "names.txt", lines(NUMBERS), "index:6", word=None),
    file("no names", "names.txt", lines([f"LABEL_{k}" for k in range(12)]), "6", word=None),
    given("a class by its index", "class:2", "dog_sled", 2),
    given("a class by what is said to be its index", "class:index:2", "dog_sled", 2),
    given("a class by its synonym", "class:sledge", "dog_sled", 2),
    given("a class in capitals", "class:Dog-Sled", "dog_sled", 2),
    *(
        file(f"the name {name}", "names.txt", lines(ODD), name, word=name, position=position)
        for position, name in enumerate(ODD)
    ),
    # What must be refused.
    file("a number that is a name and an index", "names.txt", lines(NUMBERS), "5", refused="index:5.*name:5"),
    file("eleven names", "names.txt", lines(NAMES[:-1]), refused="11 names, and .* gives 12 columns"),
    file("a blank line among the names", "names.txt", lines([*NAMES[:3], "", *NAMES[3:]]), refused="line 4 is blank"),
    file(
        "indices from 1",
        "names.json",
        structure({str(k + 1): name for k, name in enumerate(NAMES)}),
        refused="begin at 1",
    ),
    file(
        "a mapping of numbers",
        "names.json",
        structure({str(k): 11 - k for k in range(12)}),
        refused="names cannot be told from indices",
    ),
    file("a picture in place of names", "names.txt", b"\x89PNG\r\n\x1a\n\0\0", refused="no text"),
    file("a table without names", "names.csv", lines([f"{k},{k}" for k in range(12)]), refused="several of its col"),
    file("a name that two classes have", "names.txt", lines(["yawl", *NAMES[1:]]), refused="class:0, class:6"),
    file("a WordNet id where none are", "names.txt", lines(NAMES), "n04612505", refused="without WordNet ids"),
    given("a name misspelt", "class:flagpoel", None, 0, "nearest: flagpole"),
    given("an index that is none", "class:12", None, 0, "12 classes, 0 to 11"),
    given("no class", "class:", None, 0, "not written as one can be"),
    given("two classes", "class:bee,flagpole", None, 0, "several classes.*-m target="),
    Form(
        "a file of names that is not there",
        own(labels="nams.txt"),
        refused="no file at .*nearest: names.txt",
        write=written("names.txt", lines(NAMES)),
    ),
)
