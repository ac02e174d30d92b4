"""Every kind of file that is read, damaged in every way: never a traceback, and never another answer without a word.

Each is read by the code that a run reads it with, undamaged and damaged, and the answers are compared. The files of the
user's are part of a run's identity, so that another content is another run; of all others it has to be said that they
are not what they were. Small files are those that the tests make: the repository has to be the current directory.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

from diffexplain.errors import OwnedElsewhere, RetryableError, UserError
from diffexplain.weights.paths import DATA_ROOTS, EMBEDDED_ROOT, PACKAGE
from experiments.reliability.runs import Record, artefacts, emptied, given, made_with, run

RECORD = "corruptions.jsonl"
FOLDER, LOCKED = "a folder", "not to be read"
"""Damages of what a path is, not of what a file holds."""
BAD = ("TRACEBACK", "ANOTHER ANSWER")


def flipped(content: bytes, share: float = 0.5) -> bytes:
    """With one bit turned over."""
    place = int(len(content) * share)
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def retyped(content: bytes) -> bytes:
    """Of JSON or lines of it: with a number for every text, and a text for all else."""
    try:
        try:
            parts = [json.loads(content)]
        except ValueError:
            parts = [json.loads(line) for line in content.splitlines()]
        return b"\n".join(json.dumps(_retyped(part)).encode() for part in parts)
    except (ValueError, RecursionError):
        return b"[[3], {'3': 3}]\n"


DAMAGES: Mapping[str, Callable[[bytes], bytes] | None] = {
    "truncated": lambda content: content[: len(content) // 2],
    "flipped": flipped,
    "flipped near its end": partial(flipped, share=0.95),
    "emptied": lambda _: b"",
    "nested": lambda _: b"[" * 100_000,
    "of another type": lambda _: b"3\n",
    "types inside": retyped,
    FOLDER: None,
    LOCKED: None,
}


@dataclass(frozen=True)
class Reading:
    """Files, and what reads them.

    Attributes:
        name: what the files are.
        make: puts them into a folder.
        read: what is read there, as anything whose ``repr`` tells answers apart.
        files: patterns of their paths in the folder; those that fit one pattern are damaged together.
        named: whether a run's identity holds the SHA-256 of the files.
    """

    name: str
    make: Callable[[Path], Any]
    read: Callable[[Path], Any]
    files: tuple[str, ...]
    named: bool = True


def readings() -> Iterator[Reading]:
    """All of them; what they import takes a while."""
    yield from _own_files()
    yield from _classifiers()
    yield from _parts()
    yield from _runs()
    yield from _kept()


def _own_files() -> Iterator[Reading]:
    from tests.experiments import test_salient_imagenet
    from tests.whole_runs.test_confirm_run import photographs

    from diffexplain.classifiers.labels import find_labels
    from diffexplain.concepts.file import load_hierarchy
    from diffexplain.concepts.vocabulary import Vocabulary
    from diffexplain.config import configuration
    from diffexplain.target import several
    from experiments.hidden_units.salient_imagenet import load_labels

    def copied(name: str, to: str = "") -> Callable[[Path], Any]:
        def make(folder: Path) -> None:
            (folder / (to or name)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(f"tests/conf/{name}", folder / (to or name))

        return make

    def lines(*texts: str) -> Callable[[Path], Any]:
        return lambda folder: (folder / "lines.txt").write_text("\n".join(texts) + "\n")

    def composed(folder: Path) -> Any:
        return configuration.compose([f"paths.configs=[tests/conf,{folder}]", "plugins=[tests]", "experiment=mine"])

    def features(folder: Path) -> Any:
        questions = [(695, 12, test_salient_imagenet.CORE), (695, 40, test_salient_imagenet.BOUNDARY)]
        return test_salient_imagenet.write(folder / "features.csv", questions)

    names = ("labels.json",)
    yield Reading("names of classes", copied(*names), lambda f: find_labels(str(f / names[0]), command=""), names)
    listed = ("lines.txt",)
    yield Reading("names, a line each", lines("a", "b"), lambda f: find_labels(f"{f}/lines.txt", command=""), listed)
    yield Reading("targets", lines("class:a", "b"), lambda f: several(f"file:{f}/lines.txt", _none), listed)
    words, tree, mine = "vocabulary.yaml", "hierarchy.yaml", "experiment/mine.yaml"
    yield Reading("a vocabulary", copied(words), lambda f: Vocabulary.load(str(f / words)), (words,))
    yield Reading("a hierarchy", copied(tree), lambda f: load_hierarchy(str(f / tree)), (tree,))
    yield Reading("a configuration", copied("experiment/pretend_effects.yaml", mine), composed, (mine,))
    shown = lambda f: photographs(f / "shown")  # noqa: E731
    yield Reading("a photograph", shown, lambda f: _pixels(f"{f}/shown"), ("shown/0.png",))
    yield Reading("Salient ImageNet", features, lambda f: load_labels(f / "features.csv"), ("features.csv",))


def _classifiers() -> Iterator[Reading]:
    import torch
    from tests import own_classifiers
    from tests.classifiers import onnx_graphs
    from tests.classifiers.protobuf_files import write_caffemodel
    from tests.classifiers.test_sources import SOURCES, loaded

    from diffexplain.classifiers.protobuf_weights import read_caffemodel

    images = torch.linspace(0, 1, 2 * 3 * 32 * 32).reshape(2, 3, 32, 32)

    def answers(folder: Path) -> Any:
        return loaded([*(folder / "given.txt").read_text().splitlines(), "diffusion=world"])(images).tolist()

    def brought(source: str) -> Callable[[Path], Any]:
        def make(folder: Path) -> None:
            torch.manual_seed(0)
            (folder / "model").mkdir()
            _say(folder, *SOURCES[source](folder / "model"))

        return make

    def pickled(folder: Path) -> None:
        torch.manual_seed(0)
        torch.save({"epoch": 3, "state_dict": own_classifiers.build().state_dict()}, folder / "own.pth")
        own = ["classifier=checkpoint", "classifier.network=tests.own_classifiers.build", "plugins=[tests]"]
        _say(folder, *own, f"classifier.checkpoint={folder}/own.pth", "classifier.labels=[a,b,c]")

    def graph(folder: Path) -> None:
        onnx_graphs.write(folder / "model.onnx", ("batch", 3, 32, 32), beside="weights.data")
        _say(folder, "classifier=onnx", f"classifier.checkpoint={folder}/model.onnx", "classifier.labels=[a,b,c]")

    for source, files in {
        "timm": ("config.json", "model.safetensors"),
        "huggingface": ("config.json", "model.safetensors", "preprocessor_config.json"),
        "open_clip": ("open_clip_config.json", "open_clip_model.safetensors"),
        "checkpoint": ("own.safetensors", "names.txt"),
    }.items():
        yield Reading(f"classifier of {source}", brought(source), answers, tuple(f"model/{name}" for name in files))
    yield Reading("a pickle of weights", pickled, answers, ("own.pth",))
    blobs = {"conv1.weight": torch.linspace(0, 1, 96).reshape(4, 2, 3, 4), "conv1.bias": torch.ones(4)}
    caffe = lambda f: write_caffemodel(f / "net.caffemodel", blobs)  # noqa: E731
    yield Reading(
        "weights of Caffe's", caffe, lambda f: _sums(read_caffemodel(f / "net.caffemodel")), ("net.caffemodel",)
    )
    yield Reading("an ONNX graph", graph, answers, ("model.onnx", "weights.data"))


def _parts() -> Iterator[Reading]:
    import torch
    from safetensors.torch import save_file
    from tests.evaluation.test_captions import save_captioner
    from tests.hub.repositories import lora

    from diffexplain.classifiers import load_classifier
    from diffexplain.diffusion import load_prior
    from diffexplain.diffusion.lora import merge_lora
    from diffexplain.effects.estimation import PriorError
    from diffexplain.evaluation.captions import ModelCaptioner
    from diffexplain.segmentation import Segmenter
    from diffexplain.weights.shipped import check
    from experiments.world.truth import TruthTable

    images = torch.linspace(0, 1, 3 * 64 * 64).reshape(1, 3, 64, 64)

    def part(name: str) -> Callable[[Path], Any]:
        return lambda folder: shutil.copytree(EMBEDDED_ROOT / name, folder, dirs_exist_ok=True)

    def generated(folder: Path) -> Any:
        prior = load_prior(str(folder), steps=1, guidance=1.0, micro_batch=1)
        with torch.no_grad():
            return prior.generate(["a flag"], torch.ones(1, *prior.latent_shape)).mean().item()

    def seen(folder: Path) -> Any:
        with torch.no_grad():
            return Segmenter.load(str(folder)).masks(images, ["a flag"]).float().mean().item()

    network = "shortcut_cnn"
    files = ("config.json", "labels.json", "model.safetensors")
    yield Reading(
        "the world's classifier", part(f"classifiers/{network}"), lambda f: _logits(load_classifier, f), files
    )
    table = ("truth_table.json",)
    yield Reading("a truth table", part(f"classifiers/{network}"), lambda f: TruthTable.load(f), table)
    prior = (
        *("model_index.json", "scheduler/scheduler_config.json", "unet/config.json", "vae/config.json"),
        *("text_encoder/config.json", "tokenizer/tokenizer.json", "tokenizer/tokenizer_config.json"),
        *("text_encoder/model.safetensors", "unet/*.safetensors", "vae/*.safetensors"),
    )
    yield Reading("a prior", part("prior"), generated, prior)
    yield Reading("a prior's calibration", part("prior"), lambda f: PriorError.load(f), ("effect_error.json",))
    segmenter = ("config.json", "processor_config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors")
    yield Reading("a segmenter", part("clipseg"), seen, segmenter)
    adapted = lambda: torch.nn.ModuleDict({"linear": torch.nn.Linear(3, 5), "conv": torch.nn.Conv2d(3, 4, 3)})  # noqa: E731

    def merged(folder: Path) -> Any:
        torch.manual_seed(0)
        layers = adapted()
        return [merge_lora(layers, folder / "lora.safetensors"), _sums(layers.state_dict())]

    adapter = lambda f: save_file(lora(adapted()), f / "lora.safetensors")  # noqa: E731
    yield Reading("an adapter of a prior's", adapter, merged, ("lora.safetensors",))
    said = lambda f: ModelCaptioner(f"{f}/model", torch.device("cpu")).captions(images)  # noqa: E731
    names = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "processor_config.json")
    captioner = tuple(f"model/{name}" for name in names)
    yield Reading("a captioner", lambda f: save_captioner(f / "model"), said, captioner)

    def checked(folder: Path) -> Any:
        with package_in(folder):
            return check(
                ["embedded:prior", "embedded:classifiers/shortcut_cnn", "embedded:clipseg", "embedded:vocabulary.yaml"]
            )

    root = EMBEDDED_ROOT.relative_to(PACKAGE)
    names = (
        "checksums.json",
        "vocabulary.yaml",
        f"classifiers/{network}/*",
        "prior/**/*.json",
        "clipseg/*.safetensors",
    )
    shipped = (*(f"{root}/{name}" for name in names), "concepts/data/*.yaml")
    yield Reading("the package", package, checked, shipped, named=False)


def _runs() -> Iterator[Reading]:
    from tests.report import samples

    from diffexplain import load_run
    from diffexplain.config import configuration
    from diffexplain.explainers.checkpoint import AtomicCheckpointIO, read_checkpoint
    from diffexplain.pipelines.proposers import RunProposer
    from diffexplain.runs.sweep import failures

    def written(folder: Path) -> None:
        directory, found = folder / "run", samples.evaluation()
        made = samples.run_in(directory)
        samples.written(made, samples.summary_of(made, found), found)
        made.write_json("manifest.json", {"config_as_given": {}})
        made.finish()

    def loaded(folder: Path) -> Any:
        found = load_run(folder / "run")
        pictures = [example.image.sum() for example in found.examples]
        return (
            found.summary.to_json(),
            found.curve,
            str(found.table()),
            pictures,
            [one.present.sum() for one in found.effects],
        )

    def mirrored(folder: Path) -> Any:
        import wandb
        from tests.report.test_wandb_mirror import Copy

        from diffexplain.report import wandb_mirror

        copy, begin = Copy(), wandb.init
        wandb.init = lambda **_: copy
        try:
            return wandb_mirror.sync(folder / "run"), copy.summary, len(copy.logged)
        finally:
            wandb.init = begin

    def saved(folder: Path) -> None:
        import torch

        for step in (1, 2):
            AtomicCheckpointIO().save_checkpoint({"step": step, "prompt": torch.ones(3)}, folder / "last.ckpt")

    records = ("summary.json", "finished.json", "metrics.jsonl", "manifest.json", "images/index.json", "images/*.png")
    files = tuple(f"run/{name}" for name in records)
    yield Reading("a run, loaded", written, loaded, files, named=False)
    yield Reading("a run, copied to W&B", written, mirrored, files, named=False)
    yield Reading(
        "a run that proposes", written, lambda f: RunProposer(str(f / "run")).summary.to_json(), files[:2], named=False
    )
    taken = lambda f: configuration.compose(["concepts=from_run", f"from_run={f}/run"])["target"]  # noqa: E731
    yield Reading("a run that is followed", written, taken, files[:1], named=False)
    checkpoints = ("last.ckpt", "last.ckpt*")
    yield Reading("checkpoints", saved, lambda f: read_checkpoint(f / "last.ckpt"), checkpoints, named=False)
    jobs = '{"jobs": [{"overrides": ["seed=0"], "status": "failed", "error": "it was"}]}'
    swept = lambda f: (f / "sweep.json").write_text(jobs)  # noqa: E731
    yield Reading("a sweep's record", swept, failures, ("sweep.json",), named=False)

    settings = ["paths.configs=[tests/conf]", "plugins=[tests]", "experiment=pretend", "evaluation.images=4"]
    settings += ["evaluation.random_images=2", "evaluation.looked_images=2"]

    def made(folder: Path) -> Any:
        status = given([*settings, f"paths.outputs={folder}"])
        return status, artefacts(folder)

    def unfinished(folder: Path) -> None:
        made(folder)
        next(folder.rglob("finished.json")).unlink()

    going_on = ("manifest.json", "timings.json", "concepts.yaml", "effects/*.json", "metrics.jsonl", "images/*")
    every = tuple(f"*/*/*/{name}" for name in (*going_on, "summary.json"))
    yield Reading("a run that goes on", unfinished, made, every, named=False)


def _kept() -> Iterator[Reading]:
    from pydantic import BaseModel

    from diffexplain.concepts.asking import Turn
    from diffexplain.concepts.endpoint import Endpoint
    from diffexplain.config import configuration, fetch_command
    from diffexplain.pipelines.networks import remembered
    from diffexplain.runs.lock import RunLock
    from diffexplain.weights import checksums
    from diffexplain.weights.store import Lock, store_folder

    class Said(BaseModel):
        words: list[str]

    turns = [Turn("user", "which?")]

    class Answering(Endpoint):
        """Asked on the disk alone."""

        def _completion(self, body: Mapping[str, Any]) -> Any:
            message = {"role": "assistant", "content": '{"words": ["snow", "grass"]}'}
            return {"choices": [{"message": message, "finish_reason": "stop"}], "usage": {}}

    def asked(folder: Path) -> Any:
        return Answering("http://127.0.0.1:1/v1", "m", None, memory=str(folder)).reply(turns, Said)

    @contextmanager
    def store(folder: Path) -> Iterator[Path]:
        before = os.environ.get("DIFFEXPLAIN_CACHE")
        os.environ["DIFFEXPLAIN_CACHE"] = str(folder)
        try:
            yield store_folder()
        finally:
            os.environ.pop("DIFFEXPLAIN_CACHE")
            os.environ |= {} if before is None else {"DIFFEXPLAIN_CACHE": before}

    def in_store(read: Callable[[Path], Any]) -> Callable[[Path], Any]:
        def reading(folder: Path) -> Any:
            with store(folder) as place:
                return read(place)

        return reading

    def fetched(folder: Path) -> None:
        entry = {"sha256": "a" * 64, "bytes": 3}
        repository = {"revision": "b" * 40, "patterns": ["*"], "files": {"config.json": entry}}
        content = {"schema_version": 1, "repositories": {"owner/prior": repository}, "files": {"https://h/a": entry}}
        (folder / "lock.json").write_text(json.dumps(content, indent=2))

    network = ["classifier=torchvision", "classifier.model=mobilenet_v3_small", "diffusion=world"]

    def brought(folder: Path) -> None:
        import torch
        from tests.classifiers.test_sources import torchvision_folder

        torch.manual_seed(0)
        (folder / "files").mkdir()
        torchvision_folder(folder / "files")
        url = configuration.compose(network)["classifier"]["weights"][0]["url"]
        path = (folder / "files" / "weights.pth").rename(folder / "files" / Path(url).name)
        entry = {"sha256": checksums.file_sha256(path), "bytes": path.stat().st_size}
        content = {"schema_version": 1, "repositories": {}, "files": {url: entry}}
        (folder / "lock.json").write_text(json.dumps(content, indent=2))

    def answers(_: Path) -> Any:
        import torch
        from tests.classifiers.test_sources import loaded

        fetch_command.require(configuration.compose(network))  # As a run does, before anything is loaded.
        with torch.no_grad():
            return loaded(network)(torch.linspace(0, 1, 3 * 64 * 64).reshape(1, 3, 64, 64)).sum().item()

    yield Reading("a network of torchvision's, fetched", brought, in_store(answers), ("files/*.pth",), named=False)

    def digested(folder: Path) -> str:
        checksums._known.cache_clear()
        return checksums.file_sha256(folder / "large.bin")

    def large(folder: Path) -> str:
        (folder / "large.bin").write_bytes(bytes(checksums.WORTH))
        os.utime(folder / "large.bin", (0, 0))
        time.sleep(checksums.SETTLED / 1e9)
        return digested(folder)

    yield Reading("replies of a language model", asked, asked, ("*.json",), named=False)
    yield Reading("what was fetched", fetched, in_store(lambda f: vars(Lock(f))), ("lock.json",), named=False)
    yield Reading("kept checksums", in_store(large), in_store(digested), ("digests.json",), named=False)
    costs = in_store(lambda f: remembered("calls", lambda: 0.25))
    yield Reading("measured costs", costs, costs, ("measured.json",), named=False)

    def owned(folder: Path) -> Any:
        held, other = RunLock(folder / "run.lock"), RunLock(folder / "run.lock")
        held._lock.acquire()
        try:
            other.check_free()
        except OwnedElsewhere:
            return "in other hands"
        finally:
            held.release()

    note = lambda f: (f / "run.owner").write_text('{"host": "a", "process": 1}')  # noqa: E731
    yield Reading("who has a run", note, owned, ("run.owner",), named=False)


def damage(folder: Path, only: str = "", kinds: Sequence[str] = tuple(DAMAGES)) -> list[dict[str, Any]]:
    """Try what has not been tried yet; the lines of all that has been.

    Args:
        folder: of records and copies.
        only: a part of the name of what is read.
        kinds: of damages.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record = Record(folder / RECORD)
    known = {(line["of"], line["file"], line["damage"]) for line in record.lines}
    for reading in readings():
        left = [(name, kind) for name in reading.files for kind in kinds if (reading.name, name, kind) not in known]
        if left and only in reading.name:
            whole, place = emptied(folder / "whole"), emptied(folder / "tried")
            reading.make(place)
            shutil.copytree(place, whole, dirs_exist_ok=True)
            expected = _answer(reading, place)
            for name, kind in left:
                came = tried(reading, whole, place, name, kind, expected)
                record.add({"of": reading.name, "file": name, "damage": kind, "came": came})
    return record.lines


