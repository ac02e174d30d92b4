"""What people bring as a classifier, as forms of one embedded network: right, or refused, and never wrong.

Each form wraps the embedded shortcut CNN as somebody's classifier might be: another output, another container. A form
that is equal in function must give the plain classifier's log-odds on 32 fixed pictures; one that is another function
those of the same change written by hand; and what cannot be explained must be refused in one sentence before a run is
claimed. `FORMS` is the table: further forms are further rows.

    python experiments/classifiers/contract.py          all forms, and the count of right, refused and wrong
    python experiments/classifiers/contract.py --runs   besides, whole runs of three forms beside the plain classifier's
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections import Counter, OrderedDict, namedtuple
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.modeling_outputs import ImageClassifierOutput

from diffexplain import app, configuration
from diffexplain.classifiers import load_classifier
from diffexplain.classifiers.output import log_odds
from diffexplain.errors import UserError
from diffexplain.world.gates.held_out import scenes_and_seeds
from diffexplain.world.render import render_images
from diffexplain.world.worlds import FAIR_WORLD

ROOT = Path(__file__).resolve().parents[2]
FOLDER = "embedded:classifiers/shortcut_cnn"
LABELS = f"{FOLDER}/labels.json"
PICTURES = 32
FLAGPOLE = "flagpole"
TOLERANCE = 1e-5

Verdict = Literal["right", "refused", "wrong"]
Change = Callable[[Tensor], Tensor]
"""The plain classifier's logits (N, 12) to the log-odds (N, K) that a form must give, in float64."""


def exclusive(logits: Tensor) -> Tensor:
    """Log-odds (N, K) of classes that exclude each other."""
    columns = range(logits.shape[1])
    return torch.stack([logits[:, k] - logits[:, [j for j in columns if j != k]].logsumexp(1) for k in columns], 1)


def apart(logits: Tensor) -> Tensor:
    """Log-odds (N, K) of classes of which each may be there or not."""
    return logits


def flagpole(logits: Tensor) -> Tensor:
    """Log-odds (N, 1) of the flagpole."""
    return exclusive(logits)[:, [index()]]


def both(logits: Tensor) -> Tensor:
    """Log-odds (N, 2) of anything else, and of the flagpole."""
    return torch.cat([-flagpole(logits), flagpole(logits)], dim=1)


def rounded(change: Change) -> Change:
    """The log-odds of probabilities that were float32 in between, where what is near 1 is not told apart."""

    def log_odds_of_rounded(logits: Tensor) -> Tensor:
        p = change(logits).sigmoid().float().double().clamp(2.0**-126, 1 - 2.0**-24)
        return p.log() - (-p).log1p()

    return log_odds_of_rounded


def squashed(logits: Tensor) -> Tensor:
    """The log-odds of logits that a head leaves within [0, 1]."""
    return exclusive(0.5 + 0.01 * logits)


