"""Tiny text-to-image pipelines of several classes, of diffusers' own parts with random weights; images are 32x32."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from diffusers import (
    AutoencoderDC,
    AutoencoderKL,
    AutoencoderKLFlux2,
    DiffusionPipeline,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
    FluxPipeline,
    FluxTransformer2DModel,
    PixArtSigmaPipeline,
    PixArtTransformer2DModel,
    SanaSprintPipeline,
    SanaTransformer2DModel,
    SCMScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from tests.tiny import WIDTH, tiny_tokenizer
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    Gemma2Config,
    Gemma2Model,
    Qwen3Config,
    Qwen3ForCausalLM,
    T5Config,
    T5EncoderModel,
)

SIZE = 32
LONG = 64
"""Tokens of the text encoders that read more than CLIP's sixteen."""


def clip(kind: Any = CLIPTextModelWithProjection) -> Any:
    tokenizer = tiny_tokenizer()
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=tokenizer.model_max_length,
        projection_dim=WIDTH,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_factor=5.0,
    )
    return kind(config)


def long_tokenizer() -> CLIPTokenizer:
    """In the place of those that real pipelines have; what matters is how it is called."""
    tokenizer = tiny_tokenizer()
    tokenizer.model_max_length = LONG
    tokenizer.chat_template = "{{ messages[0]['content'] }}"
    return tokenizer


def t5() -> T5EncoderModel:
    size = len(tiny_tokenizer())
    return T5EncoderModel(T5Config(vocab_size=size, d_model=WIDTH, d_kv=8, d_ff=32, num_layers=1, num_heads=2))


def language_model(kind: Any, config: Any) -> Any:
    return kind(
        config(
            vocab_size=len(tiny_tokenizer()),
            hidden_size=WIDTH,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            head_dim=8,
            max_position_embeddings=128,
            initializer_range=0.5,
        )
    )


def vae(channels: int, **more: Any) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        latent_channels=channels,
        norm_num_groups=4,
        layers_per_block=1,
        sample_size=SIZE,
        **{"scaling_factor": 0.7, **more},
    )


def sdxl(scheduler: Any = None) -> DiffusionPipeline:
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=2 * WIDTH,
        attention_head_dim=2,
        norm_num_groups=4,
        addition_embed_type="text_time",
        addition_time_embed_dim=4,
        projection_class_embeddings_input_dim=WIDTH + 6 * 4,
    )
    return StableDiffusionXLPipeline(
        vae=vae(4),
        text_encoder=clip(CLIPTextModel),
        text_encoder_2=clip(),
        tokenizer=tiny_tokenizer(),
        tokenizer_2=tiny_tokenizer(),
        unet=unet,
        scheduler=scheduler or EulerDiscreteScheduler(timestep_spacing="trailing"),
    )


def pixart() -> DiffusionPipeline:
    transformer = PixArtTransformer2DModel(
        sample_size=8,
        num_layers=1,
        num_attention_heads=2,
        attention_head_dim=8,
        cross_attention_dim=2 * 8,
        caption_channels=WIDTH,
        in_channels=4,
        out_channels=8,
        use_additional_conditions=False,
    )
    return PixArtSigmaPipeline(
        tokenizer=long_tokenizer(),
        text_encoder=t5(),
        vae=vae(4),
        transformer=transformer,
        scheduler=DPMSolverMultistepScheduler(),
    )


