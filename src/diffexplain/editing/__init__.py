"""Editing images by concepts: one interface, three ways, and the check of what came of it."""

from diffexplain.editing.checks import Checks
from diffexplain.editing.composition import Change, Composition, State
from diffexplain.editing.editor import Editor, ExchangingEditor, Prepared, changed_states
from diffexplain.editing.instruct import Flux2Klein, Instruct, load_flux2_klein, load_instruct
from diffexplain.editing.leditspp import LeditsPP
from diffexplain.editing.paired_prompts import Paired

__all__ = [
    "Change",
    "Checks",
    "Composition",
    "Editor",
    "ExchangingEditor",
    "Flux2Klein",
    "Instruct",
    "LeditsPP",
    "Paired",
    "Prepared",
    "State",
    "changed_states",
    "load_flux2_klein",
    "load_instruct",
]
