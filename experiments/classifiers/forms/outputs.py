"""What comes out of a network: kinds of output, and what they come in."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.modeling_outputs import ImageClassifierOutput

from diffexplain.classifiers import load_classifier
from experiments.classifiers.forms.form import (
    FLAGPOLE,
    FOLDER,
    LABELS,
    Form,
    apart,
    both,
    brought,
    exclusive,
    flagpole,
    rounded,
    said,
    squashed,
)

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


def own(output: str = "logits", container: str = "tensor", *more: str, labels: str = LABELS) -> tuple[str, ...]:
    """Overrides that bring `network`."""
    return brought(f"{__name__}.network", {"output": output, "container": container}, *more, labels=labels)


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
