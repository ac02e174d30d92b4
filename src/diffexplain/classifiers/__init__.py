"""Classifiers to be explained: one frozen wrapper, and a loader of embedded or user folders."""

from diffexplain.classifiers.classifier import Classifier, build_meta, load_classifier
from diffexplain.classifiers.units import unit_modules

__all__ = ["Classifier", "build_meta", "load_classifier", "unit_modules"]
