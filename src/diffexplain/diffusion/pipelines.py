"""Reading any text-to-image pipeline of diffusers from a folder: its networks whole, and no code but the libraries'."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from torch import nn

from diffexplain.diffusion.loading import QUIETLY
from diffexplain.errors import UserError
from diffexplain.weights.documents import read_json
from diffexplain.weights.files import check_folder, load_whole

LIBRARIES = {"diffusers": diffusers, "transformers": transformers}
"""Those whose classes a pipeline may be made of."""
NETWORKS = ("transformer", "unet")
"""What pipelines call the network that denoises."""
TAKEN = ("prompt", "latents", "num_inference_steps", "output_type")
"""What the call of a pipeline must take."""
GIVEN = (*TAKEN, "image", "generator", "guidance_scale", "height", "width", "num_images_per_prompt", "return_dict")
"""What it is given, or not to be asked for."""
_PICTURES_AS_THEY_ARE = {"safety_checker": None, "requires_safety_checker": False, "add_watermarker": False}
"""For a pipeline that would black pictures out, or write into them."""


def read_pipeline(folder: Path, options: Mapping[str, Any], dtype: torch.dtype, variant: str | None = None) -> Any:
    """The pipeline in ``folder``; what it is and what it takes is looked at before any weights are read.

    Args:
        folder: in diffusers' format.
        options: of its call, besides what every pipeline is given.
        dtype: of its networks.
        variant: what the names of the weights hold where there are several of a network, such as ``fp16``.

    Raises:
        UserError: a part is missing, damaged or of no class of the two libraries; or it is no text-to-image pipeline
            that takes latents; or it does not take an option.
    """
    index = _index(folder)
    kind = getattr(diffusers, str(index.get("_class_name")), None)
    if not isinstance(kind, type) or not issubclass(kind, diffusers.DiffusionPipeline):
        raise UserError(f"{folder} is of no class of pipelines that diffusers has.", given=index.get("_class_name"))
    check_call(kind, options)
    loader: Any = kind
    asked = {key: value for key, value in _PICTURES_AS_THEY_ARE.items() if key in signature(kind).parameters}
    classes = {name: _class(folder, name, part) for name, part in index.items() if _is_part(part) and name not in asked}
    check_folder(folder)
    networks = {
        name: _network(cls, folder / name, dtype, variant)
        for name, cls in classes.items()
        if isinstance(cls, type) and issubclass(cls, nn.Module)
    }
    try:
        return loader.from_pretrained(folder, **networks, **asked, **QUIETLY, local_files_only=True)
    except (OSError, ValueError, ImportError) as error:  # ImportError: a tokenizer that needs another package
        raise UserError(f"{folder} lacks a part: {' '.join(str(error).split())}") from error


def check_call(kind: type, options: Mapping[str, Any]) -> None:
    """Refuse a class of pipelines that does not make images of texts and latents.

    Raises:
        UserError: it takes no such thing, or not one of the options.
    """
    takes = signature(kind.__call__).parameters
    lacking = [name for name in TAKEN if name not in takes]
    if lacking:
        message = f"{kind.__name__} does not make images of texts and latents: it takes no {' and no '.join(lacking)}."
        raise UserError(message)
    accepted = [name for name in takes if name not in ("self", *GIVEN)]
    for name in options:
        if name not in accepted:
            raise UserError(f"{kind.__name__} takes no such option.", given=f"options.{name}", accepted=accepted)


def _index(folder: Path) -> dict[str, Any]:
    try:
        index = read_json(folder / "model_index.json")
    except FileNotFoundError:
        index = None
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / 'model_index.json'} cannot be read: {error}") from error
    if not isinstance(index, dict):
        raise UserError(f"{folder} is no pipeline of diffusers: model_index.json is missing, or says nothing.")
    return index


def _is_part(entry: Any) -> bool:
    """Whether an entry of the index names a part, and the part is there: ``[library, class]``."""
    return isinstance(entry, list) and len(entry) == 2 and None not in entry


def _class(folder: Path, name: str, part: list[str]) -> Any:
    library, cls = map(str, part)
    found = getattr(LIBRARIES[library], cls, None) if library in LIBRARIES else None
    if found is None:
        message = f"{name} of {folder} is of no class of diffusers or transformers, and code of others is not run."
        raise UserError(message, given=f"{library}.{cls}")
    return found


def _network(kind: type[nn.Module], folder: Path, dtype: torch.dtype, variant: str | None) -> nn.Module:
    of_diffusers = issubclass(kind, diffusers.ModelMixin)
    more: dict[str, Any] = QUIETLY if of_diffusers else {}
    if variant is not None and any(folder.glob(f"*.{variant}*.safetensors")):
        more = {**more, "variant": variant}
    network: nn.Module = load_whole(kind, folder, dtype=dtype, **more)
    return nn.Module.to(network, dtype) if of_diffusers else network  # Some are left in the type of their file.
