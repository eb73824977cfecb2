"""Published sets that are known by name: where they may lie on this machine, how torchvision fetches them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np

from foveate import formats
from foveate.annotations import Label
from foveate.data.dataset import ArraySource, Dataset, Sample, SplitName
from foveate.errors import DataError
from foveate.formats import idx

_SYSTEM = Path("/usr/share/datasets")  # where Debian puts its packages of data
_DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class Named:
    """A published set.

    classes: the names behind its numbers
    symmetric: as in Dataset
    folders: what its folder may be called, torchvision's layout among them
    packed: files that hold it in a form that is not read here, and what to do about each
    fetch: brings it below a folder and returns its own folder there
    """

    name: str
    summary: str
    classes: tuple[str, ...]
    hflip_safe: bool
    folders: tuple[str, ...]
    packed: dict[str, str]
    fetch: Callable[[Path], Path]


def places(root: Path | None = None) -> list[Path]:
    """The folders that are searched, in order: root, FOVEATE_DATA, the user's data folder, the system's."""
    asked = [root] if root is not None else []
    told = [Path(os.environ["FOVEATE_DATA"])] if os.environ.get("FOVEATE_DATA") else []
    return [formats.expanded(place) for place in (*asked, *told, _own_folder(), _SYSTEM)]


def find(named: Named, root: Path | None = None) -> Path | None:
    """The folder where a set lies, or None."""
    for place in places(root):
        for folder in named.folders:
            if any(format.sniff(place / folder) for format in formats.all().values()):
                return place / folder
    return None


def read(named: Named, root: Path | None = None, download: bool = False) -> Dataset[Label]:
    """A set from where it lies, with its folder as its origin.

    If it lies nowhere and `download` says so, torchvision fetches it into the first of root, FOVEATE_DATA and
    the user's data folder; else DataError names all the ways.
    """
    folder = find(named, root)
    if folder is None:
        target = places(root)[0]
        if not download:
            raise _nowhere(named, root, target)
        folder = _fetched(named, target)
    return dress(formats.read(folder))


def dress(dataset: Dataset[Any]) -> Dataset[Any]:
    """What is known of a published set, added to data from a folder of its name; other data as it is.

    So the folder alone is enough to read the very same set again.
    """
    named = next((one for one in NAMED.values() if _is_called(dataset.origin, one)), None)
    if named is None or len(dataset.classes) != len(named.classes):
        return dataset
    numbered = dataset.classes == _DIGITS
    classes = named.classes if numbered else dataset.classes
    return replace(dataset, name=named.name, classes=classes, hflip_safe=named.hflip_safe)


def _is_called(origin: Path | str | None, named: Named) -> bool:
    if not isinstance(origin, Path):
        return False
    return any(
        origin.parts[-len(Path(folder).parts) :] == Path(folder).parts for folder in named.folders
    )


def _own_folder() -> Path:
    """Freedesktop.org, XDG Base Directory Specification."""
    return Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser() / "foveate"


def _nowhere(named: Named, root: Path | None, target: Path) -> DataError:
    searched = places(root)
    hints = [
        f"{place / file} is there: {what}"
        for place in searched
        for file, what in named.packed.items()
        if (place / file).exists()
    ]
    hints.append(f"give --download to have torchvision fetch it into {target}")
    hints.append(f"or put it into a folder {named.name}/ in one of those places")
    hints.append("or name another place with --root or FOVEATE_DATA")
    return DataError(
        f"the set {named.name!r} is in none of {', '.join(map(str, searched))}",
        where=named.name,
        remedy="; ".join(hints)[0].upper() + "; ".join(hints)[1:] + ".",
    )


def _fetched(named: Named, target: Path) -> Path:
    try:
        target.mkdir(parents=True, exist_ok=True)
        return named.fetch(target)
    except (OSError, RuntimeError, HTTPException) as error:  # no network, or a wrong checksum
        raise DataError(
            f"the set {named.name!r} could not be fetched ({error})",
            where=target,
            remedy="Look to the network and try again, or put the files there yourself.",
        ) from None


def _fetch_idx(folder: str, root: Path) -> Path:
    """MNIST or Fashion-MNIST as IDX files; torchvision checks the MD5 sum of each."""
    import torchvision

    getattr(torchvision.datasets, folder)(root, download=True)
    return root / folder / "raw"


def _fetch_cifar10(root: Path) -> Path:
    """CIFAR-10 as IDX files; torchvision checks its archive and unpickles it, here and never again."""
    import torchvision

    samples: list[Sample[Label]] = []
    classes: tuple[str, ...] = ()
    parts: tuple[tuple[SplitName, bool], ...] = (("train", True), ("test", False))
    for part, train in parts:
        half = torchvision.datasets.CIFAR10(root, train=train, download=True)
        rows, classes = np.ascontiguousarray(half.data), tuple(half.classes)
        labels = [Label(index) for index in half.targets]
        samples += [
            Sample(f"{part}/{index:05d}", ArraySource(rows, index), label, None, part)
            for index, label in enumerate(labels)
        ]
    idx.write(Dataset("cifar10", "classification", classes, samples), root / "cifar10")
    return root / "cifar10"


_TO_WEAR = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker")
_CLOTHES = (*_TO_WEAR, "Bag", "Ankle boot")
_UNPACK = "unpack it there with tar xf"
_PICKLE = "it is pickle, which foveate never reads; with --download torchvision checks it and it is converted"

NAMED: dict[str, Named] = {
    named.name: named
    for named in (
        Named(
            "mnist",
            "70,000 handwritten digits, 28x28 grey, 10 classes",
            _DIGITS,
            False,
            ("mnist", "MNIST/raw", "MNIST"),
            {},
            partial(_fetch_idx, "MNIST"),
        ),
        Named(
            "fashion-mnist",
            "70,000 pieces of clothing, 28x28 grey, 10 classes",
            _CLOTHES,
            True,
            ("fashion-mnist", "fashion_mnist", "FashionMNIST/raw", "FashionMNIST"),
            {},
            partial(_fetch_idx, "FashionMNIST"),
        ),
        Named(
            "cifar10",
            "60,000 animals and vehicles, 32x32 colour, 10 classes",
            (
                "airplane",
                "automobile",
                "bird",
                "cat",
                "deer",
                "dog",
                "frog",
                "horse",
                "ship",
                "truck",
            ),
            True,
            ("cifar10", "cifar-10", "cifar_10", "CIFAR10"),
            {
                "cifar10.tar.gz": _UNPACK,
                "cifar-10-python.tar.gz": _PICKLE,
                "cifar-10-batches-py": _PICKLE,
            },
            _fetch_cifar10,
        ),
    )
}
