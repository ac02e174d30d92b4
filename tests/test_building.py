"""Objects from configuration: only allowed code, only known keys."""

import pytest

from diffexplain.building import build, locate
from diffexplain.errors import UserError


def test_a_function_of_the_package_is_called_with_the_other_keys() -> None:
    node = {"_target_": "diffexplain.runs.draws.Draws", "run_seed": 3, "target": "class:bee", "name": "x"}
    assert build(node).run_seed == 3
    node = {"_target_": "diffexplain.runs.draws.Draws", "target": "class:bee"}
    assert build(node, 4).run_seed == 4


def test_class_methods_are_found() -> None:
    target = build({"_target_": "diffexplain.target.Target.parse", "text": "class:bee"})
    assert target.class_text == "bee"


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "builtins.eval",
        "diffexplain_evil.run",
        "diffexplain.runs.atomic.os.system",
        "diffexplain.runs.atomic.shutil.rmtree",
        "diffexplain.target.GRAMMAR",
        "diffexplain.nothing",
        "diffexplain.target.Targets",
        "diffexplain",
        "",
    ],
)
def test_nothing_else_is_called(name: str) -> None:
    with pytest.raises(UserError):
        locate(name)


def test_a_plugin_is_allowed_by_name() -> None:
    with pytest.raises(UserError, match="plugins"):
        locate("json.dumps")
    assert build({"_target_": "json.dumps"}, [1], plugins=["json"]) == "[1]"


def test_a_missing_attribute_names_the_nearest() -> None:
    with pytest.raises(UserError) as caught:
        locate("diffexplain.target.Labls", where="classifier")
    assert caught.value.nearest[0] == "Labels"
    assert "classifier._target_" in str(caught.value)


def test_an_unknown_or_missing_key_is_named_with_its_place() -> None:
    with pytest.raises(UserError) as caught:
        build({"_target_": "diffexplain.runs.draws.Draws", "run_sed": 3, "target": "a"}, where="draws")
    assert caught.value.given == "draws.run_sed"
    assert caught.value.nearest[0] == "draws.run_seed"
    with pytest.raises(UserError, match=r"draws\.target is missing"):
        build({"_target_": "diffexplain.runs.draws.Draws", "run_seed": 3}, where="draws")
    with pytest.raises(UserError, match=r"draws\.target must have a value"):
        build({"_target_": "diffexplain.runs.draws.Draws", "run_seed": 3, "target": None}, where="draws")
