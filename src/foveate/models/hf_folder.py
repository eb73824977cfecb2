"""Folders that transformers and diffusers save: checked before loading, and read as data only.

Only tensors of safetensors files are read, and handed to the library as a state dict. None of the
library's other ways to find weights is used: pickled files, adapters, names in config.json, or the
network.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from foveate.errors import RunError, SettingError
from foveate.models import hf_config, weight_file
from foveate.models.pretrained import reason

MEMORY_FACTOR = 1.2
"""Memory for loading, relative to the file plus its values in float32: buffers and activations."""
_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".msgpack")


def import_library(name: str, user: str) -> Any:
    """Import transformers, diffusers or a part of them.

    Args:
        name: Name of the module.
        user: What needs it, for the message.

    Raises:
        SettingError: It is not installed; the message names the extra.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise SettingError(
            f"{user} needs {name}, which is not installed",
            where="model",
            remedy="pip install 'foveate[foundation]'",
        ) from None


def weight_files(folder: Path, stem: str = "model") -> list[Path]:
    """Return the safetensors files of a net: one, or those in its index.

    Raises:
        SettingError: There are none. Pickled weights are named in the message, but never opened.
    """
    hf_config.refuse_if_missing(folder)
    index = folder / f"{stem}.safetensors.index.json"
    paths = _indexed_files(folder, index) if index.is_file() else [folder / f"{stem}.safetensors"]
    missing = next((path.name for path in paths if not path.is_file()), None)
    if missing is None:
        return paths
    pickled = sorted(path.name for path in folder.iterdir() if path.suffix in _PICKLED)
    if pickled:
        raise SettingError(
            f"its weights are in {pickled[0]}, a file type that can hold code and is never read; "
            f"{missing} is expected",
            where=folder,
            remedy="Ask the publisher for safetensors, or convert the weights on an isolated "
            "machine: load them with transformers and save_pretrained into a new folder.",
        )
    raise SettingError(f"this folder holds no weights: {missing} is missing", where=folder)


def _indexed_files(folder: Path, index: Path) -> list[Path]:
    """The files that an index names, all of them inside the folder."""
    try:
        names = sorted(set(hf_config.read_json(folder, index.name)["weight_map"].values()))
        valid = bool(names) and all(
            Path(name).name == name and name.endswith(".safetensors") for name in names
        )
    except (KeyError, TypeError, AttributeError):
        names, valid = [], False
    if not valid:
        raise SettingError("this index names no safetensors files of its own folder", where=index)
    return [folder / name for name in names]


def refuse_if_too_large(files: Sequence[Path], where: Path) -> None:
    """Check that the weights fit into memory, before any is loaded.

    Args:
        files: Safetensors files.
        where: Origin of the weights, for the message.

    Raises:
        SettingError: More memory is needed than available, or a file is damaged.
    """
    values = sum(math.prod(one.shape) for one in read_headers(files).values())
    needed = MEMORY_FACTOR * (4 * values + sum(path.stat().st_size for path in files))
    available = available_memory()
    if available is not None and needed > available:
        raise SettingError(
            f"about {needed / 1e9:.1f} GB of memory are needed to load {values:,} weights, "
            f"{available / 1e9:.1f} GB are available",
            where=where,
            remedy="Close other programs, or use a smaller model or a machine with more memory.",
        )


def read_headers(files: Sequence[Path]) -> dict[str, weight_file.TensorInfo]:
    """The tensors of safetensors files, as their headers describe them.

    Raises:
        SettingError: A file is damaged.
    """
    tensors: dict[str, weight_file.TensorInfo] = {}
    for path in files:
        try:
            tensors |= weight_file.read_header(path).tensors
        except (RunError, FileNotFoundError) as error:
            message = error.message if isinstance(error, RunError) else "this file is missing"
            raise SettingError(message, where=path, remedy=hf_config.DOWNLOAD) from None
    return tensors


def available_memory(
    meminfo: Path = Path("/proc/meminfo"), group: Path = Path("/sys/fs/cgroup")
) -> int | None:
    """Return the bytes that a process can allocate without swapping, or None if unknown.

    Args:
        meminfo: Linux's table of memory.
        group: Folder of the control group (cgroup v2) that limits a container.
    """
    limits = []
    with contextlib.suppress(OSError, ValueError, KeyError):
        limits.append(1024 * _read_table(meminfo)["MemAvailable:"])
    with contextlib.suppress(OSError, ValueError, KeyError):  # the file says "max" for no limit
        limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
        limits.append(limit - used + _read_table(group / "memory.stat")["inactive_file"])
    return min(limits, default=None)


def _read_table(path: Path) -> dict[str, int]:
    """Lines of a name and a number."""
    lines = [line.split() for line in path.read_text(encoding="ascii").splitlines()]
    return {line[0]: int(line[1]) for line in lines if len(line) > 1}


