"""What each stage of the queue does: at full size on a card, or in small on the CPU.

Libraries are imported where they are used: the queue itself says without them that there is no card.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[2] / "tests"
AIM = 0.5
"""Share of the card's matrix rate that one sampler step with the tiny decoder is to reach, forward and backward."""
TRAINING = {"steps": 20_000, "batch": 256, "rate": 3e-3}
"""Of the embedded prior; the rate is that of the shipped weights."""
FEW = (
    *("effects=quick", "effects.images=2", "effects.smallest=2"),
    "concepts.hierarchy=experiments/reliability/hierarchy.yaml",
    "classifier.preprocessing.size=32",
)
"""Of a run in small, whatever its explainer."""
FEW_STEPS = (
    *("explainer.steps=1", "explainer.batch=2", "explainer.screening_images=0", "evaluation=quick"),
    *("evaluation.images=4", "evaluation.random_images=2", "evaluation.looked_images=2", "evaluation.candidates=0"),
    *("discovery=quick", "discovery.pictures=4"),
)
FEW_COMBINATIONS = ("explainer.beam=0",)


@dataclass(frozen=True)
class Place:
    """Where a stage leaves its results, and whether it is made in small."""

    folder: Path
    toy: bool

    @property
    def device(self) -> str:
        """As torch calls it."""
        return "cpu" if self.toy else "cuda"

    @property
    def machine(self) -> str:
        """What figures are of."""
        import torch

        name = "CPU, in small" if self.toy else torch.cuda.get_device_name()
        return f"{name}, torch {torch.__version__.partition('+')[0]}"

    def write(self, name: str, text: str) -> None:
        """A result of a stage, into `<name>.md`."""
        from diffexplain.weights.atomic import write_bytes

        write_bytes(self.folder / f"{name}.md", f"{text}\n".encode())


def import_libraries() -> None:
    """Import what the stages take longest to import."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # read at the import; the tests, too, are to stay on this machine
    for name in ("diffexplain.pipelines.prompt", "diffexplain.pipelines.ranking", "diffexplain.report.page"):
        importlib.import_module(name)
    for name in ("pytest", "experiments.speed.steps", "experiments.world.train_prior", "experiments.world.gates.prior"):
        importlib.import_module(name)


def tests(place: Place) -> None:
    """The tests marked `gpu`; in small, the same tests on the CPU."""
    import pytest

    files = sorted(str(path) for path in TESTS.rglob("test_*.py") if "pytest.mark.gpu" in path.read_text("utf-8"))
    chosen = ["-m", "not slow and not gpu", "-k", "cpu"] if place.toy else ["-m", "gpu"]
    status = pytest.main(["-p", "no:cacheprovider", *chosen, *files])
    if status:
        sys.exit(int(status))
    place.write("tests", f"The tests marked `gpu` passed: {place.machine}.")


def speed(place: Place) -> None:
    """`experiments/speed`, and what share of the card's matrix rate its steps reach."""
    _speed(place, "speed", compiled=False)


def speed_compiled(place: Place) -> None:
    """The same with denoiser and decoders compiled; in small the compiler hands everything back as it is."""
    if place.toy:
        import torch

        torch._dynamo.config.disable = True
    _speed(place, "speed_compiled", compiled=True)


def _speed(place: Place, name: str, *, compiled: bool) -> None:
    import torch

    from diffexplain.diffusion import MemorySettings
    from experiments.speed.steps import VARIANTS, table

    memory = MemorySettings(channels_last=not place.toy, compile=compiled)
    aimed_at = [variant for variant in VARIANTS if variant.steps == 1 and variant.tiny]
    if place.toy:
        todo = aimed_at[:1]
        text, shares = table("least", "cpu", torch.float32, 1, memory, "least", todo)
    else:
        todo = [*VARIANTS]
        text, shares = table("full", "cuda", torch.bfloat16, 20, memory)
    best = max(share for variant, share in zip(todo, shares, strict=True) if variant in aimed_at)
    reached = "reached" if best >= AIM else "not reached"
    place.write(name, f"{text}\n\nOne step with TAESD: {best:.0%} at best; the aim of {AIM:.0%} is {reached}.")


def run_default(place: Place) -> None:
    """A default run from configuration to report."""
    _run(place, "run_default", "memory=80gb", *(FEW_STEPS if place.toy else ()))


def run_diffex(place: Place) -> None:
    """A DiffEx run from configuration to report."""
    _run(place, "run_diffex", "explainer=diffex", *(FEW_COMBINATIONS if place.toy else ()))


