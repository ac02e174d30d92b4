"""A classifier that has learned nothing, to tell what the images do by themselves from what a classifier makes of them.

It has the architecture of the explained one and random weights (Adebayo et al. 2018, the model randomisation test). It
reads the images that were made for the explained one: images are what an evaluation spends its time on. So whatever it
answers to, the prior, the prompt or the edit has brought about.
"""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

from diffexplain.errors import UserError
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
