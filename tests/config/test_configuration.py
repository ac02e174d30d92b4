"""Composing configurations, and what is said about overrides that cannot be composed."""

import contextlib
import inspect
import json
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from diffexplain.config import configuration, reproduce
from diffexplain.config.configuration import available, compose, defaults, expand
from diffexplain.config.digests import CONTENTS
from diffexplain.config.keys import leaves
from diffexplain.config.overrides import assignment, parse
from diffexplain.errors import UserError

MORE = f"paths.configs=[{Path(__file__).parents[1] / 'conf'}]"


def test_the_default_run_is_the_flagpole_of_the_shortcut_cnn() -> None:
    config = compose()
    assert config["target"] == "class:flagpole"
    assert config["classifier"]["name"] == "world_shortcut_cnn"
    assert config["explainer"]["name"] == "diffexplainer"
    assert config["diffusion"]["name"] == "world"
    assert (defaults()["diffusion"], defaults()["segmenter"]) == ("world", "world")
    assert {group for group, choice in defaults().items() if choice is None} == {"experiment"}


@pytest.mark.parametrize("group", sorted(set(available()) - {"experiment"}))
def test_every_choice_composes_and_is_named_after_its_file(group: str) -> None:
    for name in available()[group]:
        assert compose([f"{group}={name}"])[group]["name"] == name


