"""The prior: a frozen text-to-image diffusion model in Stable Diffusion's format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from diffusers import (
    AutoencoderTiny,
    DDIMScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    LCMScheduler,
    StableDiffusionPipeline,
)
from torch import Tensor

from diffexplain.diffusion.memory import MemorySettings, SideBySide, arrange
from diffexplain.diffusion.sampling import Denoiser, StraightClamp
from diffexplain.errors import UserError
from diffexplain.progress import progress

SCHEDULERS = {
    "ddim": DDIMScheduler,
    "lcm": LCMScheduler,
    "euler": EulerDiscreteScheduler,
    "flow_matching": FlowMatchEulerDiscreteScheduler,
}
"""Those whose every draw of noise is ours to repeat."""

TEXTS_AT_ONCE = 256
"""That the text encoder reads."""

SamplingPath = Callable[[Denoiser, Tensor, Tensor, int], Tensor]
"""From denoiser, hidden states (B, T, D), standard normal noise (B, C, h, w) and number of steps to final latents."""


class Prior:
    """Text to images; images are (B, 3, H, W) in [0, 1], latents (B, C, h, w) standard normal.

    Not a ``Module``: what holds a prior does not own its weights.

    Args:
        pipeline: the parts, frozen from here on; its autoencoder decodes final images.
        steps: sampler steps.
        guidance: classifier-free guidance scale; 1 means none.
        micro_batch: images generated at a time where no gradient is needed.
        gradient_micro_batch: where one is needed and `MemorySettings` say nothing; ``None`` for all of a step.
        name: what messages call the prior.
        tiny_decoder: decodes images that are optimised, at a twentieth of the cost (TAESD); final images
            and held-out scores use the pipeline's own decoder. ``None``: that one throughout.

    Raises:
        UserError: the scheduler is none of ``SCHEDULERS``.
    """

    def __init__(
        self,
        pipeline: StableDiffusionPipeline,
        *,
        steps: int,
        guidance: float = 1.0,
        micro_batch: int = 16,
        gradient_micro_batch: int | None = None,
        name: str = "prior",
        tiny_decoder: AutoencoderTiny | None = None,
    ) -> None:
        if not isinstance(pipeline.scheduler, tuple(SCHEDULERS.values())):
            raise UserError(
                "This scheduler draws noise that a run could not repeat; set diffusion.scheduler.",
                given=type(pipeline.scheduler).__name__,
                accepted=tuple(SCHEDULERS),
            )
        self.pipeline = pipeline
        self.steps = steps
        self.guidance = float(guidance)
        self.gradient_micro_batch = gradient_micro_batch
        self.without_gradient = self._side_by_side(micro_batch, "diffusion.micro_batch")
        self.with_gradient = self._side_by_side(gradient_micro_batch, "memory.micro_batch")
        self._memory = MemorySettings()
        self.name = name
        self.tiny_decoder = tiny_decoder
        self._unconditional: Tensor | None = None
        for module in self._modules():
            module.requires_grad_(False).eval()

    @property
    def device(self) -> torch.device:
        # The network's own `device` and `dtype` walk through all of its modules, at every step.
        return next(self.network.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.network.parameters()).dtype

    @property
    def network(self) -> torch.nn.Module:
        """The one that denoises."""
        network: torch.nn.Module = self.pipeline.unet
        return network

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(C, h, w) of one image's starting noise."""
        size = self.pipeline.unet.config.sample_size
        height, width = (size, size) if isinstance(size, int) else size
        return (self.pipeline.unet.config.in_channels, height, width)

    @property
    def image_size(self) -> tuple[int, int]:
        """(H, W) of an image, in pixels."""
        scale = self.pipeline.vae_scale_factor
        return (self.latent_shape[1] * scale, self.latent_shape[2] * scale)

    @property
    def token_limit(self) -> int:
        """Tokens that the text encoder reads, the two that mark beginning and end included."""
        return int(self.pipeline.tokenizer.model_max_length)

    def token_count(self, text: str) -> int:
        """Tokens of a text, the two that mark beginning and end included."""
        return len(self.pipeline.tokenizer(text).input_ids)

    def to(self, device: torch.device | str) -> Prior:
        """Move all parts; returns self."""
        for module in self._modules():
            module.to(device)
        self._unconditional = None
        return self

    def arrange(self, memory: MemorySettings) -> Prior:
        """Keep in memory what the settings say; returns self."""
        if memory != self._memory:
            size = memory.micro_batch or self.gradient_micro_batch
            self.with_gradient = self._side_by_side(size, "memory.micro_batch")
            arrange([part for part in self._modules() if part is not self.pipeline.text_encoder], memory)
            self._memory = memory
        return self

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> Tensor:
        """The text encoder's hidden states (B, T, D), as the pipeline computes them."""
        inputs = self.pipeline.tokenizer(
            list(texts),
            padding="max_length",
            max_length=self.token_limit,
            truncation=True,
            return_tensors="pt",
        )
        return self._hidden_states(inputs.input_ids, inputs.attention_mask)

    def encode_embeddings(self, embeddings: Tensor, prefix: str = "") -> Tensor:
        """Hidden states (1, T, D) of the text ``prefix`` followed by tokens with these embeddings.

        Differentiable in ``embeddings`` (n, E), which replace the output of the text encoder's
        embedding table at their places; everything after the table (positions, causal mask, final
        norm, end and padding tokens) is what a text of as many tokens gets.

        Raises:
            UserError: prefix and embeddings together exceed the text encoder's length.
        """
        tokenizer = self.pipeline.tokenizer
        before = list(tokenizer(prefix).input_ids[:-1])
        count = len(embeddings)
        length = len(before) + count + 1
        if length > self.token_limit:
            raise UserError(
                f"The prompt has {length} tokens, prefix and marks included; the text encoder "
                f"reads {self.token_limit}. Shorten prompt.prefix or lower prompt.tokens."
            )
        # The stand-in is looked up and then replaced, so it may be any token that ends nothing.
        stand_in = tokenizer.bos_token_id
        padding = [tokenizer.pad_token_id] * (self.token_limit - length)
        ids = [*before, *[stand_in] * count, tokenizer.eos_token_id, *padding]
        mask = [1] * length + [0] * len(padding)
        start = len(before)

        def splice(_module: Any, _inputs: Any, output: Tensor) -> Tensor:
            middle = embeddings.to(output).unsqueeze(0)
            return torch.cat([output[:, :start], middle, output[:, start + count :]], dim=1)

        table = self.pipeline.text_encoder.get_input_embeddings()
        handle = table.register_forward_hook(splice)
        try:
            return self._hidden_states(torch.tensor([ids]), torch.tensor([mask]))
        finally:
            handle.remove()

    @torch.no_grad()
    def word_embeddings(self, words: Sequence[str]) -> Tensor:
        """One row per word (V, E): its token's embedding, or the mean of them if it has several."""
        tokenizer = self.pipeline.tokenizer
        table = self.pipeline.text_encoder.get_input_embeddings().weight
        rows = [table[tokenizer(word).input_ids[1:-1]].mean(dim=0) for word in words]
        return torch.stack(rows).float()

    @torch.no_grad()
    def text_states(self, texts: Sequence[str]) -> Tensor:
        """The text encoder's state at the end of each text, (V, D) in float32."""
        tokenizer, encoder = self.pipeline.tokenizer, self.pipeline.text_encoder
        rows = []
        for start in progress(range(0, len(texts), TEXTS_AT_ONCE), f"texts to encode, {TEXTS_AT_ONCE} at a time"):
            some = tokenizer(list(texts[start : start + TEXTS_AT_ONCE]), padding=True, return_tensors="pt")
            # What pads the shorter ones stands behind their ends, which do not look ahead.
            states, ends = encoder(some.input_ids.to(self.device))[0], some.attention_mask.sum(dim=1) - 1
            rows.append(states[torch.arange(len(ends)), ends].float())
        return torch.cat(rows)

    def sample(self, condition: Tensor, latents: Tensor, *, path: SamplingPath = Denoiser.sample) -> Tensor:
        """Images G(condition, latents), differentiable in both through all sampling steps; for optimising.

        Where there is a tiny decoder they are its images; `generate` gives the full decoder's.

        Args:
            condition: hidden states, (B, T, D) or (1, T, D) for all images.
            latents: (B, C, h, w).
            path: which parts of the way carry a gradient, see ``gradients/``; the images are the same.

        Values are clamped to [0, 1]; the clamp's gradient is taken as the identity.
        """
        return self._decode(self._denoise(condition, latents, path), self.tiny_decoder)

    def decode(self, latents: Tensor, *, final: bool) -> Tensor:
        """Images of the autoencoder's latents (B, C, h, w), differentiable: by the full decoder if ``final``."""
        return self._decode(latents.to(self.dtype), None if final else self.tiny_decoder)

    @torch.no_grad()
    def generate(self, prompts: Sequence[str] | Tensor, latents: Tensor) -> Tensor:
        """Images without gradient, ``micro_batch`` at a time, by the full decoder.

        Args:
            prompts: texts or hidden states (·, T, D), one for each latent or one for all.
            latents: (B, C, h, w).
        """
        condition = prompts if isinstance(prompts, Tensor) else self.encode(prompts)
        condition = self._for_each(condition, len(latents))

        def generated(part: slice) -> Tensor:
            return self._decode(self._denoise(condition[part], latents[part]))

        return torch.cat(self.without_gradient.run(len(latents), generated))

    def _side_by_side(self, size: int | None, setting: str) -> SideBySide:
        height, width = self.image_size
        return SideBySide(size, setting, lambda: self.device.type == "cpu", height * width)

    def _modules(self) -> list[torch.nn.Module]:
        parts = (self.pipeline.text_encoder, self.pipeline.unet, self.pipeline.vae, self.tiny_decoder)
        return [part for part in parts if part is not None]

    def _hidden_states(self, ids: Tensor, mask: Tensor) -> Tensor:
        encoder = self.pipeline.text_encoder
        # As the pipeline does: Stable Diffusion's encoders read the padding too.
        needs_mask = getattr(encoder.config, "use_attention_mask", False)
        attention_mask = mask.to(self.device) if needs_mask else None
        return encoder(ids.to(self.device), attention_mask=attention_mask)[0]

    def _denoise(self, condition: Tensor, latents: Tensor, path: SamplingPath = Denoiser.sample) -> Tensor:
        condition = self._for_each(condition, len(latents))
        return path(self._denoiser(), condition, latents.to(self.device, self.dtype), self.steps)

    def _denoiser(self) -> Denoiser:
        # A network distilled to take the guidance scale as an input is called once a step.
        takes_scale = self.pipeline.unet.config.time_cond_proj_dim is not None
        guided = self.guidance > 1.0 and not takes_scale
        if guided and self._unconditional is None:
            self._unconditional = self.encode([""])
        return Denoiser(self.pipeline, self.guidance, self._unconditional if guided else None)

    def _for_each(self, condition: Tensor, count: int) -> Tensor:
        return condition.to(self.device, self.dtype).expand(count, -1, -1)

    def encode_images(self, images: Tensor) -> Tensor:
        """The autoencoder's latents (B, C, h, w) of images (B, 3, H, W) in [0, 1], as `decode` takes them."""
        vae = self.pipeline.vae
        encoded = vae.encode((images * 2.0 - 1.0).to(self.dtype))
        latents = encoded.latents if isinstance(vae, AutoencoderTiny) else encoded.latent_dist.mode()
        return latents * vae.config.scaling_factor

    def _decode(self, latents: Tensor, decoder: AutoencoderTiny | None = None) -> Tensor:
        vae = decoder or self.pipeline.vae
        latents = latents / vae.config.scaling_factor
        decoded = vae.decode(latents, return_dict=False)[0]
        if self.dtype == torch.float16 and latents.isfinite().all() and not decoded.isfinite().all():
            decoded = _decoded_in_float32(vae, latents)
        return StraightClamp.apply(decoded.float() / 2.0 + 0.5)


class _Decoding(torch.nn.Module):
    def __init__(self, autoencoder: torch.nn.Module) -> None:
        super().__init__()
        self.autoencoder: Any = autoencoder

    def forward(self, latents: Tensor) -> Any:
        return self.autoencoder.decode(latents, return_dict=False)[0]


def _decoded_in_float32(autoencoder: torch.nn.Module, latents: Tensor) -> Tensor:
    """What a decoder makes of latents that it overflows at in float16; its weights stay as they are."""
    decoding = _Decoding(autoencoder)
    tensors = {name: tensor.float() for name, tensor in decoding.state_dict().items()}
    decoded: Tensor = torch.func.functional_call(decoding, tensors, (latents.float(),))
    return decoded
