"""The world's CLIP, in two stages, so that the prior need not wait for the vision tower.

`--stage text`: tokenizer and text tower; heads that are thrown away afterwards read from the end-of-text state
what the caption says. The tower then stands still: the prior is conditioned on it.
`--stage vision`: vision tower and both projections by the contrastive loss of CLIP, against the frozen text
tower, and with them the decoder of CLIPSeg, whose own `forward` would let no gradient into the tower; heads
that are thrown away read the scene's attributes and, patch by patch, what is to be seen there.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPProcessor,
    CLIPSegConfig,
    CLIPSegForImageSegmentation,
    CLIPSegProcessor,
    CLIPTextModel,
    CLIPTokenizer,
    ViTImageProcessor,
)

from diffexplain.world.render import render
from diffexplain.world.sampler import World
from diffexplain.world.scenes import ATTRIBUTES, COMPANIONS, SETTINGS, SUBJECTS, Scene
from experiments.world.captions import (
    COLOUR_WORDS,
    COMPANION_NOUNS,
    SETTING_PHRASES,
    SUBJECT_NOUNS,
    article,
    caption,
    vocabulary,
)
from experiments.world.common import WEIGHTS, Training, arguments, held_out, model_card, pictures, scenes, tidy
from experiments.world.muon import Muon
from experiments.world.tokenizer import MAXIMUM_TOKENS, build_tokenizer

FOLDER = WEIGHTS / "clip"
WIDTH = 128
MEAN = STANDARD_DEVIATION = [0.5, 0.5, 0.5]
OBJECT_WEIGHT = 8.0
FIRST_SETTING = len(SUBJECTS) + len(COMPANIONS)
KINDS = list(COMPANIONS)
LABELS = [*SUBJECTS, *KINDS, *SETTINGS, *(f"{kind}/{subtype}" for kind in KINDS for subtype in COMPANIONS[kind])]
"""What a phrase can ask for. Each has a channel of the segmentation decoder."""
DECODER_WIDTH = 48
_CONSTANT = 10.0


def build(tokenizer: CLIPTokenizer) -> CLIPModel:
    text = {
        "vocab_size": len(tokenizer), "hidden_size": WIDTH, "intermediate_size": 3 * WIDTH, "num_hidden_layers": 4,
        "num_attention_heads": 4, "max_position_embeddings": MAXIMUM_TOKENS, "hidden_act": "gelu",
        "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }  # fmt: skip
    vision = {
        "image_size": 64, "patch_size": 4, "hidden_size": 96, "intermediate_size": 288, "num_hidden_layers": 4,
        "num_attention_heads": 3, "hidden_act": "gelu",
    }  # fmt: skip
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=WIDTH)
    return CLIPModel(config)


def tokens(tokenizer: CLIPTokenizer, texts: list[str], device: str) -> Tensor:
    """Token ids (count, 32), padded with the end-of-text token as Stable Diffusion does."""
    ids = tokenizer(texts, padding="max_length", truncation=True, max_length=MAXIMUM_TOKENS, return_tensors="pt")
    return ids.input_ids.to(device)


class AttributeHeads(nn.Module):
    """One linear reading of a vector for every attribute; used in training only."""

    def __init__(self, width: int) -> None:
        super().__init__()
        sizes = {name: len(values) for name, values in ATTRIBUTES.items()}
        sizes |= {f"subtype:{kind}": len(values) for kind, values in COMPANIONS.items() if values}
        self.sizes = sizes
        self.linear = nn.Linear(width, sum(sizes.values()) + len(KINDS))

    def forward(self, vectors: Tensor, batch: list[Scene], named: list[frozenset[str]] | None) -> Tensor:
        """Mean loss over attributes; those that a caption does not name are left out."""
        parts = self.linear(vectors).split([*self.sizes.values(), len(KINDS)], dim=1)
        losses = []
        for (name, _), logits in zip(self.sizes.items(), parts, strict=False):
            target = torch.tensor(
                [_value(scene, name, named, i) for i, scene in enumerate(batch)], device=logits.device
            )
            if bool((target >= 0).any()):
                losses.append(F.cross_entropy(logits, target, ignore_index=-100))
        present = torch.tensor([[float(s.has(kind)) for kind in KINDS] for s in batch], device=vectors.device)
        losses.append(4 * F.binary_cross_entropy_with_logits(parts[-1], present))
        return torch.stack(losses).mean()


def _value(scene: Scene, name: str, named: list[frozenset[str]] | None, index: int) -> int:
    if named is not None and name not in named[index]:
        return -100
    if not name.startswith("subtype:"):
        return ATTRIBUTES[name].index(getattr(scene, name))
    companion = scene.companion(name.removeprefix("subtype:"))
    return COMPANIONS[companion.kind].index(companion.subtype) if companion else -100


def train_text(options: argparse.Namespace) -> None:
    tokenizer = build_tokenizer(vocabulary())
    model = build(tokenizer)
    module = nn.ModuleDict({"text": model.text_model, "heads": AttributeHeads(WIDTH)}).to(options.device)
    world = World()

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        batch, seeds = scenes(world, options.batch, options.seed + 7, step)
        said = [caption(scene, seed) for scene, seed in zip(batch, seeds, strict=True)]
        output = module["text"](tokens(tokenizer, [c.text for c in said], options.device))
        return module["heads"](output.pooler_output, batch, [c.named for c in said]), {}

    training = Training("clip-text", module, options)
    training.run(loss)
    model.save_pretrained(FOLDER)
    processor = CLIPImageProcessor(
        size={"height": 64, "width": 64}, do_center_crop=False, image_mean=MEAN, image_std=STANDARD_DEVIATION
    )
    CLIPProcessor(image_processor=processor, tokenizer=tokenizer).save_pretrained(FOLDER)
    save_for_prior(model, tokenizer, options, training.seconds)


def save_for_prior(model: CLIPModel, tokenizer: CLIPTokenizer, options: argparse.Namespace, seconds: float) -> None:
    """The text tower as the prior's own text encoder."""
    tower = CLIPTextModel(model.config.text_config)
    tower.load_state_dict(model.text_model.state_dict())
    tower.half().save_pretrained(WEIGHTS / "prior" / "text_encoder")
    tokenizer.save_pretrained(WEIGHTS / "prior" / "tokenizer")
    about = "The text tower of the embedded CLIP, trained by `experiments/world/train_clip.py --stage text`."
    model_card(WEIGHTS / "prior" / "text_encoder", "Text encoder", options, seconds, about)