def load_net(kind: Any, folder: Path, config: dict[str, Any], **options: Any) -> Any:
    """Load a net of transformers with the folder's weights in float32, frozen.

    Args:
        kind: Class of the net.
        folder: Folder of the weights.
        config: Content of its config.json.
        options: Further arguments of the class.

    Raises:
        SettingError: The weights are not those of the whole net.
    """
    files = weight_files(folder)
    refuse_if_too_large(files, folder)
    try:
        with quiet(), weight_file.no_larger_than(read_headers(files)):
            settings = kind.config_class.from_dict(hf_config.net_config(config))
            net, loaded = kind.from_pretrained(
                None,
                config=settings,
                state_dict=read_tensors(files),
                dtype=torch.float32,
                attn_implementation="sdpa",
                output_loading_info=True,
                **options,
            )
    except Exception as error:  # the library has many errors for a mismatch
        raise SettingError(
            f"no {kind.__name__} can be loaded from this folder ({reason(error)})", where=folder
        ) from None
    wrong = [*loaded["missing_keys"], *(key for key, *_ in loaded["mismatched_keys"])]
    if wrong:
        raise SettingError(
            f"its weights are not those of the {kind.__name__} that its config.json describes: "
            f"{len(wrong)} tensors are missing or of another shape, e.g. {min(wrong)}",
            where=folder,
            remedy="Download the folder again, complete.",
        )
    return net.eval().requires_grad_(False)


def load_component(kind: Any, folder: Path) -> Any:
    """Load a tokenizer or an image processor from the folder's files.

    Raises:
        SettingError: The files are missing or damaged.
    """
    hf_config.check_components(folder)
    try:
        with quiet():
            return kind.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # the library has many errors for a mismatch
        raise SettingError(
            f"no {kind.__name__} can be loaded from this folder ({reason(error)})",
            where=folder,
            remedy="Download the folder again, complete: with its tokenizer and preprocessor "
            "files.",
        ) from None


def load_image_processor(kind: Any, folder: Path, side: int) -> Any:
    """Load an image processor, and try it on an image.

    Args:
        kind: Its class.
        folder: The folder.
        side: Side in pixels of the images that the net takes.

    Raises:
        SettingError: Its files are missing or damaged, or it makes images of another size.
    """
    processor = load_component(kind, folder)
    image = np.full((60, 80, 3), 128, np.uint8)
    with library_errors(folder):
        made = processor(images=[image], input_data_format="channels_last", return_tensors="pt")
        pixels = made["pixel_values"]
        finite = bool(pixels.isfinite().all())
    if not finite or tuple(pixels.shape) != (1, 3, side, side):
        raise SettingError(
            f"its net takes images of {side} px, its preprocessor makes "
            + (f"images of {pixels.shape[-1]} px" if finite else "pixels that are no numbers"),
            where=folder,
            remedy=hf_config.DOWNLOAD,
        )
    return processor


@contextlib.contextmanager
def library_errors(where: Path | str) -> Iterator[None]:
    """Turn an error of the library, which has many for a wrong description, into ours.

    Raises:
        SettingError: The block failed.
    """
    try:
        yield
    except Exception as error:
        raise SettingError(
            f"its files do not describe a model that works ({reason(error)})",
            where=where,
            remedy=hf_config.DOWNLOAD,
        ) from None


def load_tokenizer(kind: Any, folder: Path, vocabulary: int) -> Any:
    """Load a tokenizer for a net with a vocabulary of this size.

    Raises:
        SettingError: Its files are missing (the library would use an empty vocabulary), or it has
            more tokens than the net.
    """
    hf_config.refuse_if_missing(folder)
    if not (folder / "tokenizer.json").is_file() and not all(
        (folder / name).is_file() for name in ("vocab.json", "merges.txt")
    ):
        raise SettingError(
            "this folder has no tokenizer: neither tokenizer.json, nor vocab.json and merges.txt",
            where=folder,
            remedy="Download the folder again, complete.",
        )
    tokenizer = load_component(kind, folder)
    if len(tokenizer) > vocabulary:
        raise SettingError(
            f"a tokenizer of at most {vocabulary:,} tokens is expected, as its net has, "
            f"got {len(tokenizer):,}",
            where=folder,
            remedy="Download the folder again, complete.",
        )
    return tokenizer


def read_tensors(files: Sequence[Path]) -> dict[str, Tensor]:
    """Read all tensors of safetensors files."""
    from safetensors.torch import load_file

    state: dict[str, Tensor] = {}
    for path in files:
        state |= load_file(path)
    return state


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence the progress bars and logs of transformers and diffusers; their errors are ours."""
    transformers_logging: Any = importlib.import_module("transformers.utils.logging")
    level = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    diffusers_logger = logging.getLogger("diffusers")
    diffusers_level = diffusers_logger.level
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    diffusers_logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        diffusers_logger.setLevel(diffusers_level)
        if bars:
            transformers_logging.enable_progress_bar()
