"""Which keys make a run another run."""

import copy
import math
from typing import Any

import pytest

from diffexplain.config.identity import EXCLUDED, identity
from diffexplain.config.instantiate import locate

CONFIG: dict[str, Any] = {
    "target": "class:flagpole",
    "seed": 0,
    "threads": 1,
    "force": False,
    "paths": {"outputs": "outputs"},
    "classifier": {"name": "world", "folder": "embedded:classifiers/fair_cnn"},
    "explainer": {"name": "diffexplainer", "steps": 40, "batch_size": 4, "learning_rate": 0.1},
    "trainer": {"name": "default", "devices": 1, "accelerator": "cpu", "progress": True},
    "logger": {"name": "wandb", "project": "p"},
}


def changed(path: str, value: Any) -> dict[str, Any]:
    config = copy.deepcopy(CONFIG)
    *parents, key = path.split(".")
    node = config
    for parent in parents:
        node = node[parent]
    node[key] = value
    return config


@pytest.mark.parametrize("path", EXCLUDED)
def test_where_a_run_is_made_and_shown_does_not_matter(path: str) -> None:
    assert identity(changed(path, "something else")) == identity(CONFIG)


@pytest.mark.parametrize(
    "path",
    [
        "target",
        "seed",
        "threads",
        "explainer.steps",
        "explainer.batch_size",
        "trainer.devices",
        "classifier.folder",
    ],
)
def test_everything_else_does(path: str) -> None:
    assert identity(changed(path, 123)) != identity(CONFIG)


def test_a_package_of_loggers_and_callbacks_alone_does_not_matter() -> None:
    own = {"name": "mine", "_target_": "mine.watching.Logger"}
    contents = {"contents": {"plugins.mine": "a digest"}}
    without = {**CONFIG, "plugins": ["other"], "contents": {"plugins.other": "another"}}
    watched = {**CONFIG, "plugins": ["mine", "other"], "logger": {"name": "local", "mine": own}}
    watched["contents"] = {**without["contents"], **contents["contents"]}
    assert identity(watched) == identity(without)
    alone = {**CONFIG, "plugins": ["mine"], "callbacks": own, **contents}
    assert identity(alone) == identity({**CONFIG, "plugins": []})
    # It is another run where something else is of that package, or nothing is.
    assert identity({**watched, "explainer": own}) != identity({**without, "explainer": own})
    assert identity({**watched, "logger": CONFIG["logger"]}) != identity(without)


def test_the_order_of_keys_does_not_matter() -> None:
    assert identity(dict(reversed(CONFIG.items()))) == identity(CONFIG)


def test_the_identity_is_the_same_in_every_process_and_release() -> None:
    assert identity({"seed": 0, "target": "class:bee"}) == GOLDEN


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError):
        identity(changed("explainer.learning_rate", math.nan))


GOLDEN = "91a826da300d8d53583def7e1ca47c403105faf3b1a6d951fa35ad097c0fd6ad"


def test_a_part_that_moved_makes_no_other_run_and_is_found_by_its_former_name() -> None:
    names = ("diffexplain.editing.Paired", "diffexplain.diffusion.editing.Paired")
    one, other = (identity({"editor": {"_target_": name}, "list": [{"_target_": name}]}) for name in names)
    assert one == other != identity({"editor": {"_target_": "diffexplain.editing.LeditsPP"}})
    assert locate(names[1]) is locate(names[0])
    assert locate("diffexplain.concepts.FileProposer").__module__ == "diffexplain.pipelines.proposers"


def test_another_address_of_the_same_file_makes_no_other_run() -> None:
    source = {"url": "https://a.org/net.pt", "sha1": "0" * 40}
    further = source | {"urls": ["https://b.org/net.pt"], "instead": "classifier=other"}
    runs = [identity({"classifier": {"weights": [one]}}) for one in (source, further, source | {"sha1": "1" * 40})]
    assert runs[0] == runs[1] != runs[2]
