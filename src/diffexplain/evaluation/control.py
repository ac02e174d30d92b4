"""A classifier that has learned nothing, to tell what the images do by themselves from what a classifier makes of them.

It has the architecture of the explained one and random weights (Adebayo et al. 2018, the model randomisation test). It
reads the images that were made for the explained one: images are what an evaluation spends its time on. So whatever it
answers to, the prior, the prompt or the edit has brought about.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import nn

from diffexplain.errors import UserError
from diffexplain.evaluation.activation import PURPOSE, Reader, Seeds
from diffexplain.evaluation.results import Activation, Control, ControlledElement, Element
from diffexplain.evaluation.settings import EvaluationSettings
from diffexplain.evaluation.statistics import benjamini_hochberg, bootstrap_mean, p_mean_above
from diffexplain.evaluation.verdict import Trial, verdict
from diffexplain.runs.draws import Draws

_Module = TypeVar("_Module", bound=nn.Module)


def random_weights(classifier: _Module, draws: Draws) -> _Module:
    """A copy of ``classifier`` whose weights are drawn anew, frozen and in eval mode; the original stays as it is.

    Each module draws its own as at its making (``reset_parameters``), and restarts the statistics of its batch norm.
    Parameters of modules that cannot, such as class tokens, are normal with their present mean and standard deviation.
    The draws are keyed by the run; torch's global generator is left as it was.

    Raises:
        UserError: the classifier has no weights that could be drawn.
    """
    check_weights(classifier)
    control = copy.deepcopy(classifier)
    seed = int(draws.generator("control").integers(2**31))
    device = next((parameter.device for parameter in control.parameters()), torch.device("cpu"))
    control.to("cpu")  # Drawn there, the weights are the same on every device.
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.default_generator.manual_seed(seed)
        for module in control.modules():
            if callable(reset := getattr(module, "reset_parameters", None)):
                reset()
            else:
                for parameter in module.parameters(recurse=False):
                    parameter.normal_(float(parameter.mean()), float(parameter.std(correction=0)))
            if callable(restart := getattr(module, "reset_running_stats", None)):
                restart()
    control.to(device).requires_grad_(False).eval()
    return control


def check_weights(classifier: object) -> None:
    """Refuse a classifier of which no control can be made.

    Raises:
        UserError: it has no weights that could be drawn.
    """
    if not isinstance(classifier, nn.Module) or not any(True for _ in classifier.parameters()):
        message = (
            "Only a torch module has weights that can be drawn anew: evaluation.control=null leaves the control out."
        )
        raise UserError(message, given=getattr(classifier, "name", type(classifier).__name__))


def judge_control(
    kind: str,
    reader: Reader,
    activation: Sequence[Activation],
    trials: Sequence[Trial],
    elements: Sequence[Element],
    draws: Draws,
    settings: EvaluationSettings,
) -> Control:
    """The control's verdicts on the elements that could be tested, by the rule of ``verdict.py`` on the same edits.

    Args:
        kind: of control, as `EvaluationSettings` names it.
        reader: of the control.
        activation: of the control, by prompt.
        trials: the edits.
        elements: the explained classifier's verdicts, in whose order the control's come.
    """
    drops = {}
    for trial in trials:
        if trial.p is None:
            continue
        shown = f"an edit that takes out {trial.phrase.text!r}"
        null, without = (reader.read(images, shown).probability for images in (trial.edits.null, trial.edits.without))
        assert null is not None, "verdicts need a class"
        assert without is not None, "verdicts need a class"
        drops[trial.phrase.text] = (null - without)[trial.edits.took]
    p_values = [p_mean_above(values, settings.margin) for values in drops.values()]
    adjusted = dict(zip(drops, benjamini_hochberg(p_values), strict=True))
    controlled = []
    for element in elements:
        if element.phrase not in drops:
            continue
        generator = draws.generator(PURPOSE, Seeds.BOOTSTRAP)
        drop = bootstrap_mean(drops[element.phrase], generator, settings.resamples)
        p = adjusted[element.phrase]
        overlap = None if element.overlap is None else element.overlap.value
        controlled.append(ControlledElement(element.phrase, verdict(p, overlap, settings), drop, p))
    return Control(kind, tuple(activation), tuple(controlled))
