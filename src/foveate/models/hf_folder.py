"""Folders as transformers and diffusers save nets: looked at before anything is loaded, and read as data alone.

Only tensors of safetensors files are read, and handed to the library as such: none of its own ways to find weights (pickled
files, adapters, names in config.json, the network) is taken.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from foveate.errors import SettingError
from foveate.models.pretrained import reason

WORKING = 1.2
"""What loading takes beside the file and its values in float32, as a share of both: buffers, and room to compute in."""
_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".msgpack")
_NOT_OF_THE_NET = {
    "_attn_implementation", "_name_or_path", "architectures", "attn_implementation",
    "auto_map", "dtype", "fusion_config", "id2label",
    "kernel_config", "label2id", "quantization_config",
    "torch_dtype", "transformers_version", "transformers_weights",
}  # fmt: skip
"""Keys of a config.json that say how to load, not what is built, and names of classes: thousands, and not needed."""


def library(name: str, what: str) -> Any:
    """Transformers or diffusers. Raises SettingError with the extra to install if it is missing."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise SettingError(
            f"{what} needs {name}, which is not installed",
            where="model",
            remedy="pip install 'foveate[foundation]'",
        ) from None


def read_json(folder: Path, name: str = "config.json") -> dict[str, Any]:
    """What a JSON file of a folder says. Raises SettingError where there is no such folder, no such file, or no such content."""
    refuse_if_missing(folder)
    path = folder / name
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(told, dict):
            raise ValueError("an object is expected")
    except FileNotFoundError:
        raise SettingError(
            f"this folder holds no such model: it has no {name}",
            where=folder,
            remedy="Name a folder as save_pretrained of transformers or diffusers writes it.",
        ) from None
    except (OSError, ValueError) as error:
        raise SettingError(f"this file cannot be read ({reason(error)})", where=path) from None
    return told


def refuse_if_missing(folder: Path) -> None:
    """Raises SettingError where there is no such folder."""
    if not folder.is_dir():
        raise SettingError(
            "there is no such folder", where=folder, remedy="Name a folder of a published model."
        )


def described(told: dict[str, Any]) -> dict[str, Any]:
    """What of a config.json describes the net."""
    return {key: value for key, value in told.items() if key not in _NOT_OF_THE_NET}


def weights(folder: Path, stem: str = "model") -> list[Path]:
    """The safetensors files of a net, one or as many as its index names. Raises SettingError where there are none; pickled weights
    are told apart, and never opened.
    """
    refuse_if_missing(folder)
    index = folder / f"{stem}.safetensors.index.json"
    if index.is_file():
        try:
            names = sorted(set(read_json(folder, index.name)["weight_map"].values()))
            inside = all(
                Path(name).name == name and name.endswith(".safetensors") for name in names
            )
        except (KeyError, TypeError, AttributeError):
            names, inside = [], False
        if not names or not inside:
            raise SettingError(
                "this index names no safetensors files of its own folder", where=index
            )
        found = [folder / name for name in names]
    else:
        found = [folder / f"{stem}.safetensors"]
    if not all(path.is_file() for path in found):
        others = sorted(path.name for path in folder.iterdir() if path.suffix in _PICKLED)
        missing = next(path.name for path in found if not path.is_file())
        if others:
            raise SettingError(
                f"its weights are in {others[0]}, a kind of file that can hold code and is never read; {missing} is expected",
                where=folder,
                remedy="Ask the publisher for safetensors, or convert them in a place where nothing can be lost: load with "
                "transformers and save_pretrained into a new folder.",
            )
        raise SettingError(f"this folder holds no weights: {missing} is missing", where=folder)
    return found


def refuse_if_too_large(files: Sequence[Path], where: Path) -> None:
    """Raises SettingError for weights that need more memory than is available, before any is taken. Raises it for damaged ones."""
    from safetensors import safe_open

    values = 0
    for path in files:
        try:
            with safe_open(path, framework="pt") as opened:
                for key in opened.keys():  # noqa: SIM118 - no dict
                    count = 1
                    for side in opened.get_slice(key).get_shape():
                        count *= side
                    values += count
        except Exception as error:  # safetensors has its own errors
            raise SettingError(
                f"these weights are damaged ({reason(error)})",
                where=path,
                remedy="Fetch the file again.",
            ) from None
    needed = WORKING * (4 * values + sum(path.stat().st_size for path in files))
    there = available()
    if there is not None and needed > there:
        raise SettingError(
            f"about {needed / 1e9:.1f} GB of memory are needed to load {values:,} weights, {there / 1e9:.1f} GB are available",
            where=where,
            remedy="Close other programs, take a smaller model, or a machine with more memory.",
        )


