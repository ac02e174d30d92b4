"""A prior that is asked in texts alone: any text-to-image pipeline of diffusers that takes a prompt and latents.

It is called as its users call it, and nothing is known of what is inside, so no gradient passes through it. What noise
it takes is asked of it: given the noise that it would have drawn by itself, its network must be given the same.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from inspect import signature
from typing import Any, ClassVar, NamedTuple

import torch
from diffusers import DiffusionPipeline
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from diffexplain.diffusion.loading import DTYPES
from diffexplain.diffusion.memory import MemorySettings, arrange
from diffexplain.diffusion.pipelines import NETWORKS, check_call, read_pipeline
from diffexplain.diffusion.sampling import first_sample, noise_key
from diffexplain.errors import UserError
from diffexplain.memory import MicroBatches
from diffexplain.weights.store import Node, source_path

LETTERS, CHARACTERS = 64, 1024
"""Of a word and of a prompt that are optimised, at most."""
_SHORT, _LONG = "a photo", "a photo of a dog in the snow beside a flag, at night"
"""Texts of different lengths, for a pipeline to be asked with."""


class TextPrior:
    """Texts and noise to images (B, 3, H, W) in [0, 1]; where a `Prior` has hidden states of a text, its characters.

    Args:
        pipeline: frozen from here on.
        steps: sampler steps.
        guidance: scale; None: the pipeline's own.
        size: of the square images, in pixels; None: the pipeline's own.
        options: of the pipeline's call besides.
        micro_batch: images generated at a time; one where the pipeline would let one text change another's picture.
        name: what messages call the prior.

    Raises:
        UserError: it is no text-to-image pipeline that takes latents, or an option that it does not take.
    """

    texts_alone: ClassVar[bool] = True

    def __init__(
        self,
        pipeline: DiffusionPipeline,
        *,
        steps: int,
        guidance: float | None = None,
        size: int | None = None,
        options: Mapping[str, Any] | None = None,
        micro_batch: int = 4,
        name: str = "pipeline",
    ) -> None:
        check_call(type(pipeline), options or {})
        found = next((part for part in NETWORKS if isinstance(getattr(pipeline, part, None), nn.Module)), None)
        if found is None:
            message = f"{type(pipeline).__name__} has no network that denoises."
            raise UserError(message, given=", ".join(pipeline.components), accepted=NETWORKS)
        self.pipeline: Any = pipeline
        self.network: nn.Module = getattr(pipeline, found)
        self.steps, self.size, self.name = steps, size, name
        self._takes = signature(type(pipeline).__call__).parameters
        own = self._takes["guidance_scale"].default if "guidance_scale" in self._takes else 1.0
        self.guidance = float(own if guidance is None else guidance)
        self.options = dict(options or {})
        self.without_gradient = MicroBatches(micro_batch, "diffusion.micro_batch")
        self.with_gradient = MicroBatches(None, "memory.micro_batch")
        self._image_size: tuple[int, int] | None = None
        pipeline.set_progress_bar_config(disable=True)
        for part in pipeline.components.values():
            if isinstance(part, nn.Module):
                part.requires_grad_(False).eval()

    @classmethod
    def load(
        cls,
        model: str,
        *,
        weights: Sequence[Node],
        steps: int,
        guidance: float | None = None,
        size: int | None = None,
        options: Mapping[str, Any] | None = None,
        micro_batch: int = 4,
        dtype: str = "bfloat16",
        variant: str | None = None,
    ) -> TextPrior:
        """The prior of a pipeline in diffusers' format.

        Args:
            model: the repository, or a folder in its place; for messages.
            weights: one source, the repository, or a folder in its place; safetensors alone.
            steps, guidance, size, options, micro_batch: as above.
            dtype: ``float32``, ``bfloat16`` or ``float16``.
            variant: what the names of the weights hold where there are several of a network, such as ``fp16``.

        Raises:
            UserError: it is not there, not whole, or no such pipeline.
        """
        if dtype not in DTYPES:
            raise UserError("No such dtype.", given=dtype, accepted=DTYPES)
        folder = source_path(weights[0], command=f"diffexplain fetch diffusion=pipeline diffusion.model={model}")
        pipeline = read_pipeline(folder, options or {}, getattr(torch, dtype), variant)
        return cls(
            pipeline,
            steps=steps,
            guidance=guidance,
            size=size,
            options=options,
            micro_batch=micro_batch,
            name=model,
        )

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.network.parameters()).dtype

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """Of one image's starting noise; see `_taken`."""
        return tuple(self._taken.shape[1:])

    @property
    def image_size(self) -> tuple[int, int]:
        """(H, W) of an image, in pixels."""
        if self._image_size is None:
            self.generate([_SHORT], torch.zeros(1, *self.latent_shape))
            assert self._image_size is not None  # A picture was made.
        return self._image_size

    @property
    def token_limit(self) -> int:
        """Tokens that the text encoder with most room reads."""
        return max((self._limit(tokenizer) for tokenizer in self._tokenizers()), default=sys.maxsize)

    def token_count(self, text: str) -> int:
        """Tokens of a text, for that text encoder."""
        widest = max(self._tokenizers(), key=self._limit, default=None)
        return 0 if widest is None else len(widest(text).input_ids)

    def to(self, device: torch.device | str) -> TextPrior:
        """Move all parts; returns self."""
        self.pipeline.to(device)
        return self

    def arrange(self, memory: MemorySettings) -> TextPrior:
        """Lay the network out as the settings say; nothing is kept for a gradient. Returns self."""
        arrange([self.network], replace(memory, checkpoint_blocks=False))
        return self

    def generate(self, prompts: Sequence[str] | Tensor, latents: Tensor) -> Tensor:
        """Images without gradient, ``micro_batch`` at a time.

        Args:
            prompts: texts, or what `encode` makes of them; one for each latent or one for all.
            latents: (B, ...).
        """
        texts = _texts(prompts) if isinstance(prompts, Tensor) else list(prompts)
        texts = texts * len(latents) if len(texts) == 1 else texts
        if tuple(latents.shape[1:]) != self.latent_shape or len(texts) != len(latents):
            raise ValueError(f"{len(texts)} texts, and noise {tuple(latents.shape)} for {self.latent_shape} of each")
        return torch.cat(self.without_gradient.run(len(latents), lambda part: self._made(texts[part], latents[part])))

    def sample(self, condition: Tensor, latents: Tensor) -> Tensor:
        """Images, without gradient; see `generate`."""
        return self.generate(condition, latents)

    def encode(self, texts: Sequence[str]) -> Tensor:
        """The texts' characters as numbers, (B, T, 1)."""
        return _characters(texts, CHARACTERS).unsqueeze(2).to(self.device)

    def word_embeddings(self, words: Sequence[str]) -> Tensor:
        """The words' letters as numbers, a row for each, (V, E)."""
        return _characters(words, LETTERS).to(self.device)

    def encode_embeddings(self, embeddings: Tensor, prefix: str = "") -> Tensor:
        """As `encode`, of the text ``prefix`` followed by the words with these embeddings (n, E), (1, T, 1).

        Raises:
            UserError: that is more than the text encoder reads.
        """
        text = " ".join(filter(None, [prefix, *_texts(embeddings)]))
        if self.token_count(text) > self.token_limit:
            message = f"The prompt is longer than the {self.token_limit} tokens that the text encoder reads."
            raise UserError(f"{message} Shorten prompt.prefix or lower prompt.tokens.", given=text)
        return self.encode([text])

    @cached_property
    def _taken(self) -> Tensor:
        """Noise of one image, (1, ...), as the pipeline takes it: as it draws it, or as its network is given it.

        Raises:
            UserError: the pipeline does not begin from the noise that it is given.
        """
        with _Drawn() as drawn:
            begun = self._begun([_SHORT], None)
        for noise in (*drawn.noise[:1], begun.sample):
            with suppress(UserError):
                given = self._begun([_SHORT], noise)
                if given.shapes == begun.shapes and torch.equal(given.sample, begun.sample):
                    both = self._begun([_SHORT, _LONG], torch.cat([noise, noise]))
                    if both.shapes != begun.shapes:  # Texts are padded to the longest of them.
                        self.without_gradient.size = 1
                    return noise
        message = f"{self._kind} does not begin from the noise that it is given, so no two of its pictures are pairs."
        raise UserError(message, given=self.name)

    @property
    def _kind(self) -> str:
        return type(self.pipeline).__name__

    def _tokenizers(self) -> list[Any]:
        parts = self.pipeline.components.items()
        return [part for name, part in parts if name.startswith("tokenizer") and part is not None]

    def _limit(self, tokenizer: Any) -> int:
        asked = self._takes.get("max_sequence_length")
        limit = self.options.get("max_sequence_length", None if asked is None else asked.default)
        return min(int(tokenizer.model_max_length), limit if isinstance(limit, int) else sys.maxsize)

    def _made(self, texts: Sequence[str], latents: Tensor) -> Tensor:
        before = _random_states(self.device)
        made = getattr(self._call(texts, latents.to(self.device, self._taken.dtype)), "images", None)
        if not all(map(torch.equal, before, _random_states(self.device))):
            message = f"{self._kind} draws noise that a run could not repeat: it asks no generator of ours for it."
            raise UserError(message, given=type(getattr(self.pipeline, "scheduler", None)).__name__)
        if not isinstance(made, Tensor) or made.ndim != 4 or made.shape[:2] != (len(texts), 3):
            raise UserError(f"{self._kind} gives no picture for each text.", given=self.name)
        self._image_size = (made.shape[2], made.shape[3])
        return made.float()

    @torch.no_grad()
    def _call(self, texts: Sequence[str], latents: Tensor | None) -> Any:
        """Whatever is drawn on the way is drawn for each image alone, keyed by its own starting noise."""
        keys = [0] * len(texts) if latents is None else [noise_key(noise) for noise in latents]
        given = {
            "generator": [torch.Generator().manual_seed(key & (2**63 - 1)) for key in keys],
            "guidance_scale": self.guidance,
            **({} if self.size is None else {"height": self.size, "width": self.size}),
        }
        return self.pipeline(
            prompt=list(texts),
            latents=latents,
            num_inference_steps=self.steps,
            output_type="pt",
            **{key: value for key, value in given.items() if key in self._takes},
            **self.options,
        )

    def _begun(self, texts: Sequence[str], latents: Tensor | None) -> _Begun:
        """What the network is given first."""

        def stop(_network: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
            raise _Stopped(arguments, named)

        handle = self.network.register_forward_pre_hook(stop, with_kwargs=True)
        try:
            self._call(texts, latents)
        except _Stopped as stopped:
            leaves = [leaf for leaf in tree_leaves(stopped.args) if isinstance(leaf, Tensor)]
            shapes = [tuple(leaf.shape[1:]) for leaf in leaves]
            return _Begun(first_sample(*stopped.args)[:1], shapes)
        except torch.OutOfMemoryError:
            raise
        except (TypeError, ValueError, RuntimeError, AttributeError) as error:
            why = " ".join(str(error).split())
            raise UserError(f"{self._kind} cannot be called with texts and latents: {why}", given=self.name) from error
        finally:
            handle.remove()
        raise UserError(f"{self._kind} makes a picture without its network.", given=self.name)


class _Begun(NamedTuple):
    """The first image's part of what the network is given, and the shapes of all of it, less how many there are."""

    sample: Tensor
    shapes: list[tuple[int, ...]]


class _Stopped(Exception):
    """The network was about to be called."""


class _Drawn(TorchFunctionMode):
    """Keeps what is drawn inside a ``with`` block by `torch.randn`."""

    def __init__(self) -> None:
        super().__init__()
        self.noise: list[Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is torch.randn:
            self.noise.append(result)
        return result


def _random_states(device: torch.device) -> list[Tensor]:
    """Of the generators that nobody keyed."""
    states = [torch.random.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states


def _characters(texts: Sequence[str], length: int) -> Tensor:
    """Texts as numbers (B, ``length``), with spaces behind them."""
    for text in texts:
        if len(text) > length:
            raise UserError(f"This is longer than {length} characters.", given=text)
    return torch.tensor([[float(ord(letter)) for letter in text.ljust(length)] for text in texts])


def _texts(characters: Tensor) -> list[str]:
    """What `_characters` was given."""
    rows = characters.detach().flatten(1).round().long().tolist()
    return ["".join(map(chr, row)).strip(" \0") for row in rows]  # A row of zeros is no word yet.