def masks_of(batch: list[Scene], seeds: list[int]) -> tuple[Tensor, Tensor]:
    """Images (count, 3, 64, 64) in [0, 1] and masks (count, labels, 64, 64) of zeros and ones."""
    images = np.empty((len(batch), 64, 64, 3), np.uint8)
    masks = np.zeros((len(batch), len(LABELS), 64, 64), np.float32)
    for index, (scene, seed) in enumerate(zip(batch, seeds, strict=True)):
        rendering = render(scene, seed)
        images[index] = rendering.image
        masks[index, LABELS.index(scene.subject)] = rendering.masks["subject"]
        masks[index, LABELS.index(scene.setting)] = rendering.masks["setting"]
        for companion in scene.companions:
            masks[index, LABELS.index(companion.kind)] = rendering.masks[companion.kind]
            if companion.subtype:
                masks[index, LABELS.index(f"{companion.kind}/{companion.subtype}")] = rendering.masks[companion.kind]
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255, torch.from_numpy(masks)


def phrases_for(scene: Scene, generator: np.random.Generator) -> list[tuple[str, int]]:
    """Phrases, each with the label it asks for; half of them ask for what is not there."""

    def pick(options: tuple[str, ...] | list[str]) -> str:
        return options[int(generator.integers(len(options)))]

    def of_kind(kind: str, subtype: str) -> tuple[str, int]:
        words = f"{subtype} {pick(COMPANION_NOUNS[kind])}".strip()
        return article(words), LABELS.index(f"{kind}/{subtype}" if subtype else kind)

    present = ["", *(companion.kind for companion in scene.companions)]
    kind = pick(present)
    companion = scene.companion(kind) if kind else None
    if companion is None:
        words = [pick(COLOUR_WORDS[scene.colour])] if generator.random() < 0.3 else []
        there = article(" ".join([*words, pick(SUBJECT_NOUNS[scene.subject])])), LABELS.index(scene.subject)
    else:
        there = of_kind(companion.kind, companion.subtype if generator.random() < 0.5 else "")
    setting = scene.setting if generator.random() < 0.5 else pick(SETTINGS)
    result = [there, (pick(SETTING_PHRASES[setting]), LABELS.index(setting))]
    for _ in range(2):
        others = [s for s in COMPANIONS[companion.kind] if s != companion.subtype] if companion else []
        if companion is not None and others and generator.random() < 0.3:  # the right kind, but another sub-type
            result.append(of_kind(companion.kind, pick(others)))
        elif generator.random() < 0.5:
            absent = pick([kind for kind in KINDS if not scene.has(kind)])
            result.append(of_kind(absent, pick(["", *COMPANIONS[absent]])))
        else:
            other = pick(SUBJECTS)
            result.append((article(pick(SUBJECT_NOUNS[other])), LABELS.index(other)))
    return result