def tried(reading: Reading, whole: Path, place: Path, name: str, kind: str, expected: tuple[str, str]) -> str:
    """What comes of reading the files of ``name`` damaged in one way: they are copied from ``whole`` to ``place``."""
    shutil.copytree(whole, emptied(place), dirs_exist_ok=True)
    for path in sorted(place.glob(name)):
        if path.is_file():
            spoil(path, kind)
    if kind != LOCKED:
        return _came(reading, place, expected)
    log = place.with_suffix(".log")

    def told() -> int:
        log.with_suffix(".json").write_text(json.dumps(_came(reading, place, expected)))
        return 0

    log.with_suffix(".json").unlink(missing_ok=True)
    run(told, log, unprivileged=True)
    return str(json.loads(log.with_suffix(".json").read_text()))


def spoil(path: Path, kind: str) -> None:
    """Damage the file at ``path``."""
    spoiled = DAMAGES[kind]
    if kind == LOCKED:
        path.chmod(0)
    elif spoiled is None:
        path.unlink()
        path.mkdir()
    elif content := path.read_bytes():
        path.write_bytes(spoiled(content))


def table(lines: Sequence[Mapping[str, Any]]) -> str:
    """What came of every file and damage."""
    rows = [f"| what | file | {' | '.join(DAMAGES)} |", "|---" * (len(DAMAGES) + 2) + "|"]
    found = {(line["of"], line["file"], line["damage"]): line["came"] for line in lines}
    for of, name in dict.fromkeys((line["of"], line["file"]) for line in lines):
        cells = [found.get((of, name, kind), "not tried").partition(":")[0] for kind in DAMAGES]
        rows.append(f"| {of} | `{name}` | {' | '.join(cells)} |")
    return "\n".join([*rows, "", made_with(lines)])