def _run(place: Place, name: str, *overrides: str) -> None:
    from diffexplain import cli

    parts = random_parts(place)
    outputs = place.folder / "runs" / name
    status = cli.run(
        [
            *("classifier=checkpoint", "plugins=[torchvision]", "classifier.network=torchvision.models.resnet50"),
            f"classifier.checkpoint={parts}/classifier.safetensors",
            *("diffusion=local", f"diffusion.folder={parts}/prior", f"diffusion.tiny_decoder_folder={parts}/decoder"),
            # As a one-step prior is: its own scheduler, no guidance.
            *("diffusion.steps=1", "diffusion.guidance=1", "diffusion.scheduler=null"),
            f"diffusion.dtype={'float32' if place.toy else 'bfloat16'}",
            *("segmenter=world", f"segmenter.folder={parts}/segmenter", "logger=local", "trainer.progress=lines"),
            *("trainer=cpu" if place.toy else "trainer.accelerator=gpu", f"paths.outputs={outputs}"),
            *overrides,
            *(FEW if place.toy else ()),
        ]
    )
    if status:
        sys.exit(status)
    (timings,) = outputs.rglob("timings.json")
    place.write(name, phases(json.loads(timings.read_text("utf-8")), place.machine))


def phases(timings: dict[str, Any], machine: str) -> str:
    """The phases of a run as a table, over all its attempts, and the memory of the last one."""
    attempts = [*timings.get("earlier_attempts", []), timings["seconds"]]
    names = [name for name in timings["seconds"] if name != "total"]
    sums = {name: sum(one.get(name, 0.0) for one in attempts) for name in [*names, "total"]}
    rows = "\n".join(f"| {name} | {seconds:.1f} |" for name, seconds in sums.items())
    memory = {"process": timings["peak_memory_bytes"], "card": timings.get("peak_gpu_memory_bytes")}
    peaks = ", ".join(f"{where} {size / 2**30:.2f} GiB" for where, size in memory.items() if size is not None)
    return f"| phase | seconds |\n|---|---|\n{rows}\n\nPeak memory: {peaks}. Attempts: {len(attempts)}. {machine}."


def random_parts(place: Place) -> Path:
    """The folder of what the runs load, made once: Stable Diffusion 1.x, a tiny decoder, CLIPSeg and a ResNet-50."""
    import torch
    from safetensors.torch import save_file

    from experiments.speed.models import SIZES, Models

    folder = place.folder / "parts"
    if folder.exists():
        return folder
    unfinished = folder.with_name("parts.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    models = Models(
        SIZES["least" if place.toy else "full"], place.device, torch.float32 if place.toy else torch.bfloat16
    )
    models.pipeline.save_pretrained(unfinished / "prior")
    models.tiny_decoder.save_pretrained(unfinished / "decoder")
    save_file(models.classifier.float().state_dict(), unfinished / "classifier.safetensors")
    _segmenter(unfinished / "segmenter", place.toy)
    os.replace(unfinished, folder)
    return folder


def _segmenter(folder: Path, toy: bool) -> None:
    """CLIPSeg rd64 in its published size, which reads the embedded one's words; in small, one of two layers."""
    import torch
    from transformers import CLIPSegConfig, CLIPSegForImageSegmentation, CLIPSegProcessor

    from diffexplain.weights.paths import resolve_folder

    processor = CLIPSegProcessor.from_pretrained(resolve_folder("embedded:clipseg"))
    least = {"num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 32, "num_attention_heads": 2}
    side, few = (32, least) if toy else (352, {})
    processor.image_processor.size = {"height": side, "width": side}
    words = {f"{kind}_token_id": getattr(processor.tokenizer, f"{kind}_token_id") for kind in ("bos", "eos", "pad")}
    torch.manual_seed(0)
    config = CLIPSegConfig(
        text_config={**few, **words, "projection_dim": 512},
        vision_config={**few, "patch_size": 16, "projection_dim": 512},
        extract_layers=[0, 1] if toy else [3, 6, 9],
        use_complex_transposed_convolution=True,
    )
    CLIPSegForImageSegmentation(config).save_pretrained(folder)
    processor.save_pretrained(folder)


def prior(place: Place) -> None:
    """The embedded prior trained further, from the shipped weights into `prior/`; those shipped stay as they are."""
    import torch

    from experiments.world import train_prior

    few = {"steps": 2, "batch": 4} if place.toy else {}
    options = argparse.Namespace(**TRAINING | few, go_on=True, seed=0, rank=0, processes=1, device=place.device)
    options.threads = torch.get_num_threads()
    train_prior.main(options, checkpoints=place.folder, into=place.folder / "prior")


def prior_gates(place: Place) -> None:
    """The gates of the shipped prior and of the one trained further, side by side."""
    from experiments.world.gates.prior import CAPTIONS, prior_rows

    count = 8 if place.toy else CAPTIONS
    shipped, further = (prior_rows(count, folder=folder) for folder in ("embedded:prior", str(place.folder / "prior")))
    lines = []
    for pair in zip(shipped, further, strict=True):
        values = " | ".join("missing" if row.value is None else f"{row.value:.4f}" for row in pair)
        lines.append(f"| {pair[0].measure} | {values} | {pair[0].n} |")
    rows = "\n".join(lines)
    place.write(
        "prior_gates", f"| measure | shipped | trained further | n |\n|---|---|---|---|\n{rows}\n\n{place.machine}."
    )
