"""A vision-language model on this machine, through transformers' image-text-to-text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from diffexplain.errors import UserError
from diffexplain.weights.store import Node, source_path

if TYPE_CHECKING:
    from pydantic import BaseModel

    from diffexplain.concepts.asking import Turn

DTYPES = ("float32", "bfloat16", "float16")


class LocalModel:
    """A respondent (`asking.Respondent`) that is loaded at its first reply; always takes the likeliest next token.

    Args:
        model: the repository, or a folder in its place; for messages.
        weights: one source, the repository, or a folder in its place.
        dtype: float32, bfloat16 or float16.
        device: of torch; None: the first GPU if there is one.
        max_new_tokens: of one reply.

    Raises:
        UserError: the weights are missing, or a value cannot be used.
    """

    def __init__(
        self,
        model: str,
        weights: Sequence[Node],
        dtype: str = "bfloat16",
        device: str | None = None,
        max_new_tokens: int = 2048,
    ) -> None:
        if dtype not in DTYPES:
            raise UserError("There is no such dtype.", given=dtype, accepted=DTYPES)
        if max_new_tokens < 1:
            raise UserError("A reply has at least one token.", given=max_new_tokens)
        self.name = model
        self.folder = source_path(weights[0], command="diffexplain fetch concepts=vlm")
        self.dtype = dtype
        self.device = device
        self.max_new_tokens = max_new_tokens
        self._loaded: tuple[Any, Any] | None = None

    def reply(self, turns: Sequence[Turn], answer: type[BaseModel]) -> str:
        """As `asking.Respondent`; the schema is in the question's text, and nothing forces the model to keep to it."""
        import torch

        processor, model = self._loaded or self._load()
        messages = [
            {
                "role": turn.role,
                "content": [
                    *({"type": "image", "image": image} for image in turn.images),
                    {"type": "text", "text": turn.text},
                ],
            }
            for turn in turns
        ]
        inputs = processor.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        ).to(model.device, dtype=model.dtype)
        with torch.no_grad():
            tokens = model.generate(**inputs, do_sample=False, max_new_tokens=self.max_new_tokens)
        said = tokens[:, inputs["input_ids"].shape[1] :]
        text: str = processor.batch_decode(said, skip_special_tokens=True)[0]
        return text

    def forget(self, turns: Sequence[Turn], answer: type[BaseModel]) -> None:
        """As `asking.Respondent`; there is no memory."""

    def close(self) -> str:
        """As `asking.Respondent`; classifier and prior need the room."""
        self._loaded = None
        return ""

    def _load(self) -> tuple[Any, Any]:
        import torch

        from diffexplain.concepts.image_text import load_image_text

        device = self.device or ("cuda" if torch.cuda.is_available() else "cpu")
        self._loaded = load_image_text(self.folder, getattr(torch, self.dtype), device, chat=True)
        return self._loaded
