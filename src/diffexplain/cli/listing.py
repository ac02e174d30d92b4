"""What there is to explain and to choose, as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from diffexplain import app
from diffexplain.classifiers.labels import classifier_labels
from diffexplain.config import configuration
from diffexplain.errors import UserError, printable
from diffexplain.runs.inventory import Entry, inventory
from diffexplain.runs.run import outputs_folder


def main(arguments: Sequence[str]) -> int:
    """``diffexplain list``: prints one thing a line and returns the exit status.

    Raises:
        UserError: nothing of the kind can be listed.
    """
    subject, overrides = (arguments[0] if arguments else ""), list(arguments[1:])
    if subject not in SUBJECTS:
        raise UserError("There is no such list.", given=subject, accepted=tuple(SUBJECTS), hint="diffexplain --help")
    print(printable("\n".join(SUBJECTS[subject](overrides))))
    return 0


def classes(overrides: Sequence[str]) -> list[str]:
    """Index, name, WordNet id and synonyms of every class of the classifier that ``overrides`` choose."""
    labels = classifier_labels(configuration.compose(overrides)["classifier"])
    return table(
        ("index", "name", "wnid", "synonyms"),
        [(str(c.index), c.name, c.wnid or "", ", ".join(c.synonyms)) for c in labels.classes],
    )


def units(overrides: Sequence[str]) -> list[str]:
    """Module and number of channels of every unit of the classifier, without reading its weights."""
    config = configuration.compose(overrides)
    channels = app.shapes(config["classifier"], config["plugins"])
    if channels is None:
        message = "This classifier's units are known only when it is loaded: what loads it takes no `meta`."
        raise UserError(message, given=config["classifier"]["name"])
    if not channels:
        raise UserError("The modules of this classifier cannot be reached.", given=config["classifier"]["name"])
    return table(
        ("module", "channels", "target"),
        [(module, str(count), f"unit:{module}:<0 to {count - 1}>") for module, count in channels.items()],
    )


def concepts(overrides: Sequence[str]) -> list[str]:
    """Text and path of every concept that the run of ``overrides`` would test."""
    from diffexplain.concepts.concept import SEPARATOR
    from diffexplain.pipelines.proposers import known_concepts

    config = configuration.compose(overrides)
    known = known_concepts(config, app.resolve_target(config))
    if known is None:
        message = "A model proposes these concepts when the run is made; what it tested is in concepts.yaml then."
        raise UserError(message, given=f"concepts={config['concepts']['name']}")
    return table(("concept", "path"), [(text, SEPARATOR.join(path)) for path, text in known])


def choices(overrides: Sequence[str] = ()) -> list[str]:
    """The choices of every group, those of the user's own folders among them, the default marked."""
    usual = configuration.defaults()
    return [
        f"{group}={name}{' *' if name == usual.get(group) else ''}"
        for group, names in configuration.available_to(overrides).items()
        for name in names
    ]


def runs(overrides: Sequence[str]) -> list[str]:
    """How every run in the folder of all runs stands, the latest first; writes the page of them beside."""
    folder = outputs_folder(configuration.compose(overrides)["paths"]["outputs"])
    entries = inventory(folder)
    if not entries:
        return [f"There are no runs in {folder}."]
    from diffexplain.report.index import write_index

    rows = []
    for entry in entries:
        changed = datetime.fromtimestamp(entry.changed).strftime("%Y-%m-%d %H:%M")
        place = str(entry.directory.relative_to(folder))
        rows.append((entry.status, entry.target, entry.classifier, entry.explainer, changed, place))
    lines = table(("status", "target", "classifier", "explainer", "changed", "directory"), rows)
    reasons = [line for entry in entries for line in _reason(entry, folder)]
    return [*lines, *reasons, "", f"Page: {write_index(folder, entries)}"]


def _reason(entry: Entry, folder: Path) -> list[str]:
    if entry.why is None:
        return []
    return [
        "",
        f"{entry.directory.relative_to(folder)}: {entry.status}",
        *(f"  {line}" for line in entry.why.splitlines()),
    ]


def chosen(overrides: Sequence[str]) -> str:
    """The files of the choices among ``overrides``, whose comments explain their keys; empty where nothing is chosen.

    Raises:
        UserError: there is no such choice.
    """
    files = configuration.chosen_files(overrides)
    return "\n".join(f"{choice}\n\n{path.read_text(encoding='utf-8')}" for choice, path in files.items())


def hierarchies(_overrides: Sequence[str] = ()) -> list[str]:
    """Name, domain and number of concepts of every hierarchy of the package."""
    from diffexplain.concepts.file import load_hierarchy, shipped

    rows = []
    for name in shipped():
        hierarchy = load_hierarchy(name)
        rows.append((name, hierarchy.domain or "the target's class", str(sum(1 for _ in hierarchy.concepts()))))
    return table(("hierarchy", "domain", "concepts"), rows)


def weights(_overrides: Sequence[str] = ()) -> list[str]:
    """The page of all weights."""
    from diffexplain.cli.weights_page import weights_page

    return [weights_page()]


SUBJECTS: Mapping[str, Callable[[Sequence[str]], list[str]]] = {
    one.__name__: one for one in (classes, units, concepts, choices, hierarchies, weights, runs)
}
"""What can be listed."""


def as_yaml(config: Any) -> str:
    """A configuration, or a part of one, as YAML in its own order."""
    return yaml.safe_dump(config, sort_keys=False, allow_unicode=True).removesuffix("...\n")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns aligned to the left, two spaces apart."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (header, *rows)
    ]
