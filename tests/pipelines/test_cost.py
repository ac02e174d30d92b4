"""What a run costs, by the shapes of its networks and by what this device makes."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from diffexplain import app, cli
from diffexplain.config import configuration
from diffexplain.diffusion.architectures import PUBLISHED
from diffexplain.errors import UserError
from diffexplain.pipelines import cost as costs
from diffexplain.pipelines.calls import CLASSIFIER, DENOISER, MASKS, SEGMENTER, TEXT, TINY_DECODER
from diffexplain.pipelines.cost import INSIDE, PROGRAM, cost, duration
from diffexplain.pipelines.networks import Network, _zeroed, architecture_of, networks, peak
from diffexplain.weights.store import measured_file
from experiments.cost.make import WITHOUT, rows

QUICK = ["logger=local", "trainer=cpu", "explainer=yosinski", "explainer.steps=2", "explainer.images=3"]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where what networks take is remembered; elsewhere, every later run would say beforehand what it takes."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture(autouse=True)
def _in_a_store_of_its_own(measured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFEXPLAIN_CACHE", str(measured))


def composed(*overrides: str) -> tuple[dict[str, Any], Any]:
    config = configuration.compose(list(overrides))
    return config, app.resolve_target(config)


def test_every_prior_that_is_fetched_has_its_architecture_here() -> None:
    for name in configuration.available()["diffusion"]:
        sources = configuration.compose([f"diffusion={name}"])["diffusion"].get("weights", ())
        pipelines = [source["repository"] for source in sources if source.get("part") == "pipeline"]
        assert name in (*WITHOUT, "world") or PUBLISHED.keys() >= set(pipelines) != set()


def test_the_published_networks_are_counted_before_anything_is_fetched() -> None:
    found = networks(composed("classifier=resnet50")[0])
    forward, backward = found[DENOISER].operations()
    assert forward == pytest.approx(0.803e12, rel=0.01) and 1 < backward / forward < 1.3
    assert found[CLASSIFIER].operations()[0] == pytest.approx(8.2e9, rel=0.02)
    assert found[CLASSIFIER].bytes == pytest.approx(4 * 25.6e6, rel=0.01)
    assert found[SEGMENTER].operations()[0] > 50 * found[MASKS].operations()[0] > 0
    assert found[TEXT].bytes == pytest.approx(2 * 123.1e6, rel=0.01)


def test_a_prior_that_is_used_with_its_tiny_decoder_alone_is_counted_so() -> None:
    both, tiny = (composed("diffusion=sdxs", *more)[0]["diffusion"] for more in ((), ["diffusion.full_decoder=null"]))
    assert architecture_of(tiny).decoder == architecture_of(both).tiny_decoder
    assert architecture_of(tiny).tiny_decoder is None


def test_a_gradient_keeps_more_than_none_and_checkpoints_less_than_all() -> None:
    found = networks(composed()[0])
    chain = [(found[DENOISER], 2), (found[CLASSIFIER], 2)]
    none, every, some = peak(chain), peak(chain, gradient=True), peak(chain, gradient=True, again=True)
    assert none < some < every


def test_a_process_has_more_than_a_card_and_a_control_is_a_classifier_more() -> None:
    config, target = composed(*QUICK)
    card, process = (cost(config, target, name).memory for name in ("h100", "cpu"))
    assert process > card + PROGRAM
    more = {**config, "evaluation": {"control": "random_weights"}}
    assert cost(more, target, "h100").memory - card == networks(config)[CLASSIFIER].bytes


def test_weights_that_are_rounded_are_read_in_single_precision_before() -> None:
    single, rounded = (
        networks(composed("diffusion=sdxs", f"diffusion.dtype={name}")[0])[DENOISER] for name in ("float32", "bfloat16")
    )
    assert single.copies == single.bytes == 2 * rounded.bytes == rounded.copies / 1.5


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is counted as Linux counts it")
def test_a_call_takes_no_more_memory_than_is_said() -> None:
    found = networks(composed("diffusion=sdxs", "diffusion.dtype=float32")[0])[TINY_DECODER]
    small, large = (replace(found, inputs=((4, side, side),)) for side in (8, 48))
    module = _zeroed(found.make, torch.float32, "cpu")
    for one in (small, large):
        one.output(module, 1)  # Kernels are made once, for either size.
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # The peak begins here.
    large.output(module, 1)
    took, said = status("VmHWM") - before, peak([(large, 1)])
    assert 0.5 * said < took < (1 + INSIDE) * said + 2**25  # What the allocator keeps.


def status(name: str) -> float:
    """Bytes of this process."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return 1024.0 * int(lines[name].split()[0])