def test_what_choices_have_in_common_is_no_choice_and_can_be_built_on(tmp_path: Path) -> None:
    assert not [name for names in available().values() for name in names if "base" in name or "imagenet" in name]
    for override in ("classifier=base/imagenet", "classifier/base=imagenet", "published.taesd.part=unet"):
        with pytest.raises(UserError, match="There is no such") as caught:
            compose([override])
        assert not [name for name in caught.value.accepted if "base" in name or "published" in name]
    for folder, text in (
        ("classifier", "defaults: [base/imagenet@_here_, _self_]\nname: mine\nhierarchy: faces\n"),
        (
            "diffusion",
            "defaults: [base/stable_diffusion@_here_, _self_]\nname: mine\nweights: ['${published.taesd}']\n",
        ),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.yaml").write_text(text)
    config = compose([f"paths.configs=[{tmp_path}]", "classifier=mine", "diffusion=mine"])
    assert (config["classifier"]["hierarchy"], config["classifier"]["output"]) == ("faces", "auto")
    (weights,) = config["diffusion"]["weights"]
    assert weights["repository"] == "madebyollin/taesd"
    assert compose(["classifier=resnet50"])["diffusion"]["name"] == "sd14_lcm"


def test_what_was_composed_before_changes_nothing() -> None:
    chosen = (["explainer=dexter", "evaluation=quick"], ["experiment=bee"], [])

    def composed(order: Sequence[list[str]]) -> list[dict[str, Any]]:
        for kept in (configuration._compose, configuration._read):
            kept.cache_clear()
        return [configuration.without_digests(one) for one in order]

    assert composed(chosen) == composed(chosen[::-1])[::-1]


def test_the_help_of_a_choice_shows_the_files_that_it_is_made_of() -> None:
    files = configuration.chosen_files(["classifier=caffenet_onnx", "seed=1"])
    folder = configuration.FOLDER / "classifier"
    assert list(files.values()) == [
        folder / "caffenet_onnx.yaml",
        folder / "caffenet.yaml",
        folder / "base/imagenet.yaml",
    ]
    assert next(iter(files)) == "classifier=caffenet_onnx"


@pytest.mark.parametrize("name", available()["explainer"])
def test_a_method_has_a_default_for_every_group_that_it_reads(name: str) -> None:
    config = compose([f"explainer={name}"])
    of_a_test = {"concepts", "editor", "effects"}
    of_a_prompt = {"discovery", "prompt", "augmentation", "gradient", "memory", "evaluation", "wording"}
    of_images = {key: {"augmentation"} for key in ("yosinski", "mahendran_vedaldi", "nguyen", "maco")}
    of_effects = {"diffex": of_a_test, "randomised_prompts": of_a_test | {"discovery"}}
    own = {**of_effects, **of_images}.get(name, of_a_test | of_a_prompt)
    of_all = {"segmenter", "diffusion", "classifier", "explainer", "trainer", "logger", "callbacks"}
    assert {group for group in available() if group in config} == own | of_all


@pytest.mark.parametrize(
    ("overrides", "needed"),
    [
        (["experiment=confirm"], ["from_run", "images"]),
        (["experiment=confirm", "images=tests/conf"], ["from_run"]),
    ],
)
def test_all_that_an_experiment_needs_is_named_at_once(overrides: list[str], needed: list[str]) -> None:
    with pytest.raises(UserError, match=f"needs {' and '.join(needed)}") as caught:
        compose(overrides)
    assert [text.partition("=")[0] for text in caught.value.accepted] == needed


def test_several_loggers_are_chosen_at_once_each_under_its_name() -> None:
    logger = compose(["logger=[wandb,csv]", "logger.wandb.project=mine"])["logger"]
    assert (logger["wandb"]["project"], logger["csv"]["name"]) == ("mine", "csv")
    assert compose(["logger=[]"])["logger"] == compose(["logger=local"])["logger"]
    with pytest.raises(UserError, match="no such logger") as caught:
        compose(["logger=[wandb,cvs]"])
    assert caught.value.nearest[0] == "csv"


@pytest.mark.parametrize("said", ["defaults: [override /hydra/job_logging: none]", "hydra: {verbose: true}"])
def test_what_a_file_says_of_hydra_is_none_of_the_runs_configuration(said: str, tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(f"# @package _global_\n{said}\n")
    folder = f"paths.configs=[{tmp_path}]"
    assert compose([folder, "experiment=mine"]) == compose([folder])


def test_a_key_that_another_method_reads_is_said_to_be_its() -> None:
    with pytest.raises(UserError, match="reads no images") as caught:
        compose(["images=/nonexistent"])
    assert "explainer=diffex" in caught.value.accepted


def test_a_group_that_the_method_does_not_read_is_refused() -> None:
    for overrides in (["explainer=maco", "editor=paired"], ["explainer=diffex", "discovery=quick"]):
        with pytest.raises(UserError, match="reads no"):
            compose(overrides)
    for overrides in (["explainer=diffex", "prompt=free"], ["explainer=diffex", "memory=low_vram"]):
        with pytest.raises(UserError, match="reads no"):
            compose(overrides)


@pytest.mark.parametrize("name", available()["experiment"])
def test_every_experiment_composes_without_new_keys(name: str, tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text('{"command": "python run.py"}')
    given = [f"from_run={tmp_path}", f"images={tmp_path}", "editor=leditspp"] if name == "confirm" else []
    config = compose([f"experiment={name}", *given])
    chosen = [f"{group}={config[group]['name']}" for group in available() if group in config]
    assert {key for key, _ in leaves(config)} == {key for key, _ in leaves(compose([*chosen, *given[:2]]))}


def test_profiles_are_what_they_say() -> None:
    assert compose(["experiment=dog_sled_vit"])["classifier"]["name"] == "world_shortcut_vit"
    assert compose(["experiment=free_prompt"])["prompt"]["name"] == "free"
    dexter = compose(["experiment=dexter_profile"])
    assert (dexter["explainer"]["fresh_latents"], dexter["explainer"]["batch"]) == (False, 1)
    assert (dexter["prompt"]["tokens"], dexter["prompt"]["prefix"]) == (1, "a picture of a")
    assert dexter["gradient"]["name"] == "attention_only"


@pytest.mark.parametrize(
    ("overrides", "gradient", "micro_batch"),
    [
        (["memory=low_vram"], "checkpointed", 1),
        (["memory=low_vram", "gradient=spsa"], "spsa", 1),
        (["memory=low_vram", "experiment=dexter_profile"], "attention_only", 1),
        (["memory=24gb"], "exact", 4),
        (["memory=80gb", "memory.micro_batch=null"], "exact", None),
    ],
)
def test_a_memory_preset_may_bring_a_gradient_and_gives_way(
    overrides: list[str], gradient: str, micro_batch: int | None
) -> None:
    config = compose(overrides)
    assert (config["gradient"]["name"], config["memory"]["micro_batch"]) == (gradient, micro_batch)


def test_the_command_line_goes_before_an_experiment() -> None:
    config = compose(["experiment=bee", "classifier=world_fair_vit", "target=class:yawl"])
    assert (config["classifier"]["name"], config["target"]) == ("world_fair_vit", "class:yawl")


def test_a_classifier_brings_its_prior_and_vocabulary_and_the_command_line_overrides_both() -> None:
    brought = compose([MORE, "classifier=pretend"])
    assert brought["diffusion"]["name"] == "pretend"
    assert brought["classifier"]["vocabulary"] == "tests/conf/vocabulary.yaml"
    overridden = compose([MORE, "classifier=pretend", "diffusion=world", "classifier.vocabulary=mine.yaml"])
    assert overridden["diffusion"]["name"] == "world"
    assert overridden["classifier"]["vocabulary"] == "mine.yaml"
    assert compose([MORE, "diffusion=pretend"])["classifier"]["name"] == "world_shortcut_cnn"


@pytest.mark.parametrize(
    ("overrides", "segmenter"),
    [
        ([], "world"),
        (["classifier=caffenet"], "clipseg"),
        (["classifier=efficientnet_lite0", "diffusion=world"], "world"),
        (["diffusion=local", "diffusion.folder=mine"], "clipseg"),
        (["classifier=caffenet", "segmenter=world"], "world"),
        (["segmenter=clipseg"], "clipseg"),
        (["experiment=bee", "classifier=resnet50"], "clipseg"),
        ([MORE, "classifier=pretend"], "pretend"),
    ],
)
def test_the_prior_brings_the_segmenter_that_knows_its_pictures(overrides: list[str], segmenter: str) -> None:
    config = compose(overrides)
    assert config["segmenter"]["name"] == segmenter
    assert compose(reproduce.overrides(config))["segmenter"] == config["segmenter"]


@pytest.mark.parametrize(
    ("override", "nearest"),
    [
        ("classifer=world_fair_cnn", "classifier"),
        ("classifier=world_fair_cn", "world_fair_cnn"),
        ("explainer.stepz=4", "explainer.steps"),
        ("images=4", "evaluation.images"),
        ("+tragets=4", "target"),
        ("++explaner.steps=4", "explainer.steps"),
        ("experiment=flagpol", "flagpole"),
    ],
)
def test_a_misspelt_group_choice_or_key_names_the_nearest(override: str, nearest: str) -> None:
    with pytest.raises(UserError) as caught:
        compose([override])
    assert nearest in caught.value.nearest
    assert "diffexplain run" in str(caught.value)


@pytest.mark.parametrize(
    "override",
    [
        "target",
        "=3",
        "target='",
        "seed=[1",
        "~seed",
        "~classifier",
        "classifier=[world_fair_cnn]",
        "classifier=null",
        "prompt@other=free",
        "seed=1.5",
        "seed=many",
        "seed=null",
        "force=maybe",
        "explainer.batch=true",
        "explainer.weight_decay=nan",
        "explainer=4",
        "paths=outputs",
        "plugins=mine",
        "hydra.searchpath=[pkg://other]",
        "paths.configs=[nowhere]",
        "hydra.run.dir=elsewhere",
        "target=class:flagpole,class:bee",
    ],
)
def test_what_cannot_be_composed_is_a_users_error_that_repeats_it(override: str) -> None:
    with pytest.raises(UserError):
        compose([override])


@settings(max_examples=30)
@given(st.text(max_size=20))
def test_any_override_is_composed_or_a_users_error(text: str) -> None:
    for override in (text, f"target={text}"):
        with contextlib.suppress(UserError):
            compose([override])


def test_values_take_the_type_of_the_default() -> None:
    config = compose(["explainer.weight_decay=1", "prompt.prefix=7", "explainer.stop_at=null"])
    assert repr(config["explainer"]["weight_decay"]) == "1.0"
    assert config["prompt"]["prefix"] == "7"
    assert config["explainer"]["stop_at"] is None
    assert compose(["target=class:557"])["target"] == "class:557"
    assert compose(["prompt.prefix=a texture of"])["prompt"]["prefix"] == "a texture of"


ODD = (
    "carpenter's kit",
    "flagpole, flagstaff",
    "salt & pepper",
    "C#",
    "Käfer",
    "蜜蜂",
    "crane (bird)",
    "a=b",
    "x: y",
    "me@home",
    r"back\slash",
    "US$ bill",
    "${seed}",
    r"\${seed}",
    '"quoted" \'s',
    "[list], {map}",
    "it's, well, `odd`; ~100 % 'sure'!",
)


@pytest.mark.parametrize("name", ODD)
def test_a_target_is_taken_as_it_is_typed(name: str) -> None:
    typed = f"target=class:{name}"
    config = compose([typed])
    assert config["target"] == f"class:{name}"
    assert reproduce.overrides(config) == [typed]
    assert compose([f"target=unit:layer4.2:512@{name}"])["target"] == f"unit:layer4.2:512@{name}"
    assert expand([typed, "seed=0,1"]) == [[typed, "seed=0"], [typed, "seed=1"]]


@pytest.mark.parametrize("name", [name for name in ODD if "${" not in name])
def test_other_text_may_hold_every_sign_too(name: str) -> None:
    path = f"/photos/{name}.txt"
    typed = f"classifier.labels={path}"
    if "," not in name and "\\" not in name:  # Hydra gives these a meaning of their own.
        assert compose([typed])["classifier"]["labels"] == path
    assert compose([assignment("classifier.labels", path)])["classifier"]["labels"] == path
    names = ["bee", name]
    assert compose([assignment("classifier.labels", names)])["classifier"]["labels"] == names


def test_a_list_of_names_is_read_as_it_is_typed() -> None:
    config = compose(["classifier.labels=[carpenter's kit, potter's wheel,'salt, pepper',C#,bee]"])
    assert config["classifier"]["labels"] == ["carpenter's kit", "potter's wheel", "salt, pepper", "C#", "bee"]


def test_the_commas_of_a_sweep_over_targets_are_those_before_another_target() -> None:
    assert expand(["target=class:flagpole, flagstaff,class:carpenter's kit, 'class:a, class:b',unit:x.y:3@z"]) == [
        ["target=class:flagpole, flagstaff"],
        ["target=class:carpenter's kit"],
        ["target='class:a, class:b'"],
        ["target=unit:x.y:3@z"],
    ]
    assert compose(["target='class:a, class:b'"])["target"] == "class:a, class:b"
    assert expand(["target=choice(class:a,class:b)"]) == [["target=class:a"], ["target=class:b"]]
    assert expand(["target=file:a, b.txt,class:c"]) == [["target=file:a, b.txt"], ["target=class:c"]]
    assert expand(["target=all"]) == [["target=all"]]


def test_a_sweep_over_text_that_hydra_cannot_read_stays_a_sweep() -> None:
    assert [compose(one)["prompt"]["prefix"] for one in expand(["prompt.prefix=Käfer's,'a, b',c"])] == [
        "Käfer's",
        "a, b",
        "c",
    ]


@pytest.mark.parametrize(
    ("override", "shown"),
    [
        ("target=class:a,class:b", "-m makes a run of each"),
        ("classifier.labels=/photos, mine/a.txt", "\"classifier.labels='/photos, mine/a.txt'\""),
        ("classifier.labels=/it's, mine/a.txt", "\"classifier.labels='/it\\\\'s, mine/a.txt'\""),
        ("prompt.prefix='a", "ends with one"),
        ("prompt.prefix='a' b", "ends with one"),
        ("prompt.prefix=choice(a's,b)", "quotation marks"),
        ("seed=it's", "whole number"),
        ("classifier=it's", "no such classifier"),
        ("it's=3", "key=value"),
        ("target", "key=value"),
        ("=3", "key=value"),
    ],
)
def test_what_cannot_be_read_is_said_without_the_words_of_a_parser(override: str, shown: str) -> None:
    with pytest.raises(UserError) as caught:
        compose([override])
    assert shown in str(caught.value)
    assert "Exception" not in str(caught.value)
    assert "mismatched" not in str(caught.value)


def through_a_shell(command: str) -> list[str]:
    """The words that a shell makes of a command."""
    words = subprocess.run(["sh", "-c", f"printf '%s\\0' {command}"], capture_output=True, check=True).stdout
    return words.decode().split("\0")[:-1]


@settings(max_examples=30)
@given(
    st.lists(
        st.one_of(
            st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=8),
            st.text("'\"\\\\$`!{}[](),:=# a~&", min_size=1, max_size=8),
            st.sampled_from(ODD),
        ).filter(str.strip),
        min_size=1,
        max_size=3,
    )
)
def test_the_command_that_repeats_a_run_goes_through_a_shell_whatever_things_are_called(names: list[str]) -> None:
    config = compose()
    config["target"] = f"class:{names[0].strip()}"
    config["prompt"]["prefix"] = names[-1]
    config["classifier"]["labels"] = names if len(names) > 1 else names[0]
    command = reproduce.command(config)
    program, command_of_it, *overrides = through_a_shell(command)
    assert (program, command_of_it) == ("diffexplain", "run")
    assert shlex.split(command)[2:] == overrides
    again = compose(overrides)
    assert (again["target"], again["prompt"]) == (config["target"], config["prompt"])
    assert again["classifier"]["labels"] == config["classifier"]["labels"]


def test_a_sweep_is_every_combination_in_order() -> None:
    assert expand(["target=class:a,class:b", "seed=0,1", "force=true"]) == [
        ["target=class:a", "seed=0", "force=true"],
        ["target=class:a", "seed=1", "force=true"],
        ["target=class:b", "seed=0", "force=true"],
        ["target=class:b", "seed=1", "force=true"],
    ]
    assert expand(["seed=range(3)"]) == [["seed=0"], ["seed=1"], ["seed=2"]]
    assert expand(["prompt.prefix='a, b',c"]) == [["prompt.prefix='a, b'"], ["prompt.prefix=c"]]
    assert expand([]) == [[]]
    with pytest.raises(UserError):
        expand(["classifier=glob(*)"])


def test_a_glob_of_a_key_is_a_sweep_over_files_in_natural_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("epoch=10.ckpt", "epoch=9.ckpt", ".hidden.ckpt", "last.ckpt", "epoch=100.ckpt"):
        (tmp_path / name).touch()
    for pattern in ("*.ckpt", f"{tmp_path}/*.ckpt"):
        found = expand([f"classifier.checkpoint=glob({pattern},exclude=*last*)", "seed=0"])
        values = [parse(overrides)[0].value() for overrides in found]
        assert [Path(value).name for value in values] == ["epoch=9.ckpt", "epoch=10.ckpt", "epoch=100.ckpt"]
        assert Path(values[0]).is_absolute() == pattern.startswith("/")
    with pytest.raises(UserError, match="No file or folder"):
        expand(["classifier.checkpoint=glob(*.pt)"])


@pytest.mark.parametrize(
    "group",
    [
        *("explainer", "prompt", "trainer", "diffusion", "classifier", "logger", "segmenter", "augmentation"),
        *("concepts", "editor"),
    ],
)
def test_every_key_is_an_argument_of_what_is_built(group: str) -> None:
    from diffexplain.config.instantiate import locate

    for name in available()[group]:
        node = compose([f"{group}={name}"])[group]
        if node.get("_target_") is not None:  # That of one's own is named on the command line.
            arguments = inspect.signature(locate(node["_target_"])).parameters
            read_elsewhere = {"_target_", "name"} | (
                {"labels", "vocabulary", "more_phrases", "hierarchy", "output"} if group == "classifier" else set()
            )
            assert set(node) - read_elsewhere <= set(arguments)


def test_every_key_of_a_choice_is_explained_where_it_is_introduced() -> None:
    for path in configuration.FOLDER.rglob("*.yaml"):
        assert path.read_text(encoding="utf-8").startswith("#"), f"{path} does not say what it is for"


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["target=class:bee"],
        ["classifier=world_fair_vit", "explainer.steps=7"],
        ["experiment=dexter_profile", "seed=3"],
        [r"prompt.prefix='it\'s a \"texture\" of, [x] {y: $z}\\'"],
        ["explainer.stop_at=null", "plugins=[mine,yours]"],
        ["memory=low_vram", "gradient=last_k", "gradient.k=3"],
        ["evaluation.neutral_text=nothing", "prompt.prefix='12'"],
        ["experiment=diffex_flagpole", "concepts.hierarchy=faces", "explainer.beam=0"],
    ],
)
def test_the_command_that_repeats_a_run_composes_the_same(overrides: list[str]) -> None:
    config = compose(overrides)
    again = reproduce.overrides(config)
    assert compose(again) == config
    assert len(again) <= 6


