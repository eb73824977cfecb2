"""The image and video files that a command is given: files as they are, folders walked."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from foveate.data.dataset import Skipped
from foveate.data.images import IMAGE_SUFFIXES
from foveate.data.video import VIDEO_SUFFIXES
from foveate.errors import FoveateError
from foveate.formats._shared.files.file_tree import list_tree
from foveate.formats._shared.layout import printable
from foveate.progress import Reporter
from foveate.wording import count_noun

_SUFFIXES = (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES)

Skip = Callable[[str, str], None]
"""Called with a path that is left out, and why."""


def image_files(paths: Sequence[Path], skip: Skip, reporter: Reporter) -> list[Path]:
    """List these files, and all images and videos in these folders, each once.

    Hidden files and folders in a folder are left out, and so is what operating systems and editors
    leave behind (`__MACOSX`, `.ipynb_checkpoints`). A file that is named itself is always listed.
    Other files in a folder are counted.

    Args:
        paths: Files and folders. Opening a file reports that it does not exist, listing does not.
        skip: Receives folders that cannot be opened, links that lead back, and names that only
            look like those of images.
        reporter: Receives how many files were given more than once, and how many are no images.

    Raises:
        FoveateError: A folder contains none.
    """
    # Links to one image under several names are several images: the names may matter.
    files: dict[tuple[str, str], Path] = {}
    folder_of = cache(os.path.realpath)
    repeated = 0
    for path in paths:
        found = [path]
        if path.is_dir():
            found = sorted(_walk(path, skip, reporter))
            if not found:
                raise FoveateError("there are no images in this folder", where=path)
        for file in found:
            repeated += files.setdefault((folder_of(file.parent), file.name), file) is not file
    if repeated:
        reporter.info(f"{count_noun(repeated, 'file')} given more than once: each is taken once")
    return list(files.values())


def _walk(root: Path, skip: Skip, reporter: Reporter) -> list[Path]:
    """List the images and videos below a folder."""
    skipped: list[Skipped] = []
    try:
        tree = list_tree(root, skipped)
    except OSError as error:
        skip(str(root), f"the folder cannot be opened ({error.strerror})")
        return []
    for one in skipped:
        skip(str(root / one.id), one.reason)
    files = [Path(folder, name) for folder, names in tree.items() for name in names]
    found = [file for file in files if file.name.lower().endswith(_SUFFIXES)]
    others = [file for file in files if not file.name.lower().endswith(_SUFFIXES)]
    for file in others:
        if _with_blanks(file):
            skip(str(root / file), "its name ends with a blank, not with the suffix of an image")
    if left := [file for file in others if not _with_blanks(file)]:
        reporter.info(
            f"{count_noun(len(left), 'file')} without the suffix of an image or a video left out "
            f"(such as {printable(str(min(left)))})"
        )
    return [root / file for file in found]


def _with_blanks(file: Path) -> bool:
    return file.name.strip().lower().endswith(_SUFFIXES)
