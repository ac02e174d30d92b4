"""The methods of the benchmark, by the names that its command takes."""

from __future__ import annotations

from explained import Method

from diffexplain.attribution import GradCAM, IntegratedGradients
from methods.attribution_maps import AttributionMaps
from methods.chance import Chance
from methods.correlation import Correlation
from methods.edits import Edits
from methods.prompts import Prompts
from methods.seeded import Seeded

DEXTER = ("explainer=dexter", "gradient=attention_only")
"""One picture a step from one noise, and the gradient of the released code."""

DESCRIPTIONS = "classifier.more_phrases=embedded:descriptions.yaml"
"""Phrases for the class's colour, texture, size and place and the weather, for its prompt and its evaluation."""

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Edits("diffex", "halving"),
        Edits("diffex_uniform", "uniform"),
        Edits("diffex_12_images", "uniform", 12),
        Edits("diffex_6_images", "uniform", 6),
        Prompts("diffexplainer"),
        Prompts("diffexplainer_described", DESCRIPTIONS),
        Prompts("diffexplainer_free", "prompt=free"),
        Seeded("diffex_seeded", "diffexplainer"),
        Seeded("diffex_seeded_described", "diffexplainer_described"),
        Prompts("dexter_released", *DEXTER, "prompt=free", "prompt.tokens=1", "prompt.prefix=a picture of a"),
        Prompts("dexter_hard_words", *DEXTER, "prompt=hard_words"),
        AttributionMaps("grad_cam", GradCAM),
        AttributionMaps("integrated_gradients", lambda model: IntegratedGradients(model, steps=20)),
        Correlation("correlation"),
        Chance("chance"),
    )
}
"""In the order of the tables."""
