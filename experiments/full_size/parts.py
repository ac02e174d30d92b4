"""What the stages fetch: repositories of priors and of CLIPSeg, and CaffeNet's file, as published but for the values.

At full size, or in the smallest that has the same layout. CLIP's own vocabulary comes with open_clip, so that a text
has as many tokens as it has in the published models.
"""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch
from tests.classifiers.protobuf_files import write_caffemodel
from tests.hub import repositories
from tests.hub.repositories import TINY_SIZES, Sizes
from tests.hub.server import Hub, Repo
from transformers import CLIPTokenizer

from diffexplain.classifiers.caffenet import CaffeNet
from diffexplain.diffusion.architectures import (
    TAESD,
    TEXT_CLIP_L,
    TEXT_OPENCLIP_H,
    UNET_SD15,
    UNET_SD21,
    UNET_SDXS,
    VAE_SD,
)

CAFFEMODEL = "bvlc_reference_caffenet.caffemodel"
MERGES = 49152 - 256 - 2
"""Of the vocabulary's file, those that CLIP uses."""


@cache
def clip_tokenizer() -> CLIPTokenizer:
    """CLIP's, of 49,408 tokens, from the file that open_clip ships."""
    from open_clip.tokenizer import bytes_to_unicode, default_bpe

    lines = gzip.decompress(Path(default_bpe()).read_bytes()).decode("utf-8").split("\n")
    merges = [tuple(line.split()) for line in lines[1 : MERGES + 1]]
    symbols = list(bytes_to_unicode().values())
    pieces = [*symbols, *(f"{symbol}</w>" for symbol in symbols), *map("".join, merges)]
    table = {piece: place for place, piece in enumerate([*pieces, "<|startoftext|>", "<|endoftext|>"])}
    return CLIPTokenizer(vocab=table, merges=merges, model_max_length=77)


FULL_SIZES = Sizes(
    sd1=UNET_SD15,
    sd2=UNET_SD21,
    sdxs=UNET_SDXS,
    vae=VAE_SD,
    tiny=TAESD,
    clip=TEXT_CLIP_L,
    openclip=TEXT_OPENCLIP_H,
    # rd64 is what transformers builds by itself, but for its finer head.
    clipseg={"text_config": {}, "vision_config": {}, "reduce_dim": 64},
    side=352,
    rank=64,
    tokenizer=clip_tokenizer,
)


TOY_SIZES = replace(
    TINY_SIZES,
    clip={**TINY_SIZES.clip, "max_position_embeddings": 77},
    openclip={**TINY_SIZES.openclip, "max_position_embeddings": 77},
    clipseg={
        **TINY_SIZES.clipseg,
        "text_config": {**TINY_SIZES.clipseg["text_config"], "max_position_embeddings": 77},
    },
    tokenizer=clip_tokenizer,
)


def hub_of(names: Iterable[str], *, caffenet: bool, toy: bool) -> Hub:
    """A hub with the repositories of these names, and CaffeNet's file if it is asked for."""
    found: dict[str, Repo] = repositories.repositories(TOY_SIZES if toy else FULL_SIZES, names)
    return Hub(found, {CAFFEMODEL: caffemodel()} if caffenet else {})


def caffemodel() -> bytes:
    """CaffeNet's file in the layout of 2014; there is one size of it."""
    with torch.random.fork_rng(devices=[]), tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        weights = CaffeNet().state_dict()
        content: bytes = write_caffemodel(Path(folder) / CAFFEMODEL, weights).read_bytes()
        return content
