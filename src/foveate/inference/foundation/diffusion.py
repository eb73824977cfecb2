"""Stable Diffusion: pictures from words.

Rombach et al., "High-resolution image synthesis with latent diffusion models", 2022. Only the parts that are needed are loaded, each by its own
class: what model_index.json names is compared, never imported. There is no filter on what is shown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from foveate.data.dataset import Image
from foveate.data.vocabulary import numbered
from foveate.errors import SettingError
from foveate.models import hf_folder, model_ref
from foveate.models.pretrained import reason

SPLITS = {
    "vae": "AutoencoderKL",
    "text_encoder": "CLIPTextModel",
    "tokenizer": "CLIPTokenizer",
    "unet": "UNet2DConditionModel",
    "scheduler": "",
}
"""What is needed, and of which class; any scheduler that diffusers has for such nets."""


GUIDANCE, STEPS = 7.5, 50
"""The customary ones, which are diffusers' own, too."""


class Diffusion:
    """A Stable Diffusion folder of diffusers, frozen, or the name of one on the hub, which is fetched with download alone.

    Raises SettingError for a folder that holds no such model, whose weights are pickled, or that memory is too small for.
    """

    def __init__(self, place: str | Path, *, download: bool = False):
        place = str(place).removeprefix("diffusion:")
        folder = model_ref.folder(model_ref.Reference("diffusion", place), download=download)
        index = hf_folder.read_json(folder, "model_index.json")
        scheduler = _checked(folder, index)
        diffusers = hf_folder.library("diffusers", "diffusion:DIR")
        transformers = hf_folder.library("transformers", "diffusion:DIR")
        described = hf_folder.read_json(folder / "text_encoder")
        stems = {
            "unet": "diffusion_pytorch_model",
            "vae": "diffusion_pytorch_model",
            "text_encoder": "model",
        }
        files = [
            path for part, stem in stems.items() for path in hf_folder.weights(folder / part, stem)
        ]
        hf_folder.refuse_if_too_large(files, folder)
        words = hf_folder.net(transformers.CLIPTextModel, folder / "text_encoder", described)
        tokenizer = hf_folder.tokenizer(
            transformers.CLIPTokenizer, folder / "tokenizer", words.config.vocab_size
        )
        given = {"local_files_only": True}
        read = {**given, "use_safetensors": True, "low_cpu_mem_usage": False}
        try:
            with hf_folder.quiet():
                self.pipeline = diffusers.StableDiffusionPipeline(
                    vae=diffusers.AutoencoderKL.from_pretrained(folder / "vae", **read).float(),
                    text_encoder=words,
                    tokenizer=tokenizer,
                    unet=diffusers.UNet2DConditionModel.from_pretrained(
                        folder / "unet", **read
                    ).float(),
                    scheduler=getattr(diffusers, scheduler).from_pretrained(
                        folder / "scheduler", **given
                    ),
                    safety_checker=None,
                    feature_extractor=None,
                    requires_safety_checker=False,
                )
        except Exception as error:  # the library has many ways to say that something does not fit
            raise SettingError(
                f"no pipeline can be made of this folder ({reason(error)})",
                where=folder,
                remedy="Fetch it again, whole.",
            ) from None
        self.pipeline.set_progress_bar_config(disable=True)
        self.limit: int = min(tokenizer.model_max_length, words.config.max_position_embeddings)

    def images(
        self,
        texts: Sequence[str],
        count: int = 1,
        *,
        seed: int = 0,
        guidance: float | None = None,
        steps: int | None = None,
    ) -> list[Image]:
        """Count pictures of each text, one text after the other, (H, W, 3) uint8; see `stages`."""
        if count < 1:
            raise SettingError(f"1 or more are expected, got {count}", where="count")
        asked = [text for text in texts for _ in range(count)]
        return [
            stages[-1] for stages in self.stages(asked, seed=seed, guidance=guidance, steps=steps)
        ]

    def stages(
        self,
        texts: Sequence[str],
        *,
        seed: int = 0,
        guidance: float | None = None,
        steps: int | None = None,
    ) -> Iterator[Sequence[Image]]:
        """For each text what its noise is after each step, the picture last, (H, W, 3) uint8 each.

        guidance: how much more a picture is drawn to its words than one without any (Ho and Salimans, 2022), by default 7.5; 1 for no more
        steps: by default 50
        The i-th picture of a text and seed is always the same, whatever else is asked for.
        Raises SettingError for a text that is empty, or of more tokens than the model reads, before anything is made.
        """
        guidance, steps = (
            GUIDANCE if guidance is None else guidance,
            STEPS if steps is None else steps,
        )
        self._check(texts, guidance, steps)
        return (
            self._made(text, generator(seed, name), guidance, steps)
            for text, name in zip(texts, numbered(texts), strict=True)
        )

    @torch.no_grad()
    def _made(self, text: str, rng: torch.Generator, guidance: float, steps: int) -> OnWay:
        latents: list[Tensor] = []

        def keep(
            _pipeline: Any, _step: int, _time: Any, now: dict[str, Tensor]
        ) -> dict[str, Tensor]:
            latents.append(now["latents"])
            return {}

        given = {"num_inference_steps": steps, "guidance_scale": guidance, "output_type": "latent"}
        with hf_folder.quiet():
            self.pipeline(text, generator=rng, callback_on_step_end=keep, **given)
        return OnWay(self.pipeline, latents)

    def _check(self, texts: Sequence[str], guidance: float, steps: int) -> None:
        for what, value in (
            ("guidance", guidance),
            ("steps", steps),
        ):  # below 1, diffusers would take guidance for 1
            if value < 1:
                raise SettingError(f"1 or more are expected, got {value:g}", where=what)
        if not all(text.strip() for text in texts):
            raise SettingError("words are expected, got none", where="prompt")
        with hf_folder.quiet():
            lengths = [len(self.pipeline.tokenizer(text)["input_ids"]) for text in texts]
        for text, length in zip(texts, lengths, strict=True):
            if length > self.limit:
                raise SettingError(
                    f"a text of at most {self.limit} tokens is expected, start and end included, got {length:,}: {text[:40]!r}",
                    where="prompt",
                    remedy="Say it shorter.",
                )


