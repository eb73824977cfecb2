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

from foveate import atomic_io, record_io
from foveate.errors import RunError
from foveate.models import weight_file

FORMAT = 2
"""Raised whenever files of another foveate can no longer be read, or it could not read these."""

MAX_BYTES = 40_000_000_000
"""Largest file: `models.registry.MAX_PARAMETERS` in float32, with an optimizer's values and EMA."""


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
    try:
        header = weight_file.read_header(path, MAX_BYTES)
    except FileNotFoundError:
        raise RunError(
            "these weights are missing", where=path, remedy="Train first, or name another RUN."
        ) from None
    if "foveate" not in header.metadata:
        raise RunError(
            "this file was not written by foveate", where=path, remedy="Name a RUN folder."
        )
    try:
        # Losses and metrics in the record of a run may be infinite, or not a number.
        record = record_io.parse_json(header.metadata["foveate"], finite=False)
        if not isinstance(record, dict) or type(record.get("format")) is not int:
            raise ValueError("its record has no format")
    except ValueError as error:
        raise record_io.damaged(path, error) from None
    version = record["format"]
    if version != FORMAT:
        raise RunError(
            f"this file has format {version}; this foveate reads format {FORMAT}",
            where=path,
            remedy="Upgrade foveate: pip install --upgrade foveate."
            if version > FORMAT
            else "It is from an older foveate: train again.",
        )
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in header.tensors}, record
    except (SafetensorError, OSError) as error:
        raise record_io.damaged(path, error) from None


def digest(path: Path) -> str:
    """The sha256 of a file: the identity of its weights.

    Raises:
        FileNotFoundError: There is no such file.
        RunError: It is damaged.
    """
    weight_file.read_header(path, MAX_BYTES)  # a hole of a terabyte takes an hour
    with record_io.open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
