"""Splits that stand in the paths of images: train/1.jpg, images/val/2.jpg."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from foveate.data.dataset import SplitName
from foveate.formats._shared.layout import printable, split_of
from foveate.wording import count_noun

# Words that stand beside that of a split in the name of a folder: train_images, val2017.
_NEUTRAL = frozenset({"image", "images", "img", "imgs", "jpg", "png", "data", "set", "split"})


def split_of_folder(name: str) -> SplitName | None:
    """Return the split that the name of a folder gives: "Val" and "val2017", "train_images"."""
    if split := split_of(name):
        return split
    words = [word for word in re.findall(r"[^\W\d_]+", name.casefold()) if word not in _NEUTRAL]
    return split_of(words[0]) if len(words) == 1 else None


def split_in_name(name: str) -> SplitName | None:
    """Return the split that a word in a file's name gives: "instances_val2017" gives "valid"."""
    words = re.findall(r"[a-z]+", name.casefold())
    splits = {split for word in words if (split := split_of(word))}
    return splits.pop() if len(splits) == 1 else None


def split_of_path(id: str) -> SplitName | None:
    """Return the split that the first folder of a path names, None if it names none."""
    folder, slash, _ = id.partition("/")
    return split_of_folder(folder) if slash else None


def splits_of_paths(ids: Iterable[str]) -> tuple[list[SplitName | None], list[str]]:
    """Return the split of each image of a table, as the folders in the paths tell it.

    They tell it only if all images lie in folders with the name of a split, and some of them in
    that of train: the first folders of their paths, or else the next ones (images/train/1.jpg,
    images/val/2.jpg), and so on.

    Args:
        ids: The paths of the images.

    Returns:
        The splits, all None if the paths do not tell them, and a note on what was decided.
    """
    folders = [id.split("/")[:-1] for id in ids]
    for level in range(min(map(len, folders), default=0)):
        splits = [split_of_folder(names[level]) for names in folders]
        if all(splits) and "train" not in splits:
            where = printable(
                " and ".join(f"{name}/" for name in sorted({n[level] for n in folders}))
            )
            note = f"all images lie in {where}, which is not read as a split, since none is train"
            return [None] * len(folders), [note]
        if all(splits):
            counts = Counter(names[level] for names in folders)
            listed = ", ".join(f"{name}/ ({count:,})" for name, count in counts.items())
            return splits, [
                f"the splits are those of the folders in the paths: {printable(listed)}"
            ]
    firsts = [names[0] if names else "" for names in folders]
    if inside := [name for name in firsts if split_of_folder(name)]:
        number = count_noun(len(folders) - len(inside), "image")
        note = f"the folder {printable(inside[0])}/ is not read as a split, since {number} of the "
        return [None] * len(folders), [note + f"{len(folders):,} lie in no folder of a split"]
    return [None] * len(folders), []