OUTPUTS: Mapping[str, Callable[[Tensor], Any]] = {
    "logits": lambda z: z,
    "log_softmax": lambda z: z.log_softmax(1),
    "shifted_logits": lambda z: z + 100,
    "double": lambda z: z.double(),
    "softmax": lambda z: z.softmax(1),
    "softmax_double": lambda z: z.double().softmax(1),
    "log_odds": lambda z: exclusive(z),
    "many_probabilities": lambda z: z.sigmoid(),
    "many_probabilities_double": lambda z: z.double().sigmoid(),
    "one_logit": lambda z: flagpole(z),
    "one_logit_flat": lambda z: flagpole(z)[:, 0],
    "one_logit_map": lambda z: flagpole(z)[:, :, None, None],
    "one_logit_squeezed": lambda z: flagpole(z).squeeze(),
    "one_probability": lambda z: flagpole(z).sigmoid(),
    "one_probability_flat": lambda z: flagpole(z).sigmoid()[:, 0],
    "one_probability_double": lambda z: flagpole(z.double()).sigmoid(),
    "two_logits": lambda z: torch.cat([torch.zeros_like(z[:, :1]), flagpole(z)], 1),
    "two_probabilities": lambda z: both(z).sigmoid(),
    "map_of_one": lambda z: z[:, :, None, None],
    "squashed": lambda z: 0.5 + 0.01 * z,
    "squeezed": lambda z: z.squeeze(),
    "maps": lambda z: z[:, :, None, None].expand(-1, -1, 4, 4),
    "ten_columns": lambda z: z[:, :10],
    "transposed": lambda z: z.T,
    "decision": lambda z: z.argmax(1),
    "decisions": lambda z: z > 0,
    "not_a_number": lambda z: z * torch.nan,
    "sometimes_infinite": lambda z: torch.where(z[:, :1] > z[:1, :1], torch.inf, z),
    "dropout": lambda z: functional.dropout(z, 0.2, training=True),
    "batch_statistics": lambda z: functional.batch_norm(z, None, None, training=True),
    "numbers": lambda z: [[float(value) for value in row] for row in z],
    "nothing": lambda z: None,
}
Named = namedtuple("Named", ["features", "logits"])
CONTAINERS: Mapping[str, Callable[[Any, Tensor], Any]] = {
    "tensor": lambda output, _features: output,
    "tuple": lambda output, features: (output, features),
    "tuple_after_features": lambda output, features: (features, output),
    "list": lambda output, features: [output, features],
    "tuple_of_one": lambda output, _features: (output,),
    "dict": lambda output, features: {"features": features, "logits": output},
    "dict_without_the_name": lambda output, features: {"features": features, "out": output},
    "ordered_dict": lambda output, features: OrderedDict(aux=features, out=output),
    "named_tuple": lambda output, features: Named(features, output),
    "model_output": lambda output, _features: ImageClassifierOutput(logits=output),
    "object": lambda output, _features: SimpleNamespace(logits=output),
    "features_alone": lambda _output, features: {"features": features},
    "wrong_logits": lambda output, features: {"logits": features, "out": output},
    "string": lambda _output, _features: "flagpole",
    "empty": lambda _output, _features: (),
}


class Brought(nn.Module):
    """The embedded network as somebody may bring it."""

    def __init__(self, output: str, container: str) -> None:
        super().__init__()
        self.body = load_classifier(FOLDER).backbone
        self.output, self.container = OUTPUTS[output], CONTAINERS[container]

    def forward(self, images: Tensor) -> Any:
        return self.container(self.output(self.body(images)), images.flatten(1)[:, :7])


def network(output: str = "logits", container: str = "tensor") -> nn.Module:
    """One of `OUTPUTS` in one of `CONTAINERS`."""
    return Brought(output, container)


@dataclass(frozen=True)
class Form:
    """One way to bring the classifier.

    Attributes:
        name: of the form.
        overrides: of the configuration, as on the command line.
        change: what it must answer; the plain classifier's log-odds for a form that is equal in function.
        refused: what the refusal says, a regular expression; None for a form that must be right.
        tolerance: of the log-odds, in nats.
    """

    name: str
    overrides: tuple[str, ...] = field(repr=False)
    change: Change = field(repr=False, default=exclusive)
    refused: str | None = field(repr=False, default=None)
    tolerance: float = field(repr=False, default=TOLERANCE)


def own(output: str = "logits", container: str = "tensor", *more: str, labels: str = LABELS) -> tuple[str, ...]:
    """Overrides that bring `network`, less what does not differ from the plain classifier's."""
    return (
        "classifier=checkpoint",
        "diffusion=world",
        "plugins=[experiments]",
        f"classifier.network={__name__.replace('__main__', 'experiments.classifiers.contract')}.network",
        f"classifier.arguments={{output: {output}, container: {container}}}",
        f"classifier.labels={labels}",
        "classifier.preprocessing={size: [64, 64], crop: null, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5]}",
        *more,
    )


def said(kind: str) -> str:
    """The override that says what comes out."""
    return f"classifier.output={kind}"


ONE, TWO = f"[{FLAGPOLE}]", f"[other, {FLAGPOLE}]"
PROBABILITIES, SOFTMAX, SIGMOID = said("probabilities"), said("softmax"), said("sigmoid")
SAY_WHICH = r"lie in \[0, 1\] and do not sum to 1.*classifier\.output=probabilities.*classifier\.output="

