"""CLIP as a classifier without training: an image belongs to the class whose description is nearest (arXiv 2103.00020).

The logits are CLIP's own: its learned scale times the cosine of image and class; a class is the mean of its
descriptions' unit vectors, made a unit vector again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from diffexplain.classifiers.classifier import Classifier
from diffexplain.classifiers.huggingface import read_config
from diffexplain.classifiers.labels import IMAGENET, find_labels
from diffexplain.classifiers.preprocessing import Preprocessing
from diffexplain.classifiers.state import load_state
from diffexplain.classifiers.transformers_preprocessing import read_preprocessing
from diffexplain.errors import UserError
from diffexplain.progress import progress
from diffexplain.target import Labels
from diffexplain.weights.files import library_reads, load_whole
from diffexplain.weights.store import Node, source_path

TEMPLATES = ("a photo of a {}.",)
OPEN_CLIP_CONFIG = "open_clip_config.json"
_TEXTS_AT_ONCE = 64


class ZeroShot(nn.Module):
    """Images to logits: `(B, 3, H, W) -> (B, K)`.

    Args:
        image_encoder: `(B, 3, H, W)` to features `(B, D)`.
        text_features: unit vectors of the classes, `(K, D)`.
        scale: of the logits.
    """

    text_features: Tensor

    def __init__(self, image_encoder: nn.Module, text_features: Tensor, scale: float) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.scale = scale
        self.register_buffer("text_features", text_features)

    def forward(self, images: Tensor) -> Tensor:
        features = functional.normalize(self.image_encoder(images), dim=-1)
        return self.scale * features @ self.text_features.T


class ImageTower(nn.Module):
    """The image half of transformers' CLIP: `(B, 3, H, W) -> (B, D)`."""

    def __init__(self, clip: Any) -> None:
        super().__init__()
        self.vision_model = clip.vision_model
        self.visual_projection = clip.visual_projection

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.visual_projection(self.vision_model(pixel_values=images).pooler_output)
        return features


