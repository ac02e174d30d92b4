"""What the pages show of the benchmark, from answers whose worth is known by hand."""

from __future__ import annotations

from tests.shortcut_bench.test_measures import answer


def of(**answers: object) -> dict[str, object]:
    return {name: {"companion_flagpole_cnn": one} for name, one in answers.items()}


def test_the_front_table_is_of_the_methods_that_a_reader_compares() -> None:
    from tables import front_table

    right = answer([0.9, 0.8, 0.1, -0.3, 0.0])
    lines = front_table(of(diffex=right, diffex_uniform=right, chance=answer([0.0] * 5))).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:-2]] == ["| DiffEx", "| chance"]
    assert lines[2].startswith("| DiffEx | 1.00 [1.00, 1.00] | 1.00 [1.00, 1.00] | 1.00 [1.00, 1.00] |")
    assert lines[-1].startswith("1 held-out classifiers")


def test_failures_say_what_was_there_and_what_was_said_instead() -> None:
    from tables import failures

    late = answer([0.3, 0.1, 0.9, -0.8, 0.2])
    silent = answer([0.0] * 5)
    text = failures(of(diffex=late, default=silent))
    assert "the first place is wrong for 1; of 0 controls 0 are accused" in text
    assert "| companion_flagpole_cnn | flag (0.50), red (-0.40), snow (0.30) | night (0.01) |" in text
    assert "| companion_flagpole_cnn | flag (0.50), red (-0.40), snow (0.30) | nothing |" in text
    assert "| classifier |" not in failures(of(diffex=answer([0.9, 0.8, 0.1, -0.3, 0.0])))