OUTPUT_FORMS = (
    Form("the embedded classifier itself", ("classifier=world_shortcut_cnn",)),
    Form("the same, said to be softmax", ("classifier=world_shortcut_cnn", SOFTMAX)),
    Form("logits", own()),
    Form("logits, said to be softmax", own("logits", "tensor", SOFTMAX)),
    Form("logits in double precision", own("double")),
    Form("logits shifted by a constant", own("shifted_logits"), tolerance=5e-5),
    Form("logits after log softmax", own("log_softmax")),
    Form("logits (B, K, 1, 1)", own("map_of_one")),
    Form("logits squeezed", own("squeezed")),
    Form("softmax in the network", own("softmax")),
    Form("softmax in the network, said", own("softmax", "tensor", PROBABILITIES)),
    Form("softmax in the network, double", own("softmax_double")),
    Form("log-odds, said to be sigmoid", own("log_odds", "tensor", SIGMOID)),
    Form("multi-label logits, said to be sigmoid", own("logits", "tensor", SIGMOID), apart),
    # Near 1 the last place of a float32 probability is this much.
    Form("multi-label probabilities", own("many_probabilities", "tensor", PROBABILITIES), rounded(apart), None, 2e-3),
    Form("multi-label probabilities, double", own("many_probabilities_double", "tensor", PROBABILITIES), apart),
    Form("one logit, one name", own("one_logit", labels=ONE), flagpole),
    Form("one logit, two names", own("one_logit", labels=TWO), both),
    Form("one logit (B,), one name", own("one_logit_flat", labels=ONE), flagpole),
    Form("one logit (B,), two names", own("one_logit_flat", labels=TWO), both),
    Form("one logit (B, 1, 1, 1)", own("one_logit_map", labels=TWO), both),
    Form("one logit squeezed", own("one_logit_squeezed", labels=TWO), both),
    Form("one logit, said to be sigmoid", own("one_logit", "tensor", SIGMOID, labels=ONE), flagpole),
    Form("one logit in a dict", own("one_logit", "dict", labels=TWO), both),
    Form("one logit in a tuple", own("one_logit", "tuple_after_features", labels=ONE), flagpole),
    Form("one probability, said", own("one_probability", "tensor", PROBABILITIES, labels=ONE), rounded(flagpole)),
    Form("one probability, two names", own("one_probability_double", "tensor", PROBABILITIES, labels=TWO), both),
    Form("one probability (B,)", own("one_probability_flat", "tensor", PROBABILITIES, labels=ONE), rounded(flagpole)),
    Form("two logits", own("two_logits", labels=TWO), both),
    Form("two probabilities", own("two_probabilities", labels=TWO), both),
    Form("a head within [0, 1], said to be softmax", own("squashed", "tensor", SOFTMAX), squashed),
    # What must be refused.
    Form("multi-label probabilities, not said", own("many_probabilities"), refused=SAY_WHICH),
    Form("one probability, not said", own("one_probability", labels=ONE), refused=SAY_WHICH),
    Form("a head within [0, 1]", own("squashed"), refused=SAY_WHICH),
    Form("another word", own("logits", "tensor", said("sofmax")), refused="no such kind of output"),
    Form("probabilities said to be softmax", own("softmax", "tensor", SOFTMAX), refused="probabilities already"),
    Form("probabilities said to be sigmoid", own("softmax", "tensor", SIGMOID), refused="probabilities already"),
    Form("logits said to be probabilities", own("logits", "tensor", PROBABILITIES), refused="no probabilities"),
    Form("one logit said to be softmax", own("one_logit", "tensor", SOFTMAX, labels=ONE), refused="always 1"),
    Form("fewer columns than names", own("ten_columns"), refused="12 names, and .* gives 10 columns"),
    Form("one column for twelve names", own("one_logit"), refused="12 names, and .* gives 1 column"),
    Form("more columns than names", own(labels=TWO), refused="2 names, and .* gives 12 columns"),
    Form("classes before pictures", own("transposed"), refused="one tensor of 8 rows"),
    Form("maps", own("maps"), refused="one tensor of 8 rows"),
    Form("the class and no scores", own("decision"), refused="a score for each class"),
    Form("truth values", own("decisions"), refused="a score for each class"),
    Form("NaN", own("not_a_number"), refused="no finite answer to 8 of 8"),
    Form("infinity for some pictures", own("sometimes_infinite"), refused="no finite answer to [1-7] of 8"),
    Form("dropout that stays on", own("dropout"), refused="same picture twice"),
    Form("statistics of the batch", own("batch_statistics"), refused="in another batch"),
)
CONTAINER_FORMS = (
    *(
        Form(f"logits in a {name.replace('_', ' ')}", own("logits", name))
        for name in ("tuple", "tuple_after_features", "tuple_of_one", "list", "dict", "dict_without_the_name")
    ),
    *(Form(f"logits in a {name.replace('_', ' ')}", own("logits", name)) for name in ("ordered_dict", "named_tuple")),
    Form("logits in transformers' output", own("logits", "model_output")),
    Form("logits of an object", own("logits", "object")),
    Form("probabilities in a named tuple", own("softmax", "named_tuple")),
    Form("features alone", own("logits", "features_alone"), refused=r"one tensor of 8 rows.*dict of \(features"),
    Form("something else as logits", own("logits", "wrong_logits"), refused="12 names, and .* gives 7 columns"),
    Form("a string", own("logits", "string"), refused="one tensor of 8 rows.*str"),
    Form("an empty tuple", own("logits", "empty"), refused=r"one tensor of 8 rows.*tuple of \(\)"),
    Form("lists of numbers", own("numbers"), refused="one tensor of 8 rows.*list of"),
    Form("nothing", own("nothing"), refused="one tensor of 8 rows.*NoneType"),
)
FORMS = (*OUTPUT_FORMS, *CONTAINER_FORMS)
RUNS = (
    "the embedded classifier itself",
    "softmax in the network",
    "one logit, two names",
    "multi-label logits, said to be sigmoid",
)
"""The forms that whole runs are made of, by name."""


