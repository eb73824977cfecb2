"""Weights on disk: safetensors with a JSON header, whole or not at all, never a pickle.

`best.safetensors` holds the weights that a run is used with, `last.safetensors` all that a resume
needs. The record lies in the header of the same file, so weights and record can't disagree.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from foveate import atomic_io
from foveate.errors import RunError

FORMAT = 2
"""Raised whenever files of another foveate can no longer be read, or it could not read these."""


def write(path: Path, tensors: dict[str, Tensor], record: dict[str, Any]) -> None:
    """Write tensors and a JSON record into one file.

    Raises:
        RunError: The file cannot be written; its previous version is untouched.
    """
    header = {"foveate": json.dumps({"format": FORMAT, **record})}
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    atomic_io.write_bytes(path, save(contiguous, header))


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the tensors and the record that `write` wrote.

    Raises:
        RunError: The file is missing, damaged, of another program, or of another format.
    """
    if not path.is_file():
        raise RunError(
            "these weights are missing", where=path, remedy="Train first, or name another RUN."
        )
    try:
        with safe_open(path, framework="pt") as file:
            record = json.loads((file.metadata() or {})["foveate"])
            version = int(record["format"])
            names = file.keys() if version == FORMAT else ()
            tensors = {name: file.get_tensor(name) for name in names}
    except KeyError:
        raise RunError(
            "this file was not written by foveate", where=path, remedy="Name a RUN folder."
        ) from None
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise RunError(
            f"this file is damaged ({error})",
            where=path,
            remedy="Take it from a backup, or train again: config.yaml holds every setting.",
        ) from None
    if version != FORMAT:
        raise RunError(
            f"this file has format {version}; this foveate reads format {FORMAT}",
            where=path,
            remedy="Upgrade foveate: pip install --upgrade foveate."
            if version > FORMAT
            else "It is from an older foveate: train again.",
        )
    return tensors, record


def digest(path: Path) -> str:
    """The sha256 of a file: the identity of its weights."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
