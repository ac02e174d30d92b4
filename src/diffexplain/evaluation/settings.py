"""How much an evaluation measures; every count is a number of generated or looked-at images."""

from __future__ import annotations

from dataclasses import dataclass, field

CONTROLS = ("random_weights",)
"""Classifiers that have learned nothing, by name; see ``control.py``."""


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
        looked_images: activating, and as many neutral, images in which every phrase is looked for.
        minimum_activating: with fewer activating images nothing is said about elements.
        minimum_shown: an element seen in a smaller share of activating images is "not seen".
        elements_tried: at most so many elements are taken out, those with the largest lift.
        attributes_tried: and at most so many kinds of a relevant object, and so many descriptions.
        edited_images: at most so many activating images are edited for one element; half of them where
            that half shows no effect at all.
        neutral_edited_images: and so many neutral images, once the element is relevant.
        minimum_edits: fewer edits that took, and the element is "undecided".
        margin: a mean drop in class probability up to this is no effect.
        significance: largest adjusted p of a relevant element.
        core_overlap: smallest share of a core element's mask inside the target's own.
        dilation: how far a mask grows before it is replaced, as a share of the image's side.
        resamples: of the bootstrap.
        examples: pictures kept for the page.
        edit_examples: pictures kept of the edits of each element.
        texts: prompts of the user's, scored like the found one.
        control: a classifier that has learned nothing reads the same images ("random_weights"); None: there is none.
        quality: measure how good and how varied the images are, by the CLIP that the segmenter is made of.
        captions: captioner of the activating images, whose captions are scored as prompts: "clip", the segmenter's CLIP
            over the vocabulary's sentences, or the folder of a captioner of transformers'; None: there is none.
        reference: folder of photographs that the images are compared with; it needs ``quality``. None: there is none.
    """

    images: int = 100
    random_images: int = 50
    random_words: int = 3
    neutral_text: str = "a photo"
    batch_size: int = 25
    candidates: int = 6
    pairs_of_phrases: int = 3
    choosing_images: int = 6
    rescoring_images: int = 24
    looked_images: int = 48
    minimum_activating: int = 8
    minimum_shown: float = 0.1
    elements_tried: int = 4
    attributes_tried: int = 2
    edited_images: int = 48
    neutral_edited_images: int = 6
    minimum_edits: int = 8
    margin: float = 0.02
    significance: float = 0.05
    core_overlap: float = 0.5
    dilation: float = 0.03
    resamples: int = 2000
    examples: int = 24
    edit_examples: int = 3
    texts: list[str] = field(default_factory=list)
    control: str | None = None
    quality: bool = False
    reference: str | None = None
    captions: str | None = None

    def __post_init__(self) -> None:
        positive = (
            "images",
            "random_images",
            "random_words",
            "batch_size",
            "choosing_images",
            "rescoring_images",
            "looked_images",
            "minimum_activating",
            "resamples",
        )
        for name in positive:
            if getattr(self, name) < 1:
                raise ValueError(f"evaluation.{name} must be at least 1, not {getattr(self, name)}")
        if self.minimum_edits < 2:
            raise ValueError("evaluation.minimum_edits must be at least 2: a test needs two pairs")
        if self.edited_images < self.minimum_edits:
            raise ValueError("evaluation.edited_images must not be below evaluation.minimum_edits")
        if any(not isinstance(text, str) or not text.strip() for text in self.texts):
            raise ValueError("evaluation.texts is a list of prompts")
        if self.reference is not None and not self.quality:
            raise ValueError("evaluation.reference is read where evaluation.quality is true")
        if self.control is not None and self.control not in CONTROLS:
            raise ValueError(f"evaluation.control is null or {' or '.join(CONTROLS)}, not {self.control}")

    @classmethod
    def quick(cls) -> EvaluationSettings:
        """Enough to see that everything works, too little to believe the numbers."""
        return cls(
            images=12,
            random_images=4,
            batch_size=12,
            candidates=2,
            pairs_of_phrases=1,
            choosing_images=2,
            rescoring_images=4,
            looked_images=8,
            minimum_activating=2,
            elements_tried=2,
            attributes_tried=1,
            edited_images=4,
            neutral_edited_images=2,
            minimum_edits=2,
            resamples=200,
            examples=6,
            edit_examples=1,
        )
