"""A found prompt in the file format that diffusers' ``load_textual_inversion`` reads."""

from __future__ import annotations

from safetensors.torch import save
from torch import Tensor


def textual_inversion(embeddings: Tensor, token: str) -> bytes:
    """Contents of a safetensors file with the embeddings (n, E) under the name ``token``.

    After ``pipeline.load_textual_inversion(path)``, ``token`` in a text stands for all n vectors.
    """
    return save({token: embeddings.detach().float().cpu().contiguous()})