def available(
    meminfo: Path = Path("/proc/meminfo"), group: Path = Path("/sys/fs/cgroup")
) -> int | None:
    """Bytes of memory that a process can have without others being pushed out, or None where the system does not say.

    group: of the control group that a container is limited by (cgroup v2), where there is one
    """
    found = []
    with contextlib.suppress(OSError, ValueError, KeyError):
        found.append(1024 * _table(meminfo)["MemAvailable:"])
    with contextlib.suppress(OSError, ValueError, KeyError):  # without a limit its file says "max"
        most, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
        found.append(most - used + _table(group / "memory.stat")["inactive_file"])
    return min(found, default=None)


def _table(path: Path) -> dict[str, int]:
    """A name and a number a line."""
    lines = [line.split() for line in path.read_text(encoding="ascii").splitlines()]
    return {line[0]: int(line[1]) for line in lines if len(line) > 1}


def net(kind: Any, folder: Path, told: dict[str, Any], **given: Any) -> Any:
    """Transformers' net of that class, with the folder's weights in float32, ready to answer.

    told: its config.json; given: to the class. Raises SettingError if these weights do not make the whole net.
    """
    files = weights(folder)
    refuse_if_too_large(files, folder)
    try:
        with quiet():
            config = kind.config_class.from_dict(described(told))
            built, loaded = kind.from_pretrained(
                None,
                config=config,
                state_dict=tensors(files),
                dtype=torch.float32,
                attn_implementation="sdpa",
                output_loading_info=True,
                **given,
            )
    except Exception as error:  # the library has many ways to say that something does not fit
        raise SettingError(
            f"no {kind.__name__} can be made of this folder ({reason(error)})", where=folder
        ) from None
    wrong = [*loaded["missing_keys"], *(key for key, *_ in loaded["mismatched_keys"])]
    if wrong:
        raise SettingError(
            f"its weights are not those of the {kind.__name__} that its config.json describes: {len(wrong)} tensors are missing "
            f"or of another shape, e.g. {min(wrong)}",
            where=folder,
            remedy="Fetch the folder again, whole.",
        )
    return built.eval().requires_grad_(False)


def component(kind: Any, folder: Path) -> Any:
    """A tokenizer or image processor of that class, from the folder's own files. Raises SettingError if they are missing."""
    try:
        with quiet():
            return kind.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # as above
        raise SettingError(
            f"no {kind.__name__} can be made of this folder ({reason(error)})",
            where=folder,
            remedy="Fetch the folder again, whole: with its tokenizer and preprocessor files.",
        ) from None


def tokenizer(kind: Any, folder: Path, known: int) -> Any:
    """A tokenizer of that class for a net that knows so many tokens. Raises SettingError where its files are missing, for which the
    library would take an empty vocabulary, and for more tokens than the net has.
    """
    refuse_if_missing(folder)
    if not (folder / "tokenizer.json").is_file() and not all(
        (folder / name).is_file() for name in ("vocab.json", "merges.txt")
    ):
        raise SettingError(
            "this folder has no tokenizer.json, nor vocab.json and merges.txt, to read words with",
            where=folder,
            remedy="Fetch the folder again, whole.",
        )
    made = component(kind, folder)
    if len(made) > known:
        raise SettingError(
            f"a tokenizer of at most {known:,} tokens is expected, as its net has, got {len(made):,}",
            where=folder,
            remedy="Fetch the folder again, whole.",
        )
    return made


def tensors(files: Sequence[Path]) -> dict[str, Tensor]:
    """All tensors of these safetensors files."""
    from safetensors.torch import load_file

    state: dict[str, Tensor] = {}
    for path in files:
        state |= load_file(path)
    return state


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without these libraries' progress bars and log lines: what matters is an error, and that is ours to tell."""
    from transformers.utils import logging as told

    level, bars = told.get_verbosity(), told.is_progress_bar_enabled()
    others = logging.getLogger("diffusers")
    theirs = others.level
    told.set_verbosity_error()
    told.disable_progress_bar()
    others.setLevel(logging.ERROR)
    try:
        yield
    finally:
        told.set_verbosity(level)
        others.setLevel(theirs)
        if bars:
            told.enable_progress_bar()
