"""Files and code: checkpoints as trainers write them, a package beside the working directory, what is written wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from diffexplain.classifiers import load_classifier
from diffexplain.classifiers.architectures import build_backbone
from diffexplain.weights.convert import convert
from experiments.classifiers.forms.form import FOLDER, Change, Form, body, brought, exclusive
from experiments.classifiers.forms.inputs import of_weights_in

HERE = __name__
State = dict[str, Tensor]


def network(widths: tuple[int, ...] = (24, 48, 96)) -> nn.Module:
    """The embedded architecture with fresh weights."""
    return build_backbone("small_cnn", 12, {"widths": tuple(widths), "blocks": (1, 2, 2)})


class Shell(nn.Module):
    """A network that answers to nothing."""


def state(prefix: str = "") -> State:
    """The embedded weights, with something before their names."""
    return {f"{prefix}{name}": tensor for name, tensor in body().state_dict().items()}


def under(name: str) -> dict[str, Any]:
    """The weights under a name, as trainers save them."""
    return {name: state(), "step": 7}


def averaged() -> State:
    """Other weights of the same architecture: the head answers half as much."""
    return {name: tensor / 2 if name.startswith("head.") else tensor for name, tensor in state().items()}


def halved(logits: Tensor) -> Tensor:
    """What they answer."""
    return exclusive(logits / 2)


def in_half() -> State:
    """The embedded weights in half precision."""
    return {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state().items()}


def saved(name: str, content: Callable[[], Any]) -> Callable[[Path], None]:
    """What writes a checkpoint by `torch.save`."""
    return lambda folder: torch.save(content(), folder / name)


def converted(folder: Path) -> None:
    """A trainer's checkpoint through `diffexplain convert`."""
    torch.save({"epoch": 3, "state_dict": state("module.")}, folder / "best.pth.tar")
    convert(folder / "best.pth.tar", folder / "best.safetensors")


