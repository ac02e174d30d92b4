"""What people bring as a classifier, as forms of one embedded network: right, or refused, and never wrong.

Each form wraps the embedded shortcut CNN as somebody's classifier might be: another output, another container, another
input, other names, other files. A form that is equal in function must give the plain classifier's log-odds on 32 fixed
pictures; one that is another function those of the same change written by hand; the class that is asked about must be
the one that is meant; and what cannot be explained must be refused in one sentence before a run is claimed. `FORMS` is
the table: further forms are further rows, in `experiments/classifiers/forms/`.

    python -m experiments.classifiers.contract          all forms, and the count of right, refused and wrong
    python -m experiments.classifiers.contract --runs   besides, whole runs of four forms
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections import Counter
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from diffexplain import app, cli
from diffexplain.classifiers.output import log_odds
from diffexplain.config import configuration
from diffexplain.errors import UserError
from diffexplain.pipelines.parts import Parts
from diffexplain.target import ResolvedTarget
from experiments.classifiers.forms.files import FILE_FORMS
from experiments.classifiers.forms.form import Form, expected, pictures
from experiments.classifiers.forms.inputs import INPUT_FORMS
from experiments.classifiers.forms.names import NAME_FORMS
from experiments.classifiers.forms.outputs import CONTAINER_FORMS, OUTPUT_FORMS

Verdict = Literal["right", "refused", "wrong"]

FORMS = (*OUTPUT_FORMS, *CONTAINER_FORMS, *INPUT_FORMS, *NAME_FORMS, *FILE_FORMS)
RUNS = (
    "the embedded classifier itself",
    "softmax in the network",
    "one logit, two names",
    "multi-label logits, said to be sigmoid",
)
"""The forms that whole runs are made of, by name."""
_PHRASES = "phrases.yaml"


def answers(form: Form) -> tuple[ResolvedTarget, Tensor]:
    """The class that a run of this form would explain, and the log-odds (32, K) that it would read.

    Raises:
        UserError: it is refused.
    """
    config = configuration.compose([*form.overrides, f"target={form.target}"])
    target = app.resolve_target(config)
    classifier = Parts().classifier(config["classifier"], config["plugins"])
    with torch.no_grad():
        scores = classifier(pictures())
    columns = [log_odds(scores, k, classifier.exclusive) for k in range(len(classifier.labels))]
    return target, torch.stack(columns, dim=1).double()


def refusal(form: Form, outputs: Path) -> tuple[int, str]:
    """The exit status of a run of this form, and what it says on its way out."""
    settings = (f"target={form.target}", f"paths.outputs={outputs}", "evaluation=quick", "logger=local")
    few = f"classifier.vocabulary={_PHRASES}"  # The usual ones take longer to read than all else here.
    said = StringIO()
    with redirect_stderr(said), redirect_stdout(said):
        status = cli.run([*form.overrides, *settings, few])
    return status, " ".join(said.getvalue().split())


def judge(form: Form, folder: Path) -> tuple[Verdict, str]:
    """Whether the form is right, refused or wrong, and what was found.

    Args:
        form: one of `FORMS`.
        folder: not there yet; it is made, and is the working directory meanwhile.
    """
    folder.mkdir(parents=True)
    (folder / _PHRASES).write_text("- {phrase: a flag, kind: object}\n")
    if form.write is not None:
        form.write(folder)
    with chdir(folder):
        return _judge_right(form) if form.refused is None else _judge_refused(form, folder / "outputs")


def _judge_refused(form: Form, outputs: Path) -> tuple[Verdict, str]:
    status, said = refusal(form, outputs)
    if status != UserError.exit_status or outputs.exists():
        return "wrong", f"exit status {status}{' with a folder left behind' * outputs.exists()}: {said}"
    return ("refused" if re.search(str(form.refused), said) else "wrong"), said


def _judge_right(form: Form) -> tuple[Verdict, str]:
    try:
        target, read = answers(form)
    except UserError as error:
        return "wrong", f"refused: {' '.join(str(error).split())}"
    wanted = expected(form)
    if read.shape != wanted.shape:
        return "wrong", f"log-odds {tuple(read.shape)}, not {tuple(wanted.shape)}"
    usual = 0 if wanted.shape[1] == 12 else wanted.shape[1] - 1
    meant = (usual if form.position is None else form.position, form.word)
    if (target.class_index, target.class_name) != meant:
        return "wrong", f"{form.target} is class {target.class_index}, {target.class_name}, and not {meant}"
    most = float((read - wanted).abs().max())
    return ("right" if most <= form.tolerance else "wrong"), f"log-odds at most {most:.1e} apart"


def flag_in_a_run(form: Form, outputs: Path) -> str:
    """What a whole run with quick settings says of the flag, the shortcut that the network has learned."""
    more = [f"target={form.target}", f"paths.outputs={outputs}", "evaluation=quick", "logger=local", "trainer=cpu"]
    summary = app.make(configuration.compose([*form.overrides, *more])).summary
    assert summary is not None
    flag = next((concept for concept in summary.concepts if concept.text == "a flag"), None)
    said = "not tested"
    if flag is not None:
        said = f"{flag.verdict.value}, {flag.over_all.score.value:+.2f} (n {flag.over_all.n})"
    return f"a flag: {said}; {summary.classifier.facts['output']}"


def main() -> None:
    """Judge all forms and print what became of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", action="store_true", help="make whole runs of a few forms, too")
    arguments = parser.parse_args()
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for number, form in enumerate(FORMS):
            verdict, found = judge(form, Path(folder) / str(number))
            counts[verdict] += 1
            print(f"{verdict:8} {form.name}: {found}", flush=True)
        for form in (form for form in FORMS if arguments.runs and form.name in RUNS):
            print(f"run      {form.name}: {flag_in_a_run(form, Path(folder) / 'runs')}", flush=True)
    print(f"\n{len(FORMS)} forms: {counts['right']} right, {counts['refused']} refused, {counts['wrong']} wrong")
    sys.exit(1 if counts["wrong"] else 0)


if __name__ == "__main__":
    main()
