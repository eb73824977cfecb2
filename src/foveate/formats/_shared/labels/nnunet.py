"""The layout of nnU-Net: imagesTr/case_0000.png, labelsTr/case.png and dataset.json.

The number at the end of an image's name is that of the channel; several channels of a case are the
bands of one image. imagesTs and labelsTs are the test split. dataset.json names the classes:
{"labels": {"background": 0, "cell": 1}}, or the other way round as in nnU-Net 1.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from foveate.annotations import IGNORE
from foveate.data.dataset import Skipped, SplitName
from foveate.errors import DataError
from foveate.formats._shared.documents.json_file import read_json
from foveate.formats._shared.files.walk import walk_images
from foveate.formats._shared.labels.class_table import ClassTable, ValueMap, is_ignored
from foveate.formats._shared.labels.matching import LabelFile
from foveate.wording import count_noun

_DESCRIPTION = "dataset.json"
_FOLDERS: tuple[tuple[SplitName | None, str, str], ...] = (
    (None, "imagesTr", "labelsTr"),
    ("test", "imagesTs", "labelsTs"),
)
_CHANNEL = re.compile(r"(.+)_(\d{4})$")
_VOLUMES = (".nii.gz", ".nii", ".nrrd", ".mha")


def is_nnunet(root: Path) -> bool:
    """Return whether a folder is laid out as for nnU-Net."""
    return all((root / folder).is_dir() for folder in ("imagesTr", "labelsTr"))


def nnunet_files(
    root: Path, skipped: list[Skipped]
) -> tuple[list[LabelFile], list[LabelFile], dict[str, tuple[Path, ...]], list[str]]:
    """List the files of a folder for nnU-Net.

    Args:
        root: The folder.
        skipped: A list that is added to for each file that is left out.

    Returns:
        The images, those of the first channel; the label images; the further channels by the id of
        the first; and notes.

    Raises:
        DataError: If the images are volumes.
    """
    images: list[LabelFile] = []
    labels: list[LabelFile] = []
    bands: dict[str, tuple[Path, ...]] = {}
    has_test = (root / "labelsTs").is_dir()
    for split, image_folder, label_folder in _FOLDERS:
        given = ("train" if split is None else split) if has_test else None
        channels: dict[str, list[tuple[str, Path]]] = defaultdict(list)
        for id, file in _walk(root, root / image_folder, skipped):
            match = _CHANNEL.fullmatch(file.stem)
            channels[match[1] if match else file.stem].append((id, file))
        for case, files in channels.items():
            id, first = files[0]
            images.append(LabelFile(id, str(first), given, (), case))
            if len(files) > 1:
                bands[id] = tuple(file for _, file in files[1:])
        labels += [
            LabelFile(id, str(file), given, (), file.stem)
            for id, file in _walk(root, root / label_folder, skipped)
        ]
    _same_channels(images, bands, skipped)
    notes = ["imagesTr and labelsTr are read as nnU-Net has them"]
    if bands:
        count = 1 + len(next(iter(bands.values())))
        notes.append(f"the {count_noun(count, 'channel')} of each case are the bands of one image")
    return images, labels, bands, notes


def nnunet_table(root: Path) -> ClassTable | None:
    """Return the classes in dataset.json, None without it.

    Raises:
        DataError: If it cannot be understood, or says that the images are volumes.
    """
    file = root / _DESCRIPTION
    if not file.is_file():
        return None
    content = read_json(file)
    labels = content.get("labels") if isinstance(content, dict) else None
    if not isinstance(labels, dict) or not labels:
        raise DataError('"labels" with a number for each class are expected', where=file)
    ending = content.get("file_ending")
    if isinstance(ending, str) and ending.lower() in _VOLUMES:
        raise _volumes(file, ending)
    names: dict[str, int] = {}
    known: dict[int, int] = {}
    for value, name in sorted(_numbered(labels, file)):
        if value in known:
            raise DataError(f"each value is expected once, got {value} again", where=file)
        known[value] = IGNORE if is_ignored(name) else names.setdefault(name, len(names))
    return ClassTable(tuple(names), None, ValueMap.from_mapping(known, len(names)), None)


def _walk(root: Path, folder: Path, skipped: list[Skipped]) -> Iterator[tuple[str, Path]]:
    if not folder.is_dir():
        return
    left: list[Skipped] = []
    for id, file in walk_images(root, folder, left):
        yield id, Path(file)
    for one in left:
        if one.id.lower().endswith(_VOLUMES):
            raise _volumes(root / one.id, Path(one.id).suffix)
    skipped += left


def _volumes(where: Path, ending: str) -> DataError:
    return DataError(
        f"images are expected, these are volumes ({ending})",
        where=where,
        remedy="Export the slices as images (PNG or TIFF), under the same names in imagesTr and "
        "labelsTr.",
    )


def _same_channels(
    images: list[LabelFile], bands: dict[str, tuple[Path, ...]], skipped: list[Skipped]
) -> None:
    """Leave out the cases that lack a channel."""
    most = max((len(files) for files in bands.values()), default=0)
    for image in list(images):
        count = len(bands.get(image.id, ()))
        if count < most:
            images.remove(image)
            bands.pop(image.id, None)
            reason = f"{count_noun(most + 1, 'channel')} are expected, found {count + 1}"
            skipped.append(Skipped(image.id, reason))


def _numbered(labels: dict[str, Any], file: Path) -> Iterator[tuple[int, str]]:
    """Yield (value, name) of either way to write them."""
    for key, value in labels.items():
        if isinstance(value, str) and key.isascii() and key.isdigit():
            number, name = int(key), value
        elif isinstance(value, int) and not isinstance(value, bool):
            number, name = value, key
        elif isinstance(value, list):
            raise DataError(
                f"one number is expected for each class, {key!r} is a region of several",
                where=file,
                remedy="Give each class its own number: a pixel has one class here.",
            )
        else:
            raise DataError(f"a number is expected for {key!r}, got {value!r}", where=file)
        if not 0 <= number <= 65535 or not name.strip():
            raise DataError(
                f"a name and a number from 0 to 65535 are expected, got {name!r} and {number}",
                where=file,
            )
        yield number, name
