"""Summaries of earlier versions, read as ones of the present: what was not measured then is absent, never 0."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from diffexplain.report.codec import Malformed

SCHEMA_VERSION = "4"
BEFORE_EFFECTS = "1"
"""The version that knew no methods but those that find a prompt."""
BEFORE_CONTROL = "2"
"""The version that knew no comparisons and no control."""
BEFORE_VERDICTS = "3"
"""The version that gave effects on the raw logit, which is no log-odds, judged elements by inpainting, and gave the
effects of concepts no verdicts."""
READ = (BEFORE_EFFECTS, BEFORE_CONTROL, BEFORE_VERDICTS, SCHEMA_VERSION)

INPAINTING = "inpainting"
"""The policy of effects that were found by taking things out of pictures."""
BEFORE = "it was measured before verdicts were given"
BY_INPAINTING = "it was taken out of pictures by inpainting, and no effect beyond the margin was found"
NOT_SEEN = "it was not seen in enough pictures"
_KINDS = {"description": "attribute"}
"""The present name of an old kind."""
_FOUND = ("core", "spurious")


def as_present(plain: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a summary with the present fields.

    Elements that were taken out of pictures by inpainting become concepts with the effect that was measured then.

    Raises:
        Malformed: it is not as that version wrote it.
    """
    try:
        return _as_present(plain)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise Malformed(f"{type(error).__name__}: {error}") from error


def _as_present(plain: Mapping[str, Any]) -> dict[str, Any]:
    content = dict(plain)
    content.setdefault("effects", None)
    for name, value in (("comparisons", []), ("control", None), ("quality", []), ("statement", None)):
        content.setdefault(name, value)
    if isinstance(content.get("words"), dict):
        content["words"].setdefault("captions", [])
    if isinstance(content.get("effects"), dict):
        content["effects"].setdefault("confirmation", None)
    if isinstance(content.get("control"), dict):
        content["control"] = {key: value for key, value in content["control"].items() if key != "elements"}
    if isinstance(content.get("object_absence"), dict):
        content["object_absence"] |= {"sensitivity": None, "specificity": None}
    elements = content.pop("elements", [])
    content = _mapped(_mapped(content, _without_logits), _without_verdicts)
    if content["effects"] is not None:
        content["effects"] |= {"control": None, "calibration": None}
    elif elements:
        content["effects"] = _effects(elements, content)
    return content | {"schema_version": SCHEMA_VERSION, "same_answer": None}


def _effects(elements: list[Any], content: Mapping[str, Any]) -> dict[str, Any] | None:
    """What inpainting found, as effects of concepts; None where nothing was tested."""
    tested = [element for element in elements if element["removal"] is not None]
    tested_names = {element["phrase"] for element in tested}
    if not tested:
        return None
    ranking = {
        "classifier": content["classifier"]["name"],
        "target": content["target"]["text"],
        "concepts": [_concept(element) for element in tested],
        "null_score": content["activation"][0]["mean"],
        "null_shift": None,
        "combinations": [],
        "itself": None,
        "untested": [
            {
                "path": _path(element),
                "text": element["phrase"],
                "kind": _KINDS.get(element["kind"], element["kind"]),
                "reason": element["reason"] or NOT_SEEN,
                "screened": None,
            }
            for element in elements
            if element["phrase"] not in tested_names
        ],
    }
    budget = dict.fromkeys(("images", "search_images", "evaluations", "preparing", "uniform_images", "screening"), 0)
    return {
        "subject": str(content["target"]["class_name"]),
        "rankings": [ranking],
        "differences": [],
        "budget": {**budget, "policy": INPAINTING, "read": content["images_generated"]},
        "confirmation": None,
        "control": None,
        "calibration": None,
    }


def _path(element: Mapping[str, Any]) -> list[str]:
    """Below what it is a kind, or one, of."""
    return [element["of"], element["phrase"]] if element["of"] else [element["phrase"]]


def _concept(element: Mapping[str, Any]) -> dict[str, Any]:
    removal, found = element["removal"], element["verdict"] in _FOUND
    effect = {
        "score": removal["drop"],
        "log_odds": removal.get("log_odds_drop"),
        "adjusted": removal["drop"],
        "p": removal["p"],
        "adjusted_p": removal["adjusted_p"],
        "significant": found,
        "e": None,
        "holds_by_e": None,
    }
    return {
        "path": _path(element),
        "text": element["phrase"],
        "kind": _KINDS.get(element["kind"], element["kind"]),
        "over_all": effect,
        "over_took": None,
        "took": removal["took"],
        "within_noise": None,
        "verdict": element["verdict"] if found else "undecided",
        "reason": None if found else BY_INPAINTING,
        "inside": element["overlap"],
        "strayed": None,
        "screened": None,
    }


def _mapped(plain: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    """The same with every object in it changed, the inner ones first."""
    if isinstance(plain, list):
        return [_mapped(item, change) for item in plain]
    if not isinstance(plain, dict):
        return plain
    return change({key: _mapped(item, change) for key, item in plain.items()})


def _without_logits(plain: dict[str, Any]) -> dict[str, Any]:
    """With nothing in the place of an effect on a raw logit, which says less than one on the log-odds."""
    old = {"logit": "log_odds", "logit_drop": "log_odds_drop"}
    return {old.get(key, key): None if key in old else item for key, item in plain.items()}


def _without_verdicts(known: dict[str, Any]) -> dict[str, Any]:
    """With what effects did not say yet: nothing tested by e-values, no verdict, no object by itself."""
    if "over_took" in known:
        return {"verdict": "undecided", "reason": BEFORE, "inside": None, "strayed": None, "screened": None} | known
    if {"adjusted_p", "significant"} <= known.keys():
        return {"e": None, "holds_by_e": None} | known
    if {"concepts", "null_score"} <= known.keys():
        return {"itself": None, "untested": []} | known
    return ({"screening": 0} if "uniform_images" in known else {}) | known
