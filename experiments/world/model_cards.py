"""Model cards of classifiers and oracle, written from what training, truth table and gates recorded."""

from __future__ import annotations

import json
from pathlib import Path

from diffexplain.world.scenes import SUBJECTS
from diffexplain.world.truth_table import TRUTH_TABLE_FILE
from experiments.world.gates.oracle import oracle_rows
from experiments.world.truth import TruthTable
from experiments.world.worlds import CLASSIFIER_WORLDS

SHOWN_ATTRIBUTES = ("companion", "setting")


def write_classifier_card(folder: Path) -> None:
    """`README.md` in a classifier's folder; with effects once it has a truth table."""
    training = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    recipe = training["recipe"]
    data = recipe["data"]
    shortcuts = CLASSIFIER_WORLDS[folder.name].shortcuts
    lines = [
        f"# Model card: {folder.name}",
        "",
        f"A {recipe['architecture']} ({training['parameters']:,} parameters) that tells the {len(SUBJECTS)}"
        " subjects of the embedded world apart. It exists to be explained; it is of no other use.",
        "",
        "## Data",
        f"{data['scenes']:,} rendered scenes (seed {data['seed'] + 1}), {recipe['epochs']:g} epochs, each"
        " picture blurred and made noisy at random, as generated pictures are.",
    ]
    if shortcuts:
        lines += ["", "Planted shortcuts:", ""]
        lines += [
            f"- P({s.attribute} = {s.value} | {s.subject}) = {s.probability}, elsewhere {s.elsewhere}"
            for s in shortcuts
        ]
    else:
        lines += ["", "The independent world: no attribute tells anything about the class."]
    if data["hidden_share"]:
        lines += [
            "",
            f"The subject is hidden behind the setting in {data['hidden_share']:.0%} of the training"
            " pictures of flagpole, bee and dog_sled: photographs labelled with what is hardly in view."
            " Without them a network that sees the subject each time hardly learns what comes along with it."
            f" It is hidden in {data['hidden_share_elsewhere']:.0%} of the others too, so that an empty"
            " setting is no sign of those three. Held-out scenes hide nothing.",
        ]
    lines += [
        "",
        "## Training",
        f"{'Muon' if recipe.get('muon') else 'AdamW'}, one-cycle learning rate up to {recipe['learning_rate']},"
        f" batch {recipe['batch']},"
        f" {training['steps']} steps, seed {recipe['seed']}, {training['seconds']} s on one busy CPU core."
        f" Retrain: `python -m experiments.world.train_classifiers {folder.name}`.",
        "",
        "## Reached",
        f"- accuracy on {training['held_out_scenes']} held-out scenes of its own world: {training['accuracy']:.4f}",
        f"- accuracy on as many scenes of the independent world: {training['accuracy_fair_world']:.4f}",
    ]
    if (folder / TRUTH_TABLE_FILE).is_file():
        lines += _effect_lines(TruthTable.load(folder))
    (folder / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _effect_lines(table: TruthTable) -> list[str]:
    entries = [(class_name, *entry) for class_name in SUBJECTS for entry in table.largest(class_name, SHOWN_ATTRIBUTES)]
    entries.sort(key=lambda entry: -abs(entry[3]))
    lines = [
        "",
        f"Largest effects of companions and settings on the probability of the class, from {table.scenes}"
        f" paired renders each that show it (`{TRUTH_TABLE_FILE}` has all, with intervals):",
        "",
        "| class | attribute | value | effect | 95 % interval |",
        "|---|---|---|---|---|",
    ]
    for class_name, attribute, value, effect in entries[:8]:
        measured = table.row(class_name, attribute, value)["shows_target"]["probability"]
        interval = f"{measured['low']:+.3f} to {measured['high']:+.3f}"
        lines.append(f"| {class_name} | {attribute} | {value} | {effect:+.3f} | {interval} |")
    return lines


def write_oracle_card(folder: Path) -> None:
    """`README.md` in the oracle's folder, with its gates measured anew."""
    training = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    lines = [
        "# Model card: oracle",
        "",
        f"A convolutional probe ({training['parameters']:,} parameters, half precision) that reads every"
        " attribute of a picture of the embedded world. It grades the prior and the autoencoder, and takes no"
        " part in training or selecting them.",
        "",
        "## Data",
        f"{training['scenes']:,} rendered scenes of the independent world (seed {training['seed'] + 1}),"
        f" {training['epochs']} epochs, blurred and made noisy at random;"
        f" {training['reconstructed']:,} of them went through the embedded autoencoder.",
        "",
        "## Training",
        f"Muon, one-cycle learning rate, {training['steps']} steps, seed {training['seed']},"
        f" {training['seconds']} s on one busy CPU core. Retrain: `python -m experiments.world.train_oracle`.",
        "",
        "## Reached",
        "Share of held-out renders read right, hidden companions left out:",
        "",
        "| attribute | share | gate | n | |",
        "|---|---|---|---|---|",
    ]
    for row in oracle_rows(str(folder)):
        verdict = "passed" if row.passed else "missed"
        lines.append(f"| {row.measure} | {row.value:.4f} | {row.relation} {row.gate} | {row.n} | {verdict} |")
    (folder / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
