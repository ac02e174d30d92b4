"""The measurement of the checks of edits: what its cases are, and its table."""

from __future__ import annotations

from dataclasses import fields

from experiments.diffex import checks


def test_scenes_differ_in_the_value_alone_and_then_in_another_thing() -> None:
    for case in checks.cases("flagpole", 3):
        changed, other = (
            {
                field.name
                for field in fields(case.absent)
                if getattr(case.absent, field.name) != getattr(scene, field.name)
            }
            for scene in (case.present, case.other)
        )
        assert changed == {"companions" if case.thing in ("companion", "subtype") else case.thing}
        assert other == {"texture" if case.thing == "colour" else "colour"}
        assert case.path[0] == {"subtype": "companion"}.get(case.thing, case.thing)


def test_the_table_gives_shares_and_says_what_is_not_checked() -> None:
    found = [
        checks.Answer(thing, check, told, False)
        for thing in checks.THINGS
        for check in checks.CHECKS
        for told in (True, False)
        if (thing, check) != ("companion", "similarity")
    ]
    lines = checks.table(found).splitlines()
    assert lines[2] == "| companion | 2 | 0.50, 0.00 | no rivals | 0.50, 0.00 | mask |"
    assert lines[4].endswith("| similarity |") and lines[-2].endswith("| gain |")
    assert lines[-1].endswith("| none: not checked |")
    assert checks.BEGIN in checks.RESULTS.read_text(encoding="utf-8")
