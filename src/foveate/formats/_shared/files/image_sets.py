"""Read the lists of ImageSets/, as in Pascal VOC: text files that name the images of each split.

VOC has them in ImageSets/Main for boxes and in ImageSets/Segmentation for masks. Other tools write
them into ImageSets/ itself or beside the images' folder, with other words for the splits, and with
paths instead of stems.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from foveate.data.dataset import Skipped, SplitName
from foveate.errors import DataError
from foveate.formats._shared.documents.text_file import read_text
from foveate.formats._shared.layout import has_image_suffix, split_of, visible
from foveate.wording import count_noun

_MAX_BYTES = 50_000_000
_BOTH = "trainval"  # the union of two splits; it counts only if they have no lists of their own
_NO_SPLIT = ("default", "all", _BOTH)  # lists of all images
_ENDINGS = (".xml", ".txt")  # besides those of images
_OF_CLASS = re.compile("(.+)_([a-z]+)", re.IGNORECASE)  # aeroplane_train
_FLAGGED = re.compile(r"\S+ +(?:-1|0|1)")  # an image, and whether it shows the class


@dataclass(frozen=True, slots=True)
class ImageSets:
    """The splits that the lists of a dataset assign.

    Attributes:
        splits: The split of each stem that is known and listed.
        absent: The listed stems that do not exist.
        notes: Which lists were not read.
    """

    splits: dict[str, SplitName]
    absent: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()


def read_image_sets(root: Path, kind: str, known: Collection[str]) -> ImageSets:
    """Read the lists in ImageSets/`kind`, or else in ImageSets/, or else in the folder itself.

    A list is a file such as train.txt, val.txt or Test.txt. In the folder itself it counts only if
    most of its lines name images of the dataset.

    Args:
        root: The dataset's folder.
        kind: "Main" or "Segmentation".
        known: The stems of the images, or their paths without the suffix.

    Raises:
        DataError: If a stem is in two splits; the error names the line.
        OSError: If a folder cannot be opened.
    """
    sets = _named(root, "imagesets")
    inner = _named(sets, kind.casefold()) if sets else None
    for folder in (inner, sets):
        if folder and (lists := _lists(folder)):
            return _read(lists, known, _unread(folder, lists))
    beside = {word: file for word, file in _lists(root).items() if _lists_images(file, known)}
    return _read(beside, known, ()) if beside else ImageSets({})


def _named(folder: Path, name: str) -> Path | None:
    """Return the inner folder of this name, in any case."""
    matches = [Path(entry.path) for entry in visible(folder)[0] if entry.name.casefold() == name]
    return matches[0] if matches else None


def _lists(folder: Path) -> dict[str, Path]:
    """Return the lists of a folder whose names are splits, by name in lower case."""
    files = [
        Path(entry.path) for entry in visible(folder)[1] if entry.name.lower().endswith(".txt")
    ]
    named = {file.stem.casefold(): file for file in files}
    return {word: file for word, file in named.items() if split_of(word) or word == _BOTH}


def _read(lists: dict[str, Path], known: Collection[str], notes: tuple[str, ...]) -> ImageSets:
    if {split_of(word) for word in lists} & {"train", "valid"}:
        lists.pop(_BOTH, None)
    entries: dict[str, tuple[SplitName, Path, int]] = {}
    for word, file in lists.items():
        split = split_of(word) or "train"
        for number, line in enumerate(read_text(file, _MAX_BYTES).split("\n"), 1):
            if not (stem := listed_stem(line, known)):
                continue
            first = entries.setdefault(stem, (split, file, number))
            if first[0] != split:
                raise DataError(
                    f"one split is expected for {stem!r}, it is in {first[1].name} "
                    f"(line {first[2]}) too",
                    where=file,
                    line=number,
                    remedy="Decide which is right and remove the other line: an image in two "
                    "splits is a leak.",
                )
    absent = tuple(
        Skipped(stem, f"listed in {file.name}, line {line}, but no image or XML file has that name")
        for stem, (_, file, line) in entries.items()
        if stem not in known
    )
    splits = {stem: split for stem, (split, _, _) in entries.items() if stem in known}
    return ImageSets(splits, absent, notes)


def _unread(folder: Path, lists: dict[str, Path]) -> tuple[str, ...]:
    """Note the other lists of a folder, but for VOC's own ones, which say what the boxes say."""
    read = {file.name for file in lists.values()}
    others = [
        entry.name
        for entry in visible(folder)[1]
        if entry.name.lower().endswith(".txt")
        and entry.name not in read
        and Path(entry.name).stem.casefold() not in _NO_SPLIT
        and not _is_of_class(Path(entry.path))
    ]
    if not others:
        return ()
    what = count_noun(len(others), "list")
    return (
        f"{what} in {folder.name}/ not read, since no split has that name (such as {others[0]})",
    )


def _is_of_class(file: Path) -> bool:
    """Return whether a list has VOC's name and flags for the images of one class."""
    match = _OF_CLASS.fullmatch(file.stem)
    if not match or not (split_of(match[2]) or match[2].casefold() == _BOTH):
        return False
    try:
        lines = read_text(file, _MAX_BYTES).split("\n")
    except DataError:
        return False
    return all(_FLAGGED.fullmatch(line.strip()) for line in lines if line.strip())


def _lists_images(file: Path, known: Collection[str]) -> bool:
    """Return whether most lines of a file name images; it may be any other text or data."""
    try:
        lines = [line for line in read_text(file, _MAX_BYTES).split("\n") if line.strip()]
    except DataError:
        return False
    return 2 * sum(listed_stem(line, known) in known for line in lines) > len(lines)


def listed_stem(line: str, known: Collection[str]) -> str:
    """Return the known stem that a line names, or else its text without flag, folder and suffix.

    It may be written as "000012", "000012  1", "000012.jpg", "JPEGImages/000012.jpg", or as two
    paths: "/JPEGImages/000012.jpg /SegmentationClass/000012.png".

    Args:
        line: The line.
        known: The stems of the images, or their paths without the suffix.
    """
    text = line.strip()
    if not text:
        return ""
    before, _, flag = text.rpartition(" ")
    unflagged = before.rstrip() if flag in ("-1", "0", "1") and before else text
    for written in (line.rstrip("\r"), text, unflagged, text.split()[0]):
        for tail in _tails(written):
            for stem in (tail, *(unicodedata.normalize(form, tail) for form in ("NFC", "NFD"))):
                if stem in known:
                    return stem
    return Path(unflagged).stem if has_image_suffix(unflagged) else unflagged


def _tails(written: str) -> Iterator[str]:
    """Yield a text, then its ever shorter ends as a path, each with and without its suffix."""
    parts = written.replace("\\", "/").split("/")
    for text in (written, *("/".join(parts[start:]) for start in range(len(parts)))):
        yield text
        if has_image_suffix(text) or text.lower().endswith(_ENDINGS):
            yield text[: text.rindex(".")]
