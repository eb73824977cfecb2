"""Read captions from a text file beside each image: 1.jpg and 1.txt, as diffusion trainers do."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from foveate.data.dataset import Skipped
from foveate.errors import DataError
from foveate.formats._shared.documents.text_file import read_text
from foveate.formats._shared.files.walk import walk_images
from foveate.formats._shared.layout import has_image_suffix, visible
from foveate.formats.captions.rows import CaptionRow
from foveate.wording import count_noun

_SUFFIXES = (".txt", ".caption")
_MAX_BYTES = 100_000
_PROBED = 50  # files of the first folder that are looked into

# A word of two letters; annotations of other formats are lines of numbers.
_WORD = re.compile(r"[^\W\d_]{2}")
_NUMBERS = re.compile(r"[\d\s.eE+-]*\d[\d\s.eE+-]*")


def has_sidecars(path: Path) -> bool:
    """Return whether most images of a folder, or of one just below it, have a text of words."""
    if not path.is_dir():
        return False
    folders = [path, *(Path(folder.path) for folder in visible(path)[0][:_PROBED])]
    for folder in folders:
        names = [entry.name for entry in visible(folder)[1]]
        images = [name for name in names if has_image_suffix(name)][:_PROBED]
        if not images:
            continue
        present = set(names)
        texts = [text for name in images if (text := _text_name(name, present))]
        return len(texts) * 2 > len(images) and _are_captions([folder / text for text in texts])
    return False


def read_sidecars(
    root: Path, skipped: list[Skipped], notes: list[str]
) -> Iterator[tuple[str, CaptionRow]]:
    """Yield the id and the captions of each image: each line of its text is one.

    Args:
        root: The dataset's folder.
        skipped: A list that images without a text are added to.
        notes: A list that notes are added to.

    Raises:
        DataError: If a text cannot be read.
    """
    several = 0
    unusable: list[Skipped] = []
    for id, path in walk_images(root, root, unusable):
        stem = os.path.splitext(path)[0]  # noqa: PTH122  it is text
        place = next((Path(stem + end) for end in _SUFFIXES if os.path.isfile(stem + end)), None)  # noqa: PTH113
        if place is None:
            skipped.append(Skipped(id, "there is no text file of the same name"))
            continue
        texts = [
            text for line in read_text(place, _MAX_BYTES).splitlines() if (text := line.strip())
        ]
        several += len(texts) > 1
        yield id, CaptionRow(id, tuple(texts or [""]), None, None, None, place, None)
    skipped += [one for one in unusable if not one.id.lower().endswith(_SUFFIXES)]
    if several:
        notes.append(
            f"{count_noun(several, 'text')} of several lines, each read as a caption of its own"
        )


def _text_name(image: str, present: set[str]) -> str | None:
    stem = os.path.splitext(image)[0]  # noqa: PTH122
    return next((stem + end for end in _SUFFIXES if stem + end in present), None)


def _are_captions(files: list[Path]) -> bool:
    """Return whether the texts are words: some are, and none is only numbers."""
    words = False
    for file in islice(files, _PROBED):
        try:
            text = read_text(file, _MAX_BYTES)
        except (DataError, OSError):
            return False
        if _NUMBERS.fullmatch(text):
            return False
        words = words or bool(_WORD.search(text))
    return words
