"""Asking a model for an answer in JSON: checked against a schema, mended once, else a clear error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from diffexplain.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

AnswerType = TypeVar("AnswerType", bound=BaseModel)
_SHOWN = 200
_REPAIR = (
    "This answer cannot be used: {fault}\n"
    "Give the whole answer once more, mended: one JSON object as described above, and nothing before or after it."
)


@dataclass(frozen=True)
class Turn:
    """One part of a conversation; only the user shows images."""

    role: Literal["user", "assistant"]
    text: str
    images: tuple[Image, ...] = ()


class Respondent(Protocol):
    """A model that answers."""

    name: str

    def reply(self, turns: Sequence[Turn], answer: type[BaseModel]) -> str:
        """What the model says next, which should be JSON of ``answer``'s schema.

        Raises:
            UserError, RetryableError: it does not answer.
        """

    def forget(self, turns: Sequence[Turn], answer: type[BaseModel]) -> None:
        """Do not give the reply to these turns from memory again: it is of no use."""

    def close(self) -> str:
        """Let go of what was loaded; one line on what the replies took, empty if they took nothing that counts."""


class _Unusable(Exception):
    """Why a reply is no answer."""


def ask(respondent: Respondent, question: Turn, answer: type[AnswerType]) -> AnswerType:
    """The respondent's answer to one question; a malformed reply is shown to it once, with its fault.

    Raises:
        UserError: malformed twice.
        UserError, RetryableError: as ``Respondent.reply``.
    """
    turns = [question]
    reply = respondent.reply(turns, answer)
    try:
        return _read(reply, answer)
    except _Unusable as fault:
        mending = [*turns, Turn("assistant", reply), Turn("user", _REPAIR.format(fault=fault))]
    reply = respondent.reply(mending, answer)
    try:
        return _read(reply, answer)
    except _Unusable as fault:
        respondent.forget(turns, answer)
        respondent.forget(mending, answer)
        raise UserError(
            f"{respondent.name} gave no usable answer, and none when shown what was wrong with it: {fault}",
            given=_shortened(reply),
        ) from None


def _read(reply: str, answer: type[AnswerType]) -> AnswerType:
    """The answer in a reply; a sentence or a code fence around the JSON object is overlooked."""
    start, end = reply.find("{"), reply.rfind("}")
    if start < 0 or end < start:
        raise _Unusable("There is no JSON object in it.")
    try:
        return answer.model_validate_json(reply[start : end + 1])
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise _Unusable(f"{place}: {first['msg']}." if place else f"{first['msg']}.") from None


def _shortened(reply: str) -> str:
    line = " ".join(reply.split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."
