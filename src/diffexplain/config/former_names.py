"""Names of parts that have moved: what configurations and identities of earlier runs call them."""

from __future__ import annotations

FORMER = {
    "diffexplain.editing.": "diffexplain.diffusion.editing.",
    "diffexplain.pipelines.proposers.FileProposer": "diffexplain.concepts.FileProposer",
    "diffexplain.pipelines.proposers.RunProposer": "diffexplain.concepts.RunProposer",
    "diffexplain.report.wandb_logger.": "diffexplain.logging.",
}
"""By the present name, or the beginning of several."""


def former(name: str) -> str:
    """What earlier versions called it.

    >>> former("diffexplain.editing.Paired")
    'diffexplain.diffusion.editing.Paired'
    """
    return next((old + name[len(new) :] for new, old in FORMER.items() if name.startswith(new)), name)


def present(name: str) -> str:
    """What it is called now.

    >>> present("diffexplain.diffusion.editing.Paired")
    'diffexplain.editing.Paired'
    """
    return next((new + name[len(old) :] for new, old in FORMER.items() if name.startswith(old)), name)
