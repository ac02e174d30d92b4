"""What may stand under ``weights``, and the shipped configurations that say it."""

from __future__ import annotations

from pathlib import Path

import pytest

from diffexplain import cli
from diffexplain.cli.weights_page import COMMAND
from diffexplain.config import configuration, fetch_command
from diffexplain.errors import UserError
from diffexplain.weights.sources import Address, Repository, parse, sources

MORE = {"licence": "mit", "megabytes": 1}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"repository": "prior"}, "owner/name"),
        ({"repository": "../prior"}, "owner/name"),
        ({"repository": "a/b", "revision": "main"}, "40 hexadecimal digits"),
        ({"repository": "a/b", "file": ["x"]}, "no such key"),
        ({"repository": "a/b", "url": "https://c.org/d.txt"}, "either"),
        ({"url": "http://c.org/d.txt"}, "https"),
        ({"url": "file:///d.txt"}, "https"),
        ({"url": "https://[d.txt"}, "no address"),
        ({"url": "https://c.org/d.txt", "urls": ["https://e.org/d.txt"]}, "has a checksum"),
        ({"url": "https://c.org/d.txt", "urls": ["file:///d.txt"], "sha1": "0" * 40}, "https"),
        ({"url": "https://c.org/d.py"}, "endings"),
        ({"url": "https://c.org/d.txt", "sha256": "0" * 40}, "64 hexadecimal digits"),
    ],
)
def test_a_malformed_source_is_the_users_error(source: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse({**source, **MORE})


def test_patterns_choose_data_and_never_code() -> None:
    everything = Repository("a/b", None, (), "mit", 1)
    paths = ["model.safetensors", "config.json", "chat_template.jinja", "model.bin", "code.py", "model.ckpt"]
    assert [everything.wants(path) for path in paths] == [True, True, True, False, False, False]
    starred = Repository("a/b", None, ("*",), "mit", 1)
    assert [starred.wants(path) for path in paths] == [True, True, True, True, False, False]
    folders = Repository("a/b", None, ("*/",), "mit", 1)
    inside = [f"text_encoder/{path}" for path in ("spiece.model", *paths)]
    assert [folders.wants(path) for path in (*inside, *paths)] == [True] * 4 + [False] * 9


def test_a_chat_template_comes_with_a_vision_language_model_that_keeps_it_apart() -> None:
    (node,) = configuration.compose(["explainer=diffex", "concepts=vlm"])["concepts"]["respondent"]["weights"]
    source = parse(node)
    assert isinstance(source, Repository)
    wanted = [path for path in ("config.json", "chat_template.jinja", "image.jpg", "code.js") if source.wants(path)]
    assert wanted == ["config.json", "chat_template.jinja"]


def test_a_query_is_no_part_of_a_files_name_and_http_needs_a_checksum() -> None:
    address = parse({"url": "https://c.org/s/net.pt?dl=1", **MORE})
    assert isinstance(address, Address)
    assert address.name == "net.pt"
    assert isinstance(parse({"url": "http://c.org/net.pt", "sha1": "0" * 40, **MORE}), Address)


def test_a_folder_in_place_of_a_repository_is_not_fetched(tmp_path: Path) -> None:
    assert sources({"classifier": {"weights": [{"repository": str(tmp_path), **MORE}]}}) == []


def test_every_prior_names_its_parts_and_one_revision_for_each_repository() -> None:
    seen: dict[str, str | None] = {}
    for choice in configuration.available()["diffusion"]:
        for node in configuration.compose([f"diffusion={choice}"])["diffusion"].get("weights") or ():
            source = parse(node)
            assert isinstance(source, Repository)
            assert source.patterns
            assert seen.setdefault(source.name, source.revision) == source.revision
            assert node.get("part", "pipeline") in ("pipeline", "unet", "lora", "tiny_decoder")
    assert len(seen) == 11


def test_the_command_repeats_keys_that_change_what_is_fetched() -> None:
    plain = configuration.compose(["classifier=timm", "diffusion=sd15", "diffusion.steps=20", "target=class:0"])
    assert fetch_command.fetch_command(plain) == "diffexplain fetch classifier=timm diffusion=sd15"
    other = configuration.compose(["classifier=timm", "classifier.model=timm/resnet34.a1_in1k"])
    assert fetch_command.fetch_command(other) == (
        "diffexplain fetch classifier=timm diffusion=sd14_lcm classifier.model=timm/resnet34.a1_in1k"
    )
    real = configuration.compose(["segmenter=clipseg"])
    assert fetch_command.fetch_command(real) == (
        "diffexplain fetch classifier=world_shortcut_cnn diffusion=world segmenter=clipseg"
    )
    embedded = configuration.compose(["classifier=caffenet", "segmenter=world"])
    assert fetch_command.fetch_command(embedded) == (
        "diffexplain fetch classifier=caffenet diffusion=sd14_lcm segmenter=world"
    )
    proposed = configuration.compose(["explainer=diffex", "concepts=vlm"])
    assert fetch_command.fetch_command(proposed) == (
        "diffexplain fetch classifier=world_shortcut_cnn diffusion=world explainer=diffex concepts=vlm"
    )


def test_the_page_of_weights_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list", "weights"]) == 0
    page = Path(__file__).parents[2] / "docs" / "models.md"
    assert capsys.readouterr().out == page.read_text(encoding="utf-8"), COMMAND
