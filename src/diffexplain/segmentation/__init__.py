"""Phrase to mask: where in an image is what a phrase names."""

from diffexplain.segmentation.clipseg import Calibration, Segmenter

__all__ = ["Calibration", "Segmenter"]
