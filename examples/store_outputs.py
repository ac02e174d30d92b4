"""Run the notebook's cells and store what they show in it, as Jupyter would; less what is printed of progress.

python examples/store_outputs.py

Finished runs are read back. Pictures are small, and places are told from the current directory on.
"""

from __future__ import annotations

import ast
import base64
import io
import json
import re
from contextlib import redirect_stderr, redirect_stdout
from hashlib import sha256
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

NOTEBOOK = Path(__file__).parent / "quickstart.ipynb"
DPI = 72


def main() -> None:
    """Write the notebook anew, with its outputs."""
    notebook, names = json.loads(NOTEBOOK.read_text(encoding="utf-8")), dict[str, Any]()
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for number, cell in enumerate(code, 1):
        source = "".join(cell["source"])
        # By the digest a test sees that what is stored is what these lines show.
        cell["metadata"] = {"sha256": sha256(source.encode()).hexdigest()}
        cell |= {"execution_count": number, "outputs": outputs(source, names, number)}
    text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    NOTEBOOK.write_text(text.replace(f"{Path.cwd()}/", ""), encoding="utf-8")


def outputs(source: str, names: dict[str, Any], number: int) -> list[dict[str, Any]]:
    """What a cell shows: what it prints, and its last expression's value."""
    *statements, last = ast.parse(source).body
    value, printed = None, io.StringIO()
    with redirect_stdout(printed), redirect_stderr(io.StringIO()):
        if not isinstance(last, ast.Expr):
            statements.append(last)
        exec(compile(ast.Module(statements, []), NOTEBOOK.name, "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), NOTEBOOK.name, "eval"), names)
    said = re.sub(r"[^\n]*\r", "", printed.getvalue()).strip("\n")  # A bar writes over itself.
    shown = [{"output_type": "stream", "name": "stdout", "text": lines(f"{said}\n")}] if said else []
    if value is None:
        return shown
    return [*shown, {"output_type": "execute_result", "execution_count": number, "metadata": {}, "data": data(value)}]


def data(value: Any) -> dict[str, Any]:
    """A value in each of the ways in which it can be shown."""
    found: dict[str, Any] = {"text/plain": lines(repr(value))}
    if html := getattr(value, "_repr_html_", str)():
        found["text/html"] = lines(html)
    if isinstance(value, Figure):
        file = io.BytesIO()
        value.savefig(file, format="png", dpi=DPI)
        found["image/png"] = base64.b64encode(file.getvalue()).decode()
    return found


def lines(text: str) -> list[str]:
    """As a notebook keeps a text."""
    return text.splitlines(keepends=True)


if __name__ == "__main__":
    main()
