"""What the recipes of the trained parts rest on; the recipes themselves are run by hand."""

import argparse
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn


def test_the_written_encoder_computes_the_principal_components() -> None:
    from experiments.world.common import held_out, pictures
    from experiments.world.train_autoencoder import (
        build,
        linear_latents,
        principal_components,
        read_encoder,
        write_encoder,
    )

    model = build()
    write_encoder(model)
    matrix, mean = principal_components()
    images = pictures(*held_out(64)) * 2 - 1
    expected = linear_latents(images, matrix, mean)
    assert torch.allclose(linear_latents(images, *read_encoder(model)), expected, atol=1e-3)
    with torch.no_grad():
        latents = model.encode(images).latent_dist.mode()
    assert latents.shape == (64, 16, 16, 16)
    assert (latents - expected).abs().max() < 0.01
    assert expected.std() == pytest.approx(1, abs=0.1)


def test_paired_noise_is_standard_normal_and_holds_every_choice() -> None:
    from experiments.world.common import held_out
    from experiments.world.coupling import choices_of, directions, paired_noise

    generator = torch.Generator().manual_seed(0)
    parts = torch.stack([torch.from_numpy(choices_of(*pair)) for pair in zip(*held_out(2000), strict=True)])
    along = directions()
    gram = torch.einsum("achw,bchw->ab", along, along)
    assert torch.allclose(gram, torch.eye(len(along)), atol=1e-6)
    noise = paired_noise(torch.randn(len(parts), 16, 16, 16, generator=generator), parts, along)
    components = torch.einsum("nchw,kchw->nk", noise, along)
    shares = torch.special.ndtr(components)
    assert bool(((shares >= parts[..., 0] - 1e-3) & (shares <= parts[..., 1] + 1e-3)).all())
    # As a whole it is what a sampler draws: five standard errors of mean and deviation.
    assert components.mean(0).abs().max() < 5 / np.sqrt(len(parts))
    assert (components.std(0) - 1).abs().max() < 5 / np.sqrt(2 * len(parts))


def test_the_noise_says_nothing_of_what_the_caption_says() -> None:
    from diffexplain.world.scenes import Companion, Scene
    from experiments.world.coupling import COUNTS, choices_of, told_choices

    scene = Scene("bee", setting="sea", companions=(Companion("tree", "pine", 0), Companion("flag", "striped", 1)))
    told = told_choices(frozenset({"setting", "subtype:flag"}), scene)
    assert [COUNTS[index] for index in told] == [8, 6]  # settings; sub-types of the companion in the second place
    low, high = choices_of(scene, 3)[told[1]]
    assert (low, high) == (0, pytest.approx(1 / 3))  # striped is the first of three kinds of flag


def test_a_resumed_training_ends_where_an_uninterrupted_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from experiments.world import common

    def trained(name: str, stops: tuple[int, ...]) -> torch.Tensor:
        for steps in stops:
            options = argparse.Namespace(steps=20, rate=0.1, batch=1, device="cpu", rank=0, processes=1)
            torch.manual_seed(1)
            training = common.Training(name, nn.Linear(3, 1), options, average=0.9)

            def loss(step: int, stop: int = steps, module: nn.Module = training.module) -> tuple[torch.Tensor, dict]:
                if step == stop:
                    raise KeyboardInterrupt
                inputs = torch.randn(4, 3, generator=torch.Generator().manual_seed(step))
                return (module(inputs) - inputs.sum(1, keepdim=True)).square().mean(), {}

            try:
                training.run(loss, every=5)
            except KeyboardInterrupt:
                continue
        return torch.cat([parameter.detach().flatten() for parameter in training.module.parameters()])

    monkeypatch.setattr(common, "CHECKPOINTS", tmp_path)
    assert torch.equal(trained("once", (99,)), trained("twice", (12, 99)))


def test_the_phrases_of_a_scene_ask_for_labels_that_are_there_and_not_there() -> None:
    from diffexplain.world.scenes import Companion, Scene
    from experiments.world.train_clip import DECODER_WIDTH, LABELS, masks_of, phrases_for

    scene = Scene("flagpole", companions=(Companion("flag", "striped", 0),), setting="snow")
    _, masks = masks_of([scene], [3])
    there = {label for label in range(len(LABELS)) if masks[0, label].any()}
    assert {LABELS[label] for label in there} == {"flagpole", "flag", "flag/striped", "snow"}
    generator = np.random.default_rng(0)
    asked = [phrase for _ in range(50) for phrase in phrases_for(scene, generator)]
    share = sum(label in there for _, label in asked) / len(asked)
    assert 0.3 < share < 0.6
    assert DECODER_WIDTH >= len(LABELS) + 2


def test_muon_makes_matrices_orthogonal_and_resumes() -> None:
    from experiments.world.muon import Muon, orthogonal

    torch.manual_seed(0)
    for shape in ((3, 8, 20), (2, 20, 8)):
        values = torch.linalg.svdvals(orthogonal(torch.randn(shape)))
        assert bool(((values > 0.5) & (values < 1.3)).all())

    def trained(stop: int | None) -> tuple[torch.Tensor, torch.Tensor]:
        torch.manual_seed(1)
        module = nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 1))
        optimizer = Muon(module, 0.02, outer=("2.",))
        for step in range(30):
            if step == stop:  # stopped here, and read back into fresh objects
                weights, state = module.state_dict(), optimizer.state_dict()
                module = nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 1))
                module.load_state_dict(weights)
                optimizer = Muon(module, 0.02, outer=("2.",))
                optimizer.load_state_dict(state)
            inputs = torch.randn(64, 6, generator=torch.Generator().manual_seed(step))
            loss = (module(inputs) - inputs[:, :1]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return torch.cat([parameter.detach().flatten() for parameter in module.parameters()]), loss.detach()

    through, loss = trained(None)
    assert loss < 0.2  # 1 at first
    assert torch.equal(through, trained(17)[0])
