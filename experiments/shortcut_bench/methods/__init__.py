"""The methods of the benchmark, by the names that its command takes."""

from __future__ import annotations

from explained import Method

from diffexplain.attribution import GradCAM, IntegratedGradients
from methods.attribution_maps import AttributionMaps
from methods.chance import Chance
from methods.correlation import Correlation
from methods.default import Default
from methods.edits import Edits
from methods.prompts import Prompts

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Edits("diffex", "halving"),
        Edits("diffex_uniform", "uniform"),
        Edits("diffex_12_images", "uniform", 12),
        Edits("diffex_6_images", "uniform", 6),
        Default("default"),
        Prompts("diffexplainer"),
        AttributionMaps("grad_cam", GradCAM),
        AttributionMaps("integrated_gradients", lambda model: IntegratedGradients(model, steps=20)),
        Correlation("correlation"),
        Chance("chance"),
    )
}
"""In the order of the tables."""
