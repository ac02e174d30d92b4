"""The prior: loading a text-to-image diffusion model, differentiable sampling, inpainting."""

from diffexplain.diffusion.loading import load_prior
from diffexplain.diffusion.memory import MemorySettings
from diffexplain.diffusion.prior import Prior

__all__ = ["MemorySettings", "Prior", "load_prior"]
