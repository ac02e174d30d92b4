"""The prior: loading a text-to-image diffusion model, differentiable sampling, inpainting."""

from diffexplain.diffusion.prior import Prior, load_prior

__all__ = ["Prior", "load_prior"]
