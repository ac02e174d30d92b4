"""Where a classifier looks: attribution maps."""

from diffexplain.attribution.attribution import Attribution, IntegratedGradients

__all__ = ["Attribution", "IntegratedGradients"]
