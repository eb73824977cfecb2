"""Stable Diffusion: images from text.

Rombach et al., "High-resolution image synthesis with latent diffusion models", 2022. Each required
component is loaded by a fixed class: the names in model_index.json are compared, never imported.
The safety checker is not loaded: no image is filtered.
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
from foveate.data.vocabulary import numbered_ids
from foveate.errors import SettingError
from foveate.models import hf_config, hf_folder, model_ref, weight_file
from foveate.models.pretrained import reason

COMPONENTS = {
    "vae": "AutoencoderKL",
    "text_encoder": "CLIPTextModel",
    "tokenizer": "CLIPTokenizer",
    "unet": "UNet2DConditionModel",
    "scheduler": "",
}
"""The required components and their classes; the scheduler may be any of diffusers'."""
_MOST = {"sample_size": 256, "downsample_padding": 8}
"""Largest latents a side, and border around a map, that are read. Published nets have 128 and 1."""
GUIDANCE, STEPS = 7.5, 50
"""Defaults, which are also those of diffusers."""


class StableDiffusion:
    """A Stable Diffusion folder of diffusers, frozen.

    Args:
        location: A folder, or a name on the hub.
        download: Whether to download it from the hub.

    Attributes:
        max_tokens: Largest number of tokens in a text, including start and end.

    Raises:
        SettingError: There is no such model, its weights are pickled, or they do not fit into
            memory.
    """

    def __init__(self, location: str | Path, *, download: bool = False):
        location = str(location).removeprefix("diffusion:")
        ref = model_ref.ModelRef("diffusion", location)
        folder = model_ref.find_folder(ref, download=download)
        scheduler = _check_components(folder)
        self.folder = folder
        self.pipeline, self.max_tokens = _load(folder, scheduler)

    def images(
        self,
        texts: Sequence[str],
        count: int = 1,
        *,
        seed: int = 0,
        guidance: float | None = None,
        steps: int | None = None,
    ) -> list[Image]:
        """Generate images.

        Args:
            texts: The prompts.
            count: Images per prompt.
            seed: See `stages`.
            guidance: See `stages`.
            steps: See `stages`.

        Returns:
            (H, W, 3) uint8 each, prompt by prompt.
        """
        if count < 1:
            raise SettingError(f"1 or more are expected, got {count}", where="count")
        repeated = [text for text in texts for _ in range(count)]
        return [
            stages[-1]
            for stages in self.stages(repeated, seed=seed, guidance=guidance, steps=steps)
        ]

    def stages(
        self,
        texts: Sequence[str],
        *,
        seed: int = 0,
        guidance: float | None = None,
        steps: int | None = None,
    ) -> Iterator[Sequence[Image]]:
        """Generate one image per text, and yield it after each denoising step.

        The i-th image of a text and seed is always the same, whatever the other texts are.

        Args:
            texts: The prompts.
            seed: Seed of the noise.
            guidance: Scale of classifier-free guidance (Ho and Salimans, 2021), 7.5 by default; 1
                is none.
            steps: Number of denoising steps, 50 by default.

        Returns:
            An iterator over sequences of (H, W, 3) uint8, the finished image last.

        Raises:
            SettingError: A text is empty or longer than the model reads. It is raised before
                anything is generated.
        """
        guidance = GUIDANCE if guidance is None else guidance
        steps = STEPS if steps is None else steps
        self._check(texts, guidance, steps)
        return (
            self._denoise(text, generator(seed, name), guidance, steps)
            for text, name in zip(texts, numbered_ids(texts), strict=True)
        )

    @torch.no_grad()
    def _denoise(
        self, text: str, rng: torch.Generator, guidance: float, steps: int
    ) -> DecodedLatents:
        latents: list[Tensor] = []

        def collect(
            _pipeline: Any, _step: int, _timestep: Any, state: dict[str, Tensor]
        ) -> dict[str, Tensor]:
            latents.append(state["latents"])
            return {}

        options = {"num_inference_steps": steps, "guidance_scale": guidance}
        with hf_folder.quiet(), hf_folder.library_errors(self.folder):
            self.pipeline(
                text, generator=rng, callback_on_step_end=collect, output_type="latent", **options
            )
        return DecodedLatents(self.pipeline, latents, self.folder)

    def _check(self, texts: Sequence[str], guidance: float, steps: int) -> None:
        # Below 1, diffusers would silently use a guidance of 1.
        for name, value in (("guidance", guidance), ("steps", steps)):
            if value < 1:
                raise SettingError(f"1 or more are expected, got {value:g}", where=name)
        if not all(text.strip() for text in texts):
            raise SettingError("a text is expected, got none", where="prompt")
        with hf_folder.quiet(), hf_folder.library_errors(self.folder):
            lengths = [len(self.pipeline.tokenizer(text)["input_ids"]) for text in texts]
        for text, length in zip(texts, lengths, strict=True):
            if length > self.max_tokens:
                raise SettingError(
                    f"a text of at most {self.max_tokens} tokens is expected, start and end "
                    f"included, got {length:,}: {text[:40]!r}",
                    where="prompt",
                    remedy="Shorten it.",
                )


