"""Published weights: read as data, never as code, and checked against the net."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import torch
from torch import Tensor, nn

from foveate import record_io
from foveate.errors import RunError, SettingError
from foveate.models import weight_file


def read(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a .safetensors file, or of a .pth or .pt file without code.

    Raises:
        SettingError: The file is missing, empty, damaged or unsafe.
    """
    try:
        record_io.check_file(path)
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            weight_file.read_header(path)
            state = load_file(path)
        else:
            _refuse_compressed(path)
            state = torch.load(path, map_location="cpu", weights_only=True)  # refuses pickled code
        if not isinstance(state, dict) or not all(
            isinstance(value, Tensor) for value in state.values()
        ):
            raise ValueError("it holds no state dict")
        if not state:
            raise ValueError("it holds no tensors")
    except FileNotFoundError:
        raise SettingError(
            "there is no such file of weights",
            where=path,
            remedy="Give a local file, or --pretrained.",
        ) from None
    except Exception as error:  # each library raises its own errors for a damaged file
        message = error.message if isinstance(error, RunError) else reason(error)
        raise SettingError(
            f"these weights cannot be read safely ({message})",
            where=path,
            remedy="Give a .safetensors file, or a .pth file of tensors only.",
        ) from None
    return state


def _refuse_compressed(path: Path) -> None:
    """Torch compresses nothing; a few compressed bytes could stand for all of the memory."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if sum(one.file_size for one in archive.infolist()) > path.stat().st_size:
                raise ValueError("it is compressed")


def download(name: str) -> dict[str, Tensor]:
    """Return torchvision's best published weights, from torch's cache or the network.

    Args:
        name: torchvision's name of the net.

    Raises:
        SettingError: The download failed, or the file is damaged.
    """
    import torchvision.models

    published = torchvision.models.get_model_weights(name).DEFAULT
    cached = Path(torch.hub.get_dir()) / "checkpoints" / Path(published.url).name
    try:
        return dict(
            published.get_state_dict(
                progress=sys.stderr.isatty(), check_hash=True, map_location="cpu", weights_only=True
            )
        )
    except Exception as error:  # network, disk, hash and cache each have their own errors
        raise SettingError(
            f"the published weights of {name} could not be downloaded ({reason(error)})",
            where=cached if cached.exists() else published.url,
            remedy="Remove this damaged file, and try again."
            if cached.exists()
            else "Download this file elsewhere and give it with --weights FILE, "
            "or train without it.",
        ) from None


def match_state_dict(
    state: dict[str, Tensor], net: nn.Module, name: str, where: Path | str
) -> dict[str, Tensor]:
    """Return a state dict that the net can load strictly.

    Args:
        state: Tensors of the file.
        net: The net that is to load them.
        name: Name of the net, for the message.
        where: Origin of the weights, for the message.

    Raises:
        SettingError: Tensors are missing, unknown or have another shape.
    """
    expected = net.state_dict()
    # Files from before 2018 lack batch normalisation's batch counters. They only matter when
    # training with a momentum of None, which no published net has.
    counters = {key: torch.tensor(0) for key in expected if key.endswith("num_batches_tracked")}
    state = {**counters, **state}
    missing, unknown = expected.keys() - state.keys(), state.keys() - expected.keys()
    wrong = [
        key for key in expected.keys() & state.keys() if expected[key].shape != state[key].shape
    ]
    if missing or unknown or wrong:
        example = sorted(missing or unknown or wrong)[0]
        raise SettingError(
            f"these are not the published weights of {name}: {len(missing)} tensors are missing, "
            f"{len(unknown)} are unknown, {len(wrong)} have another shape, e.g. {example}",
            where=where,
            remedy=f"Give the file of {name} as it was published, with its last layer.",
        )
    return state


def adapt_to_channels(layer: nn.Conv2d, channels: int) -> None:
    """Adapt the trained filters of a first convolution to images of other channels, as timm does.

    For grey images they are summed over colour: the output equals that for an image with three
    equal channels. For other counts they are repeated and scaled, which keeps the output's size.

    Args:
        layer: A convolution of three channels, which is changed.
        channels: Channels of the images.
    """
    weight = layer.weight.detach()
    if channels == layer.in_channels:
        return
    if channels == 1:
        adapted = weight.sum(1, keepdim=True)
    else:
        repeated = weight.repeat(1, -(-channels // layer.in_channels), 1, 1)[:, :channels]
        adapted = repeated * (layer.in_channels / channels)
    layer.weight, layer.in_channels = nn.Parameter(adapted), channels


def reason(error: Exception) -> str:
    """Return the first line of an error message, at most 200 characters."""
    message = str(error).strip()
    return message.splitlines()[0][:200] if message else type(error).__name__
