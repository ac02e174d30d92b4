"""The gates of the embedded world's trained parts, a module for each; `world/check.py` runs them all."""
