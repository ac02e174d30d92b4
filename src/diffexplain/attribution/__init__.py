"""Where a classifier looks: attribution maps, and how much of them lies in what a phrase names."""

from diffexplain.attribution.attribution import Attribution
from diffexplain.attribution.elements import ElementScore, element_scores
from diffexplain.attribution.grad_cam import GradCAM
from diffexplain.attribution.integrated_gradients import IntegratedGradients
from diffexplain.attribution.rollout import AttentionRollout
from diffexplain.attribution.smooth_grad import SmoothGrad

__all__ = [
    "AttentionRollout",
    "Attribution",
    "ElementScore",
    "GradCAM",
    "IntegratedGradients",
    "SmoothGrad",
    "element_scores",
]