def sana_sprint() -> DiffusionPipeline:
    """Its scheduler draws noise at every step but the last."""
    transformer = SanaTransformer2DModel(
        in_channels=4,
        out_channels=4,
        num_layers=1,
        num_attention_heads=2,
        attention_head_dim=8,
        num_cross_attention_heads=2,
        cross_attention_head_dim=8,
        cross_attention_dim=2 * 8,
        caption_channels=WIDTH,
        sample_size=8,
        patch_size=1,
        guidance_embeds=True,
        qk_norm="rms_norm_across_heads",
    )
    autoencoder = AutoencoderDC(
        in_channels=3,
        latent_channels=4,
        attention_head_dim=2,
        encoder_block_types=("ResBlock", "ResBlock", "ResBlock"),
        decoder_block_types=("ResBlock", "ResBlock", "ResBlock"),
        encoder_block_out_channels=(8, 8, 8),
        decoder_block_out_channels=(8, 8, 8),
        encoder_qkv_multiscales=((), (), ()),
        decoder_qkv_multiscales=((), (), ()),
        encoder_layers_per_block=(1, 1, 1),
        decoder_layers_per_block=(1, 1, 1),
        downsample_block_type="conv",
        upsample_block_type="interpolate",
        decoder_norm_types="rms_norm",
        decoder_act_fns="silu",
        scaling_factor=0.7,
    )
    return SanaSprintPipeline(
        tokenizer=long_tokenizer(),
        text_encoder=language_model(Gemma2Model, Gemma2Config),
        vae=autoencoder,
        transformer=transformer,
        scheduler=SCMScheduler(),
    )


def sd3(scheduler: Any = None) -> DiffusionPipeline:
    transformer = SD3Transformer2DModel(
        sample_size=8,
        patch_size=1,
        in_channels=4,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=4,
        caption_projection_dim=32,
        joint_attention_dim=2 * WIDTH,
        pooled_projection_dim=2 * WIDTH,
        out_channels=4,
    )
    t5_wide = T5EncoderModel(
        T5Config(vocab_size=len(tiny_tokenizer()), d_model=2 * WIDTH, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    )
    return StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=scheduler or FlowMatchEulerDiscreteScheduler(),
        vae=vae(4, shift_factor=0.1),
        text_encoder=clip(),
        tokenizer=tiny_tokenizer(),
        text_encoder_2=clip(),
        tokenizer_2=tiny_tokenizer(),
        text_encoder_3=t5_wide,
        tokenizer_3=long_tokenizer(),
    )


def flux2_klein() -> DiffusionPipeline:
    transformer = Flux2Transformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=3 * WIDTH,
        timestep_guidance_channels=32,
        axes_dims_rope=[4, 4, 4, 4],
        guidance_embeds=False,
    )
    autoencoder = AutoencoderKLFlux2(
        block_out_channels=(8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        latent_channels=4,
        norm_num_groups=4,
        layers_per_block=1,
        sample_size=SIZE,
    )
    return Flux2KleinPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=autoencoder,
        text_encoder=language_model(Qwen3ForCausalLM, Qwen3Config),
        tokenizer=long_tokenizer(),
        transformer=transformer,
        is_distilled=True,
    )


def flux() -> DiffusionPipeline:
    """It takes its noise as its network is given it, packed."""
    transformer = FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        pooled_projection_dim=WIDTH,
        axes_dims_rope=[4, 4, 8],
    )
    return FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=vae(4, shift_factor=0.1),
        text_encoder=clip(CLIPTextModel),
        tokenizer=tiny_tokenizer(),
        text_encoder_2=t5(),
        tokenizer_2=long_tokenizer(),
        transformer=transformer,
    )


PLAIN: Mapping[str, Any] = {"clean_caption": False, "use_resolution_binning": False, "max_sequence_length": 32}
"""Neither a package for the text nor one of the sizes that real ones are made for."""
MADE: Mapping[str, tuple[Callable[[], DiffusionPipeline], Mapping[str, Any]]] = {
    "sdxl": (sdxl, {"steps": 1, "guidance": 0.0}),
    "flux2_klein": (
        flux2_klein,
        {"steps": 2, "guidance": 1.0, "options": {"max_sequence_length": 32, "text_encoder_out_layers": (0, 1, 2)}},
    ),
    "pixart": (pixart, {"steps": 2, "options": PLAIN}),
    "sana_sprint": (sana_sprint, {"steps": 2, "options": {**PLAIN, "complex_human_instruction": None}}),
    "sd3": (sd3, {"steps": 2, "options": {"max_sequence_length": 32}}),
    "flux": (flux, {"steps": 2, "options": {"max_sequence_length": 32}}),
}
"""Each with what its prior is told."""


def made(name: str) -> DiffusionPipeline:
    """The pipeline of that name, with the same weights at every call."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return MADE[name][0]()
