"""Published datasets by name: where to find them on this machine, how torchvision fetches them."""

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

_SYSTEM = Path("/usr/share/datasets")  # where Debian installs data packages
_DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class PublishedDataset:
    """A published dataset.

    Attributes:
        name: Its name.
        summary: One line about it.
        classes: The names of its class indices.
        hflip_safe: See `Dataset`.
        folders: Possible names of its folder, torchvision's layout among them.
        packed: Files that hold it in a form that is not read here, and what to do about each.
        fetch: Downloads it below a folder and returns its folder there.
    """

    name: str
    summary: str
    classes: tuple[str, ...]
    hflip_safe: bool
    folders: tuple[str, ...]
    packed: dict[str, str]
    fetch: Callable[[Path], Path]


def search_folders(root: Path | None = None) -> list[Path]:
    """Return the folders to search, in order: root, FOVEATE_DATA, the user's, the system's."""
    folders = [root] if root is not None else []
    if os.environ.get("FOVEATE_DATA"):
        folders.append(Path(os.environ["FOVEATE_DATA"]))
    return [formats.expand_user(folder) for folder in (*folders, _user_folder(), _SYSTEM)]


def find(published: PublishedDataset, root: Path | None = None) -> Path | None:
    """Return the folder of a dataset, or None if it is not on this machine."""
    for parent in search_folders(root):
        for name in published.folders:
            if any(format.sniff(parent / name) for format in formats.all().values()):
                return parent / name
    return None


def read(
    published: PublishedDataset, root: Path | None = None, download: bool = False
) -> Dataset[Label]:
    """Read a published dataset.

    Args:
        published: The dataset.
        root: The first folder to search.
        download: If it is not found, have torchvision fetch it into the first of root,
            FOVEATE_DATA and the user's data folder.

    Raises:
        DataError: If it is not found, with all ways to get it; or cannot be fetched.
    """
    folder = find(published, root)
    if folder is None:
        target = search_folders(root)[0]
        if not download:
            raise _not_found(published, root, target)
        folder = _fetch(published, target)
    return with_metadata(formats.read(folder))


def with_metadata(dataset: Dataset[Any]) -> Dataset[Any]:
    """Add class names and `hflip_safe` to data from the folder of a published dataset.

    Reading the folder therefore gives the same dataset as reading it by name. Other data is
    returned as it is.
    """
    matches = (one for one in PUBLISHED.values() if _is_folder_of(one, dataset.origin))
    published = next(matches, None)
    if published is None or len(dataset.classes) != len(published.classes):
        return dataset
    unnamed = dataset.classes == _DIGITS
    classes = published.classes if unnamed else dataset.classes
    return replace(dataset, name=published.name, classes=classes, hflip_safe=published.hflip_safe)


def _is_folder_of(published: PublishedDataset, origin: Path | str | None) -> bool:
    if not isinstance(origin, Path):
        return False
    return any(
        origin.parts[-len(Path(folder).parts) :] == Path(folder).parts
        for folder in published.folders
    )


def _user_folder() -> Path:
    """Freedesktop.org, XDG Base Directory Specification."""
    return Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser() / "foveate"


def _not_found(published: PublishedDataset, root: Path | None, target: Path) -> DataError:
    searched = search_folders(root)
    hints = [
        f"{folder / file} exists: {hint}"
        for folder in searched
        for file, hint in published.packed.items()
        if (folder / file).exists()
    ]
    hints.append(f"give --download to have torchvision fetch it into {target}")
    hints.append(f"or put it into a folder {published.name}/ in one of those places")
    hints.append("or name another place with --root or FOVEATE_DATA")
    remedy = "; ".join(hints)
    return DataError(
        f"the dataset {published.name!r} is in none of {', '.join(map(str, searched))}",
        where=published.name,
        remedy=f"{remedy[0].upper()}{remedy[1:]}.",
    )


def _fetch(published: PublishedDataset, target: Path) -> Path:
    try:
        target.mkdir(parents=True, exist_ok=True)
        return published.fetch(target)
    except (OSError, RuntimeError, HTTPException) as error:  # no network, or a wrong checksum
        raise DataError(
            f"the dataset {published.name!r} could not be fetched ({error})",
            where=target,
            remedy="Check the network and try again, or put the files there yourself.",
        ) from None


def _fetch_idx(folder: str, root: Path) -> Path:
    """MNIST or Fashion-MNIST as IDX files; torchvision checks the MD5 sum of each."""
    import torchvision

    getattr(torchvision.datasets, folder)(root, download=True)
    return root / folder / "raw"


def _fetch_cifar10(root: Path) -> Path:
    """CIFAR-10 as IDX files; only here, torchvision checks and unpickles its archive."""
    import torchvision

    samples: list[Sample[Label]] = []
    classes: tuple[str, ...] = ()
    splits: tuple[tuple[SplitName, bool], ...] = (("train", True), ("test", False))
    for split, train in splits:
        images = torchvision.datasets.CIFAR10(root, train=train, download=True)
        rows, classes = np.ascontiguousarray(images.data), tuple(images.classes)
        labels = [Label(index) for index in images.targets]
        samples += [
            Sample(f"{split}/{index:05d}", ArraySource(rows, index), label, None, split)
            for index, label in enumerate(labels)
        ]
    idx.write(Dataset("cifar10", "classification", classes, samples), root / "cifar10")
    return root / "cifar10"


_CLOTHES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
_ANIMALS_AND_VEHICLES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
_UNPACK = "unpack it there with tar xf"
_PICKLE = (
    "it is pickle, which foveate never reads; with --download torchvision checks and converts it"
)

PUBLISHED: dict[str, PublishedDataset] = {
    published.name: published
    for published in (
        PublishedDataset(
            "mnist",
            "70,000 handwritten digits, 28x28 grey, 10 classes",
            _DIGITS,
            False,
            ("mnist", "MNIST/raw", "MNIST"),
            {},
            partial(_fetch_idx, "MNIST"),
        ),
        PublishedDataset(
            "fashion-mnist",
            "70,000 pieces of clothing, 28x28 grey, 10 classes",
            _CLOTHES,
            True,
            ("fashion-mnist", "fashion_mnist", "FashionMNIST/raw", "FashionMNIST"),
            {},
            partial(_fetch_idx, "FashionMNIST"),
        ),
        PublishedDataset(
            "cifar10",
            "60,000 animals and vehicles, 32x32 colour, 10 classes",
            _ANIMALS_AND_VEHICLES,
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
