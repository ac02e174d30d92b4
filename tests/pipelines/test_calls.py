"""What a run calls its networks on is known before it begins: counted here beside it, on the embedded world."""

from pathlib import Path

import pytest
from PIL import Image
from tests.overriding import changed

from diffexplain import app
from diffexplain.config import configuration
from diffexplain.errors import UserError
from diffexplain.pipelines.calls import (
    CLASSIFIER,
    DECODER,
    DENOISER,
    SEGMENTER,
    SIMILARITY,
    TEXT,
    Calls,
    forecast,
)
from diffexplain.runs.machine import Stopwatch
from diffexplain.runs.run import planned
from experiments.full_size.counting import CountedParts

SMALL = ["logger=local", "trainer=cpu", "seed=3", "target=class:bee", "classifier.hierarchy=tests/conf/hierarchy.yaml"]
EFFECTS = ["effects.images=3", "effects.chunk=2", "effects.smallest=2", "effects.resamples=10"]
SCREEN = ["discovery.pictures=4", "discovery.tested=2", "discovery.pairs=1", "discovery.others=2", *EFFECTS]
MEASURED = [
    *("evaluation=quick", "evaluation.images=3", "evaluation.random_images=2", "evaluation.candidates=1"),
    *("evaluation.rescoring_images=2", "evaluation.looked_images=2", "evaluation.examples=2"),
]
PROMPT = [*MEASURED, "explainer.steps=2", "explainer.batch=2", *SCREEN]
DIFFEX = ["explainer=diffex", *EFFECTS]
TINY = [
    *("paths.configs=[tests/conf]", "plugins=[tests]", "diffusion=tiny", "segmenter=world", "effects.opening=a"),
    *("classifier.hierarchy=tests/conf/tiny_hierarchy.yaml", "classifier.vocabulary=tests/conf/vocabulary.yaml"),
]
"""In place of the embedded prior, for what is counted alike on every prior."""


@pytest.fixture(scope="module")
def parts() -> CountedParts:
    return CountedParts()


def both(parts: CountedParts, folder: Path, *overrides: str) -> tuple[Calls, Calls, bool]:
    """What was said beforehand, what was counted, and whether it was said to be exact."""
    config = configuration.compose([*changed(SMALL, *overrides), "diffusion.steps=2", f"paths.outputs={folder}"])
    target = app.resolve_target(config)
    said = forecast(config, target)
    run = planned(config, folder, target=target)
    with run.taken():
        pipeline = app.prepare(run, target, parts, Stopwatch())
        plugins = tuple(config["plugins"])
        classifier = parts.classifier(config["classifier"], plugins)
        pipeline.explain(classifier, parts.build("diffusion", config["diffusion"], plugins), [])
        pipeline.evaluate()
    calls = Calls(parts.calls)
    parts.calls.clear()
    told = Calls({name: count for name, count in said.calls.items() if name in calls})
    told[SEGMENTER] = said.calls[SEGMENTER] + said.calls[SIMILARITY]  # one network, at two sizes
    assert {DENOISER, DECODER, TEXT, CLASSIFIER} <= told.keys()
    if float(config["diffusion"]["guidance"]) > 1:
        told[TEXT] += 1  # the empty one
    return +told, +calls, said.exact


@pytest.mark.parametrize(
    "overrides",
    [
        (*DIFFEX, "effects.policy=uniform", "explainer.beam=0", "diffusion.guidance=2"),
        ("explainer=nguyen", "explainer.images=3", "explainer.steps=2", "explainer.batch_size=2"),
    ],
)
def test_where_nothing_is_decided_on_the_way_the_run_calls_what_was_said(
    parts: CountedParts, tmp_path: Path, overrides: tuple[str, ...]
) -> None:
    told, calls, exact = both(parts, tmp_path, *overrides)
    assert exact and told == calls


@pytest.mark.parametrize(
    "overrides",
    [
        [*PROMPT, "gradient=leap", "evaluation.quality=true", "evaluation.captions=clip"],
        [
            *PROMPT[: -len(SCREEN)],
            "gradient=spsa",
            "gradient.probes=2",
            "target=unit:stages.2.1:5",
            "explainer.screening_images=1",
        ],
        ["explainer=randomised_prompts", *SCREEN, "compare=[world_fair_cnn]"],
        [*TINY, *DIFFEX, "explainer.beam=2", "explainer.search_images=3"],
        [*TINY, *DIFFEX, "effects.policy=uniform", "explainer.beam=0"],  # two values may mirror each other
        [
            *DIFFEX,
            "effects.policy=uniform",
            "explainer.beam=0",
            "editor=leditspp_world",
            "editor.steps=2",
            "images=photographs",
        ],
    ],
)
def test_where_answers_decide_no_more_is_called_than_was_said(
    parts: CountedParts, tmp_path: Path, overrides: list[str]
) -> None:
    for number, name in enumerate(["bee", "bee", "flagpole"]):
        (tmp_path / "photographs" / name).mkdir(parents=True, exist_ok=True)
        colour = (90 * number, 200, 255 - 90 * number)
        Image.new("RGB", (64, 64), colour).save(tmp_path / "photographs" / name / f"{number}.png")
    mine = [text.replace("=photographs", f"={tmp_path}/photographs") for text in overrides]
    told, calls, exact = both(parts, tmp_path / "outputs", *mine)
    assert not exact
    assert all(count <= told[name] for name, count in calls.items()), (told, calls)
    assert calls[DENOISER] > 0.1 * told[DENOISER]


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("concepts=clip", "concepts=clip"),
        ("concepts=openai", "concepts=openai"),
        ("editor=instruct", "editor=instruct"),
        ("editor=flux2_klein", "editor=flux2_klein"),
    ],
)
def test_what_only_the_run_knows_is_not_guessed(
    override: str, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    for number in range(2):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{number}.png")
    images = [f"images={tmp_path}"] if "editor" in override else []
    config = configuration.compose(["explainer=diffex", override, *images])
    with pytest.raises(UserError, match=named):
        forecast(config, app.resolve_target(config))