def test_the_device_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    config, target = composed(*QUICK)
    first = cost(config, target)
    assert first.seconds > 0 and first.device.startswith("cpu, ") and not first.missing and not first.unknown
    monkeypatch.setattr(Network, "output", None)  # It would be called again.
    assert cost(config, target).seconds == first.seconds


def test_the_plan_of_a_run_that_would_be_fetched(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plan", "--device", "a100", "classifier=caffenet", "diffusion=sdxs", *QUICK]) == 0
    lines = {line[:17].strip(): line[17:] for line in capsys.readouterr().out.splitlines()}
    assert list(lines) == [
        "images", "denoiser calls", "decoder calls", "segmenter calls", "classifier calls", "operations", "peak memory",
        "disk", "download", "time",
    ]  # fmt: skip
    assert lines["images"].strip() == "9"
    assert "6 of them with gradient" in lines["classifier calls"]
    assert "IDKiro/sdxs-512-0.9" in lines["download"] and "an A100 at 43%" in lines["time"]


def test_what_is_asked_wrongly_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plan", "--device=h1000", *QUICK]) == 2
    assert "nearest:  h100" in capsys.readouterr().err
    assert cli.main(["plan", "--devise=h100"]) == 2
    assert "nearest:  --device" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, "", "[" * 100_000, "3", '{"sample_size": 8}'])
def test_a_damaged_configuration_of_a_network_is_one_line(content: str | None, tmp_path: Path) -> None:
    for part in ("unet", "text_encoder", "vae"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "config.json").write_text("{}")
    path = tmp_path / "text_encoder" / "config.json"
    path.unlink()
    if content is not None:
        path.write_text(content)
    whole = content is not None and content.startswith("{")
    with pytest.raises(UserError, match="cannot be read") if not whole else nullcontext():
        architecture_of({"folder": str(tmp_path)})


def test_a_long_run_says_what_it_will_cost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("DIFFEXPLAIN_CACHE", str(tmp_path))
    config, target = composed(*QUICK)
    monkeypatch.setattr(costs, "LONG", 0.0)
    app.announce(config, target)
    assert capsys.readouterr().err == ""  # Nobody has asked what anything takes here.
    cost(config, target)
    app.announce(config, target)
    assert capsys.readouterr().err.startswith("This run:\n  images ")
    before = measured_file().read_bytes()
    app.announce(*composed(*QUICK, "diffusion.micro_batch=2"))  # Of this, too, nobody has: nothing is measured for it.
    assert capsys.readouterr().err == "" and measured_file().read_bytes() == before
    unknown = ["paths.configs=[tests/conf]", "plugins=[tests]", "diffusion=tiny", *QUICK]
    app.announce(*composed(*unknown))  # Of such a prior nothing is known.
    assert capsys.readouterr().err == ""
    with pytest.raises(UserError, match="tiny"):
        cost(*composed(*unknown))


def test_the_table_has_a_line_for_each_prior_and_explainer() -> None:
    (line,) = rows(["world"], ["yosinski"])
    assert line.startswith("| `world` | `yosinski` | 72 | 96 | 0 | ") and line.count("|") == 11


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(3, "3.0 seconds"), (80, "80 seconds"), (600, "10 minutes"), (5400, "1.5 hours"), (4e6, "1,111 hours")],
)
def test_durations_have_few_digits(seconds: float, said: str) -> None:
    assert duration(seconds) == said
