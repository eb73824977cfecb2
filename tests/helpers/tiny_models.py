"""Foundation models with a few thousand random weights, as transformers and diffusers save them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

transformers = pytest.importorskip("transformers")
SIDE = 64


def colours(seed: int = 0, shape: tuple[int, ...] = (40, 56, 3)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def tokenizer(folder: Path, limit: int = 24, words: int = 0) -> None:
    """A tokenizer of letters, with another token for each letter at the end of a word.

    words: number of further words in the vocabulary.
    """
    letters = [chr(code) for code in range(33, 127)]
    known = [
        "<|startoftext|>",
        "<|endoftext|>",
        *letters,
        *(f"{letter}</w>" for letter in letters),
        "ca",
        "cat</w>",
    ]
    vocab = {
        word: number for number, word in enumerate([*known, *map(str, range(100, 100 + words))])
    }
    made = transformers.CLIPTokenizer(
        vocab=vocab, merges=[("c", "a"), ("ca", "t</w>")], model_max_length=limit
    )
    made.save_pretrained(folder)


def text_config(limit: int = 24, hidden: int = 16) -> dict[str, Any]:
    return {
        "vocab_size": 192,
        "hidden_size": hidden,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": limit,
        "projection_dim": 12,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 1,
    }


def clip(folder: Path, limit: int = 48, hidden: int = 16, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    vision = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    config = transformers.CLIPConfig(
        text_config=text_config(limit, hidden),
        vision_config={**vision, "image_size": 32, "patch_size": 8, "projection_dim": 12},
        projection_dim=12,
    )
    net = transformers.CLIPModel(config)
    net.save_pretrained(folder)
    tokenizer(folder, limit)
    transformers.CLIPImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    ).save_pretrained(folder)
    return net.eval()


def sam(folder: Path) -> Any:
    torch.manual_seed(0)
    vision = {
        "hidden_size": 16,
        "output_channels": 8,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "mlp_dim": 32,
    }
    decoder = {"hidden_size": 8, "mlp_dim": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.SamConfig(
        vision_config={
            **vision,
            "image_size": SIDE,
            "patch_size": 8,
            "window_size": 4,
            "global_attn_indexes": [1],
            "num_pos_feats": 4,
        },
        prompt_encoder_config={
            "hidden_size": 8,
            "image_size": SIDE,
            "patch_size": 8,
            "mask_input_channels": 4,
        },
        mask_decoder_config={**decoder, "iou_head_hidden_dim": 8, "iou_head_depth": 2},
    )
    net = transformers.SamModel(config)
    net.save_pretrained(folder)
    transformers.SamImageProcessor(
        size={"longest_edge": SIDE},
        pad_size={"height": SIDE, "width": SIDE},
        mask_size={"longest_edge": SIDE // 2},
        mask_pad_size={"height": SIDE // 2, "width": SIDE // 2},
    ).save_pretrained(folder)
    return net.eval()


def sam2(folder: Path) -> Any:
    torch.manual_seed(0)
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": 8,
        "image_size": [SIDE, SIDE],
        "blocks_per_stage": [1, 1, 2, 1],
        "embed_dim_per_stage": [8, 16, 32, 64],
        "num_attention_heads_per_stage": [1, 1, 1, 1],
        "window_size_per_stage": [8, 4, 4, 2],
        "global_attention_blocks": [3],
        "window_positional_embedding_background_size": [2, 2],
    }
    maps = {
        "backbone_channel_list": [64, 32, 16, 8],
        "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
    }
    decoder = {"hidden_size": 32, "mlp_dim": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.Sam2Config(
        vision_config={"backbone_config": backbone, **maps, "fpn_hidden_size": 32},
        prompt_encoder_config={
            "hidden_size": 32,
            "image_size": SIDE,
            "patch_size": 16,
            "mask_input_channels": 4,
        },
        mask_decoder_config={**decoder, "iou_head_hidden_dim": 8, "iou_head_depth": 2},
    )
    net = transformers.Sam2Model(config)
    net.save_pretrained(folder)
    size = {"height": SIDE, "width": SIDE}
    transformers.Sam2ImageProcessor(
        size=size, mask_size={"height": 16, "width": 16}
    ).save_pretrained(folder)
    return net.eval()


def vit(folder: Path, kind: str = "vit") -> Any:
    """A vision transformer; "vit" has a classifier, as most published ones do."""
    torch.manual_seed(0)
    options = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 8,
    }
    if kind == "vit":
        net = transformers.ViTForImageClassification(
            transformers.ViTConfig(intermediate_size=32, **options)
        )
    elif kind == "dinov2":
        net = transformers.Dinov2Model(transformers.Dinov2Config(mlp_ratio=2, **options))
    else:
        net = transformers.Dinov2WithRegistersModel(
            transformers.Dinov2WithRegistersConfig(num_register_tokens=2, mlp_ratio=2, **options)
        )
    net.save_pretrained(folder)
    return net.eval()


def diffusion(folder: Path) -> None:
    """A complete Stable Diffusion pipeline for images of 16 px."""
    diffusers = pytest.importorskip("diffusers")
    torch.manual_seed(0)
    unet = diffusers.UNet2DConditionModel(
        block_out_channels=(8, 16),
        layers_per_block=1,
        sample_size=8,
        in_channels=4,
        out_channels=4,
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=2,
    )
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D", "DownEncoderBlock2D"),
        up_block_types=("UpDecoderBlock2D", "UpDecoderBlock2D"),
        latent_channels=4,
        norm_num_groups=4,
        sample_size=16,
    )
    scheduler = diffusers.DDIMScheduler(clip_sample=False, set_alpha_to_one=False, steps_offset=1)
    words = transformers.CLIPTextModel(transformers.CLIPTextConfig(**text_config()))
    for component, net in {
        "unet": unet,
        "vae": vae,
        "scheduler": scheduler,
        "text_encoder": words,
    }.items():
        net.save_pretrained(folder / component)
    tokenizer(folder / "tokenizer")
    index = {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": diffusers.__version__,
        "feature_extractor": [None, None],
        "safety_checker": [None, None],
        "image_encoder": [None, None],
        "requires_safety_checker": False,
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    (folder / "model_index.json").write_text(json.dumps(index))
