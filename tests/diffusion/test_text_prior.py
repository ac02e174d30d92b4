"""Any pipeline of diffusers that takes texts and latents keeps the contract of a source of paired pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    DiffusionPipeline,
    EulerAncestralDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionXLPipeline,
)
from tests.diffusion.tiny_pipelines import LONG, MADE, SIZE, made, sd3, sdxl
from torch import Tensor

from diffexplain.diffusion import TextPrior, load_prior
from diffexplain.editing.editor import Counter
from diffexplain.errors import UserError
from diffexplain.runs.draws import Draws
from diffexplain.weights.paths import resolve_folder

TEXTS = ["a red flag", "a small dog with a flower"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pipelines")
    for name in MADE:
        made(name).save_pretrained(root / name)
    return root


def load(folder: Path, **more: Any) -> TextPrior:
    weights = [{"repository": str(folder), "licence": "none", "megabytes": 1}]
    told = {"size": SIZE, "dtype": "float32", **MADE.get(folder.name, (None, {}))[1], **more}
    return TextPrior.load(str(folder), weights=weights, **told)


def noise(prior: TextPrior, count: int) -> Tensor:
    return Draws(0, "test").normals("noise", 0, count, prior.latent_shape)


@pytest.mark.parametrize("name", MADE)
def test_every_pipeline_makes_paired_pictures(name: str, folders: Path) -> None:
    prior = load(folders / name)
    state = torch.random.get_rng_state()
    latents = noise(prior, 3)
    images = prior.generate([TEXTS[0]], latents)
    assert images.shape == (3, 3, SIZE, SIZE) == (3, 3, *prior.image_size)
    assert float(images.min()) >= 0 and float(images.max()) <= 1
    # The same text and noise again, with another between, is the same to the bit; another text is another picture.
    others = prior.generate([TEXTS[1]], latents)
    assert torch.equal(prior.generate([TEXTS[0]], latents), images)
    for changed in (others[0], images[1]):
        assert (changed - images[0]).abs().max() > 1e-3
    assert torch.equal(torch.random.get_rng_state(), state)
    # A picture is its own, whatever is made beside it: alone, and in another place among other texts.
    alone = prior.generate([TEXTS[0]], latents[1:2])
    torch.testing.assert_close(alone, images[1:2], rtol=0, atol=1e-5)
    mixed = prior.generate([TEXTS[1], TEXTS[0]], latents[[2, 1]])
    torch.testing.assert_close(mixed, torch.stack([others[2], images[1]]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", MADE)
def test_half_precision_takes_the_same_noise(name: str, folders: Path) -> None:
    prior = load(folders / name, dtype="bfloat16")
    latents = noise(prior, 2)
    images = prior.generate([TEXTS[0]], latents)
    assert (prior.dtype, images.dtype) == (torch.bfloat16, torch.float32)
    assert torch.equal(prior.generate([TEXTS[0]], latents), images)


def test_the_embedded_prior_is_the_same_prior_by_its_pipeline() -> None:
    known = load_prior("embedded:prior", steps=4)
    asked = load(resolve_folder("embedded:prior"), steps=4, guidance=1.0, size=None)
    assert (asked.latent_shape, asked.image_size) == (known.latent_shape, known.image_size)
    assert (asked.token_limit, asked.token_count("a flag")) == (known.token_limit, known.token_count("a flag"))
    latents = Draws(0, "test").normals("noise", 0, 2, known.latent_shape)
    pictures = [prior.generate(TEXTS, latents) for prior in (known, asked)]
    torch.testing.assert_close(pictures[1], pictures[0], rtol=0, atol=1e-5)


def test_what_is_drawn_on_the_way_is_each_pictures_own() -> None:
    prior = TextPrior(sdxl(EulerAncestralDiscreteScheduler()), steps=3, guidance=3.0)
    latents = noise(prior, 3)
    images = prior.generate(TEXTS[:1], latents)
    torch.testing.assert_close(prior.generate(TEXTS[:1], latents[2:]), images[2:], rtol=0, atol=1e-5)


def test_evaluations_are_counted_by_whatever_name_the_network_is_given_its_sample(folders: Path) -> None:
    for name, branches in (("sdxl", 1), ("flux2_klein", 2), ("pixart", 4), ("sd3", 4)):  # steps, and two if guided
        prior = load(folders / name)
        counter = Counter(prior.network)
        latents = noise(prior, 3)
        with counter.listening():
            prior.generate(TEXTS[:1], latents)
        assert counter.count == 3 * branches, name


def test_a_text_may_be_as_long_as_the_encoder_with_most_room_reads(folders: Path) -> None:
    limits = {name: load(folders / name).token_limit for name in MADE}
    assert limits == {"sdxl": 16, "flux2_klein": 32, "pixart": 32, "sana_sprint": 32, "sd3": 32, "flux": 32}
    assert load(folders / "flux", options={}).token_limit == LONG


def test_words_and_texts_come_back_from_their_numbers(folders: Path) -> None:
    prior = load(folders / "sdxl")
    rows = prior.word_embeddings(["flag", "café"])
    chosen = torch.eye(2) + torch.full((2, 2), 1e-7)  # as a straight-through estimator rounds
    said = prior.encode_embeddings(chosen @ rows, "a red")
    assert torch.equal(said, prior.encode(["a red flag café"]))
    latents = noise(prior, 2)
    assert torch.equal(prior.generate(said, latents), prior.generate(["a red flag café"], latents))
    assert torch.equal(prior.encode_embeddings(torch.zeros(2, rows.shape[1]), "flag"), prior.encode(["flag"]))
    with pytest.raises(UserError, match=r"longer than the 16 tokens.*prompt\.prefix"):
        prior.encode_embeddings(rows.repeat(8, 1), "")


class Deaf(StableDiffusionXLPipeline):
    """Begins from noise of its own, whatever it is given."""

    def prepare_latents(self, *arguments: Any) -> Tensor:
        return super().prepare_latents(*arguments[:-1], None)


class Padding(Flux2KleinPipeline):
    """Pads texts to the longest of them alone, as some pipelines do."""

    def encode_prompt(self, prompt: list[str], **more: Any) -> tuple[Tensor, Tensor]:
        states, ids = super().encode_prompt(prompt, **more)
        longest = max(len(text.split()) for text in prompt)
        return states[:, :longest], ids[:, :longest]


def test_texts_that_are_padded_to_each_other_are_read_one_at_a_time() -> None:
    parts = made("flux2_klein")
    prior = TextPrior(Padding(**parts.components, is_distilled=True), size=SIZE, **MADE["flux2_klein"][1])
    latents = noise(prior, 2)
    images = prior.generate(TEXTS, latents)
    assert prior.without_gradient.size == 1
    assert torch.equal(prior.generate(TEXTS[:1], latents[:1]), images[:1])


def stochastic() -> DiffusionPipeline:
    return sd3(FlowMatchEulerDiscreteScheduler(stochastic_sampling=True))


def deaf() -> DiffusionPipeline:
    return Deaf(**made("sdxl").components)


@pytest.mark.parametrize(
    ("make", "told", "message"),
    [
        (stochastic, {}, "draws noise that a run could not repeat"),
        (deaf, {}, "does not begin from the noise that it is given"),
        (sdxl, {"size": 30}, "cannot be called with texts and latents: .*divisible by 8"),
        (sdxl, {"options": {"clip_skipp": 1}}, "takes no such option"),
    ],
)
def test_what_cannot_give_pairs_is_refused_in_one_sentence(
    make: Callable[[], DiffusionPipeline], told: dict[str, Any], message: str
) -> None:
    def pictures() -> Tensor:
        prior = TextPrior(make(), steps=2, **told)
        return prior.generate(TEXTS, noise(prior, 2))

    with pytest.raises(UserError, match=message) as refused:
        pictures()
    assert refused.value.message.count(". ") == 0


def test_what_is_no_such_pipeline_is_refused_before_weights_are_read(folders: Path, tmp_path: Path) -> None:
    for file in (folders / "sdxl").rglob("*.json"):
        copy = tmp_path / file.relative_to(folders / "sdxl")
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(file.read_bytes())
    index = json.loads((tmp_path / "model_index.json").read_text())

    def refused(message: str, **changes: Any) -> None:
        (tmp_path / "model_index.json").write_text(json.dumps({**index, **changes}))
        with pytest.raises(UserError, match=message):
            load(tmp_path, steps=1)

    refused("takes no latents", _class_name=StableDiffusionImg2ImgPipeline.__name__)
    refused("of no class of pipelines that diffusers has", _class_name="OwnPipeline")
    refused("code of others is not run", unet=["own", "UNet"])
    refused("unet cannot be loaded|cannot be loaded")  # Its weights are not there.
    (tmp_path / "model_index.json").unlink()
    with pytest.raises(UserError, match=r"model_index\.json is missing"):
        load(tmp_path, steps=1)


def test_weights_of_a_variant_are_read(folders: Path, tmp_path: Path) -> None:
    made("sdxl").save_pretrained(tmp_path, variant="fp16")
    latents = noise(load(folders / "sdxl"), 1)
    pictures = [
        load(folder, steps=1, **more).generate(TEXTS[:1], latents)
        for folder, more in ((folders / "sdxl", {"guidance": 0.0}), (tmp_path, {"guidance": 0.0, "variant": "fp16"}))
    ]
    assert torch.equal(*pictures)
    with pytest.raises(UserError, match="cannot be loaded"):
        load(tmp_path, steps=1)