@settings(max_examples=30)
@given(st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=12))
def test_any_text_can_be_given_back_to_the_command_line(text: str) -> None:
    config: dict[str, Any] = compose()
    config["prompt"]["prefix"] = text
    assert compose(reproduce.overrides(config))["prompt"]["prefix"] == text


def test_a_configuration_from_elsewhere_is_repeated_with_its_folder() -> None:
    config = compose([MORE, "plugins=[tests]", "experiment=pretend", "explainer.steps=9"])
    again = reproduce.overrides(config)
    assert again[0] == MORE
    assert compose(again)["explainer"] == config["explainer"]


@pytest.mark.parametrize(
    ("files", "overrides"),
    [
        ({"experiment/planted": "# @package _global_\nplugins: [subprocess]\n"}, ["experiment=planted"]),
        ({"experiment/planted": "# @package _global_\nplugins: [my_package]\n"}, ["experiment=planted"]),
        ({"experiment/planted": "# @package _global_\nplugins: my_package\n"}, ["experiment=planted"]),
        ({"experiment/planted": "# @package _global_\nplugins: {my_package: 1}\n"}, ["experiment=planted"]),
        ({"experiment/planted": "# @package _global_\nplugins: ['${oc.decode:my_package}']\n"}, ["experiment=planted"]),
        ({"classifier/planted": "# @package _global_\nplugins: [my_package]\n"}, ["classifier=planted"]),
        (
            {
                "classifier/planted": "defaults: [/more@_global_: planted, _self_]\nname: planted\n",
                "more/planted": "plugins: [my_package]\n",
            },
            ["classifier=planted"],
        ),
        # It depends on another key, and names nothing until that is set.
        (
            {"experiment/planted": "# @package _global_\nplugins: ${compare}\n", "explainer/x": ""},
            ["experiment=planted", "explainer=diffex", "compare=[world_fair_cnn]"],
        ),
    ],
)
def test_a_file_from_elsewhere_names_no_code(tmp_path: Path, files: dict[str, str], overrides: list[str]) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.yaml").write_text(text)
    with contextlib.suppress(UserError):  # What stands before config.yaml gives way to it without a word.
        assert compose([f"paths.configs=[{tmp_path}]", *overrides])["plugins"] == []