class OnWay(Sequence[Image]):
    """What noise is after each step, each decoded when it is looked at: that takes as long as a step."""

    def __init__(self, pipeline: Any, latents: Sequence[Tensor]):
        self.pipeline, self.latents = pipeline, latents

    def __len__(self) -> int:
        return len(self.latents)

    @torch.no_grad()
    def __getitem__(self, at: Any) -> Any:
        """(H, W, 3) uint8, as diffusers' own pipeline makes it of its last latents."""
        vae = self.pipeline.vae
        found = vae.decode(self.latents[at] / vae.config.scaling_factor, return_dict=False)[0]
        image = self.pipeline.image_processor.postprocess(found, output_type="np")[0]
        return np.rint(image * 255).astype(np.uint8)


def generator(seed: int, name: str) -> torch.Generator:
    """The draws of one picture."""
    digest = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big") >> 1)


def _checked(folder: Path, index: dict[str, Any]) -> str:
    """The scheduler's class. Raises SettingError if this is another kind of pipeline, or has other parts."""
    schedulers = hf_folder.library(
        "diffusers.schedulers", "diffusion:DIR"
    ).KarrasDiffusionSchedulers
    (wanted,) = model_ref.FAMILIES["diffusion"].types
    if index.get("_class_name") != wanted:
        raise SettingError(
            f"a {wanted} is expected, its model_index.json says {index.get('_class_name')!r}",
            where=folder,
        )
    for part, kind in SPLITS.items():
        told = index.get(part)
        found = told[1] if isinstance(told, list) and len(told) == 2 else None
        known = {kind, f"{kind}Fast"} if kind else {one.name for one in schedulers}
        if found not in known:
            raise SettingError(
                f"a {kind or 'scheduler of diffusers'} is expected as its {part}, its model_index.json says {found!r}",
                where=folder,
            )
    return str(index["scheduler"][1])
