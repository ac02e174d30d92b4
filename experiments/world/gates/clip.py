"""CLIP's gate: finding the caption of a picture, and the picture of a caption, among 100 others."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from diffexplain.weights.paths import resolve_folder
from diffexplain.world.held_out import renderings, scenes_and_seeds
from diffexplain.world.scenes import ATTRIBUTES, Scene
from experiments.world.captions import Caption, caption
from experiments.world.gates.row import Row, at_least

PAIRS = 1000
DISTRACTORS = 100
GATE = 0.9
PART = "CLIP"


def is_true_of(text: Caption, described: Scene, scene: Scene) -> bool:
    """Whether a caption of one scene is true of another as well, which makes it no distractor."""
    if {c.kind for c in described.companions} != {c.kind for c in scene.companions}:
        return False
    for name in text.named:
        if name in ATTRIBUTES and getattr(described, name) != getattr(scene, name):
            return False
        if name.startswith("subtype:"):
            kind = name.removeprefix("subtype:")
            if described.companion(kind) != scene.companion(kind) and (
                getattr(described.companion(kind), "subtype", None) != getattr(scene.companion(kind), "subtype", None)
            ):
                return False
    return True


def retrieval(
    similarity: NDArray[np.float32], distracts: Callable[[int, int], bool], generator: np.random.Generator
) -> float:
    """Share of rows whose diagonal entry beats 100 drawn others.

    Args:
        similarity: `(n, n)`, the pairs on the diagonal.
        distracts: whether column j may distract row i.
        generator: draws the distractors.
    """
    right = 0
    count = len(similarity)
    for row in range(count):
        columns: list[int] = []
        for column in generator.permutation(count):
            if column != row and distracts(row, int(column)):
                columns.append(int(column))
                if len(columns) == DISTRACTORS:
                    break
        right += bool(similarity[row, row] > similarity[row, columns].max())
    return right / count


@torch.no_grad()
def embed(images: Tensor, texts: Sequence[str], folder: str, batch: int = 100) -> tuple[Tensor, Tensor]:
    """Unit vectors of images `(B, 3, H, W)` in [0, 1] and of texts, by the CLIP of a folder."""
    from transformers import CLIPModel, CLIPProcessor

    path = resolve_folder(folder)
    model = CLIPModel.from_pretrained(path, local_files_only=True, use_safetensors=True).float().eval()
    processor = CLIPProcessor.from_pretrained(path, local_files_only=True)
    statistics = processor.image_processor
    mean = torch.tensor(statistics.image_mean).view(1, 3, 1, 1)
    std = torch.tensor(statistics.image_std).view(1, 3, 1, 1)
    limit = model.config.text_config.max_position_embeddings
    pictures, sentences = [], []
    for start in range(0, len(texts), batch):
        part = (images[start : start + batch] - mean) / std
        pictures.append(model.get_image_features(pixel_values=part).pooler_output)
        tokens = processor.tokenizer(
            list(texts[start : start + batch]),
            padding="max_length",
            truncation=True,
            max_length=limit,
            return_tensors="pt",
        )
        sentences.append(model.get_text_features(**tokens).pooler_output)
    return functional.normalize(torch.cat(pictures), dim=-1), functional.normalize(torch.cat(sentences), dim=-1)


def clip_rows(folder: str = "embedded:clip") -> list[Row]:
    """Retrieval both ways; captions that are true of the picture too do not distract."""
    scenes, seeds = scenes_and_seeds(PAIRS, stream=4)
    texts = [caption(scene, seed) for scene, seed in zip(scenes, seeds, strict=True)]
    images, _ = renderings(scenes, seeds)
    pictures, sentences = embed(images, [text.text for text in texts], folder)
    similarity = (pictures @ sentences.T).numpy()
    generator = np.random.default_rng(seeds[0])

    def other_caption(image: int, text: int) -> bool:
        return not is_true_of(texts[text], scenes[text], scenes[image])

    def other_image(text: int, image: int) -> bool:
        return other_caption(image, text)

    return [
        at_least(PART, "caption of a picture", retrieval(similarity, other_caption, generator), GATE, PAIRS),
        at_least(PART, "picture of a caption", retrieval(similarity.T, other_image, generator), GATE, PAIRS),
    ]
