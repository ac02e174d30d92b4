"""What the pages show of the benchmark, from answers whose worth is known by hand."""

from __future__ import annotations

from dataclasses import replace

from tests.experiments.shortcut_bench.test_measures import answer

from experiments.shortcut_bench.catalogue import chosen


def of(**answers: object) -> dict[str, object]:
    return {name: {"companion_flagpole_cnn": one} for name, one in answers.items()}


def test_the_front_table_is_of_the_methods_that_a_reader_compares() -> None:
    from experiments.shortcut_bench.tables import front_table

    right = answer([0.9, 0.8, 0.1, -0.3, 0.0])
    lines = front_table(of(diffex=right, diffex_uniform=right, chance=answer([0.0] * 5))).splitlines()
    assert lines[0] == "| | DiffEx | chance |"
    assert lines[2] == "| first place right, where something is there | 1.00 [0.21, 1.00] n 1 | 0.40 [0.04, 0.92] n 1 |"
    assert lines[-1].startswith("1 classifiers of ShortcutBench's fresh designs, 0 of them controls")


def test_what_is_measured_of_each_method_comes_with_its_counts() -> None:
    from experiments.shortcut_bench.tables import kinds_table, measured_table

    intervals = [(0.4, 0.6), (0.2, 0.4), (-0.01, 0.01), (-0.5, -0.3), (-0.1, 0.1)]
    right = answer([0.5, 0.3, 0.0, -0.4, 0.0], [True, True, False, True, False], intervals=intervals)
    mark = answer([0.0, 0.0, 0.3, 0.0, 0.0], [False, False, True, False, False], name="fresh_61_mark_mushroom_mixer")
    fair = answer([0.0, 0.0, 0.0, 0.0, 0.3], [False] * 4 + [True], name="fair_bee_cnn")
    lines = measured_table({"default": {"a": right, "b": mark, "c": fair}, "chance": {"a": answer([0.0] * 5)}})
    cells = {line.split(" | ")[0].removeprefix("| "): line.split(" | ")[1] for line in lines[2:-2]}
    assert lines[0] == "| | the default run's concepts | chance |"
    assert cells["of what is there, reported with its sign"].endswith("n 9")
    assert cells["of absent concepts of controls, reported"].startswith("0.500 [")
    assert cells["of absent concepts of controls, reported"].endswith("n 2")
    assert cells["intervals that hold the effect, at least 0.2"] == "1.000 [0.439, 1.000] n 3"
    assert cells["between"] == cells["planted pair's members among the first three"] == "–"
    assert cells["marks: accused of something absent"] == "1.00 [0.21, 1.00] n 1"
    assert cells["of all concepts, without interval"].startswith("0.67 [")
    assert [line.split(" | ")[0] for line in kinds_table({"default": {"a": right, "c": fair}})[2:]] == [
        "| companion", "| fair",
    ]  # fmt: skip


def test_failures_say_what_was_there_and_what_was_said_instead() -> None:
    from experiments.shortcut_bench.tables import failures

    late = answer([0.3, 0.1, 0.9, -0.8, 0.2])
    silent = answer([0.0] * 5)
    text = failures(of(diffex=late, default=silent))
    assert "the first place is wrong for 1; of 0 controls 0 are accused" in text
    assert "| companion_flagpole_cnn | flag (0.50), red (-0.40), snow (0.30) | night (0.01) |" in text
    assert "| companion_flagpole_cnn | flag (0.50), red (-0.40), snow (0.30) | nothing |" in text
    assert "| classifier |" not in failures(of(diffex=answer([0.9, 0.8, 0.1, -0.3, 0.0])))


def test_doses_say_from_what_true_effect_on_a_method_speaks() -> None:
    from experiments.shortcut_bench.tables import doses

    def at(strength: int, true: float, reported: bool) -> object:
        found = answer([0.5, 0.0, 0.0, 0.0, 0.0], [reported] + [False] * 4, intervals=[(0.4, 0.6)] + [(-0.1, 0.1)] * 4)
        (one,) = chosen([f"dose_companion_acoustic_guitar_mixer_{strength}"], "dose")
        ((value,),) = one.shortcuts
        first, *others = found.explained.findings
        findings = (replace(first, value=value), *others)
        return replace(
            found, specification=one, explained=replace(found.explained, findings=findings), true={value: true}
        )

    lines = doses("Doses", {"default": {"b": at(97, 0.45, True), "a": at(50, 0.02, False)}, "chance": {}})
    assert lines[4] == "| planted | strength | true effect | the default run's concepts |"
    assert [line.split(" | ")[1:3] for line in lines[6:8]] == [["0.5", "+0.02"], ["0.97", "+0.45"]]
    assert "1 of 1 that are there (0.2 or more) are reported, and 0 of 1 smaller ones" in lines[-2]
    assert lines[-2].endswith("the smallest true effect that is reported: 0.45.")
