"""Generated text replaces what stands between its marks and nothing else."""

from pathlib import Path

import pytest

from experiments.marked import write_between

BEGIN, END = "<!-- a -->", "<!-- b -->"


def test_only_the_marked_part_changes_and_writing_again_changes_nothing(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"head\n{BEGIN}\nold\n{END}\ntail\n")
    write_between(page, BEGIN, END, "new")
    once = page.read_text()
    assert once == f"head\n{BEGIN}\nnew\n{END}\ntail\n"
    write_between(page, BEGIN, END, "new")
    assert page.read_text() == once


@pytest.mark.parametrize("text", ["nothing", BEGIN, END, f"{END} {BEGIN}"])
def test_a_page_without_the_marks_is_left_alone(tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(ValueError, match="lacks the marks"):
        write_between(page, BEGIN, END, "new")
    assert page.read_text() == text