@contextmanager
def package_in(folder: Path) -> Iterator[None]:
    """Let the package's files be those in ``folder``."""
    from diffexplain.weights import paths, shipped

    kept = {module: dict(vars(module)) for module in (paths, shipped)}
    moved = [folder / path.relative_to(PACKAGE) for path in (EMBEDDED_ROOT, *DATA_ROOTS)]
    try:
        for module in kept:
            vars(module).update(PACKAGE=folder, EMBEDDED_ROOT=moved[0], DATA_ROOTS=tuple(moved[1:]))
        shipped.LIST = moved[0] / shipped.LIST.name
        yield
    finally:
        for module, names in kept.items():
            vars(module).update(names)


def package(folder: Path) -> None:
    """Copy the package's files into ``folder``."""
    for place in (EMBEDDED_ROOT, *DATA_ROOTS):
        shutil.copytree(place, folder / place.relative_to(PACKAGE))


def _came(reading: Reading, place: Path, expected: tuple[str, str]) -> str:
    try:
        answer, said = _answer(reading, place)
    except (UserError, RetryableError) as error:
        return f"refused: {error}"[:300]
    except BaseException as error:
        return f"TRACEBACK: {type(error).__name__}: {error}"[:300]
    if "Traceback" in said or answer.startswith("(1,"):
        return f"TRACEBACK: {said}"[-300:]
    if answer.startswith(("(2,", "(75,")):
        return f"refused: {said}"[-300:]
    told = said != expected[1]
    if answer == expected[0]:
        return f"as before, with a warning: {said}"[:300] if told else "as before"
    if told:
        return f"with a warning: {said}"[:300]
    return "another run" if reading.named else "ANOTHER ANSWER"


