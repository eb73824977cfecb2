"""References to foundation models, like "clip:DIR": the family and the folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foveate.errors import SettingError
from foveate.models import hf_config, hf_folder
from foveate.models.pretrained import reason

_NET_FILES = (
    "config.json",
    "*processor_config.json",
    "model.safetensors",
    "model-*.safetensors",
    "model.safetensors.index.json",
)
_TOKENIZER_FILES = ("tokenizer*.json", "vocab.json", "merges.txt", "special_tokens_map.json")


@dataclass(frozen=True)
class Family:
    """A family of models.

    Attributes:
        types: Accepted values of `model_type` in config.json.
        files: Patterns of the files that are downloaded; no others are.
        command: The command that uses the family.
    """

    types: tuple[str, ...]
    files: tuple[str, ...]
    command: str = "predict"


FAMILIES = {
    "clip": Family(("clip",), (*_NET_FILES, *_TOKENIZER_FILES)),
    "sam": Family(("sam",), _NET_FILES),
    # SAM 2 is published as a video model, which contains the net for images.
    "sam2": Family(("sam2", "sam2_video"), _NET_FILES),
    "diffusion": Family(
        ("StableDiffusionPipeline",),
        (
            "model_index.json",
            "scheduler/*.json",
            *(f"tokenizer/{name}" for name in _TOKENIZER_FILES),
            *(f"text_encoder/{name}" for name in _NET_FILES),
            *(
                f"{component}/{name}"
                for component in ("unet", "vae")
                for name in ("config.json", "diffusion_pytorch_model.safetensors")
            ),
        ),
        command="generate",
    ),
}


@dataclass(frozen=True)
class ModelRef:
    """A reference to a foundation model.

    Attributes:
        family: One of FAMILIES.
        location: A folder, or OWNER/NAME on the Hugging Face hub.
    """

    family: str
    location: str


def parse(text: str) -> ModelRef | None:
    """Parse "FAMILY:LOCATION"; return None for a run's folder.

    Raises:
        SettingError: There is no such family, or no location.
    """
    family, colon, location = text.partition(":")
    if not colon or Path(text).exists() or not re.fullmatch(r"[a-z][a-z0-9]+", family):
        return None
    if family not in FAMILIES:
        raise SettingError(
            f"no family of foundation models is called {family!r}; "
            f"there are: {', '.join(FAMILIES)}",
            where=text,
        )
    if not location:
        raise SettingError(f"a folder is expected after {family}:", where=text)
    return ModelRef(family, location)


def find_folder(ref: ModelRef, *, download: bool) -> Path:
    """Return the model's folder on this machine.

    A location that is no folder is a name on the hub. It is looked up among earlier downloads, and
    downloaded only if asked for.

    Args:
        ref: The reference.
        download: Whether to download the family's files.

    Raises:
        SettingError: There is no such folder, or the download failed.
    """
    path = Path(ref.location).expanduser()
    if path.exists():
        return path
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", ref.location) or ref.location.startswith("."):
        raise SettingError(
            "there is no such folder", where=path, remedy=f"Name a folder: {ref.family}:DIR."
        )
    family = FAMILIES[ref.family]
    name = f"{ref.family}:{ref.location}"
    hub: Any = hf_folder.import_library("huggingface_hub", name)
    try:
        return Path(
            hub.snapshot_download(
                ref.location, allow_patterns=list(family.files), local_files_only=not download
            )
        )
    except Exception as error:  # the hub's client has its own errors for network, disk and names
        if download:
            raise SettingError(
                f"this model could not be downloaded ({reason(error)})",
                where=ref.location,
                remedy=f"Download it elsewhere, and name its folder: {ref.family}:DIR.",
            ) from None
    raise SettingError(
        "there is no such folder, and no such model was downloaded before",
        where=ref.location,
        remedy="Name a folder, or download it from the hub: "
        f"foveate {family.command} {name} ... --download.",
    )


def read_config(folder: Path, family: str) -> dict[str, Any]:
    """Read the model's config.json.

    Raises:
        SettingError: It describes another family of models.
    """
    config = hf_config.read_description(folder)
    model_type, expected = config.get("model_type"), FAMILIES[family].types
    if model_type not in expected:
        other = next((name for name, one in FAMILIES.items() if model_type in one.types), None)
        raise SettingError(
            f"a model of type {expected[0]} is expected, its config.json says {model_type!r}",
            where=folder,
            remedy=f"Use {other}:{folder}." if other else None,
        )
    return config
