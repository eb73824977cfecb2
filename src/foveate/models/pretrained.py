"""Published weights: read from a file without running what is in it, and compared with the net that is to take them."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from foveate.errors import SettingError


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file, or of a .pth or .pt file that holds no code.

    Raises SettingError for a missing, empty, damaged or unsafe file.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(path)
        else:
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
    except Exception as error:  # what a damaged file raises differs from library to library
        raise SettingError(
            f"these weights cannot be read safely ({reason(error)})",
            where=path,
            remedy="Give a .safetensors file, or a .pth file of tensors alone.",
        ) from None
    return state


def download(name: str) -> dict[str, Tensor]:
    """The best published weights of torchvision's net of that name, from torch's own cache or else the network.

    Raises SettingError if they cannot be had.
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
    except (
        Exception
    ) as error:  # network, disk, a wrong hash, a damaged cache: each library has its own words
        raise SettingError(
            f"the published weights of {name} could not be had ({reason(error)})",
            where=cached if cached.exists() else published.url,
            remedy="Remove this damaged file, and try again."
            if cached.exists()
            else "Fetch this file elsewhere and give it with --weights FILE, or train without.",
        ) from None


def fitted(
    state: dict[str, Tensor], net: nn.Module, name: str, where: Path | str
) -> dict[str, Tensor]:
    """A state dict that net takes whole. Raises SettingError that says what does not match."""
    wanted = net.state_dict()
    # Files from before 2018 do not count the batches that batch normalisation has seen. The count is of use in training
    # with a momentum of None alone, which no published net has.
    counters = {key: torch.tensor(0) for key in wanted if key.endswith("num_batches_tracked")}
    state = {**counters, **state}
    missing, strange = wanted.keys() - state.keys(), state.keys() - wanted.keys()
    wrong = [key for key in wanted.keys() & state.keys() if wanted[key].shape != state[key].shape]
    if missing or strange or wrong:
        example = sorted(missing or strange or wrong)[0]
        raise SettingError(
            f"these are not the published weights of {name}: {len(missing)} tensors are missing, {len(strange)} are "
            f"unknown, {len(wrong)} have another shape, e.g. {example}",
            where=where,
            remedy=f"Give the file of {name} as it was published, with its last layer.",
        )
    return state


def reason(error: Exception) -> str:
    """The first line of what a library says, short enough for a message."""
    said = str(error).strip()
    return said.splitlines()[0][:200] if said else type(error).__name__
