"""Weights on disk: safetensors with a JSON header, whole or not at all, never a pickle.

`best.safetensors` is what a run is used by; `last.safetensors` holds all that is needed to go on. Each carries its
own record in its header, in the same file and so in the same atomic rename, so that weights and record can't disagree.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from foveate import atomic_io
from foveate.errors import RunError
from foveate.training.ema import ModelEMA

FORMAT = 1
"""Raised whenever an older foveate could not read what this one writes."""


def write(path: Path, tensors: dict[str, Tensor], record: dict[str, Any]) -> None:
    """Tensors and record (anything that JSON holds) in one file. Raises RunError; the previous file then survives."""
    header = {"foveate": json.dumps({"format": FORMAT, **record})}
    atomic_io.write_bytes(
        path, save({name: tensor.contiguous() for name, tensor in tensors.items()}, header)
    )


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `write` wrote. Raises RunError for a missing, damaged, foreign or newer file."""
    if not path.is_file():
        raise RunError(
            "these weights are missing", where=path, remedy="Train first, or name another RUN."
        )
    try:
        with safe_open(path, framework="pt") as file:
            record = json.loads((file.metadata() or {})["foveate"])
            version = record["format"]
            tensors = (
                {name: file.get_tensor(name) for name in file.keys()} if version <= FORMAT else {}
            )
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
    if version > FORMAT:
        raise RunError(
            f"this file has format {version}; this foveate reads up to {FORMAT}",
            where=path,
            remedy="Upgrade foveate: pip install --upgrade foveate.",
        )
    return tensors, record


def digest(path: Path) -> str:
    """sha256 of a file: the name of these very weights."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def training_state(
    net: nn.Module, optimizer: torch.optim.Optimizer, average: ModelEMA | None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """All that a training run carries from step to step: tensors, and what is no tensor."""
    names: dict[Tensor, str] = {parameter: name for name, parameter in net.named_parameters()}
    tensors = {f"net.{name}": value for name, value in net.state_dict().items()}
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            tensors[f"optimizer.{names[parameter]}.{key}"] = torch.as_tensor(value)
    if average is not None:
        tensors |= {f"average.{name}": value for name, value in average.state.items()}
    return tensors, {"average_updates": average.updates if average is not None else 0}


def restore_training_state(
    tensors: dict[str, Tensor],
    record: dict[str, Any],
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: ModelEMA | None,
) -> None:
    """Put back what `training_state` took."""

    def under(prefix: str) -> dict[str, Tensor]:
        return {
            name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)
        }

    net.load_state_dict(under("net."))
    parameters = dict(net.named_parameters())
    for name, value in under("optimizer.").items():
        parameter, _, key = name.rpartition(".")
        weight = parameters[parameter]
        if (
            value.shape == weight.shape
        ):  # in the weight's own memory format, as the unbroken run has it
            value = torch.empty_like(weight, memory_format=torch.preserve_format).copy_(value)
        optimizer.state[weight][key] = value
    if average is not None:
        for name, value in under("average.").items():
            average.state[name].copy_(value)
        average.updates = record["average_updates"]
