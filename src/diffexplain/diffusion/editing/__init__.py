"""Editing images by concepts: one interface, three ways, and the check of what came of it."""

from diffexplain.diffusion.editing.checks import Checks
from diffexplain.diffusion.editing.composition import Change, Composition, State
from diffexplain.diffusion.editing.editor import Editor, ExchangingEditor, Prepared, changed_states
from diffexplain.diffusion.editing.instruct import Instruct, load_instruct
from diffexplain.diffusion.editing.leditspp import LeditsPP
from diffexplain.diffusion.editing.paired import Paired

__all__ = [
    "Change",
    "Checks",
    "Composition",
    "Editor",
    "ExchangingEditor",
    "Instruct",
    "LeditsPP",
    "Paired",
    "Prepared",
    "State",
    "changed_states",
    "load_instruct",
]
