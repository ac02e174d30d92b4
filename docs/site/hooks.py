"""Pages of the site that are made of other files: README, changes, configuration, notebook, results.

Links are written as they work in the repository; here they are turned to where a file's page is on the site. What has
no page there stays as text.
"""

from __future__ import annotations

import json
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
CONFIGURATION = "reference/configuration.md"
HOME = {"README.md": "index.md", "examples/quickstart.ipynb": "examples/quickstart.md"}
"""Where files have another name on the site."""
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]*)(#[^)\s]*)?\)")
FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
TITLE = re.compile(r"^# (.+)$", re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what does not lie in ``docs``."""
    results = sorted(ROOT.glob("experiments/*/RESULTS.md"))
    made = {
        "index.md": (ROOT / "README.md").read_text(encoding="utf-8"),
        "CHANGELOG.md": (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
        "examples/quickstart.md": notebook(ROOT / "examples" / "quickstart.ipynb"),
        "gallery.md": gallery(results),
        CONFIGURATION: configuration(ROOT / "conf"),
    }
    made |= {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in results}
    for uri, text in made.items():
        files.append(File.generated(config, uri, content=text))
    for path in ROOT.glob("experiments/*/*.png"):
        files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, files: Files, **_more: Any) -> str:
    """Turn the links of a page to where they lead on the site."""
    uri = page.file.src_uri
    source = next((path for path, other in HOME.items() if other == uri), None)
    if source is None:
        source = uri if (ROOT / uri).is_file() else f"docs/{uri}"

    def turned(link: re.Match[str]) -> str:
        image, text, target, anchor = link.groups(default="")
        if not target or ":" in target:
            return link[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        where, anchor = place(path, anchor)
        if files.get_file_from_path(where) is not None:
            return f"{image}[{text}]({posixpath.relpath(where, posixpath.dirname(uri) or '.')}{anchor})"
        return text if (ROOT / path).exists() else link[0]  # Of what is nowhere MkDocs warns.

    return outside_code(markdown, turned)


def place(path: str, anchor: str) -> tuple[str, str]:
    """Where a file of the repository is on the site, and the part of the page."""
    if path in HOME:
        return HOME[path], anchor
    if path.startswith("conf/"):
        return CONFIGURATION, f"#{path.split('/')[1]}"
    return path.removeprefix("docs/"), anchor


def outside_code(markdown: str, turned: Any) -> str:
    """Links replaced everywhere but in blocks of code."""
    parts, end = [], 0
    for block in FENCED.finditer(markdown):
        parts += [LINK.sub(turned, markdown[end : block.start()]), block[0]]
        end = block.end()
    return "".join([*parts, LINK.sub(turned, markdown[end:])])


def configuration(folder: Path) -> str:
    """Every file of ``conf/`` with its comments, by group."""
    parts = [
        "# Configuration",
        "Every key, its default and what it means, as the files in `conf/` say it. `group=choice` chooses a file, "
        "`key=value` sets one key; `python run.py --cfg` shows what a command comes to, and "
        "`python run.py explainer=diffex --help` the files of its choices.",
        "## Every run",
        _yaml((folder / "config.yaml").read_text(encoding="utf-8")),
    ]
    for group in sorted(path for path in folder.iterdir() if path.is_dir()):
        parts.append(f"## {group.name}")
        for file in [*sorted(group.glob("*.yaml")), *sorted(group.glob("base/*.yaml"))]:
            text = file.read_text(encoding="utf-8")
            name = file.relative_to(group).with_suffix("").as_posix()
            shown = name if "/" in name else f"{group.name}={name}"
            first = next(
                (line[2:] for line in text.splitlines() if line.startswith("# ") and "@package" not in line), ""
            )
            said = f"{shown}: {first}".replace("\\", "\\\\").replace('"', '\\"')
            block = "\n".join(f"    {line}" if line else "" for line in _yaml(text).splitlines())
            parts.append(f'??? note "{said}"\n\n{block}')
    return "\n\n".join(parts) + "\n"


def notebook(path: Path) -> str:
    """The cells of a notebook as a page, each with what is stored of what it shows."""
    parts = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
        parts += [_shown(output) for output in cell.get("outputs", ())]
    return "\n\n".join([*parts, "This page is `examples/quickstart.ipynb`."]) + "\n"


def _shown(output: Any) -> str:
    """The richest form of an output."""
    data = output.get("data", {"text/plain": output.get("text", ())})
    if "image/png" in data:
        return f"![what this shows](data:image/png;base64,{data['image/png']})"
    if "text/html" in data:
        lines = "".join(data["text/html"]).splitlines()
        return f"<div>{''.join(line.strip() for line in lines)}</div>"
    return f"```text\n{''.join(data['text/plain']).rstrip()}\n```"


def gallery(results: list[Path]) -> str:
    """The pictures of all experiments, and a link to each page of results."""
    parts = ["# Gallery", "What the experiments came to. Each page names the command that makes its figures."]
    others = []
    for path in results:
        text = path.read_text(encoding="utf-8")
        found = TITLE.search(text)
        link = f"[{found[1] if found else path.parent.name}](../{path.relative_to(ROOT).as_posix()})"
        pictures = sorted(path.parent.glob("*.png"))
        if pictures:
            parts.append(f"## {found[1] if found else path.parent.name}")
            parts += [f"![{file.stem}](../{file.relative_to(ROOT).as_posix()})" for file in pictures]
            parts.append(f"More: {link}.")
        else:
            others.append(f"- {link}")
    return "\n\n".join([*parts, "## Tables", "\n".join(others)]) + "\n"


def _yaml(text: str) -> str:
    return f"```yaml\n{text.rstrip()}\n```"
