"""How the gradient of an objective reaches the prompt through the sampler: one file a family of estimators."""

from diffexplain.diffusion.gradients.attention_only import AttentionOnly
from diffexplain.diffusion.gradients.estimator import Backpropagation, Estimate, GradientEstimator
from diffexplain.diffusion.gradients.exact import Checkpointed, Exact
from diffexplain.diffusion.gradients.last_k import LastK
from diffexplain.diffusion.gradients.leap import Leap
from diffexplain.diffusion.gradients.spsa import SPSA

__all__ = [
    "SPSA",
    "AttentionOnly",
    "Backpropagation",
    "Checkpointed",
    "Estimate",
    "Exact",
    "GradientEstimator",
    "LastK",
    "Leap",
]
