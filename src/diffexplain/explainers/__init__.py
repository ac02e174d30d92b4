"""Methods that explain a target; one paper is one file."""

from diffexplain.explainers.augmentation import Cutouts
from diffexplain.explainers.diffex import DiffEx
from diffexplain.explainers.diffexplainer import DiffExplainer
from diffexplain.explainers.divergence import Diverged
from diffexplain.explainers.explanation import Explanation
from diffexplain.explainers.training import TrainerSettings, device_kind

__all__ = ["Cutouts", "DiffEx", "DiffExplainer", "Diverged", "Explanation", "TrainerSettings", "device_kind"]
