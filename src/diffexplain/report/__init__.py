"""What a run leaves behind: its summary, its page, its pictures, and how to read them back.

Imports no torch. ``wandb_mirror`` is not imported here, since W&B takes a second to load.
"""

from diffexplain.report.load import LoadedRun, load_run
from diffexplain.report.page import write_report
from diffexplain.report.statement import stated
from diffexplain.report.summary import (
    SCHEMA_VERSION,
    Model,
    Optimisation,
    Summary,
    summarise,
)

__all__ = [
    "SCHEMA_VERSION",
    "LoadedRun",
    "Model",
    "Optimisation",
    "Summary",
    "load_run",
    "stated",
    "summarise",
    "write_report",
]