def load_clip(
    model: str,
    *,
    labels: str | Sequence[str] = IMAGENET,
    templates: Sequence[str] = TEMPLATES,
    weights: Sequence[Node] = (),
    meta: bool = False,
) -> Classifier:
    """A CLIP of transformers' as a classifier of any classes.

    Args:
        model, labels, weights, meta: as those of all loaders.
        templates: descriptions of a class, each with one `{}` for its name.

    Raises:
        UserError: a file is missing or no CLIP's, or a template has no place for the name.
    """
    from transformers import AutoTokenizer, CLIPModel

    folder, classes, texts = _files_and_texts("clip", model, labels, templates, weights)
    config = read_config(folder)
    if config.model_type != "clip":
        raise UserError(f"{folder} holds another model than a CLIP of transformers'.", given=config.model_type)
    preprocessing = read_preprocessing(folder)
    if meta:
        with torch.device("meta"):
            clip = CLIPModel(config)
            features = torch.empty(len(classes), config.projection_dim)
        return Classifier(ZeroShot(ImageTower(clip), features, 1.0), classes, model, preprocessing.to("meta"))
    clip = load_whole(CLIPModel, folder, config=config, dtype=torch.float32).eval()
    with library_reads(f"{folder} holds no tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)

    def encode(batch: Sequence[str]) -> Tensor:
        tokens = tokenizer(list(batch), padding=True, truncation=True, return_tensors="pt")
        features: Tensor = clip.text_projection(clip.text_model(**tokens).pooler_output)
        return features

    network = ZeroShot(ImageTower(clip), class_features(encode, texts), clip.logit_scale.exp().item())
    return Classifier(network, classes, model, preprocessing)


def load_open_clip(
    model: str,
    *,
    labels: str | Sequence[str] = IMAGENET,
    templates: Sequence[str] = TEMPLATES,
    weights: Sequence[Node] = (),
    meta: bool = False,
) -> Classifier:
    """As `load_clip`, of open_clip's: a folder with `open_clip_config.json`.

    Raises:
        UserError: as `load_clip`, or open_clip is not installed.
    """
    try:
        import open_clip
    except ModuleNotFoundError as error:
        raise UserError("open_clip is not installed: pip install 'diffexplain[clip]'.") from error
    folder, classes, texts = _files_and_texts("open_clip", model, labels, templates, weights)
    if not (folder / OPEN_CLIP_CONFIG).is_file():
        raise UserError(f"No CLIP of open_clip's is in {folder}: {OPEN_CLIP_CONFIG} is missing.")
    name = f"local-dir:{folder}"
    with library_reads(f"{folder / OPEN_CLIP_CONFIG} cannot be used"), torch.device("meta" if meta else "cpu"):
        clip = open_clip.create_model(name, load_weights=False, device="meta" if meta else "cpu").eval()
        preprocessing = _open_clip_preprocessing(clip.visual.preprocess_cfg)
    if meta:
        with torch.device("meta"):
            width = clip.encode_text(torch.zeros(1, clip.context_length, dtype=torch.long)).shape[1]
            features = torch.empty(len(classes), width)
        return Classifier(ZeroShot(clip.visual, features, 1.0), classes, model, preprocessing)
    load_state(clip, folder / "open_clip_model.safetensors")
    tokenizer = open_clip.get_tokenizer(name)
    features = class_features(lambda batch: clip.encode_text(tokenizer(list(batch))), texts)
    return Classifier(ZeroShot(clip.visual, features, clip.logit_scale.exp().item()), classes, model, preprocessing)


def class_features(encode: Callable[[Sequence[str]], Tensor], texts: Sequence[Sequence[str]]) -> Tensor:
    """Unit vectors of the classes, `(K, D)`, from the descriptions of each."""
    flat = [text for descriptions in texts for text in descriptions]
    with torch.no_grad():
        starts = progress(range(0, len(flat), _TEXTS_AT_ONCE), f"texts of classes, {_TEXTS_AT_ONCE} at a time")
        encoded = torch.cat([encode(flat[i : i + _TEXTS_AT_ONCE]) for i in starts])
        each = functional.normalize(encoded.float(), dim=-1).unflatten(0, (len(texts), -1))
        return functional.normalize(each.mean(dim=1), dim=-1)


def _files_and_texts(
    choice: str, model: str, labels: str | Sequence[str], templates: Sequence[str], weights: Sequence[Node]
) -> tuple[Path, Labels, list[list[str]]]:
    """The repository's folder, the classes, and all descriptions of each class."""
    command = f"diffexplain fetch classifier={choice} classifier.model={model}"
    folder = source_path(weights[0], command=command)
    classes = find_labels(labels, weights, command=command)
    if len(classes) < 2:
        message = "CLIP tells only which of several descriptions is nearest: classifier.labels needs two or more."
        raise UserError(message, given=", ".join(classes.names))
    return folder, classes, _descriptions(classes, templates)


def _open_clip_preprocessing(settings: Mapping[str, Any]) -> Preprocessing:
    """What open_clip's own evaluation transforms do."""
    size, squeezed = settings["size"], settings["resize_mode"] == "squash"
    height, width = (size, size) if isinstance(size, int) else size
    if settings["resize_mode"] not in ("shortest", "squash") or (height != width and not squeezed):
        raise UserError("This resize_mode of open_clip's is not supported.", given=settings["resize_mode"])
    return Preprocessing(
        (height, width) if squeezed else height,
        (height, width),
        interpolation=settings["interpolation"],
        mean=settings["mean"],
        std=settings["std"],
    )


def _descriptions(labels: Labels, templates: Sequence[str]) -> list[list[str]]:
    """All descriptions of each class."""
    for template in templates:
        if template.count("{}") != 1:
            raise UserError("A template has one {} for the name of the class.", given=template)
    if not templates:
        raise UserError("classifier.templates is empty.", accepted=TEMPLATES)
    nameless = next((label.name for label in labels.classes if label.word is None), None)
    if nameless is not None:
        message = "This classifier knows a class by its name alone, and this is no word: name it in classifier.labels."
        raise UserError(message, given=nameless)
    return [[template.replace("{}", name.replace("_", " ")) for template in templates] for name in labels.names]
