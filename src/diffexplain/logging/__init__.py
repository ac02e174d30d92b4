"""Mirrors of a run outside its directory; the directory is the truth."""

from diffexplain.logging.wandb import wandb_logger

__all__ = ["wandb_logger"]
