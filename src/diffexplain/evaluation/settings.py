"""How much an evaluation measures; every count is a number of generated or looked-at images."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

CONTROLS = ("random_weights",)
"""Classifiers that have learned nothing, by name; see ``control.py``."""
_MAY_BE_NONE = ("candidates", "pairs_of_phrases", "examples")
"""Counts that may be 0."""


@dataclass(frozen=True)
class EvaluationSettings:
    """The counts and thresholds of one evaluation.

    Attributes:
        images: images of the found prompt, of "a photo of a <class>" and of the neutral prompt, each.
        random_images: images of random words, each of words of its own.
        random_words: words in each of these prompts.
        neutral_text: the prompt that asks for nothing.
        batch_size: images that classifier and segmenter read at once; it changes the last bits of results.
        candidates: single phrases tried in the search for the best phrase; 0 leaves the search out.
        pairs_of_phrases: how many of the next best are tried together with the best one.
        choosing_images: images for each phrase tried.
        rescoring_images: fresh images for the one chosen.
        looked_images: activating images in which the object and what raises the target are looked for.
        minimum_activating: with fewer activating images nothing is said about what they show.
        resamples: of the bootstrap.
        examples: pictures kept for the page.
        texts: prompts of the user's, scored like the found one.
        control: a classifier that has learned nothing reads the same images ("random_weights"); None: there is none.
        quality: measure how good and how varied the images are, by the CLIP that the segmenter is made of.
        captions: captioner of the activating images, whose captions are scored as prompts: "clip", the segmenter's CLIP
            over the vocabulary's sentences, or the folder of a captioner of transformers'; None: there is none.
        reference: folder of photographs that the images are compared with; it needs ``quality``. None: there is none.
    """

    images: int = 48
    random_images: int = 24
    random_words: int = 3
    neutral_text: str = "a photo"
    batch_size: int = 25
    candidates: int = 6
    pairs_of_phrases: int = 3
    choosing_images: int = 6
    rescoring_images: int = 24
    looked_images: int = 48
    minimum_activating: int = 8
    resamples: int = 2000
    examples: int = 24
    texts: list[str] = field(default_factory=list)
    control: str | None = None
    quality: bool = False
    reference: str | None = None
    captions: str | None = None

    def __post_init__(self) -> None:
        for name in (one.name for one in fields(self) if one.type == "int" and one.name not in _MAY_BE_NONE):
            if getattr(self, name) < 1:
                raise ValueError(f"evaluation.{name} must be at least 1, not {getattr(self, name)}")
        if any(not isinstance(text, str) or not text.strip() for text in self.texts):
            raise ValueError("evaluation.texts is a list of prompts")
        if self.reference is not None and not self.quality:
            raise ValueError("evaluation.reference is read where evaluation.quality is true")
        if self.control is not None and self.control not in CONTROLS:
            raise ValueError(f"evaluation.control is null or {' or '.join(CONTROLS)}, not {self.control}")
