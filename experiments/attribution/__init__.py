"""Attribution maps, which interventions are compared with, and how much of them lies on what a phrase names."""

from experiments.attribution.attribution import Attribution, IntegratedGradients
from experiments.attribution.elements import ElementScore, element_scores
from experiments.attribution.grad_cam import GradCAM
from experiments.attribution.rollout import AttentionRollout
from experiments.attribution.smooth_grad import SmoothGrad

__all__ = [
    "AttentionRollout",
    "Attribution",
    "ElementScore",
    "GradCAM",
    "IntegratedGradients",
    "SmoothGrad",
    "element_scores",
]
