"""The page of all weights, made from the configurations: ``diffexplain list weights`` prints it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from diffexplain.config import configuration
from diffexplain.weights.documents import from_yaml, read_text
from diffexplain.weights.paths import EMBEDDED_ROOT
from diffexplain.weights.sources import Address, Source, sources

COMMAND = "diffexplain list weights > docs/models.md"
GROUPS: Mapping[str, Sequence[str]] = {
    "diffusion": (),
    "classifier": (),
    "segmenter": (),
    "concepts": ("explainer=randomised_prompts",),
    "editor": ("explainer=diffex",),
}
"""Those whose choices may need weights, each with the choice of the method that reads it."""

HEAD = f"""\
# Weights

Where every weight comes from, under what licence, and how large it is. Made from `conf/` by `{COMMAND}`.

`diffexplain fetch classifier=<choice> diffusion=<choice>` brings what a run needs, with whatever else is chosen for it
(`explainer=diffex editor=<choice>`), prints the exact size before it starts, and checks every file. A licence is the
one that the source states; read it before you use the weights. Where no revision or checksum is named, the first fetch
writes it into the lock file, and later ones are held to it.
"""

SHIPPED = """
## Shipped with the package

Trained by `experiments/world/retrain.sh` on scenes of its own, Apache-2.0 like the code.

| weights | MB |
|---|---|
"""


def weights_page() -> str:
    """The page as Markdown, without its last line break."""
    return HEAD + "".join(line for group in GROUPS for line in _group(group)) + SHIPPED + "\n".join(_shipped())


def _group(group: str) -> Iterator[str]:
    title = " ".join(f"`{part}`" for part in (*GROUPS[group], f"{group}="))
    yield f"\n## {title}\n\n| choice | source | revision or checksum | licence | MB |\n|---|---|---|---|---|\n"
    without = []
    for choice in configuration.available()[group]:
        wanted = sources(_weights(group, choice))
        if not wanted:
            without.append(f"`{choice}`")
        for source in wanted:
            yield f"| `{choice}` | {source} | {_version(source)} | {source.licence} | {source.megabytes:g} |\n"
    yield f"\nNothing to fetch: {', '.join(without)}.\n"


def _weights(group: str, choice: str) -> dict[str, Any]:
    """The lists of weights in the files of a choice, by the places where they stand.

    Nothing is composed: that takes a fifth of a second for each of some dozens.
    """
    files = list(configuration.chosen_files([f"{group}={choice}"]).values())
    read = OmegaConf.merge(*(_read(file) for file in reversed(files)))
    whole = OmegaConf.create({configuration.PUBLISHED: _published(), group: read})
    return {place: {"weights": found} for place, found in _lists(whole, group)}


def _published() -> Any:
    return _read(configuration.FOLDER / "diffusion" / "base" / f"{configuration.PUBLISHED}.yaml")


@cache
def _read(file: Path) -> Any:
    return OmegaConf.create(from_yaml(read_text(file)))


def _lists(whole: DictConfig, place: str) -> Iterator[tuple[str, list[Any]]]:
    """The lists of weights at and below a place; all else may lead to what is not there."""
    for key, value in OmegaConf.to_container(whole[place]).items():  # type: ignore[union-attr]
        if key == "weights" and isinstance(found := whole[place][key], list | ListConfig):
            resolved = (OmegaConf.to_container(one, resolve=True) if OmegaConf.is_config(one) else one for one in found)
            yield place, list(resolved)
        elif isinstance(value, dict):
            yield from _lists(whole[place], str(key))


def _version(source: Source) -> str:
    if isinstance(source, Address):
        return "recorded" if source.checksum is None else f"{source.algorithm} `{source.checksum[:12]}`"
    return "recorded" if source.revision is None else f"`{source.revision[:12]}`"


def _shipped() -> Iterator[str]:
    for path in sorted(EMBEDDED_ROOT.rglob("*.safetensors")):
        yield f"| `{path.relative_to(EMBEDDED_ROOT).as_posix()}` | {path.stat().st_size / 1e6:.1f} |"
