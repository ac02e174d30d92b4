"""CLIPSeg (Lüddecke & Ecker 2022) through transformers, differentiable, each image encoded once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from diffexplain.errors import UserError
from diffexplain.memory import MicroBatches
from diffexplain.progress import progress
from diffexplain.weights.documents import read_json
from diffexplain.weights.files import library_reads, load_whole
from diffexplain.weights.paths import resolve_folder
from diffexplain.weights.store import Node, source_path

CALIBRATION_FILE = "calibration.json"
COMMAND = "diffexplain fetch segmenter=clipseg"


@dataclass(frozen=True)
class Calibration:
    """When a pixel belongs to a phrase, and when the phrase is there at all.

    Measured on images with and without the phrase, and kept beside the weights as ``calibration.json``; for weights
    that are fetched the configuration says it.
    Masks are never stretched to their own range: an absent phrase would light up somewhere.

    Attributes:
        mask_threshold: a pixel belongs to the phrase above this probability.
        minimum_area: the phrase is seen where at least this share of the pixels belongs to it.
    """

    mask_threshold: float = 0.5
    minimum_area: float = 0.005

    @staticmethod
    def load(folder: Path) -> Calibration:
        """The folder's calibration, or the defaults where it has none.

        Raises:
            UserError: the file cannot be read, or has an unknown key.
        """
        path = folder / CALIBRATION_FILE
        if not path.is_file():
            return Calibration()
        known = [field.name for field in fields(Calibration)]
        try:
            content = read_json(path)
            unknown = [key for key in content if key not in known]
            if unknown:
                raise UserError(f"{path} has an unknown key.", given=unknown[0], accepted=known)
            return Calibration(**{key: float(value) for key, value in content.items()})
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise UserError(f"{path} is not a JSON object of numbers: {error}") from error

    def save(self, folder: Path) -> None:
        """Write ``calibration.json`` beside the weights."""
        text = json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"
        (folder / CALIBRATION_FILE).write_text(text, encoding="utf-8")


class Segmenter(nn.Module):
    """Images and phrases to masks; frozen and in eval mode, gradients reach the images.

    Args:
        model: a ``CLIPSegForImageSegmentation``.
        processor: its ``CLIPSegProcessor``: the tokenizer, and the image's mean and standard deviation.
        calibration: when something is seen.
        pairs_at_once: (image, phrase) pairs decoded together; bounds memory, not the result.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: Any, processor: Any, calibration: Calibration, pairs_at_once: int = 64) -> None:
        super().__init__()
        self.model: Any = model
        self.tokenizer: Any = processor.tokenizer
        self.calibration = calibration
        self._images = MicroBatches(None)
        self._pairs = MicroBatches(pairs_at_once, "segmenter.pairs_at_once", "micro-batches of phrases to look for")
        statistics = processor.image_processor
        self.register_buffer("mean", torch.tensor(statistics.image_mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(statistics.image_std).view(1, 3, 1, 1), persistent=False)
        # Not the vision tower's image_size: the published weights have positions for 224 px, are used at 352.
        size = statistics.size
        self.image_size = int(size["height"] if "height" in size else size["shortest_edge"])
        self._embeddings: dict[str, Tensor] = {}
        self.requires_grad_(False)
        self.eval()

    @classmethod
    def load(cls, folder: str, pairs_at_once: int = 64) -> Segmenter:
        """The segmenter of a folder in transformers' format.

        Args:
            folder: a path, or ``embedded:clipseg``.
            pairs_at_once: see the class.

        Raises:
            UserError: the folder is missing, lacks a file, or has a damaged one or another network's.
        """
        path = resolve_folder(folder)
        return cls._of(path, Calibration.load(path), pairs_at_once)

    @classmethod
    def fetched(
        cls,
        weights: Sequence[Node],
        mask_threshold: float,
        minimum_area: float,
        pairs_at_once: int = 64,
    ) -> Segmenter:
        """The segmenter that ``diffexplain fetch`` has brought, which has no calibration beside it.

        Args:
            weights: one source, a repository in transformers' format, or a folder in its place.
            mask_threshold: see `Calibration`.
            minimum_area: see `Calibration`.
            pairs_at_once: see the class.

        Raises:
            UserError: as `load`.
        """
        (source,) = weights
        return cls._of(source_path(source, command=COMMAND), Calibration(mask_threshold, minimum_area), pairs_at_once)

    @classmethod
    def _of(cls, path: Path, calibration: Calibration, pairs_at_once: int) -> Segmenter:
        from transformers import CLIPSegForImageSegmentation, CLIPSegProcessor

        model = load_whole(CLIPSegForImageSegmentation, path, dtype=torch.float32)
        with library_reads(f"No CLIPSeg can be loaded from {path}"):
            processor = CLIPSegProcessor.from_pretrained(path, local_files_only=True)
        return cls(model, processor, calibration, pairs_at_once)

    def train(self, mode: bool = True) -> Segmenter:
        """Stays in eval mode, whatever a trainer says."""
        super().train(False)
        return self

    def logits(self, images: Tensor, phrases: Sequence[str]) -> Tensor:
        """Per-pixel logits at the model's own size.

        Args:
            images: (B, 3, H, W) in [0, 1], any size.
            phrases: P texts.

        Returns:
            (B, P, image_size, image_size).
        """
        activations = self._activations(images)
        conditions = self._conditions(phrases)
        count, width = images.shape[0], len(phrases)
        pairs = [(image, phrase) for image in range(count) for phrase in range(width)]

        def decode(part: slice) -> Tensor:
            chunk = torch.tensor(pairs[part], device=images.device)
            chosen = tuple(activation[chunk[:, 0]] for activation in activations)
            decoded: Tensor = self.model.decoder(chosen, conditions[chunk[:, 1]]).logits
            # The decoder drops the batch axis of a single pair.
            return decoded.reshape(len(chunk), *decoded.shape[-2:])

        stacked = torch.cat(self._pairs.run(len(pairs), decode))
        return stacked.reshape(count, width, *stacked.shape[-2:])

    def masks(self, images: Tensor, phrases: Sequence[str]) -> Tensor:
        """Probability that a pixel belongs to a phrase, at the model's own size.

        Args:
            images: (B, 3, H, W) in [0, 1], any size.
            phrases: P texts.

        Returns:
            (B, P, image_size, image_size) in [0, 1].
        """
        if not len(phrases):
            return images.new_empty((len(images), 0, self.image_size, self.image_size))
        return torch.sigmoid(torch.cat(self._images.run(len(images), lambda part: self.logits(images[part], phrases))))

    def similarity(self, images: Tensor, phrases: Sequence[str]) -> Tensor:
        """How well each phrase fits each whole image: cosines of the CLIP that the segmenter is made of.

        Args:
            images: (B, 3, H, W) in [0, 1], any size.
            phrases: P texts.

        Returns:
            (B, P) in [-1, 1].
        """
        return self.image_features(images) @ self.text_features(phrases).T

    def image_features(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [0, 1], of any size, as unit vectors (B, D) of that CLIP."""

        def encode(part: slice) -> Tensor:
            # CLIP was trained at its own size; only the decoder is used at another.
            pixels = self.preprocess(images[part], int(self.model.config.vision_config.image_size))
            return functional.normalize(self.model.clip.get_image_features(pixel_values=pixels).pooler_output, dim=-1)

        return torch.cat(self._images.run(len(images), encode))

    def text_features(self, phrases: Sequence[str]) -> Tensor:
        """P texts as unit vectors (P, D) of that CLIP."""
        return functional.normalize(self._conditions(phrases), dim=-1)

    def knows(self, word: str) -> bool:
        """Whether the word is one token: a CLIP of a small vocabulary spells what it was never taught."""
        return len(self.tokenizer(word, add_special_tokens=False).input_ids) == 1

    def preprocess(self, images: Tensor, size: int | None = None) -> Tensor:
        """(B, 3, H, W) in [0, 1] to the model's device, range and size, or another ``size``; gradients pass."""
        images = images.to(self.mean.device)
        side = (size or self.image_size,) * 2
        if images.shape[-2:] != side:
            images = functional.interpolate(images, side, mode="bilinear", align_corners=False, antialias=True)
        normalised: Tensor = (images - self.mean) / self.std
        return normalised

    def _activations(self, images: Tensor) -> tuple[Tensor, ...]:
        """The vision layers that the decoder reads, (B, patches + 1, width) each.

        The model's own forward runs its vision tower without gradient; called apart, it has one.
        """
        output = self.model.clip.vision_model(
            pixel_values=self.preprocess(images), interpolate_pos_encoding=True, output_hidden_states=True
        )
        return tuple(output.hidden_states[layer + 1] for layer in self.model.extract_layers)

    @torch.no_grad()
    def _conditions(self, phrases: Sequence[str]) -> Tensor:
        """(P, projection_dim), each phrase encoded once in the life of the segmenter."""
        new = [phrase for phrase in dict.fromkeys(phrases) if phrase not in self._embeddings]
        limit = int(self.model.config.text_config.max_position_embeddings)
        for phrase in progress(
            new, "phrases to encode"
        ):  # One by one: the bits of one in a padded batch would depend on the others.
            tokens = self.tokenizer(phrase, truncation=True, max_length=limit, return_tensors="pt")
            embedded: Tensor = self.model.clip.get_text_features(
                input_ids=tokens["input_ids"].to(self.mean.device),
                attention_mask=tokens["attention_mask"].to(self.mean.device),
            ).pooler_output
            self._embeddings[phrase] = embedded[0]
        if not phrases:
            return self.mean.new_empty((0, int(self.model.config.projection_dim)))
        return torch.stack([self._embeddings[phrase].to(self.mean.device) for phrase in phrases])