def _answer(reading: Reading, place: Path) -> tuple[str, str]:
    """What is read, and what is said besides."""
    said = StringIO()
    with warnings.catch_warnings(record=True) as caught, redirect_stderr(said), redirect_stdout(said):
        warnings.simplefilter("always")
        answer = repr(reading.read(place))
    ours = [str(warning.message) for warning in caught if str(place) in str(warning.message)]
    return answer, "\n".join([*ours, said.getvalue()])


def _retyped(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _retyped(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_retyped(part) for part in value] or "x"
    return 3 if isinstance(value, str) else "x"


def _say(folder: Path, *overrides: str) -> None:
    (folder / "given.txt").write_text("\n".join(overrides))


def _sums(tensors: Mapping[str, Any]) -> list[tuple[str, float]]:
    return [(name, tensor.double().sum().item()) for name, tensor in tensors.items()]


def _logits(load: Callable[[str], Any], folder: Path) -> Any:
    import torch

    return load(str(folder))(torch.linspace(0, 1, 3 * 64 * 64).reshape(1, 3, 64, 64)).tolist()


def _pixels(folder: str) -> Any:
    from diffexplain.config import digests
    from diffexplain.pipelines.photographs import find

    expected = digests.digests({"images": folder})["images"]
    found = find(folder, 6, str(expected))
    return [(one.name, one.sha256) for one in found.used], found.skipped


def _none() -> Any:
    raise ValueError("no names are asked for")
