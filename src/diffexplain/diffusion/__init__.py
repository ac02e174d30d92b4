"""The prior: loading a text-to-image diffusion model, differentiable sampling."""

from diffexplain.diffusion.loading import load_prior
from diffexplain.diffusion.memory import MemorySettings
from diffexplain.diffusion.prior import Prior
from diffexplain.diffusion.text_prior import TextPrior

AnyPrior = Prior | TextPrior
"""What makes pictures of texts and noise."""

__all__ = ["AnyPrior", "MemorySettings", "Prior", "TextPrior", "load_prior"]
