"""How well texts fit images, and each other: a CLIP of transformers'."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from diffexplain.classifiers.huggingface import read_config
from diffexplain.classifiers.preprocessing import Preprocessing
from diffexplain.classifiers.transformers_preprocessing import read_preprocessing
from diffexplain.errors import UserError
from diffexplain.progress import progress
from diffexplain.weights.files import library_reads, load_whole

_AT_ONCE = 64


class Clip:
    """Images and texts as unit vectors in one space (arXiv 2103.00020); frozen, without gradients.

    Args:
        model: a ``CLIPModel``.
        tokenizer: its own.
        preprocessing: its own.
    """

    def __init__(self, model: Any, tokenizer: Any, preprocessing: Preprocessing) -> None:
        self.model: Any = model
        self.tokenizer: Any = tokenizer
        self.preprocessing = preprocessing

    @staticmethod
    def load(folder: Path) -> Clip:
        """The CLIP in a folder of transformers' format.

        Raises:
            UserError: a file is missing or damaged, or the folder holds another model.
        """
        from transformers import AutoTokenizer, CLIPModel

        config = read_config(folder)
        if config.model_type != "clip":
            raise UserError(f"{folder} holds another model than a CLIP of transformers'.", given=config.model_type)
        model = load_whole(CLIPModel, folder, config=config, dtype=torch.float32).eval().requires_grad_(False)
        with library_reads(f"{folder} holds no tokenizer"):
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        return Clip(model, tokenizer, read_preprocessing(folder))

    @torch.no_grad()
    def images(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [0, 1] as unit vectors (N, D)."""
        parts = [
            self.model.get_image_features(pixel_values=self.preprocessing(part)).pooler_output
            for part in progress(images.float().split(_AT_ONCE), f"pictures to encode, {_AT_ONCE} at a time")
        ]
        return functional.normalize(torch.cat(parts), dim=-1)

    def alike(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Cosines of N texts with each other, (N, N)."""
        features = self.texts(texts).double()
        cosines: NDArray[np.float64] = (features @ features.T).cpu().numpy()
        return cosines

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> Tensor:
        """N texts as unit vectors (N, D); what is longer than the model reads is cut off."""
        limit = self.model.config.text_config.max_position_embeddings
        parts = []
        for start in progress(range(0, len(texts), _AT_ONCE), f"texts to encode, {_AT_ONCE} at a time"):
            tokens = self.tokenizer(
                list(texts[start : start + _AT_ONCE]),
                padding="max_length",
                truncation=True,
                max_length=limit,
                return_tensors="pt",
            )
            parts.append(self.model.get_text_features(**tokens).pooler_output)
        return functional.normalize(torch.cat(parts), dim=-1)
