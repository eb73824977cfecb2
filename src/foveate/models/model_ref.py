"""What "clip:DIR" means: which kind of model, and the folder it lies in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foveate.errors import SettingError
from foveate.models import hf_folder
from foveate.models.pretrained import reason

_WHOLE = (
    "config.json",
    "*processor_config.json",
    "model.safetensors",
    "model-*.safetensors",
    "model.safetensors.index.json",
)
_WORDS = ("tokenizer*.json", "vocab.json", "merges.txt", "special_tokens_map.json")


@dataclass(frozen=True)
class Family:
    """types: what config.json may say; files: what is fetched of it, and nothing else"""

    types: tuple[str, ...]
    files: tuple[str, ...]


FAMILIES = {
    "clip": Family(("clip",), (*_WHOLE, *_WORDS)),
    "sam": Family(("sam",), _WHOLE),
    "sam2": Family(("sam2", "sam2_video"), _WHOLE),  # published for videos; its net for pictures is a part of that
    "diffusion": Family(
        ("StableDiffusionPipeline",),
        (
            "model_index.json",
            "scheduler/*.json",
            *(f"tokenizer/{name}" for name in _WORDS),
            *(f"text_encoder/{name}" for name in _WHOLE),
            *(f"{part}/{name}" for part in ("unet", "vae") for name in ("config.json", "diffusion_pytorch_model.safetensors")),
        ),
    ),
}  # fmt: skip


_USER = {"diffusion": "generate"}
"""The command that takes a family, where it is not predict."""


@dataclass(frozen=True)
class Reference:
    """family: one of FAMILIES; place: a folder, or OWNER/NAME as on the hub"""

    family: str
    place: str


def parse(told: str) -> Reference | None:
    """What is meant, or None where that is a run's folder. Raises SettingError for an unknown family."""
    family, colon, place = told.partition(":")
    if not colon or Path(told).exists() or not re.fullmatch(r"[a-z][a-z0-9]+", family):
        return None
    if family not in FAMILIES:
        raise SettingError(
            f"no kind of foundation model is called {family!r}; there are: {', '.join(FAMILIES)}",
            where=told,
        )
    if not place:
        raise SettingError(f"a folder is expected after {family}:", where=told)
    return Reference(family, place)


def folder(meant: Reference, *, download: bool) -> Path:
    """Where it lies. What is no folder is a name on the hub, and looked for among what was fetched before; only with download is it
    fetched: descriptions, words and safetensors alone. Raises SettingError where it cannot be had.
    """
    path = Path(meant.place).expanduser()
    if path.exists():
        return path
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", meant.place) or meant.place.startswith("."):
        raise SettingError(
            "there is no such folder", where=path, remedy=f"Name a folder: {meant.family}:DIR."
        )
    hub: Any = hf_folder.library("huggingface_hub", f"{meant.family}:{meant.place}")
    try:
        return Path(
            hub.snapshot_download(
                meant.place,
                allow_patterns=list(FAMILIES[meant.family].files),
                local_files_only=not download,
            )
        )
    except Exception as error:  # the hub's client has its own errors for network, disk and names
        if download:
            raise SettingError(
                f"this model could not be fetched ({reason(error)})",
                where=meant.place,
                remedy=f"Fetch it elsewhere, and name its folder: {meant.family}:DIR.",
            ) from None
    raise SettingError(
        "there is no such folder, and nothing of that name was fetched before",
        where=meant.place,
        remedy=f"Name a folder, or fetch it from the hub: foveate {_USER.get(meant.family, 'predict')} {meant.family}:{meant.place} ... "
        "--download.",
    )


def described(folder: Path, family: str) -> dict[str, Any]:
    """Its config.json. Raises SettingError if that is of another kind of model."""
    told = hf_folder.read_json(folder)
    found, wanted = told.get("model_type"), FAMILIES[family].types
    if found not in wanted:
        other = next((name for name, one in FAMILIES.items() if found in one.types), None)
        raise SettingError(
            f"a model of type {wanted[0]} is expected, its config.json says {found!r}",
            where=folder,
            remedy=f"Use {other}:{folder}." if other else None,
        )
    return told
