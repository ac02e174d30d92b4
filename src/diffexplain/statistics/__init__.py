"""Estimates with intervals, tests, and corrections for many of them."""