def test_packages_that_a_file_from_elsewhere_names_are_named_again_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "planted.yaml").write_text("# @package _global_\nplugins: [subprocess]\n")
    asked = [f"paths.configs=[{tmp_path}]", "experiment=planted"]
    with pytest.raises(UserError, match=r"only the command line can: plugins=\[<package>\]"):
        compose(asked)
    assert compose([*asked, "plugins=[tests]"])["plugins"] == ["tests"]


def test_a_file_from_elsewhere_leads_to_no_other_folder(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    file = tmp_path / "experiment" / "planted.yaml"
    for text in ("hydra:\n  searchpath: [pkg://tests.conf]\n", "defaults:\n  - /hydra/launcher: basic\nhydra: {}\n"):
        file.write_text(f"# @package _global_\n{text}")
        with contextlib.suppress(UserError):
            config = compose([f"paths.configs=[{tmp_path}]", "experiment=planted"])
            assert "hydra" not in config
    file.write_text("# @package _global_\nhydra:\n  searchpath: [pkg://tests.conf]\n")
    with pytest.raises(UserError, match="searchpath"):
        compose([f"paths.configs=[{tmp_path}]", "experiment=planted"])


@pytest.mark.parametrize("text", ["${oc.env:SECRET}", "${oc.env:SECRET,none}", "${${prompt.planted}:SECRET}"])
def test_a_file_from_elsewhere_reads_no_environment(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "sentinel")
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "planted.yaml").write_text(
        f"# @package _global_\nprompt:\n  prefix: '{text}'\n  planted: oc.env\n"
    )
    with pytest.raises(UserError, match="environment"):
        compose([f"paths.configs=[{tmp_path}]", "experiment=planted"])
    assert compose(["prompt.prefix=${oc.env:SECRET}"])["prompt"]["prefix"] == "sentinel"


