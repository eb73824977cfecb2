"""Read the lists that give the splits of captioned images: Flickr_8k.trainImages.txt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from foveate.annotations import Captions
from foveate.data.dataset import Sample, SplitName
from foveate.errors import DataError
from foveate.formats._shared.documents.text_file import read_text
from foveate.formats._shared.files.splits import split_in_name
from foveate.formats._shared.layout import printable, visible

_MAX_BYTES = 50_000_000


def with_splits_of_lists(
    samples: Sequence[Sample[Captions]], folders: Iterable[Path]
) -> tuple[list[Sample[Captions]], list[str]]:
    """Return the samples with the splits that lists of images give, if the data gives none.

    A list is a text file with a split in its name, of which most lines are names of images.

    Args:
        samples: The samples.
        folders: The folders in which lists may lie.

    Returns:
        The samples, and a note on the lists.

    Raises:
        DataError: If an image is in two splits; the error names the line.
        OSError: If a folder cannot be opened.
    """
    if any(sample.split for sample in samples):
        return list(samples), []
    counts = Counter(sample.id.rpartition("/")[2] for sample in samples)
    names = {name for name, count in counts.items() if count == 1}
    found: dict[str, tuple[SplitName, Path]] = {}
    lists: dict[str, SplitName] = {}
    for file in (
        Path(file.path) for folder in dict.fromkeys(folders) for file in visible(folder)[1]
    ):
        split = split_in_name(file.stem)
        if not split or file.suffix.lower() != ".txt":
            continue
        try:
            lines = [line.strip() for line in read_text(file, _MAX_BYTES).split("\n")]
        except DataError:  # it may be any other text
            continue
        if 2 * sum(line in names for line in lines) <= sum(map(bool, lines)):
            continue
        lists[file.name] = split
        for number, line in enumerate(lines, 1):
            before, where = found.setdefault(line, (split, file))
            if line in names and before != split:
                raise DataError(
                    f"one split is expected for {line!r}, {where.name} says {before}",
                    where=file,
                    line=number,
                    remedy="Decide which is right and remove the other line: an image in two "
                    "splits is a leak.",
                )
    if not lists:
        return list(samples), []
    listed = ", ".join(f"{name} is {split}" for name, split in lists.items())
    splits = [found.get(sample.id.rpartition("/")[2], (None,))[0] for sample in samples]
    without = splits.count(None)
    rest = f"; {without:,} of {len(splits):,} images are in none of them" if without else ""
    pairs = zip(samples, splits, strict=True)
    return [replace(sample, split=split) for sample, split in pairs], [
        printable(f"the splits are those of the lists: {listed}{rest}")
    ]
