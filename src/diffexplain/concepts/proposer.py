"""What all proposers have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from diffexplain.concepts.hierarchy import Hierarchy
from diffexplain.concepts.vocabulary import class_phrase
from diffexplain.errors import UserError
from diffexplain.target import ResolvedTarget

if TYPE_CHECKING:
    from torch import Tensor


class Proposer(Protocol):
    """Says which concepts might matter. What can be checked without weights is checked when it is made."""

    def propose(self, images: Tensor | None, target: ResolvedTarget) -> Hierarchy:
        """The concepts to be tried.

        Args:
            images: of the domain, (N, 3, H, W) in [0, 1]; None if there are none. Not every proposer looks at them.
            target: what is explained; its class is the domain where the proposer is given no other.

        Raises:
            UserError: there is nothing to propose, or what was asked for it cannot answer.
            RetryableError: it may answer later.
        """


def subject_of(domain: str, target: ResolvedTarget) -> str | None:
    """The phrase of what the images show: ``domain``, else the target's class; None without a word for that."""
    if domain:
        return domain
    return None if target.class_name is None else class_phrase(target.class_name)


def required_subject(domain: str, target: ResolvedTarget) -> str:
    """As `subject_of`.

    Raises:
        UserError: nothing says what the images show.
    """
    subject = subject_of(domain, target)
    if subject is None:
        message = "What do the images show? Say it with concepts.domain='a face', or name a class whose name is a word."
        raise UserError(message, given=target.text)
    return subject
