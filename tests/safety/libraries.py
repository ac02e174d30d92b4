"""A classifier that loads what other libraries bring, as classifiers of users do."""

from typing import Any


def load_classifier(**arguments: Any) -> Any:
    """The pretended one, after ONNX Runtime and what libraries that draw import."""
    import matplotlib.font_manager  # noqa: F401
    from tests import pretend

    from diffexplain.classifiers import onnx_graph

    onnx_graph._onnxruntime()
    return pretend.load_classifier(**arguments)