def planted(folder: Path, text: str, group: str = "experiment") -> list[str]:
    """The overrides that choose a file from elsewhere with this text."""
    (folder / group).mkdir(exist_ok=True)
    (folder / group / "planted.yaml").write_text(f"# @package _global_\n{text}" if group == "experiment" else text)
    return [f"paths.configs=[{folder}]", f"{group}=planted"]


@pytest.mark.parametrize("place", ["override /diffusion: ${oc.env:SECRET}", "/wording/${oc.env:SECRET}"])
def test_nor_does_a_list_of_defaults_read_it(tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "sentinel")
    with pytest.raises(UserError, match="environment") as caught:
        compose(planted(tmp_path, f"defaults:\n  - {place}\n  - _self_\n"))
    assert "sentinel" not in str(caught.value)


def test_nor_does_the_command_of_a_run_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "sentinel")
    command = "python run.py classifier=checkpoint 'classifier.checkpoint=${oc.env:SECRET}'"
    (tmp_path / "summary.json").write_text(json.dumps({"command": command}))
    with pytest.raises(UserError, match="environment") as caught:
        compose(["explainer=diffex", f"from_run={tmp_path}"])
    assert "sentinel" not in str(caught.value)


ENDPOINT = "_target_: diffexplain.concepts.Endpoint\nname: planted\nmodel: m\noptions: {}\ntimeout: 1.0\nattempts: 1\n"


