"""Objects from configuration: only allowed code, only known keys."""

import operator
import os
from functools import lru_cache, partial

import pytest

from diffexplain.config.configuration import compose
from diffexplain.config.instantiate import build, locate
from diffexplain.errors import UserError
from diffexplain.segmentation import Segmenter

CALIBRATION = "diffexplain.segmentation.clipseg.Calibration"


def test_a_part_is_called_with_the_other_keys() -> None:
    node = {"_target_": CALIBRATION, "mask_threshold": 0.3, "name": "x"}
    assert build(node).mask_threshold == 0.3
    node = {"_target_": CALIBRATION, "minimum_area": 0.1}
    assert build(node, 0.4).mask_threshold == 0.4


def test_class_methods_are_found() -> None:
    assert locate("diffexplain.segmentation.Segmenter.load") == Segmenter.load


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "builtins.eval",
        "diffexplain_evil.run",
        "diffexplain.target.GRAMMAR",
        "diffexplain.nothing",
        "diffexplain.classifiers.nothing",
        "diffexplain",
        "",
        # What belongs to the package and is no part of a run.
        "diffexplain.config.instantiate.build",
        "diffexplain.app.make",
        "diffexplain.explain",
        "diffexplain.cli.main",
        "diffexplain.weights.convert.main",
        "diffexplain.weights.atomic.write_text",
        "diffexplain.segmentation.clipseg.resolve_folder",
        # What a part imports, inherits or holds.
        "diffexplain.segmentation.clipseg.json.loads",
        "diffexplain.segmentation.clipseg.torch.load",
        "diffexplain.segmentation.clipseg.torch.hub.load",
        "diffexplain.segmentation.Segmenter.load_state_dict",
        "diffexplain.segmentation.clipseg.CALIBRATION_FILE.encode",
        "diffexplain.classifiers.architectures.ARCHITECTURES.pop",
        # What every function and class has.
        "diffexplain.segmentation.clipseg.__builtins__.get",
        "diffexplain.segmentation.Segmenter.load.__func__.__globals__.get",
        "diffexplain.segmentation.Segmenter.__init__",
        "diffexplain.segmentation.Segmenter.__subclasses__",
        "diffexplain.segmentation.Segmenter.__class__",
        "diffexplain.segmentation..clipseg.Segmenter",
    ],
)
def test_nothing_else_is_called(name: str) -> None:
    with pytest.raises(UserError):
        locate(name)


class Elsewhere:
    """Of another package."""

    @classmethod
    def make(cls) -> None: ...


@pytest.mark.parametrize(
    "foreign",
    [
        os.system,
        Elsewhere,
        Elsewhere.make,
        Elsewhere().make,
        partial(os.system, "true"),
        partial(Segmenter.load, "embedded:clipseg"),
        lru_cache(os.system),
        staticmethod(Elsewhere),
        operator.attrgetter("load"),
        dict[str, int],
    ],
    ids=lambda foreign: type(foreign).__name__,
)
def test_what_a_part_holds_of_others_is_not_called(foreign: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diffexplain.segmentation.clipseg.held", foreign, raising=False)
    monkeypatch.setattr(Segmenter, "held", foreign, raising=False)
    for name in ("diffexplain.segmentation.clipseg.held", "diffexplain.segmentation.Segmenter.held"):
        with pytest.raises(UserError, match="must be a class or function"):
            locate(name)


def test_other_plugins_cannot_be_smuggled_in_by_a_part() -> None:
    node = {"_target_": "os.system", "command": "true"}
    with pytest.raises(UserError, match="part of a run"):
        build({"_target_": "diffexplain.config.instantiate.build", "node": node, "plugins": ["os", "posix"]})
    node = {"_target_": "diffexplain.classifiers.load_checkpoint", "network": "os.system", "preprocessing": {"size": 8}}
    with pytest.raises(UserError, match="named by the run alone"):
        build(node | {"plugins": ["os", "posix"], "arguments": {"command": "true"}}, where="diffusion")
    with pytest.raises(UserError, match="package that `plugins` names"):
        build(node, where="diffusion")


def test_a_part_that_looks_names_up_is_given_the_runs_plugins() -> None:
    node = {"_target_": "diffexplain.classifiers.load_checkpoint", "preprocessing": {"size": 8}}
    with pytest.raises(UserError, match=r"torch\.nn\.Module"):
        build(node | {"network": "packaging.version.Version", "arguments": {"version": "1"}}, plugins=["packaging"])


def test_a_plugin_is_allowed_by_name() -> None:
    with pytest.raises(UserError, match="plugins"):
        locate("packaging.version.Version")
    assert str(build({"_target_": "packaging.version.Version"}, "1.0", plugins=["packaging"])) == "1.0"
    assert locate("torchvision.models.resnet18", plugins=["torchvision.models"]).__name__ == "resnet18"


@pytest.mark.parametrize(
    ("plugin", "told"),
    [
        ("os", "Python's own library"),
        ("subprocess", "Python's own library"),
        ("json", "Python's own library"),
        ("os.path", "Python's own library"),
        ("torch", "a run is made with it"),
        ("torch.hub", "a run is made with it"),
        ("hydra", "a run is made with it"),
        ("diffexplain", "a run is made with it"),
        ("_mine", "dotted name"),
        ("mine.", "dotted name"),
        ("", "dotted name"),
        ("mine/other", "dotted name"),
        (3, "dotted name"),
    ],
)
def test_some_names_are_no_plugins_whoever_says_them(plugin: object, told: str) -> None:
    with pytest.raises(UserError, match=told):
        locate(f"{plugin}.run", plugins=[plugin])
    if isinstance(plugin, str) and plugin.isidentifier():
        with pytest.raises(UserError, match=told):
            compose([f"plugins=[{plugin}]"])


def test_a_missing_attribute_names_the_nearest() -> None:
    with pytest.raises(UserError) as caught:
        locate("diffexplain.segmentation.Segmentr", where="segmenter")
    assert caught.value.nearest[0] == "Segmenter"
    assert "segmenter._target_" in str(caught.value)


def test_an_unknown_or_missing_key_is_named_with_its_place() -> None:
    target = "diffexplain.segmentation.Segmenter.load"
    with pytest.raises(UserError) as caught:
        build({"_target_": target, "foldr": "a"}, where="segmenter")
    assert caught.value.given == "segmenter.foldr"
    assert caught.value.nearest[0] == "segmenter.folder"
    with pytest.raises(UserError, match=r"segmenter\.folder is missing"):
        build({"_target_": target, "pairs_at_once": 3}, where="segmenter")
    with pytest.raises(UserError, match=r"segmenter\.folder must have a value"):
        build({"_target_": target, "folder": None}, where="segmenter")
