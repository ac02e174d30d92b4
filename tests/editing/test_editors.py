"""All editors on tiny networks: what every one keeps to, and what is one's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    LEditsPPPipelineStableDiffusion,
    StableDiffusionInstructPix2PixPipeline,
    UNet2DConditionModel,
)
from tests.diffusion.tiny_pipelines import MADE, made
from tests.tiny import WIDTH, tiny_images, tiny_pipeline, tiny_prior

from diffexplain.concepts import Concept, Hierarchy
from diffexplain.diffusion.prior import Prior
from diffexplain.editing import Composition, Editor, Flux2Klein, Instruct, LeditsPP, Paired, Prepared, State
from diffexplain.editing.instruct import instruction
from diffexplain.editing.leditspp import Term, terms
from diffexplain.editing.paired_prompts import longest_description
from diffexplain.errors import UserError
from diffexplain.runs.draws import Draws

FLAG, FLOWER, SNOW, GRASS = ("flag",), ("flower",), ("setting", "snow"), ("setting", "grass")
LONG = ("long",)
LONG_TEXT = "a flag with a red dog with a red dog with a red dog"
"""As many tokens as the text encoder reads."""
HIERARCHY = Hierarchy(
    "a flagpole",
    (
        Concept("flag", "a flag", "object"),
        Concept("flower", "a flower", "object"),
        Concept("long", LONG_TEXT, "object"),
        Concept(
            "setting",
            "",
            "setting",
            (Concept("snow", "in the snow", "setting"), Concept("grass", "on the grass", "setting")),
        ),
    ),
)
COMPOSITION = Composition(HIERARCHY, "a flagpole", "a")
DRAWS = Draws(0, "class:flagpole")
STEPS = 3
OPTIONS = MADE["flux2_klein"][1]["options"]


def coarse_prior(channels: int = 4) -> Prior:
    """A prior whose cross-attention is at a quarter of the latents' size, as Stable Diffusion's coarsest but one."""
    pipeline = tiny_pipeline()
    pipeline.unet = unet(channels, channels)
    if channels != 4:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(2)
            config = dict(pipeline.vae.config) | {"latent_channels": channels}
            pipeline.vae = AutoencoderKL.from_config(config)
    return Prior(pipeline, steps=2, micro_batch=4)


def unet(channels: int, latent_channels: int) -> UNet2DConditionModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return UNet2DConditionModel(
            sample_size=8,
            in_channels=channels,
            out_channels=latent_channels,
            block_out_channels=(8, 8, 16),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
            cross_attention_dim=WIDTH,
            attention_head_dim=2,
            norm_num_groups=4,
        )


def paired() -> Editor:
    return Paired(tiny_prior(), companion_share=0.5)


def ledits() -> Editor:
    return LeditsPP(coarse_prior(), steps=STEPS, skip=0.4, micro_batch=2)


def instruct() -> Editor:
    parts = tiny_pipeline()
    pipeline = StableDiffusionInstructPix2PixPipeline(
        vae=parts.vae,
        text_encoder=parts.text_encoder,
        tokenizer=parts.tokenizer,
        unet=unet(8, 4),
        scheduler=parts.scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    return Instruct(pipeline, steps=STEPS, micro_batch=2)


def klein() -> Editor:
    pipeline: Any = made("flux2_klein")
    return Flux2Klein(pipeline, steps=STEPS, options=OPTIONS)


def side(editor: Editor) -> int:
    """Of the images that it edits, in pixels; klein takes no smaller ones."""
    return 64 if isinstance(editor, Flux2Klein) else 32


def prepared(editor: Editor, indices: tuple[int, ...] = (0, 1, 2), states: list[State] | None = None) -> Prepared:
    images = None if isinstance(editor, Paired) else tiny_images(8, side(editor))[list(indices)]
    return editor.prepare(COMPOSITION, DRAWS, indices, images, states)


class Begun(NamedTuple):
    make: Callable[[], Editor]
    editor: Editor
    prepared: Prepared


@pytest.fixture(scope="module", params=[paired, ledits, instruct, klein], ids=lambda make: make.__name__)
def begun(request: pytest.FixtureRequest) -> Begun:
    """Each editor with three images."""
    editor = request.param()
    return Begun(request.param, editor, prepared(editor))


def test_images_are_images_and_an_edit_changes_them(begun: Begun) -> None:
    editor, null = begun.editor, begun.prepared.null
    edited = editor.edit(begun.prepared, [0, 2], [frozenset({FLAG}), frozenset({FLOWER, SNOW})])
    for images in (null, edited):
        assert images.shape[1:] == (3, side(editor), side(editor)) and images.device.type == "cpu"
        assert float(images.min()) >= 0 and float(images.max()) <= 1
    assert not torch.equal(edited, null[[0, 2]])


def test_what_changes_nothing_is_the_null_edit(begun: Begun) -> None:
    again = begun.editor.edit(begun.prepared, [0, 1, 2], list(begun.prepared.states))
    assert torch.allclose(again, begun.prepared.null, atol=1e-5)


def test_an_edit_is_the_same_in_any_company(begun: Begun) -> None:
    editor = begun.make()
    if isinstance(editor, Instruct):
        # Its guidance multiplies what single precision rounds off, which depends on the company and the processor.
        editor.pipeline.to(torch.float64)
    three, alone = prepared(editor), prepared(editor, (1,))
    state: State = frozenset({FLAG, SNOW})
    together = editor.edit(three, [2, 1, 0], [frozenset(), state, frozenset({FLOWER})])
    assert three.states[1] == alone.states[0]
    assert torch.allclose(together[1], editor.edit(alone, [0], [state])[0], atol=1e-4)


def test_edits_are_repeated_to_the_bit(begun: Begun) -> None:
    again = begun.make()
    one = begun.editor.edit(begun.prepared, [0], [frozenset({FLAG})])
    torch.manual_seed(7)
    assert torch.equal(one, again.edit(prepared(again), [0], [frozenset({FLAG})]))


@pytest.mark.parametrize(
    ("make", "preparing", "one", "two"),
    [
        (paired, 3 * 2, 2, 2),
        # Inversion and null edit; then the unconditional branch and one for each concept.
        (ledits, 3 * 2 * STEPS, 2 * STEPS, 3 * STEPS),
        (instruct, 3 * 3 * STEPS, 3 * STEPS, 3 * STEPS),
        (klein, 3 * STEPS, STEPS, STEPS),
    ],
)
def test_evaluations_are_counted(make: Callable[[], Editor], preparing: int, one: int, two: int) -> None:
    editor = make()
    begun = prepared(editor, states=[frozenset()] * 3)
    assert editor.evaluations == preparing
    editor.edit(begun, [0], [frozenset({FLAG})])
    assert editor.evaluations == preparing + one
    editor.edit(begun, [0], [frozenset({FLAG, SNOW})])
    assert editor.evaluations == preparing + one + two


def test_paired_descriptions_vary_and_keep_to_what_is_asked() -> None:
    editor = Paired(tiny_prior(), companion_share=0.5)
    short = Composition(Hierarchy("a bee", (HIERARCHY.roots[0], HIERARCHY.roots[3])), "a bee", "a")
    states = editor.prepare(short, DRAWS, range(40)).states
    assert {len(state & {SNOW, GRASS}) for state in states} == {1}
    assert 10 < sum(FLAG in state for state in states) < 30
    assert 10 < sum(SNOW in state for state in states) < 30
    bare = Paired(tiny_prior(), stated=0, companion_share=0.0).prepare(short, DRAWS, range(3))
    assert set(bare.states) == {frozenset()}


def test_a_description_that_would_be_cut_off_is_an_error() -> None:
    editor = paired()
    with pytest.raises(UserError, match="the text encoder reads 16"):
        editor.edit(prepared(editor, states=[frozenset()] * 3), [0], [frozenset({LONG})])


def test_each_editor_says_what_it_needs() -> None:
    with pytest.raises(UserError, match="editor=leditspp"):
        paired().prepare(COMPOSITION, DRAWS, [0], tiny_images(1))
    for editor in (ledits(), instruct(), klein()):
        with pytest.raises(UserError, match="editor=paired"):
            editor.prepare(COMPOSITION, DRAWS, [0])
    with pytest.raises(UserError, match="32x32"):
        ledits().prepare(COMPOSITION, DRAWS, [0], tiny_images(1, side=64))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("count", [1, 2])
def test_ledits_makes_what_diffusers_makes_where_that_is_right(reverse: bool, count: int) -> None:
    prior = coarse_prior()
    editor = LeditsPP(prior, steps=STEPS, skip=0.4)
    # A text of full length: diffusers counts the padding among the words of a shorter one.
    texts = [LONG_TEXT, "a flower" + LONG_TEXT[6:]][:count]
    begun = editor.prepare(COMPOSITION, DRAWS, [0], tiny_images(1))
    ours = editor.carry_out(begun.kept, [0], [[Term(text, text, -1.0 if reverse else 1.0) for text in texts]])

    parts = prior.pipeline
    theirs = LEditsPPPipelineStableDiffusion(
        vae=parts.vae,
        text_encoder=parts.text_encoder,
        tokenizer=parts.tokenizer,
        unet=parts.unet,
        scheduler=DPMSolverMultistepScheduler.from_config(
            parts.scheduler.config, algorithm_type="sde-dpmsolver++", solver_order=2
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    theirs.set_progress_bar_config(disable=True)
    seed = int(DRAWS.generator("edit", 3, 0).integers(2**31))
    theirs.invert(tiny_images(1), num_inversion_steps=STEPS, skip=0.4, generator=[torch.Generator().manual_seed(seed)])
    (images,) = theirs(
        editing_prompt=texts,
        reverse_editing_direction=[reverse] * count,
        edit_guidance_scale=10.0,
        edit_threshold=0.75,
        output_type="pt",
        return_dict=False,
    )[:1]
    assert not torch.allclose(ours, begun.null, atol=1e-3)
    assert torch.allclose(ours, images.float(), atol=1e-4)


def test_ledits_takes_any_number_of_latent_channels() -> None:
    editor = LeditsPP(coarse_prior(channels=8), steps=2, skip=0.5)
    begun = prepared(editor)
    assert not torch.equal(editor.edit(begun, [1], [frozenset({FLAG})]), begun.null[[1]])


def test_ledits_adds_and_removes_in_opposite_directions() -> None:
    editor = LeditsPP(coarse_prior(), steps=2, skip=0.5, guidance=0.1)
    begun = prepared(editor, (0,))
    more, less = (
        editor.carry_out(begun.kept, [0], [[Term("a flag", "a flag", sign)]]) - begun.null for sign in (1.0, -1.0)
    )
    assert float((more * less).sum()) < 0


def test_ledits_says_the_subject_with_what_is_added_and_not_with_what_is_taken_out() -> None:
    flag, striped, dog, red = ("flag",), ("flag", "striped flag"), ("dog",), ("red",)
    kinds = (Concept("striped flag", "a striped flag", "attribute"), Concept("plain flag", "a plain flag", "attribute"))
    concepts = (Concept("flag", "a flag", "object", kinds), Concept("dog", "a dog", "object"))
    composition = Composition(Hierarchy("a flagpole", (*concepts, Concept("red", "red", "attribute"))), "a flagpole")

    def said(before: State, after: State) -> list[tuple[str, str, float]]:
        return [(term.text, term.words, term.sign) for term in terms(composition, before, after, {flag: striped})]

    assert said(frozenset({dog}), frozenset({flag})) == [
        ("a photo of a flagpole with a striped flag", "a striped flag", 1.0),
        ("a dog", "a dog", -1.0),
    ]
    assert said(frozenset(), frozenset({red})) == [("a photo of a red flagpole", "red", 1.0)]


def test_ledits_looks_where_the_concepts_own_words_are_attended_to() -> None:
    editor = ledits()
    assert isinstance(editor, LeditsPP)
    places = editor.places(Term("a red flag with a small flower", "a small flower", 1.0))
    # The token that begins a text stands at 0.
    assert (places.start, places.stop) == (5, 8)
    assert editor.places(Term("a flag", "a tree", 1.0)) == slice(1, 3)


def test_ledits_gives_the_attention_back() -> None:
    editor = ledits()
    assert isinstance(editor, LeditsPP)
    network = editor.prior.pipeline.unet
    before = dict(network.attn_processors)
    editor.edit(prepared(editor), [0], [frozenset({FLAG})])
    assert network.attn_processors == before


def test_ledits_refuses_a_prior_without_a_noise_schedule() -> None:
    prior = coarse_prior()
    prior.pipeline.scheduler = FlowMatchEulerDiscreteScheduler()
    with pytest.raises(UserError, match="flow matching"):
        LeditsPP(prior)


def test_ledits_names_a_prior_whose_attention_it_cannot_read() -> None:
    editor = LeditsPP(tiny_prior(), steps=2)
    with pytest.raises(UserError, match="no cross-attention at 2x2"):
        editor.edit(prepared(editor), [0], [frozenset({FLAG})])


def test_klein_sees_the_picture_that_it_edits_and_no_other() -> None:
    editor = klein()
    images = tiny_images(2, side(editor))
    both = editor.prepare(COMPOSITION, DRAWS, (0, 0), images).null  # From the same noise.
    assert not torch.equal(both[0], both[1])
    assert torch.equal(editor.prepare(COMPOSITION, DRAWS, (0,), images[1:]).null[0], both[1])


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ((), (), ""),
        ((), (FLAG, SNOW), "add a flag and put it in the snow"),
        ((FLAG,), (), "remove the flag"),
        ((GRASS,), (SNOW,), "put it in the snow"),
    ],
)
def test_instructions(before: tuple[tuple[str, ...], ...], after: tuple[tuple[str, ...], ...], said: str) -> None:
    assert instruction(COMPOSITION, frozenset(before), frozenset(after)) == said


def test_the_longest_description_is_known_before_anything_is_made() -> None:
    def length(text: str) -> int:
        return len(text.split())

    def longest(stated: int, companion: bool, changes: int) -> str:
        short = Hierarchy("a flagpole", tuple(root for root in HIERARCHY.roots if root.name != "long"))
        return longest_description(Composition(short, "a flagpole", "a"), stated, companion, changes, length)

    assert longest(0, False, 0) == "a a flagpole"
    assert longest(1, False, 0) == "a a flagpole in the snow"
    assert longest(0, False, 1) == "a a flagpole with a flag" or longest(0, False, 1).endswith("in the snow")
    assert length(longest(1, True, 1)) == length("a a flagpole with a flag and a flower in the snow")
    assert longest(5, True, 9) == "a a flagpole with a flag and a flower in the snow"


def test_a_hierarchy_whose_descriptions_would_be_cut_off_is_refused_at_once() -> None:
    editor = Paired(tiny_prior())
    with pytest.raises(UserError, match="text encoder reads"):
        editor.check(COMPOSITION, 2)
    assert editor.evaluations == 0
    short = Hierarchy("a flagpole", (Concept("flag", "a flag", "object"),))
    editor.check(Composition(short, "a flagpole", "a"), 2)
