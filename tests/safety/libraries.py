"""A classifier that loads what other libraries bring, as classifiers of users do."""

from typing import Any


def load_classifier(**arguments: Any) -> Any:
    """The pretended one, after ONNX Runtime and what libraries that draw import."""
    import matplotlib.font_manager  # noqa: F401
    import onnxruntime  # noqa: F401  # as diffusers does
    from tests import pretend

    return pretend.load_classifier(**arguments)
