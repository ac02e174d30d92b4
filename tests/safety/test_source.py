"""What the package's own source must not say."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import diffexplain

ROOT = Path(diffexplain.__file__).parent
MODULES = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text("utf-8")) for path in ROOT.rglob("*.py")}
UNPICKLERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle"}
FOR_ITS_ERRORS = {"explainers/checkpoint.py"}
"""Modules that name `pickle.UnpicklingError`, and nothing else of it."""

RUN_TEXT = {"eval", "exec", "compile", "__import__"}
LOADERS_OF_PICKLES = {"load", "loads", "read_pickle", "Unpickler", "unsafe_load", "full_load"}


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Every call with the dotted name of what is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def option(call: ast.Call, name: str) -> ast.expr | None:
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def is_constant(value: ast.expr | None, wanted: object) -> bool:
    return isinstance(value, ast.Constant) and value.value is wanted


def faults(tree: ast.AST, path: str) -> list[str]:
    """Every place where the source of a module might execute what a file holds."""
    found = []
    for node in ast.walk(tree):
        imported = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        imported += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        unpicklers = [name for name in imported if name.partition(".")[0] in UNPICKLERS]
        found += [f"imports {name}" for name in unpicklers if path not in FOR_ITS_ERRORS]
        if isinstance(node, ast.ImportFrom) and node.module == "torch" and any(a.name == "load" for a in node.names):
            found.append("imports torch.load by its bare name")
        if (
            isinstance(node, ast.Attribute)
            and ast.unparse(node.value) in UNPICKLERS
            and node.attr in LOADERS_OF_PICKLES
        ):
            found.append(f"uses {ast.unparse(node)}")
    for name, call in calls(tree):
        if name in ("torch.load", "torch.serialization.load") and not is_constant(option(call, "weights_only"), True):
            found.append(f"calls {name} without weights_only=True")
        if name.endswith("load_state_dict_from_url") or name.startswith("torch.hub."):
            found.append(f"calls {name}, which unpickles what it fetches")
        if name in ("np.load", "numpy.load") and option(call, "allow_pickle") is not None:
            found.append("allows pickles in an array's file")
        if name in ("yaml.load", "yaml.unsafe_load", "yaml.full_load"):
            found.append(f"calls {name}")
        if name in RUN_TEXT:
            found.append(f"calls {name}")
        if name.endswith(".from_pretrained") and is_constant(option(call, "use_safetensors"), False):
            found.append("asks for weights that are no safetensors")
        trusting = option(call, "trust_remote_code")
        if trusting is not None and not is_constant(trusting, False):
            found.append("trusts code that comes with weights")
    return found


@pytest.mark.parametrize("path", sorted(MODULES))
def test_no_module_executes_what_a_file_holds(path: str) -> None:
    assert faults(MODULES[path], path) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from dill import loads",
        "import torch\ntorch.load('x')",
        "import torch\ntorch.load('x', weights_only=False)",
        "import torch\ntorch.load('x', weights_only=flag)",
        "from torch import load",
        "torch.hub.load('a/b', 'c')",
        "numpy.load('x', allow_pickle=True)",
        "yaml.load(text, Loader)",
        "eval(text)",
        "Model.from_pretrained('x', use_safetensors=False)",
        "Model.from_pretrained('x', trust_remote_code=True)",
        "Model.from_pretrained('x', trust_remote_code=options)",
    ],
)
def test_this_test_would_find(source: str) -> None:
    assert faults(ast.parse(source), "anywhere.py")


def test_pickle_is_imported_for_its_errors_alone() -> None:
    for path in FOR_ITS_ERRORS:
        used = {
            node.attr
            for node in ast.walk(MODULES[path])
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "pickle"
        }
        assert used == {"UnpicklingError"}


def test_models_are_loaded_from_this_machine_and_from_safetensors_alone() -> None:
    for path, tree in MODULES.items():
        for name, call in calls(tree):
            if name.endswith(".from_pretrained") and not path.startswith("world/"):
                given = ast.unparse(call)
                if "**" in given:
                    continue  # the options are in a mapping; what it does is tested where it is loaded
                assert is_constant(option(call, "local_files_only"), True), f"{path}: {given}"
