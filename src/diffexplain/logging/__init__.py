"""Mirrors of a run outside its directory; the directory is the truth."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffexplain.logging.wandb import wandb_logger

__all__ = ["wandb_logger"]


def __getattr__(name: str) -> Any:
    # Lightning is imported only where a logger is made.
    if name == "wandb_logger":
        from diffexplain.logging.wandb import wandb_logger

        return wandb_logger
    raise AttributeError(name)