def segmentation_loss(logits: Tensor, masks: Tensor, objects: Tensor) -> Tensor:
    """Cross-entropy, and Dice where something is to be found; all are (count, 64, 64).

    Which of the objects is meant is decided on the few pixels of `objects`, so these weigh more.
    """
    weight = 1 + (OBJECT_WEIGHT - 1) * objects
    entropy = F.binary_cross_entropy_with_logits(logits, masks, weight)
    probabilities = logits.sigmoid()
    overlap = (probabilities * masks).sum((1, 2))
    dice = 1 - (2 * overlap + 1) / (probabilities.sum((1, 2)) + masks.sum((1, 2)) + 1)
    return 2 * entropy + dice[masks.sum((1, 2)) > 0].mean()


def build_segmenter(clip: CLIPConfig) -> CLIPSegForImageSegmentation:
    """CLIPSeg whose decoder starts as a reader: one channel for each label, and the phrase chooses the channel.

    Its layers start as the identity. Two constant channels keep their normalisations from taking the level away.
    """
    config = CLIPSegConfig(
        text_config=clip.text_config.to_dict(), vision_config=clip.vision_config.to_dict(),
        projection_dim=clip.projection_dim, extract_layers=[1, 3], reduce_dim=DECODER_WIDTH,
        decoder_num_attention_heads=2, decoder_intermediate_size=96,
    )  # fmt: skip
    model = CLIPSegForImageSegmentation(config)
    decoder = model.decoder
    with torch.no_grad():
        for layer in decoder.layers:
            nn.init.zeros_(layer.self_attn.out_proj.weight)
            nn.init.zeros_(layer.self_attn.out_proj.bias)
            nn.init.zeros_(layer.mlp.fc2.weight)
            nn.init.zeros_(layer.mlp.fc2.bias)
        nn.init.zeros_(decoder.reduces[1].weight)
        nn.init.zeros_(decoder.reduces[1].bias)
        nn.init.zeros_(decoder.film_add.weight)
        nn.init.zeros_(decoder.film_add.bias)
        decoder.film_add.bias[-2:] = torch.tensor([_CONSTANT, -_CONSTANT])
        decoder.transposed_convolution.weight.zero_()
        decoder.transposed_convolution.weight[: len(LABELS)] = 8.0
        decoder.transposed_convolution.bias.zero_()
    return model