@cache
def pictures() -> Tensor:
    """The fixed pictures (32, 3, 64, 64) in [0, 1], some of each class."""
    images = torch.from_numpy(render_images(*scenes_and_seeds(PICTURES, stream=9, world=FAIR_WORLD)))
    return images.permute(0, 3, 1, 2) / 255


@cache
def plain() -> Tensor:
    """The embedded classifier's logits (32, 12) for them, in float64."""
    with torch.no_grad():
        return load_classifier(FOLDER)(pictures()).double()


@cache
def index() -> int:
    """Of the flagpole."""
    return load_classifier(FOLDER).labels.names.index(FLAGPOLE)


def answers(form: Form) -> Tensor:
    """The log-odds (32, K) that a run of this form would read.

    Raises:
        UserError: it is refused.
    """
    config = configuration.compose(list(form.overrides))
    classifier = app.Parts().classifier(config["classifier"], config["plugins"])
    with torch.no_grad():
        scores = classifier(pictures())
    columns = [log_odds(scores, k, classifier.exclusive) for k in range(len(classifier.labels))]
    return torch.stack(columns, dim=1).double()


def refusal(form: Form, outputs: Path) -> str | None:
    """What a run of this form is refused with; None if it is not, or if anything was left behind."""
    more = [f"target=class:{FLAGPOLE}", f"paths.outputs={outputs}", "evaluation=quick", "logger=local"]
    try:
        app.make(configuration.compose([*form.overrides, *more]))
    except UserError as error:
        return None if outputs.exists() else str(error)
    return None


def judge(form: Form, outputs: Path) -> tuple[Verdict, str]:
    """Whether the form is right, refused or wrong, and what was found.

    Args:
        outputs: a folder that is not there yet.
    """
    if form.refused is not None:
        message = refusal(form, outputs)
        found = "it was not refused" if message is None else " ".join(message.split())
        return ("refused" if message is not None and re.search(form.refused, found) else "wrong"), found
    try:
        read = answers(form)
    except UserError as error:
        return "wrong", f"refused: {' '.join(str(error).split())}"
    expected = form.change(plain())
    if read.shape != expected.shape:
        return "wrong", f"log-odds {tuple(read.shape)}, not {tuple(expected.shape)}"
    most = float((read - expected).abs().max())
    return ("right" if most <= form.tolerance else "wrong"), f"log-odds at most {most:.1e} apart"


def flag_in_a_run(form: Form, outputs: Path) -> str:
    """What a whole run with quick settings says of the flag, the shortcut that the network has learned."""
    more = [f"target=class:{FLAGPOLE}", f"paths.outputs={outputs}", "evaluation=quick", "logger=local", "trainer=cpu"]
    summary = app.make(configuration.compose([*form.overrides, *more])).summary
    assert summary is not None
    flag = next(element for element in summary.elements if element.phrase == "a flag")
    effect = "not tested" if flag.removal is None else f"{flag.removal.drop.value:+.2f} (n {flag.removal.drop.n})"
    return f"a flag is {flag.verdict.value}, {effect}; {summary.classifier.facts['output']}"


def main() -> None:
    """Judge all forms and print what became of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", action="store_true", help="make whole runs of a few forms, too")
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT))  # The networks are named by the package that they are in.
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
