"""diffexplain: what does an image classifier look for, and is that the thing itself or something beside it?

`explain` runs one explanation, `load_run` reads a finished one back. Both are looked up on first use, because
what they need (torch, diffusers) takes seconds to import, which `import diffexplain` should not.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffexplain.app import explain
    from diffexplain.report import load_run

__version__ = "0.1.0"
__all__ = ["__version__", "explain", "load_run"]

_HOME = {"explain": "diffexplain.app", "load_run": "diffexplain.report"}


def __getattr__(name: str) -> Any:
    """Import a public name from the module it lives in, at its first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