def cut_off(folder: Path) -> None:
    """Half a file."""
    save_file(state(), folder / "whole.safetensors")
    data = (folder / "whole.safetensors").read_bytes()
    (folder / "best.safetensors").write_bytes(data[: len(data) // 2])


def program(folder: Path) -> None:
    """A network as TorchScript."""
    torch.jit.script(load_classifier(FOLDER).backbone).save(str(folder / "best.pt"))


def beside(folder: Path) -> None:
    """A module of the user's, which imports another and reads a file that lie beside it."""
    save_file(state(), folder / "best.safetensors")
    (folder / "contract_weights.py").write_text(
        "from safetensors.torch import load_file\n\n\ndef weights():\n    return load_file('best.safetensors')\n"
    )
    (folder / "contract_beside.py").write_text(
        "from contract_weights import weights\nfrom diffexplain.classifiers.architectures import build_backbone\n\n\n"
        "def build():\n"
        "    network = build_backbone('small_cnn', 12, {'widths': (24, 48, 96), 'blocks': (1, 2, 2)})\n"
        "    network.load_state_dict(weights())\n"
        "    return network\n"
    )


def own(checkpoint: str | None, *more: str, arguments: Mapping[str, Any] | None = None) -> tuple[str, ...]:
    """Overrides that bring `network` with a checkpoint."""
    given = () if checkpoint is None else (f"classifier.checkpoint={checkpoint}",)
    return brought(f"{HERE}.network", arguments, *given, *more)


def own_package(name: str) -> tuple[str, ...]:
    """Overrides that bring a package of the user's."""
    return (*(text for text in brought(f"{name}.build") if not text.startswith("plugins=")), f"plugins=[{name}]")


def checkpoint(
    form: str, name: str, content: Callable[[], Any], *more: str, change: Change = exclusive, refused: str | None = None
) -> Form:
    """A form whose weights `torch.save` wrote."""
    return Form(form, own(name, *more), change, refused, write=saved(name, content))


def both_states() -> dict[str, State]:
    """A network and its average over training."""
    return {"state_dict": state("module."), "state_dict_ema": averaged()}


CODE = r"code to be executed.*torch\.save\(network\.state_dict\(\)"

FILE_FORMS = (
    Form(
        "safetensors",
        own("best.safetensors"),
        write=lambda folder: save_file(state(), folder / "best.safetensors"),
    ),
    checkpoint("a state dict, .pth", "best.pth", state),
    checkpoint("a state dict, .pt", "best.pt", state),
    checkpoint("a state dict, .bin", "pytorch_model.bin", state),
    checkpoint(
        "Lightning's checkpoint",
        "last.ckpt",
        lambda: {"epoch": 3, "state_dict": state("model."), "optimizer_states": [{}], "hyper_parameters": {"lr": 0.1}},
    ),
    checkpoint(
        "ImageNet's example",
        "model_best.pth.tar",
        lambda: {"epoch": 3, "arch": "mine", "best_acc1": 0.5, "state_dict": state("module."), "optimizer": {}},
    ),
    checkpoint(
        "compiled, on several devices, in Lightning", "a.ckpt", lambda: {"state_dict": state("net._orig_mod.module.")}
    ),
    checkpoint("prefixes the other way round", "a.pt", lambda: state("module._orig_mod.model.")),
    *(
        checkpoint(f"under {name}", "a.pt", partial(under, name))
        for name in ("model", "net", "weights", "model_state", "model_state_dict")
    ),
    checkpoint("under a name of the user's", "a.pt", lambda: {"trainer": {"network": state("encoder.")}}),
    checkpoint("of two, the network", "a.pth.tar", both_states, "classifier.state=state_dict"),
    checkpoint("of two, the average", "a.pth.tar", both_states, "classifier.state=state_dict_ema", change=halved),
    checkpoint("the same twice", "a.pt", lambda: {"state_dict": state(), "state_dict_ema": state()}),
    Form("weights in half precision", own("half.pt"), of_weights_in(torch.float16), write=saved("half.pt", in_half)),
    Form("what convert makes", own("best.safetensors"), write=converted),
    Form("a package beside the working directory", own_package("contract_beside"), write=beside),
    # What must be refused.
    checkpoint("of two, none chosen", "a.pth.tar", both_states, refused=r"state_dict\.module, .*state=state_dict_ema"),
    checkpoint(
        "of two, another chosen", "a.pth.tar", both_states, "classifier.state=best", refused="no such state.*state_dict"
    ),
    checkpoint("another head", "a.pt", lambda: {**state(), "head.weight": torch.zeros(10, 96)}, refused=r"12x96"),
    checkpoint(
        "names that do not fit",
        "a.pt",
        lambda: {f"x{k}": torch.zeros(1) for k in range(9)},
        refused=r"unexpected: +9 .*\.\.\.",
    ),
    checkpoint("half a network", "a.pt", lambda: dict(list(state().items())[:20]), refused="missing:"),
    checkpoint("no tensors", "a.pt", lambda: {"epoch": 3}, refused="no state dict"),
    checkpoint("a whole network in a pickle", "a.pt", network, refused=CODE),
    Form("TorchScript as weights", own("best.pt"), refused=r"TorchScript archive.*torch\.jit\.load", write=program),
    Form("half a file", own("best.safetensors"), refused="cut off", write=cut_off),
    Form("an empty file", own("a.pt"), refused="empty file", write=lambda folder: (folder / "a.pt").touch()),
    Form("no file", own("bset.pt"), refused="no file at .*nearest: best.pt", write=saved("best.pt", state)),
    Form("a file of another kind", own("best.h5"), refused="of these kinds", write=saved("best.h5", state)),
    Form("no network named", ("classifier=checkpoint", "diffusion=world"), refused="classifier.network"),
    Form("wrong arguments", own(None, arguments={"widhts": [8, 8, 8]}), refused="'widhts'.*nearest: +widths"),
    Form("a network that is not there", brought(f"{HERE}.netwrok"), refused="names nothing.*nearest: +network"),
    Form("no forward", brought(f"{HERE}.Shell"), refused="no forward"),
    Form("no network", brought(f"{HERE}.state"), refused=r"torch\.nn\.Module.*classifier=function"),
    Form("a package that is not there", own_package("contract_nowhere"), refused="no package contract_nowhere"),
    Form("a package that is not named", tuple(o for o in own(None) if "plugins" not in o), refused="plugins"),
    Form("Python's own library", ("classifier=checkpoint", "plugins=[subprocess]"), refused="own library is no plugin"),
    Form(
        "a key given twice",
        own("a.pt", "classifier.checkpoint=b.pt"),
        refused="classifier.checkpoint is given twice",
        write=saved("a.pt", state),
    ),
    Form("a key that is not there", own(None, "classifier.chekpoint=a.pt"), refused="nearest: .*classifier.checkpoint"),
)
