"""From images to captions: what the activating images show, said by a captioner, to be tried as prompts in their turn.

DEXTER's table 3 gives activation scores of captions of DiffExplainer's images; with which captioner, and how many of
them, is not said. Ours: one caption for each image, each the prompt of other images in turn (our choice).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from diffexplain.concepts.vocabulary import Phrase, Vocabulary
from diffexplain.progress import progress
from diffexplain.segmentation import Segmenter
from diffexplain.weights.paths import resolve_folder

CLIP = "clip"
"""The captioner that needs no weights of its own."""
MOST_PHRASES = 3
QUESTION = "Describe this image in one short sentence."
_TOKENS = 40


class ClipCaptioner:
    """The sentence of the vocabulary's grammar that a CLIP finds most similar, made greedily, a phrase at a time."""

    def __init__(self, clip: Segmenter, vocabulary: Vocabulary) -> None:
        self.clip = clip
        self.vocabulary = vocabulary

    @torch.no_grad()
    def captions(self, images: Tensor) -> list[str]:
        """One sentence for each image (N, 3, H, W) in [0, 1]."""
        return [self._caption(self.clip.image_features(image[None])[0]) for image in progress(images, "captions")]

    def _caption(self, features: Tensor) -> str:
        said: tuple[Phrase, ...] = ()
        best = self._fit(features, [said])[0]
        while len(said) < MOST_PHRASES:
            longer = [(*said, phrase) for phrase in self.vocabulary.phrases if self._goes_with(said, phrase)]
            if not longer:
                break
            fits = self._fit(features, longer)
            top = int(fits.argmax())
            if fits[top] <= best:
                break
            said, best = longer[top], fits[top]
        return self.vocabulary.describe(said)

    def _fit(self, features: Tensor, lists: Sequence[Sequence[Phrase]]) -> Tensor:
        return self.clip.text_features([self.vocabulary.describe(phrases) for phrases in lists]) @ features

    def _goes_with(self, said: Sequence[Phrase], phrase: Phrase) -> bool:
        """Whether a sentence can have the phrase, too: one setting, one main object, no object besides its kind."""
        for other in said:
            same = phrase.text == other.text or phrase.of == other.text or (phrase.of or phrase.text) == other.of
            settings = phrase.kind == other.kind == "setting"
            things = phrase.is_thing and other.is_thing
            mains = things and not phrase.companion and not other.companion
            if same or settings or (mains and self.vocabulary.has_companions):
                return False
        return True


class ModelCaptioner:
    """A captioner of transformers' (image-text-to-text) in a local folder; always takes the likeliest next token.

    Raises:
        UserError: there is no such folder.
    """

    def __init__(self, folder: str, device: torch.device) -> None:
        self.folder = resolve_folder(folder)
        self.device = device

    @torch.no_grad()
    def captions(self, images: Tensor) -> list[str]:
        """As those of `ClipCaptioner`; the model is loaded for this call alone.

        Raises:
            UserError: the folder holds no captioner, or a damaged one.
        """
        from torchvision.transforms.functional import to_pil_image

        from diffexplain.concepts.image_text import load_image_text

        processor, model = load_image_text(self.folder, torch.float32, self.device)
        said = []
        for image in progress(images, "captions"):
            inputs = self._inputs(processor, to_pil_image(image)).to(self.device)
            tokens = model.generate(**inputs, do_sample=False, max_new_tokens=_TOKENS)
            # What only goes on writing repeats what it was asked.
            asked = 0 if model.config.is_encoder_decoder or "input_ids" not in inputs else inputs["input_ids"].shape[1]
            text = processor.batch_decode(tokens[:, asked:], skip_special_tokens=True)[0]
            said.append(" ".join(text.split()))
        return said

    def _inputs(self, processor: Any, picture: Any) -> Any:
        if not getattr(processor, "chat_template", None):
            return processor(images=picture, return_tensors="pt")
        content = [{"type": "image", "image": picture}, {"type": "text", "text": QUESTION}]
        return processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )


Captioner = ClipCaptioner | ModelCaptioner


def prompts_of(captions: Sequence[str], indices: Sequence[int], count: int) -> list[str]:
    """One of two captions or more for each of ``count`` seeds, in turn; never that of the image made of the same seed.

    ``indices``: the seeds of the images that the captions were written of.
    """
    prompts = []
    for seed in range(count):
        place = seed % len(captions)
        prompts.append(captions[(place + 1) % len(captions) if indices[place] == seed else place])
    return prompts
