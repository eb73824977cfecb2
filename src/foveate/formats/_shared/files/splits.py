"""Splits that stand in the names of files and folders: train/1.jpg, images/val2017/2.jpg."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, TypeVar

from foveate.data.dataset import SplitName
from foveate.formats._shared.layout import SPLIT_WORDS, printable, split_of
from foveate.wording import count_noun

A = TypeVar("A", bound=Any)

# What the name of a folder may say of its content beside the split: train_images, val2017.
_CONTENT_WORDS = frozenset(
    {
        *("image", "images", "img", "imgs", "jpg", "png", "obj", "data", "dataset", "set", "split"),
        *("label", "labels", "annotation", "annotations", "annots", "json", "txt", "xml"),
    }
)
_SPLIT_SET = re.compile(f"({'|'.join(SPLIT_WORDS)})(?:set|data|images|imgs)?")  # as in "trainset"


@lru_cache(maxsize=10_000)
def split_of_folder(name: str) -> SplitName | None:
    """Return the split that a folder is named after, or None.

    Besides the words themselves, train2017, obj_train_data and test-images name a split.
    """
    if split := split_of(name):
        return split
    words = re.findall(r"[^\W\d_]+", name.casefold())
    splits = {split for word in words if (split := split_of(word))}
    others = [word for word in words if word not in _CONTENT_WORDS and not split_of(word)]
    return next(iter(splits)) if len(splits) == 1 and not others else None


def split_in_name(name: str) -> SplitName | None:
    """Return the split that one word in a name tells, whatever the others say, or None.

    "instances_val2017" tells "valid", "seg_test" tells "test", "training_set" tells "train".
    """
    words = re.findall("[a-z]+", name.casefold())
    splits = {SPLIT_WORDS[match[1]] for word in words if (match := _SPLIT_SET.fullmatch(word))}
    return splits.pop() if len(splits) == 1 else None


def split_of_path(path: str) -> SplitName | None:
    """Return the split that the outermost folder named after one tells, or None."""
    return next((split for name in path.split("/")[:-1] if (split := split_of_folder(name))), None)


def split_notes(paths: Iterable[str]) -> list[str]:
    """Note the folders that are taken as splits although their names say more than that."""
    folders = dict.fromkeys(path.rpartition("/")[0] for path in paths)
    names: dict[str, SplitName] = {}
    for folder in folders:
        for name in folder.split("/"):
            if split := split_of_folder(name):
                if not split_of(name):
                    names[name] = split
                break
    if not names:
        return []
    listed = ", ".join(f"{name}/ as {split}" for name, split in sorted(names.items()))
    return [f"folders read as splits: {printable(listed)}"]


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


def with_splits_of_paths(
    images: Sequence[A], written: Mapping[str, str] | None = None
) -> tuple[list[A], list[str]]:
    """Return samples or rows with the splits that their paths tell, if the data tells none.

    Args:
        images: Dataclass objects with an `id` and a `split`.
        written: The path of each id as it is written, which counts where the ids tell no split.

    Returns:
        The objects, and the note of `splits_of_paths`.
    """
    if any(image.split for image in images):
        return list(images), []
    splits, notes = splits_of_paths(image.id for image in images)
    if written and not any(splits):
        paths = (written[image.id].replace("\\", "/") for image in images)
        by_text, text_notes = splits_of_paths(paths)
        splits, notes = (by_text, text_notes) if any(by_text) else (splits, notes)
    pairs = zip(images, splits, strict=True)
    return [replace(image, split=split) for image, split in pairs], notes
