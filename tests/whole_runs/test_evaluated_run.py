"""What an evaluation measures on request, by the real command in the embedded world."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from tests.concepts.chat_server import KEY, Chat, Reply, running

from diffexplain import cli
from diffexplain.config import configuration
from diffexplain.errors import UserError
from diffexplain.report import load_run
from diffexplain.report.page import render
from diffexplain.world.render import render_images
from diffexplain.world.scenes import Scene

ROOT = Path(__file__).parents[2]
SETTINGS = (
    *("logger=local", "trainer=cpu", "explainer.steps=1", "explainer.batch=2", "explainer.screening_images=0"),
    "diffusion.steps=1",
    *("evaluation=quick", "evaluation.images=4", "evaluation.random_images=2", "evaluation.looked_images=2"),
    *("evaluation.candidates=0", "effects.smallest=2", "effects.images=2", "discovery.pictures=4"),
)


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    folder.mkdir()
    scenes = [Scene("flagpole", colour=colour, setting="snow") for colour in ("red", "blue", "yellow")]
    for number, image in enumerate(render_images(scenes, range(3))):
        Image.fromarray(image).save(folder / f"{number}.png")
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_a_run_measures_what_it_is_asked_to(
    tmp_path: Path, photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "a photo of a flagpole with a striped flag"
    with running(Chat(script=[Reply(json.dumps({"text": "The classifier says 1234567."}))])) as chat:
        asked = [
            *SETTINGS,
            *(
                "evaluation.control=random_weights",
                "evaluation.quality=true",
                "evaluation.captions=clip",
                f"evaluation.reference={photographs}",
            ),
            f"evaluation.texts=[{text}]",
            *("wording=openai", f"wording.base_url={chat.base_url}", f"wording.memory={tmp_path}/replies"),
            f"paths.outputs={tmp_path}/outputs",
        ]
        assert cli.run(asked) == 0
    directory = Path(capsys.readouterr().out.split("Report: ")[1].strip()).parent
    summary = load_run(directory).summary
    names = ["found prompt", "class name", "neutral", "random words", "given text"]
    assert [row.name for row in summary.activation] == names
    assert summary.activation[-1].text == text
    assert summary.control is not None
    assert [row.name for row in summary.control.activation] == names
    # The control reads the edits, too, and stands beside the ranking.
    assert summary.effects is not None and len(summary.effects.rankings) == 1
    assert summary.effects.control is not None and summary.effects.control.classifier == "control"
    tested = [concept.path for concept in summary.effects.control.concepts]
    assert tested == [concept.path for concept in summary.effects.rankings[0].concepts]
    # The embedded CLIP was never taught what a good photo is, but it tells pictures apart.
    assert [row.name for row in summary.quality] == [name for name in names if name != "random words"]
    for row in summary.quality:
        assert row.clip_iqa is None and row.reason is not None
        assert row.diversity is not None and row.diversity.value > 0
        assert row.kernel_distance is not None and row.kernel_distance.n == 3
    assert "these could not be used: notes.txt" in " ".join(summary.notes)
    assert summary.statement is not None
    assert (summary.statement.by, len(chat.requests)) == ("template", 1)
    assert summary.statement.reason is not None and "it says 1234567" in summary.statement.reason
    assert KEY not in (directory / "summary.json").read_text(encoding="utf-8")
    assert render(load_run(directory)) == (directory / "report.html").read_text(encoding="utf-8")


def test_other_photographs_to_compare_with_make_another_run(photographs: Path) -> None:
    asked = ["evaluation.quality=true", f"evaluation.reference={photographs}"]
    before = configuration.compose(asked)["contents"]
    (photographs / "3.png").write_bytes((photographs / "0.png").read_bytes())
    assert configuration.compose(asked)["contents"] != before
    with pytest.raises(UserError, match="no folder"):
        configuration.compose([*asked, "evaluation.reference=nowhere"])