class DecodedLatents(Sequence[Image]):
    """The image after each step, decoded on access: decoding takes as long as a step.

    Args:
        pipeline: diffusers' pipeline.
        latents: Latents after each step.
        folder: The folder of the model, for errors.
    """

    def __init__(self, pipeline: Any, latents: Sequence[Tensor], folder: Path):
        self.pipeline, self.latents, self.folder = pipeline, latents, folder

    def __len__(self) -> int:
        return len(self.latents)

    @torch.no_grad()
    def __getitem__(self, index: Any) -> Any:
        """(H, W, 3) uint8, decoded as in diffusers' pipeline."""
        vae = self.pipeline.vae
        latents = self.latents[index]
        with hf_folder.library_errors(self.folder):
            decoded = vae.decode(latents / vae.config.scaling_factor, return_dict=False)[0]
            image = self.pipeline.image_processor.postprocess(decoded, output_type="np")[0]
            if not np.isfinite(image).all():
                raise ValueError("its pixels are not finite")
        return np.rint(image * 255).astype(np.uint8)


def generator(seed: int, name: str) -> torch.Generator:
    """Return the random generator of one image."""
    digest = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big") >> 1)


def _check_components(folder: Path) -> str:
    """Return the scheduler's class name, or raise SettingError for another kind of pipeline."""
    index = hf_config.read_json(folder, "model_index.json")
    schedulers = hf_folder.import_library(
        "diffusers.schedulers", "diffusion:DIR"
    ).KarrasDiffusionSchedulers
    (pipeline,) = model_ref.FAMILIES["diffusion"].types
    if index.get("_class_name") != pipeline:
        raise SettingError(
            f"a {pipeline} is expected, its model_index.json says {index.get('_class_name')!r}",
            where=folder,
        )
    for component, kind in COMPONENTS.items():
        entry = index.get(component)
        name = entry[1] if isinstance(entry, list) and len(entry) == 2 else None
        allowed = {kind, f"{kind}Fast"} if kind else {one.name for one in schedulers}
        if name not in allowed:
            raise SettingError(
                f"a {kind or 'scheduler of diffusers'} is expected as its {component}, "
                f"its model_index.json says {name!r}",
                where=folder,
            )
    return str(index["scheduler"][1])


def _load(folder: Path, scheduler: str) -> tuple[Any, int]:
    """Load the pipeline; return it and the largest number of tokens in a text."""
    diffusers = hf_folder.import_library("diffusers", "diffusion:DIR")
    transformers = hf_folder.import_library("transformers", "diffusion:DIR")
    config = hf_config.read_description(folder / "text_encoder")
    # The library reads these again.
    hf_config.read_description(folder / "scheduler", "scheduler_config.json")
    hf_config.read_description(folder / "vae")
    unet_config = hf_config.read_description(folder / "unet")
    for name, most in _MOST.items():
        hf_config.check_numbers([unet_config.get(name)], folder / "unet" / "config.json", most)
    stems = {
        "unet": "diffusion_pytorch_model",
        "vae": "diffusion_pytorch_model",
        "text_encoder": "model",
    }
    files = [
        path
        for component, stem in stems.items()
        for path in hf_folder.weight_files(folder / component, stem)
    ]
    hf_folder.refuse_if_too_large(files, folder)
    text_encoder = hf_folder.load_net(transformers.CLIPTextModel, folder / "text_encoder", config)
    tokenizer = hf_folder.load_tokenizer(
        transformers.CLIPTokenizer, folder / "tokenizer", text_encoder.config.vocab_size
    )
    local = {"local_files_only": True}
    safe = {**local, "use_safetensors": True, "low_cpu_mem_usage": False}
    tensors = hf_folder.read_headers(files)
    try:
        with hf_folder.quiet(), weight_file.no_larger_than(tensors):
            vae = diffusers.AutoencoderKL.from_pretrained(folder / "vae", **safe)
            unet = diffusers.UNet2DConditionModel.from_pretrained(folder / "unet", **safe)
            pipeline = diffusers.StableDiffusionPipeline(
                vae=vae.float(),
                text_encoder=text_encoder,
                tokenizer=tokenizer,
                unet=unet.float(),
                scheduler=getattr(diffusers, scheduler).from_pretrained(
                    folder / "scheduler", **local
                ),
                safety_checker=None,
                feature_extractor=None,
                requires_safety_checker=False,
            )
    except Exception as error:  # the library has many errors for a mismatch
        raise SettingError(
            f"no pipeline can be loaded from this folder ({reason(error)})",
            where=folder,
            remedy="Download the folder again, complete.",
        ) from None
    pipeline.set_progress_bar_config(disable=True)
    with hf_folder.library_errors(folder):
        # diffusers pads to the tokenizer's length.
        max_tokens: int = min(
            tokenizer.model_max_length, text_encoder.config.max_position_embeddings
        )
        tokenizer.model_max_length = max_tokens
    return pipeline, max_tokens
