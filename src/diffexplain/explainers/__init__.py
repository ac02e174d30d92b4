"""Methods that explain a target; one paper is one file."""

from diffexplain.explainers.activation_maximisation import Maco, MahendranVedaldi, Nguyen, Yosinski
from diffexplain.explainers.augmentation import Cutouts
from diffexplain.explainers.diffex import DiffEx
from diffexplain.explainers.diffexplainer import DiffExplainer
from diffexplain.explainers.discovery import Discovery
from diffexplain.explainers.divergence import Diverged
from diffexplain.explainers.explanation import Explanation, FoundImages
from diffexplain.explainers.one_at_a_time import OneAtATime
from diffexplain.explainers.randomised_prompts import RandomisedPrompts
from diffexplain.explainers.training import TrainerSettings

__all__ = [
    "Cutouts",
    "DiffEx",
    "DiffExplainer",
    "Discovery",
    "Diverged",
    "Explanation",
    "FoundImages",
    "Maco",
    "MahendranVedaldi",
    "Nguyen",
    "OneAtATime",
    "RandomisedPrompts",
    "TrainerSettings",
    "Yosinski",
]
