"""The JSON files in a folder of transformers or diffusers: read and checked before the library.

The library believes what they say. A few digits could let it build ten million layers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from foveate import record_io
from foveate.errors import RunError, SettingError

MAX_JSON_BYTES = 64_000_000
"""Largest JSON or text file of a folder: that of a tokenizer."""
MAX_NUMBER = 1_000_000
"""Largest number in the description of a net: a vocabulary may have some hundred thousand words."""
MAX_SIDE = 4096
"""Largest number in the description of a preprocessor: images for published nets have 1024 pixels a
side or fewer."""
DOWNLOAD = "Download the folder again, complete."
_LOADING_KEYS = {
    "_attn_implementation", "_name_or_path", "architectures", "attn_implementation",
    "auto_map", "dtype", "fusion_config", "id2label",
    "kernel_config", "label2id", "quantization_config",
    "torch_dtype", "transformers_version", "transformers_weights",
}  # fmt: skip
"""Keys of a config.json that control loading instead of the net, and the names of its classes."""


def read_json(folder: Path, name: str = "config.json") -> dict[str, Any]:
    """Read a JSON object from a folder.

    Raises:
        SettingError: There is no such folder or file, or it holds no JSON object.
    """
    refuse_if_missing(folder)
    path = folder / name
    try:
        content = record_io.read_json(path, MAX_JSON_BYTES)
    except FileNotFoundError:
        raise SettingError(
            f"this folder holds no such model: it has no {name}",
            where=folder,
            remedy="Name a folder as save_pretrained of transformers or diffusers writes it.",
        ) from None
    except RunError as error:
        raise SettingError(error.message, where=path, remedy=DOWNLOAD) from None
    if not isinstance(content, dict):
        raise SettingError(
            "this file is damaged (an object is expected)", where=path, remedy=DOWNLOAD
        )
    return content


def read_description(folder: Path, name: str = "config.json") -> dict[str, Any]:
    """Read a JSON object that describes a net or its preprocessing; see `read_json`.

    Raises:
        SettingError: See `read_json`; or a number in it is not one of any published model.
    """
    config = read_json(folder, name)
    most = MAX_SIDE if name.endswith("processor_config.json") else MAX_NUMBER
    check_numbers(config, folder / name, most)
    return config


def check_numbers(config: Any, where: Path | str, most: int = MAX_NUMBER) -> None:
    """Check that no number is so large that the library would fill the memory with it.

    Raises:
        SettingError: One is above `most`.
    """
    values = [config]
    for value in values:  # it grows
        if isinstance(value, dict | list):
            values += value.values() if isinstance(value, dict) else value
        elif isinstance(value, int | float) and not abs(value) <= most:
            raise SettingError(
                f"this description is damaged: numbers up to {most:,} are expected",
                where=where,
                remedy=DOWNLOAD,
            )


def refuse_if_missing(folder: Path) -> None:
    """Raise SettingError if there is no such folder."""
    if not folder.is_dir():
        raise SettingError(
            "there is no such folder", where=folder, remedy="Name a folder of a published model."
        )


def net_config(config: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a config.json that describes the net."""
    return {key: value for key, value in config.items() if key not in _LOADING_KEYS}


def check_components(folder: Path) -> None:
    """Check the files from which the library makes a tokenizer or an image processor.

    Raises:
        SettingError: One is no file, too large or damaged.
    """
    for path in folder.iterdir():  # the library opens what it finds, pipes as well
        if path.suffix in (".json", ".txt") and not path.is_dir():
            _check_component(path)


def _check_component(path: Path) -> None:
    try:
        record_io.check_file(path, MAX_JSON_BYTES)
        if path.name.endswith("processor_config.json"):
            read_description(path.parent, path.name)
    except RunError as error:
        raise SettingError(error.message, where=path, remedy=DOWNLOAD) from None
    except FileNotFoundError:  # a link to nowhere: the library tells whether it needs it
        pass
