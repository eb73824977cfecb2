"""CLIP: images and texts as points in one space, where matching ones are close.

Radford et al., "Learning transferable visual models from natural language supervision", 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from foveate.data.dataset import Images
from foveate.errors import SettingError
from foveate.models import hf_folder, model_ref
from foveate.models.colour import to_rgb

_BATCH_SIZE = 32


@dataclass(frozen=True)
class TextFeatures:
    """Features of N texts.

    Attributes:
        features: (N, D) float32 in the space of the images, not normalised.
        tokens: (N, L, E) float32 contextual tokens, including the start token.
        mask: (N, L) bool, True for the tokens of the text.
    """

    features: Tensor
    tokens: Tensor
    mask: Tensor


class Clip:
    """CLIP from a folder of transformers, frozen.

    Args:
        folder: The folder.

    Attributes:
        max_tokens: Largest number of tokens in a text, including start and end.

    Raises:
        SettingError: The folder holds no such model.
    """

    def __init__(self, folder: Path):
        self.folder, config = folder, model_ref.read_config(folder, "clip")
        transformers = hf_folder.import_library("transformers", "clip:DIR")
        self.net = hf_folder.load_net(transformers.CLIPModel, folder, config)
        text = self.net.config.text_config
        self.tokenizer = hf_folder.load_tokenizer(
            transformers.CLIPTokenizer, folder, text.vocab_size
        )
        self.processor = hf_folder.load_image_processor(
            transformers.CLIPImageProcessor, folder, self.net.config.vision_config.image_size
        )
        self.max_tokens: int = text.max_position_embeddings

    @torch.no_grad()
    def encode_images(self, images: Images) -> Tensor:
        """Encode images of any size.

        Args:
            images: (H, W, C) uint8 each.

        Returns:
            (N, D) float32, not normalised.
        """
        batches = []
        for start in range(0, len(images), _BATCH_SIZE):
            some = [to_rgb(image) for image in images[start : start + _BATCH_SIZE]]
            inputs = self.processor(
                images=some, input_data_format="channels_last", return_tensors="pt"
            )
            with hf_folder.library_errors(self.folder):
                features = self.net.get_image_features(inputs["pixel_values"])
            batches.append(features.pooler_output)
        return torch.cat(batches) if batches else torch.zeros(0, self.net.config.projection_dim)

    @torch.no_grad()
    def encode_texts(self, texts: Sequence[str], *, truncate: bool = False) -> TextFeatures:
        """Encode texts.

        Args:
            texts: The texts.
            truncate: Whether to cut off texts that are too long, instead of refusing them.

        Raises:
            SettingError: See `check`.
        """
        if not truncate:
            self.check(texts)
        with hf_folder.quiet(), hf_folder.library_errors(self.folder):
            inputs = self.tokenizer(
                list(texts),
                padding=True,
                truncation=True,
                max_length=self.max_tokens,
                return_tensors="pt",
            )
            ids, mask = inputs["input_ids"], inputs["attention_mask"]
            output = self.net.get_text_features(input_ids=ids, attention_mask=mask)
        return TextFeatures(output.pooler_output, output.last_hidden_state, mask.bool())

    def check(self, texts: Sequence[str]) -> None:
        """Check that no text would be cut off silently.

        Raises:
            SettingError: A text has more than `max_tokens` tokens.
        """
        with hf_folder.quiet(), hf_folder.library_errors(self.folder):
            counts = [len(ids) for ids in self.tokenizer(list(texts))["input_ids"]]
        for text, count in zip(texts, counts, strict=True):
            if count > self.max_tokens:
                raise SettingError(
                    f"a text of at most {self.max_tokens} tokens is expected, start and end "
                    f"included, got {count:,}: {text[:40]!r}" + ("..." if len(text) > 40 else ""),
                    where="text",
                    remedy="Shorten it.",
                )
