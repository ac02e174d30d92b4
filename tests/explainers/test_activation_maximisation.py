"""Activation maximisation on a classifier that answers to mean colour, and on pictures whose spectrum is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.explainers.support import BEE, GREEN
from tests.tiny import TinyClassifier, tiny_images, tiny_prior

from diffexplain import app
from diffexplain.config import configuration
from diffexplain.errors import UserError
from diffexplain.explainers import Cutouts, FoundImages, Maco, MahendranVedaldi, Nguyen, Yosinski
from diffexplain.explainers.natural_pictures import Surroundings, spectrum_of
from diffexplain.pipelines.parts import Parts
from diffexplain.report import load_run
from diffexplain.report.page import render
from diffexplain.runs.draws import Draws

COMMON: dict[str, Any] = {"images": 3, "steps": 12, "batch_size": 2}


def yosinski(**changes: Any) -> Yosinski:
    known = {"side": None, "decay": 0.0001, "blur_sigma": 0.5, "blur_every": 4, "norm_percentile": 50.0}
    return Yosinski(**(COMMON | known | {"learning_rate": 30.0} | changes))


def mahendran_vedaldi(**changes: Any) -> MahendranVedaldi:
    known = {"side": None, "weight": 1.0, "alpha": 6.0, "beta": 2.0, "bright": 0.3, "gradual": 0.05, "bound": 0.6}
    return MahendranVedaldi(**(COMMON | known | {"jitter": 2, "learning_rate": 0.01} | changes))


def nguyen(**changes: Any) -> Nguyen:
    return Nguyen(**(COMMON | {"learning_rate": 0.5, "decay": 0.01, "bound": 3.0, "spread": 0.3} | changes))


def maco(**changes: Any) -> Maco:
    return Maco(**(COMMON | {"learning_rate": 0.1, "side": None} | changes))


METHODS = (yosinski, mahendran_vedaldi, nguyen, maco)
PICTURES = tiny_images(6)


def explain(method: Any, target: Any = BEE, seed: int = 0, **options: Any) -> FoundImages:
    options = {"pictures": PICTURES} | options
    return method.explain(target, TinyClassifier(), tiny_prior(), Draws(seed, target.text), **options)


@pytest.mark.parametrize("make", METHODS)
def test_pictures_are_bytes_and_the_same_again_and_others_for_another_seed(make: Callable[..., Any]) -> None:
    found, again = explain(make()), explain(make())
    assert found.images.shape == (3, 3, 32, 32)
    assert 0 <= found.images.min() and found.images.max() <= 1
    assert torch.equal(found.images * 255, (found.images * 255).round())
    assert torch.equal(found.images, again.images)
    assert found.curve == again.curve
    assert [row["step"] for row in found.curve] == list(range(12))
    assert not torch.equal(found.images, explain(make(), seed=1).images)
    assert not torch.equal(found.images[0], found.images[1])


@pytest.mark.parametrize("make", METHODS)
@pytest.mark.parametrize("target", [BEE, GREEN])
def test_what_the_target_answers_to_grows(make: Callable[..., Any], target: Any) -> None:
    rows = explain(make(), target).curve
    assert rows[-1]["loss"] < rows[0]["loss"]


def test_how_many_are_made_at_once_changes_no_picture() -> None:
    for make in METHODS:
        together, apart = explain(make(batch_size=3)).images, explain(make(batch_size=1)).images
        assert (together - apart).abs().mean() < 1 / 255


def test_yosinski_clips_decays_and_blurs() -> None:
    x = torch.zeros(1, 3, 4, 4)
    x[0, :, 0, 0], x[0, :, 3, 3] = 0.4, 0.1
    only_clipped = yosinski(decay=0.0, blur_every=0, norm_percentile=94.0)
    clipped = x.clone()
    only_clipped.project(clipped, 0)
    assert torch.equal(clipped[0, :, 0, 0], x[0, :, 0, 0])
    assert clipped.count_nonzero() == 3
    decayed = x.clone()
    yosinski(decay=0.5, blur_every=0, norm_percentile=0.0).project(decayed, 0)
    assert torch.allclose(decayed, x / 2)
    blurring = yosinski(decay=0.0, blur_every=4, norm_percentile=0.0)
    kept, blurred = x.clone(), x.clone()
    blurring.project(kept, 1)
    blurring.project(blurred, 4)
    assert torch.equal(kept, x)
    assert 0 < blurred[0, 0, 0, 1] < blurred[0, 0, 0, 0] < 0.4


def test_mahendran_vedaldi_knows_a_flat_picture_from_a_striped_one() -> None:
    method = mahendran_vedaldi(weight=0.5, bright=0.3, gradual=0.1)
    flat = torch.full((1, 3, 4, 4), 0.3 / 3**0.5)  # every pixel's norm is B, so its alpha-norm is 1
    assert method.penalty(flat) == pytest.approx(1 / 0.5, abs=1e-4)
    striped = torch.zeros(1, 3, 4, 4)
    striped[:, 0, :, ::2] = 0.1  # each step across is V, so the total variation is 1
    assert method.penalty(striped) == pytest.approx((1 + (0.1 / 0.3) ** 6 / 2) / 0.5, abs=1e-4)
    bright = torch.full((1, 3, 2, 2), 0.9)
    method.project(bright, 0)
    assert torch.allclose(bright.norm(dim=1), torch.full((1, 2, 2), 0.6))


def test_the_jittered_window_ends_in_the_middle() -> None:
    method, around = mahendran_vedaldi(jitter=2), Surroundings(tiny_prior(), Draws(0, "x"), None)
    x = torch.linspace(-0.4, 0.4, 34).expand(1, 3, 34, 34)
    assert torch.equal(method.picture(x, around, None), 0.5 + x[..., 1:33, 1:33])
    seen = {method.picture(x, around, step)[0, 0, 0, 0].item() for step in range(20)}
    assert len(seen) == 3  # to the left, in the middle, to the right


def test_nguyen_stays_near_natural_codes() -> None:
    method = nguyen(bound=0.5, decay=0.5)
    x = torch.tensor([2.0, 0.4, -3.0])
    method.project(x, 0)
    assert x.tolist() == pytest.approx([0.5, 0.2, -0.5])
    around = Surroundings(tiny_prior(), Draws(0, "x"), PICTURES)
    mean, deviation = around.latents
    assert mean.shape == deviation.shape == (4, 1, 1)
    decoded = method.picture(torch.zeros(1, 4, 8, 8), around, None)
    assert torch.allclose(decoded, around.prior.decode(mean.expand(1, 4, 8, 8), final=True))


def test_maco_keeps_the_magnitudes_of_natural_pictures() -> None:
    around = Surroundings(tiny_prior(), Draws(0, "x"), 0.5 + 0.1 * (PICTURES - 0.5))  # so that nothing is clamped
    mean, colours, magnitudes = around.spectrum((32, 32))
    x = maco().begin([0, 1], around)
    pictures = maco().picture(x, around, None)
    channels = torch.einsum("cd,ncij->ndij", torch.linalg.inv(colours).T, pictures - mean)
    inner = slice(1, 16)  # the first and last column of a real picture's spectrum have no phases of their own
    found = torch.fft.rfft2(channels).abs()[..., inner]
    assert torch.allclose(found, magnitudes[..., inner].expand_as(found), rtol=1e-2, atol=1e-2)


def test_the_spectrum_s_colours_are_those_of_the_pictures() -> None:
    spectrum = spectrum_of(PICTURES)
    pixels = (PICTURES - spectrum.mean).transpose(0, 1).flatten(1)
    assert torch.allclose(spectrum.colours @ spectrum.colours.T, pixels @ pixels.T / pixels.shape[1], atol=1e-5)


def test_cutouts_change_what_is_seen() -> None:
    plain, cut = explain(yosinski()), explain(yosinski(), augmentation=Cutouts(views=3))
    assert not torch.equal(plain.images, cut.images)


def test_nothing_to_make_is_refused() -> None:
    for key in ("images", "steps", "batch_size"):
        with pytest.raises(UserError, match="at least one"):
            yosinski(**{key: 0})


@pytest.fixture(scope="module")
def parts() -> Parts:
    return Parts()


@pytest.mark.parametrize("name", ["yosinski", "mahendran_vedaldi", "nguyen", "maco"])
def test_each_is_a_run_with_a_page(name: str, parts: Parts, tmp_path: Path) -> None:
    overrides = [
        f"explainer={name}", "explainer.images=2", "explainer.steps=2", "target=class:bee", "logger=local",
        "diffusion.steps=1", "trainer=cpu", f"paths.outputs={tmp_path}",
    ]  # fmt: skip
    outcome = app.make(configuration.compose(overrides), parts)
    assert outcome.summary is not None
    assert [row.name for row in outcome.summary.activation] == ["found images", "class name", "neutral"]
    assert outcome.summary.words is None
    loaded = load_run(outcome.directory)
    assert loaded.summary == outcome.summary
    assert len(loaded.images) == 2
    assert [row["step"] for row in loaded.curve] == [0, 1]
    page = outcome.report.read_text(encoding="utf-8")
    assert page == render(load_run(outcome.directory))
    assert "optimises the picture itself" in page
    assert not app.make(configuration.compose(overrides), parts).made


def test_a_unit_is_measured_by_its_own_threshold(parts: Parts, tmp_path: Path) -> None:
    overrides = [
        "explainer=yosinski", "explainer.images=2", "explainer.steps=2", "target=unit:stages.2.1:5", "logger=local",
        "diffusion.steps=1", "trainer=cpu", f"paths.outputs={tmp_path}",
    ]  # fmt: skip
    outcome = app.make(configuration.compose(overrides), parts)
    assert outcome.summary is not None
    assert outcome.summary.unit_threshold is not None
    assert [row.name for row in outcome.summary.activation] == ["found images", "neutral"]


def test_maco_takes_its_magnitudes_from_a_folder_of_photographs(parts: Parts, tmp_path: Path) -> None:
    from PIL import Image

    folder = tmp_path / "photographs"
    folder.mkdir()
    for number, picture in enumerate(tiny_images(3, side=64)):
        Image.fromarray((picture.permute(1, 2, 0) * 255).byte().numpy()).save(folder / f"{number}.png")
    overrides = [
        "explainer=maco", "explainer.images=1", "explainer.steps=1", f"images={folder}", "logger=local", "trainer=cpu",
        f"paths.outputs={tmp_path / 'outputs'}",
    ]  # fmt: skip
    outcome = app.make(configuration.compose(overrides), parts)
    used = json.loads((outcome.directory / "photographs.json").read_text())["used"]
    assert [entry["name"] for entry in used] == ["0.png", "1.png", "2.png"]
