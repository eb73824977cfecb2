"""Find the images that annotation files name: one rule for all formats.

Names in annotation files were often written on another machine, by a server, or for another folder:
as Windows paths, full paths, URLs. In turn, the image is looked for

1. as it is written, from the folder that the format gives, or from the dataset's folder;
2. as a URL: without its scheme, its query and its quoting (nothing is ever fetched);
3. by the longest end of the path that an image below the dataset's folder has;
4. by its last part, if exactly one image has that name: as it is written, then whatever the
   capitals, then without the random prefix of Label Studio, then, if the name has no suffix of an
   image, with any suffix.

If the dataset has the folder that a path ends with, the image is looked for below it only; else, if
the format's own folder holds images, below that. No name that says `train` is matched with an image
in `test`. Where several images fit, the one in a folder of the split that the row of a table tells
is taken, if it is one; else none is.
Nothing outside the dataset's folder is looked at.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath

from foveate.data.dataset import Skipped, SplitName
from foveate.errors import DataError
from foveate.formats._shared.files.image_index import ImageIndex
from foveate.formats._shared.files.splits import split_of_path
from foveate.formats._shared.files.written_names import (
    check_written,
    path_parts,
    readings,
    without_store_prefix,
)
from foveate.formats._shared.layout import (
    NOT_UTF8,
    has_image_suffix,
    is_utf8,
    printable,
    unusable_reason,
)
from foveate.formats._shared.wording import first_reason
from foveate.wording import count_noun

_MISSING = "there is no such file"
_UNQUOTED = "written as a URL or with blanks around it"
_ELSEWHERE = "written with a path that is not in the dataset's folder, found by the end of it"
_BARE = "written without a folder, found by the name"
_OTHER_CASE = "found by its name written in another way (capitals, accents)"
_UPLOADED = "found without the random prefix of Label Studio"
_ANY_SUFFIX = "written without a suffix"
_IN_SPLIT = "written without the folder of a split, found in that of the split of the row"


@dataclass(frozen=True, slots=True)
class _Match:
    """The images that fit a name equally well, the path that they fit, and how they were found."""

    ids: list[str]
    path: str
    kind: str


class ImageFinder:
    """The images below one folder, found by the names in annotation files."""

    def __init__(self, root: Path):
        """Prepare to look; nothing is listed before a name is not where it is written.

        Args:
            root: The dataset's folder, which no image lies outside of.
        """
        self.root = root
        self._top = os.path.abspath(root).rstrip("/") + "/"  # noqa: PTH100  it is text
        self._real_top = os.path.realpath(root).rstrip("/") + "/"
        self._index = ImageIndex(root)
        self._problems: dict[str, str] = {}
        self._claims: dict[str, str] = {}
        self._found: Counter[str] = Counter()
        self._examples: dict[str, tuple[str, str]] = {}
        self._bare_in: set[str] = set()
        self._missing: str | None = None
        self._starts: dict[Path | None, str] = {}

    def find(
        self,
        written: str,
        *,
        folder: Path | None = None,
        split: SplitName | None = None,
        where: Path,
        line: int | None = None,
    ) -> str:
        """Return the id of the image that a written name means: its path relative to the root.

        If there is no such image, or none that can be used, `problem` tells the reason; the id
        then is a name for it.

        Args:
            written: The name as written.
            folder: The folder that names are relative to, the root or below it; the root by
                default.
            split: The split that the file assigns to the image, which decides between images of the
                same name.
            where: The annotation file, for messages.
            line: Its line, for messages.

        Raises:
            DataError: If the text cannot be a path, or if two different paths would be read as the
                same image.
        """
        check_written(written, where, line)
        start = self._start(folder)
        if (id := self._as_written(written, start)) is not None:
            return id
        paths = list(readings(written))
        match = self._search(paths, start)
        if match and len(match.ids) > 1 and split:
            inside = [id for id in match.ids if split_of_path(id) == split]
            match = _Match(inside, match.path, _IN_SPLIT) if len(inside) == 1 else match
        if match is None or len(match.ids) > 1:
            return self._lost(written, paths[0], start, match)
        self._note(match.kind, written, match.ids[0])
        self._claim(match.ids[0], match.path, where, line)
        return match.ids[0]

    def problem(self, id: str) -> str | None:
        """Return why the image with an id that `find` returned cannot be used, or None."""
        return self._problems.get(id)

    def notes(self) -> list[str]:
        """Return how many images were found otherwise than as written, with an example of each.

        Names without a folder are as usual if all of these images lie in one folder.
        """
        return [
            printable(
                f"{count_noun(count, 'image')} {kind} (such as {_shown(written)}, read as {id})"
            )
            for kind, count in self._found.items()
            if kind != _BARE or len(self._bare_in) > 1
            for written, id in [self._examples[kind]]
        ]

    def none_usable(self, skipped: Sequence[Skipped], where: Path) -> DataError:
        """Return the error for an annotation file of which no image can be used."""
        details = []
        if self._missing:
            images = self._index.all()
            there = f"lie no images ({self.root})"
            if images:
                there = (
                    f"{count_noun(len(images), 'image lies', 'images lie')}, such as {images[0]}"
                )
            details = [f"written: {_shown(self._missing)}", printable(f"below the folder {there}")]
        return DataError(
            "images are expected, found none that can be used "
            f"({len(skipped):,} skipped{first_reason(skipped)})",
            where=where,
            details=details,
            remedy="Put the images beside the file, or in a folder images/ beside it.",
        )

    def _start(self, folder: Path | None) -> str:
        """Return the folder that names are relative to, itself relative to the root."""
        if folder not in self._starts:
            self._starts[folder] = self._id_of(os.path.abspath(folder or self.root), "") or ""  # noqa: PTH100
        return self._starts[folder]

    def _as_written(self, written: str, start: str) -> str | None:
        """Return the id of the file that is exactly where it is written, or None."""
        exact = (written, written.replace("\\", "/"))  # on most systems a name may hold backslashes
        for path in chain(exact, readings(written)):
            # A bare name in the root is no better than one elsewhere: it is left to the search.
            for base in (start, "") if start and "/" in path else (start,):
                if id := self._is_there(base, path):
                    if path not in exact:
                        self._note(_UNQUOTED, written, id)
                    self._claims.setdefault(id, path)
                    return id
        return None

    def _is_there(self, base: str, path: str) -> str | None:
        """Return the id of a path if something other than a folder is there, else None."""
        id = self._id_of(self._top + base, path)
        if not id:
            return None
        with suppress(OSError, ValueError):
            status = os.stat(self._top + id)  # noqa: PTH116  Path's takes three times as long
            if stat.S_ISREG(status.st_mode) and status.st_size and is_utf8(id):
                return id
        place = Path(self._top + id)
        reason = unusable_reason(place)
        if reason and (not os.path.lexists(place) or place.is_dir()):
            return None
        if reason := reason or (None if is_utf8(id) else NOT_UTF8):
            self._problems[id] = reason
        return id

    def _id_of(self, base: str, path: str) -> str | None:
        """Return a place below the root relative to it, "" for the root, None for one outside."""
        place = os.path.normpath(os.path.join(base, path))  # noqa: PTH118  it is text
        for top in (self._top, self._real_top):
            if f"{place}/".startswith(top):
                return place[len(top) :]
        return None

    def _search(self, paths: list[str], start: str) -> _Match | None:
        """Return the images that fit best, or None if none fits."""
        uploads = [(short, path) for path in paths if (short := without_store_prefix(path))]
        whole = [(path, path) for path in paths]
        bare = [(path, path) for path in paths if not has_image_suffix(path)]
        for kind, candidates in ((_ELSEWHERE, whole), (_UPLOADED, uploads), (_ANY_SUFFIX, bare)):
            for short, path in candidates:
                if ids := self._index.best(short, start, by_stem=kind == _ANY_SUFFIX):
                    differs = kind == _ELSEWHERE and path_parts(path)[-1] != ids[0].split("/")[-1]
                    return _Match(ids, path, _OTHER_CASE if differs else kind)
        return None

    def _claim(self, id: str, path: str, where: Path, line: int | None) -> None:
        """Raise DataError if an image was found by another path already."""
        before = self._claims.setdefault(id, path)
        one, two = path_parts(before), path_parts(path)
        length = min(len(one), len(two))
        if one[-length:] != two[-length:]:
            raise DataError(
                f"an image for each path is expected, but {_shown(before)} and {_shown(path)} are "
                f"not where they are written, and only {printable(id)} has their name",
                where=where,
                line=line,
                remedy="Put the images into folders as they are written, or correct the paths.",
            )

    def _lost(self, written: str, path: str, start: str, match: _Match | None) -> str:
        """Return an id for an image that is not found, and remember the reason."""
        self._missing = self._missing or written
        id = self._id_of(self._top + start, path)
        reason = (unusable_reason(Path(self._top + id)) if id else None) or _MISSING
        if not id:
            id = "/".join(path_parts(path))
            id = f"not found/{id}" if os.path.lexists(self._top + id) else id
        if match:
            reason += f", and several have its name: {match.ids[0]} and {match.ids[1]}"
        elif reason == _MISSING and (near := self._near(path, start)):
            reason += f" ({near})"
        self._problems[id] = reason
        return id

    def _near(self, path: str, start: str) -> str | None:
        """Tell of an image that is nearly meant by a missing one's path, None if there is none."""
        stem = path.removesuffix(PurePosixPath(path).suffix)
        same = self._index.best(stem, start, by_stem=True) if path_parts(stem) else []
        if len(same) == 1:
            return f"{same[0]} has another suffix"
        elsewhere = self._index.named(path_parts(path)[-1])
        return f"{elsewhere[0]} has its name, but lies in another folder" if elsewhere else None

    def _note(self, kind: str, written: str, id: str) -> None:
        if kind == _ELSEWHERE and len(path_parts(written)) == 1:
            kind = _BARE
            self._bare_in.add(id.rpartition("/")[0])
        self._found[kind] += 1
        self._examples.setdefault(kind, (written, id))


def _shown(written: str | None) -> str:
    text = written or ""
    return repr(text if len(text) < 200 else f"...{text[-200:]}")