def train_vision(options: argparse.Namespace) -> None:
    model = CLIPModel.from_pretrained(FOLDER, dtype=torch.float32)
    tokenizer = CLIPTokenizer.from_pretrained(FOLDER)
    segmenter = build_segmenter(model.config)
    if options.go_on:
        shipped = CLIPSegForImageSegmentation.from_pretrained(WEIGHTS / "clipseg", dtype=torch.float32)
        segmenter.decoder.load_state_dict(shipped.decoder.state_dict())
    model.text_model.requires_grad_(False)
    width = model.config.vision_config.hidden_size
    module = nn.ModuleDict({"clip": model, "heads": AttributeHeads(width), "decoder": segmenter.decoder})
    module.to(options.device)
    world = World()

    @torch.no_grad()
    def states(texts: list[str]) -> Tensor:
        return model.text_model(tokens(tokenizer, texts, options.device)).pooler_output

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        batch, seeds = scenes(world, options.batch, options.seed + 11, step)
        said = [caption(scene, seed).text for scene, seed in zip(batch, seeds, strict=True)]
        images, masks = masks_of(batch, seeds)
        images = images + 0.04 * torch.rand(len(batch), 1, 1, 1) * torch.randn_like(images)
        images, masks = images.to(options.device), masks.to(options.device)
        seen = model.vision_model(images * 2 - 1, output_hidden_states=True)
        pictured = F.normalize(model.visual_projection(seen.pooler_output), dim=-1)
        told = F.normalize(model.text_projection(states(said)), dim=-1)
        logits = model.logit_scale.exp().clamp(max=100) * told @ pictured.T
        index = torch.arange(len(batch), device=logits.device)
        contrast = (F.cross_entropy(logits, index) + F.cross_entropy(logits.T, index)) / 2
        reading = module["heads"](seen.pooler_output, batch, None)
        # Patch by patch, the decoder's channels: what is to be seen here? The few patches of objects weigh more.
        channels = segmenter.decoder.reduces[0](seen.hidden_states[segmenter.extract_layers[-1] + 1][:, 1:])
        cover = F.avg_pool2d(masks, 4).flatten(2).transpose(1, 2)
        background = masks[:, FIRST_SETTING : FIRST_SETTING + len(SETTINGS)].amax(1)
        weight = 1 + (OBJECT_WEIGHT - 1) * (1 - F.avg_pool2d(background, 4).flatten(1))
        entropy = F.binary_cross_entropy_with_logits(channels[..., : len(LABELS)], cover, reduction="none")
        dense = (entropy.sum(-1) * weight).sum() / weight.sum()
        # Masks from phrases: the decoder of CLIPSeg, with gradient into the vision tower.
        generator = np.random.Generator(np.random.Philox(key=step))
        asked = [(i, *entry) for i, scene in enumerate(batch) for entry in phrases_for(scene, generator)]
        which = torch.tensor([i for i, _, _ in asked], device=options.device)
        label = torch.tensor([label for _, _, label in asked], device=options.device)
        hidden = tuple(seen.hidden_states[layer + 1][which] for layer in segmenter.extract_layers)
        conditions = model.text_projection(states([text for _, text, _ in asked]))
        chosen = F.one_hot(label, DECODER_WIDTH).float()
        choosing = (segmenter.decoder.film_mul(conditions) - chosen).square().sum(1).mean()
        drawn = segmentation_loss(
            module["decoder"](hidden, conditions).logits, masks[which, label], 1 - background[which]
        )
        right = float((logits.argmax(1) == index).float().mean())
        losses = {"contrast": contrast, "reading": reading, "dense": dense, "choosing": choosing, "masks": drawn}
        figures = {name: float(value.detach()) for name, value in losses.items()} | {"right": right}
        return contrast + 2 * reading + 2 * dense + choosing + 2 * drawn, figures

    outer = ("embedding", "heads", "film", "reduces", "transposed_convolution")
    optimizer = Muon(module, options.rate, outer)
    training = Training("clip-vision", module, options, average=0.998, optimizer=optimizer)

    def save() -> None:
        """The averaged weights as they stand, so that other recipes can go on."""
        clip = CLIPModel(model.config)
        decoder = CLIPSegForImageSegmentation(segmenter.config)
        state = module.state_dict() | training.mean
        clip.load_state_dict({k.removeprefix("clip."): v for k, v in state.items() if k.startswith("clip.")})
        decoder.clip.load_state_dict(clip.state_dict())
        decoder.decoder.load_state_dict(
            {k.removeprefix("decoder."): v for k, v in state.items() if k.startswith("decoder.")}
        )
        scores = retrieval(clip.eval(), tokenizer)
        print("retrieval among 100", scores, flush=True)
        about = "`CLIPModel` of the embedded world, trained by `experiments/world/train_clip.py`."
        facts = {
            "caption to picture among 100": f"{scores[0]:.3f}",
            "picture to caption among 100": f"{scores[1]:.3f}",
        }
        model_card(FOLDER, "CLIP", options, training.seconds, about, **facts)
        clip.half().save_pretrained(FOLDER)
        folder = WEIGHTS / "clipseg"
        decoder.half().save_pretrained(folder)
        tidy(folder)
        images = ViTImageProcessor(
            size={"height": 64, "width": 64}, image_mean=MEAN, image_std=STANDARD_DEVIATION, do_rescale=True
        )
        CLIPSegProcessor(image_processor=images, tokenizer=tokenizer).save_pretrained(folder)
        about = "`CLIPSegForImageSegmentation` on the embedded CLIP, trained with it by `train_clip.py --stage vision`."
        model_card(folder, "CLIPSeg", options, training.seconds, about)

    training.run(loss, every=50, inspect=save)
    save()


@torch.no_grad()
def retrieval(model: CLIPModel, tokenizer: CLIPTokenizer, groups: int = 10) -> tuple[float, float]:
    """Share of captions that find their picture among 100, and of pictures that find their caption."""
    batch, seeds = held_out(100 * groups)
    said = [caption(scene, seed).text for scene, seed in zip(batch, seeds, strict=True)]
    device = str(model.device)
    to_picture, to_caption = [], []
    for start in range(0, 100 * groups, 100):
        part = slice(start, start + 100)
        images = pictures(batch[part], seeds[part], device)
        output = model(input_ids=tokens(tokenizer, said[part], device), pixel_values=images * 2 - 1)
        index = torch.arange(100, device=device)
        to_picture.append((output.logits_per_text.argmax(1) == index).float().mean())
        to_caption.append((output.logits_per_image.argmax(1) == index).float().mean())
    return float(torch.stack(to_picture).mean()), float(torch.stack(to_caption).mean())


if __name__ == "__main__":
    options = arguments(__doc__ or "", text=(1500, 64, 1e-3), vision=(2700, 24, 1.5e-3))
    (train_text if options.stage == "text" else train_vision)(options)
