"""Find the text file of each image of a YOLO dataset.

Its path is that of the image with the last folder called images replaced by labels, if there is
one: images/train/1.jpg and labels/train/1.txt, train/images/1.jpg and train/labels/1.txt, 1.jpg and
1.txt. An image without that file gets the one with its stem from any folder, if it holds lines of
numbers.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from foveate.data.dataset import Skipped
from foveate.errors import DataError
from foveate.formats._shared.files.partners import best_partners, by_stem, stem_of
from foveate.formats._shared.files.written_names import without_store_prefix
from foveate.formats._shared.layout import is_hidden, is_utf8, visible
from foveate.formats.yolo.layout import YoloLayout
from foveate.formats.yolo.lines import looks_like_lines
from foveate.formats.yolo.names import is_name_file
from foveate.wording import count_noun

_MIN_UNANNOTATED = 5  # fewer images may all be without objects


def label_path(id: str) -> str:
    """Return the path of an image's text file."""
    folder, _, name = id.rpartition("/")
    return os.path.join(label_folder(folder), f"{Path(name).stem}.txt")  # noqa: PTH118  faster than Path


def label_folder(folder: str) -> str:
    """Return the folder of the text files for a folder of images."""
    before, images, after = f"/{folder}/".rpartition("/images/")
    return f"{before}/labels/{after}".strip("/") if images else folder


def label_files(root: Path, layout: YoloLayout) -> tuple[dict[str, str], set[str]]:
    """Return the text file of each image that has one, and those without an image.

    Raises:
        DataError: If two text files fit an image.
        OSError: If a folder cannot be opened.
    """
    texts = _expected_files(root, layout)
    images = [*layout.splits, *layout.other, *(entry.id for entry in layout.skipped)]
    found = {id: label for id in images if (label := label_path(id)) in texts}
    bare = [id for id in layout.splits if id not in found]
    if bare:
        elsewhere = _by_their_stems(root, layout, bare, texts.union(found.values()), found)
        if elsewhere:
            id, text = next(iter(elsewhere.items()))
            layout.notes.append(
                f"{count_noun(len(elsewhere), 'text file')} in another folder or with another "
                f"spelling than YOLO expects, found by the image's name (such as {text} for {id})"
            )
        found |= elsewhere
    unused = texts.difference(found.values(), layout.lists)
    return (
        {id: text for id, text in found.items() if id in layout.splits},
        {text for text in unused if not is_name_file(text.rpartition("/")[2])},
    )


def drop_unannotated(layout: YoloLayout, texts: dict[str, str]) -> None:
    """Leave out a split of which no image has a text file, while others have them.

    Its images are not annotated, as the test images of a competition; they are not all empty.
    """
    labelled = {layout.splits[id] for id in texts}
    counts = Counter(layout.splits.values())
    for split, count in counts.items():
        if labelled and split not in labelled and count >= _MIN_UNANNOTATED:
            reason = f"none of the {count:,} images of {split or 'no split'} has a text file"
            for id in [id for id, own in layout.splits.items() if own == split]:
                del layout.splits[id]
                layout.skipped.append(Skipped(id, f"{reason}, so they are not annotated"))


def _expected_files(root: Path, layout: YoloLayout) -> set[str]:
    """Return the text files in all folders where an image is expected to have one."""
    tops = list(dict.fromkeys(map(label_folder, layout.folders)))
    folders = set(tops)
    for top in tops:
        for folder, inner, files in os.walk(root / top):
            inner[:] = [name for name in inner if not is_hidden(name)]
            if any(file.lower().endswith(".txt") for file in files) and is_utf8(folder):
                folders.add(Path(folder).relative_to(root).as_posix())
    folders.update(label_folder(id.rpartition("/")[0]) for id in layout.splits)
    texts: set[str] = set()
    for folder in folders:
        place = root / folder
        if place.is_dir():
            texts.update(
                entry.name if folder in ("", ".") else f"{folder}/{entry.name}"
                for entry in visible(place)[1]
                if entry.name.lower().endswith(".txt") and is_utf8(entry.name)
            )
    return texts


def _by_their_stems(
    root: Path, layout: YoloLayout, bare: list[str], expected: set[str], taken: dict[str, str]
) -> dict[str, str]:
    """Return text files for the images that have none where it is expected.

    Folders where other images do have theirs are searched for other spellings only, such as a.TXT
    and a.jpg.txt: there an image without a text file is one without objects.
    """
    complete = {id.rpartition("/")[0] for id in taken}
    used = set(taken.values()) | layout.lists
    texts = expected | _all_texts(root)
    free = by_stem(
        sorted(text for text in texts - used if not is_name_file(text.rpartition("/")[2]))
    )
    for stem, paths in list(free.items()):
        # Label Studio puts a random prefix before the name of an upload.
        if (plain := without_store_prefix(stem)) and plain not in free:
            free[plain] = paths
    found: dict[str, str] = {}
    claimed: dict[str, str] = {}
    remedy = "Put the text files beside the images, or into labels/ beside images/."
    for id in bare:
        candidates = [text for text in free.get(stem_of(id), ()) if _has_lines(root / text)]
        folder = id.rpartition("/")[0]
        near = [text for text in candidates if text.rpartition("/")[0] == label_folder(folder)]
        best = best_partners(id, near if near or folder in complete else candidates)
        if len(best) > 1:
            raise DataError(
                f"one text file is expected for {id}, found {best[0]} and {best[1]}",
                where=root,
                remedy=remedy,
            )
        if best and claimed.setdefault(best[0], id) != id:
            raise DataError(
                f"one image is expected for this file, found {claimed[best[0]]} and {id}",
                where=root / best[0],
                remedy=remedy,
            )
        if best:
            found[id] = best[0]
    return found


def _all_texts(root: Path) -> set[str]:
    texts: set[str] = set()
    for folder, inner, files in os.walk(root):
        inner[:] = [name for name in inner if not is_hidden(name)]
        place = Path(folder).relative_to(root).as_posix()
        texts.update(
            name if place == "." else f"{place}/{name}"
            for name in files
            if name.lower().endswith(".txt") and not is_hidden(name)
        )
    return {text for text in texts if is_utf8(text)}


def _has_lines(file: Path) -> bool:
    """Return whether a file holds objects, or none since it is empty."""
    try:
        return file.is_file() and (not file.stat().st_size or looks_like_lines(file))
    except OSError:
        return False
