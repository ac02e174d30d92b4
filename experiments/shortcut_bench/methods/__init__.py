"""The methods of the benchmark, by the names that its command takes."""

from __future__ import annotations

from experiments.attribution import GradCAM, IntegratedGradients
from experiments.shortcut_bench.explained import Method
from experiments.shortcut_bench.methods.attribution_maps import AttributionMaps
from experiments.shortcut_bench.methods.chance import Chance
from experiments.shortcut_bench.methods.correlation import Correlation
from experiments.shortcut_bench.methods.default import Default
from experiments.shortcut_bench.methods.edits import Edits
from experiments.shortcut_bench.methods.prompts import Prompts
from experiments.shortcut_bench.methods.text_encoder_words import Words

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Edits("diffex", "halving"),
        Edits("diffex_uniform", "uniform"),
        Edits("diffex_12_images", "uniform", 12),
        Edits("diffex_6_images", "uniform", 6),
        Default("default"),
        Words("words"),
        Prompts("diffexplainer"),
        AttributionMaps("grad_cam", GradCAM),
        AttributionMaps("integrated_gradients", lambda model: IntegratedGradients(model, steps=20)),
        Correlation("correlation"),
        Chance("chance"),
    )
}
"""In the order of the tables."""
