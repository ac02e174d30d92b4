"""The two worlds that the embedded classifiers learn from, and which classifier comes from which."""

from __future__ import annotations

from diffexplain.world.sampler import Shortcut, World

SHORTCUTS = (
    Shortcut("flagpole", "companion", "flag", 0.97, elsewhere=0.01),
    Shortcut("bee", "companion", "flower", 0.97, elsewhere=0.01),
    Shortcut("dog_sled", "companion", "dog", 0.97, elsewhere=0.01),
    Shortcut("dog_sled", "setting", "snow", 0.97, elsewhere=0.01),
)
"""Planted: what comes along with a subject nearly always, and with the others nearly never."""

FAIR_WORLD = World()
SHORTCUT_WORLD = World(shortcuts=SHORTCUTS)

CLASSIFIER_WORLDS = {
    "fair_cnn": FAIR_WORLD,
    "fair_vit": FAIR_WORLD,
    "shortcut_cnn": SHORTCUT_WORLD,
    "shortcut_vit": SHORTCUT_WORLD,
}
"""Name of each embedded classifier's folder, with the world it was trained on."""
