"""The table of the attribution baseline, made of a record."""

from __future__ import annotations

from typing import Any


def result(seed: int, best: str) -> dict[str, Any]:
    """Grad-CAM for flagpole: `best` is lifted in the shortcut classifier, nothing in the fair one."""
    scores = []
    for name in ("shortcut_cnn", "fair_cnn"):
        for phrase in ("a flag", "a house", "in the snow"):
            lifted = name == "shortcut_cnn" and phrase == best
            entry = {"classifier": name, "method": "Grad-CAM", "phrase": phrase, "n": 9}
            scores.append(entry | {"lift": 3.0 if lifted else 0.5, "found": lifted})
    return {"class": "flagpole", "seed": seed, "scores": scores}


def test_the_table_is_made_of_the_record() -> None:
    from experiments.diffex.attribution import BEGIN, ELEMENTS, END, RESULTS, table

    lines = table([result(1, "a flag"), result(2, "a house")]).splitlines()
    (line,) = [line for line in lines if line.startswith("| Grad-CAM | cnn")]
    cells = dict(zip(lines[0].split(" | "), line.split(" | "), strict=True))
    # The flag is what was planted; it is first in one of two rankings, and what is there is found in one of two.
    assert cells["first place planted and learned"] == "0.50 (0.00 to 1.00), n 2"
    assert cells["lift above 1: of what is there"] == "0.50 (0.00 to 1.00), n 2"
    assert cells["lift above 1: fair classifiers |"].startswith("0.00 (0.00 to 0.00), n 6")
    assert len(ELEMENTS) == 18
    content = RESULTS.read_text()
    assert BEGIN in content
    assert END in content
