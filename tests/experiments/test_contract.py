"""The forms in which people bring a classifier: each is right or refused, as the table says."""

from pathlib import Path

import pytest

from experiments.classifiers.contract import FORMS, Form, judge


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
@pytest.mark.filterwarnings("ignore:.*is no word")
def test_a_form_of_the_embedded_classifier_is_right_or_refused(form: Form, tmp_path: Path) -> None:
    verdict, found = judge(form, tmp_path / "form")
    assert verdict == ("right" if form.refused is None else "refused"), found


def test_there_are_many_forms_and_each_has_a_name_of_its_own() -> None:
    assert len({form.name for form in FORMS}) == len(FORMS) >= 60