def test_a_file_from_elsewhere_does_not_say_where_files_go(tmp_path: Path) -> None:
    for key in ("outputs", "bank"):
        asked = planted(tmp_path, f"paths: {{{key}: /somewhere/else}}\n")
        with pytest.raises(UserError, match=rf"only the command line can: paths\.{key}=<folder>"):
            compose(asked)
        assert compose([*asked, f"paths.{key}=mine"])["paths"][key] == "mine"
    asked = planted(tmp_path, f"{ENDPOINT}base_url: http://there\nkey_variable: null\nmemory: /else\n", "wording")
    with pytest.raises(UserError, match=r"only the command line can: wording\.memory=<folder>"):
        compose(asked)
    assert compose([*asked, "wording.memory=mine"])["wording"]["memory"] == "mine"


def test_a_file_from_elsewhere_does_not_say_which_key_is_sent_to_whom(tmp_path: Path) -> None:
    for variable in ("HF_TOKEN", "OPENAI_API_KEY"):
        text = f"{ENDPOINT}base_url: http://there\nkey_variable: {variable}\nmemory: null\n"
        asked = planted(tmp_path, text, "wording")
        with pytest.raises(UserError, match="a key of yours to http://there") as caught:
            compose(asked)
        assert caught.value.given == variable
    for said in ("HF_TOKEN", "null"):
        assert compose([*asked, f"wording.key_variable={said}"])["wording"]["base_url"] == "http://there"
    published = (configuration.FOLDER / "wording" / "openai.yaml").read_text(encoding="utf-8")
    assert compose(planted(tmp_path, published, "wording"))["wording"]["key_variable"] == "OPENAI_API_KEY"


