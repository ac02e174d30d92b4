"""Models of transformers' that read images and write text, from a local folder; code in it is never run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from diffexplain.classifiers.huggingface import read_config
from diffexplain.errors import UserError
from diffexplain.weights.files import library_reads, load_whole


def load_image_text(
    folder: Path, dtype: torch.dtype, device: torch.device | str, *, chat: bool = False
) -> tuple[Any, Any]:
    """The folder's processor and its model, frozen and in eval mode.

    Args:
        folder: with configuration, safetensors and processor.
        dtype: of the weights.
        device: of the model.
        chat: the model has to be one that can be asked.

    Raises:
        UserError: something is missing or damaged, or the model cannot be asked.
    """
    config = read_config(folder)
    with library_reads(f"{folder} holds no processor"):
        processor = AutoProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if chat and not getattr(processor, "chat_template", None):
        raise UserError(f"The processor in {folder} has no chat template: it cannot be asked.")
    model = load_whole(AutoModelForImageTextToText, folder, config=config, dtype=dtype, trust_remote_code=False)
    return processor, model.eval().requires_grad_(False).to(device)