LAUGHS = "a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LAUGHS, "unfold to more than"),
        (f"target: {'[' * 5000}{']' * 5000}", "levels deep"),
        ("target: &a [*a]", "holds itself"),
        (f"target: {'a' * (1 << 23)}", "more than 8 MiB"),
    ],
    ids=["laughs", "deep", "itself", "large"],
)
def test_a_file_that_would_unfold_without_end_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        compose(planted(tmp_path, text))
    assert "planted.yaml" in str(caught.value)


def test_config_yaml_is_the_only_place_of_top_level_keys() -> None:
    top = yaml.safe_load((configuration.FOLDER / "config.yaml").read_text(encoding="utf-8"))
    top.pop("defaults")
    of_methods = {"compare", "from_run"}  # of those that test concepts
    assert set(compose()) == {*top, CONTENTS, *(set(defaults()) - {"experiment"}), *of_methods}


def test_an_unknown_key_inside_a_mapping_is_named_with_those_that_there_are() -> None:
    with pytest.raises(UserError, match="There is no such key") as caught:
        compose(["classifier=checkpoint", "classifier.preprocessing={size: 64, centre_crop: 64}"])
    assert caught.value.given == "classifier.preprocessing.centre_crop"
    assert "classifier.preprocessing.crop" in caught.value.nearest
