"""Find the images that annotation files name: one rule for all formats.

Names in annotation files were often written on another machine, by a server, or for another folder:
as Windows paths, full paths, URLs. In turn, the image is looked for

1. as it is written, from the folder that the format gives, or from the dataset's folder;
2. as a URL: without its scheme, its query and its quoting (nothing is ever fetched);
3. by the longest end of the path that an image below the dataset's folder has;
4. by its last part, if exactly one image has that name: as it is written, then whatever the
   capitals, then without the random prefix of Label Studio, then, if the name has no suffix of an
   image, with any suffix.

If the dataset has the folder that a path ends with, the image is looked for below it only; and no
name that says `train` is matched with an image in `test`. Where several images fit, none is taken.
Nothing outside the dataset's folder is looked at.
"""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath

from foveate.data.dataset import Skipped
from foveate.errors import DataError
from foveate.formats._shared.layout import (
    NOT_UTF8,
    has_image_suffix,
    is_utf8,
    printable,
    split_of,
    unusable_reason,
)
from foveate.formats._shared.walk import walk_images
from foveate.formats._shared.wording import first_reason
from foveate.formats._shared.written_names import (
    check_written,
    path_parts,
    readings,
    without_store_prefix,
)
from foveate.wording import count_noun

_MISSING = "there is no such file"
_UNQUOTED = "written as a URL or with blanks around it"
_ELSEWHERE = "written with a path that is not in the dataset's folder, found by the end of it"
_OTHER_CASE = "found by its name written in another way (capitals, accents)"
_UPLOADED = "found without the random prefix of Label Studio"
_ANY_SUFFIX = "written without a suffix"


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
        self._problems: dict[str, str] = {}
        self._claims: dict[str, str] = {}
        self._found: Counter[str] = Counter()
        self._examples: dict[str, tuple[str, str]] = {}
        self._missing: str | None = None
        self._names: dict[str, list[str]] | None = None
        self._stems: dict[str, list[str]] | None = None
        self._scopes: dict[tuple[str, ...], str] = {}

    def find(
        self, written: str, *, folder: Path | None = None, where: Path, line: int | None = None
    ) -> str:
        """Return the id of the image that a written name means: its path relative to the root.

        If there is no such image, or none that can be used, `problem` tells the reason; the id
        then is a name for it.

        Args:
            written: The name as written.
            folder: The folder that names are relative to, the root or below it; the root by
                default.
            where: The annotation file, for messages.
            line: Its line, for messages.

        Raises:
            DataError: If the text cannot be a path, or if two different paths would be read as the
                same image.
        """
        check_written(written, where, line)
        start = self._id_of(str(folder), "") or "" if folder else ""
        if (id := self._as_written(written, start)) is not None:
            return id
        paths = list(readings(written))
        match = self._search(paths, start)
        if match is None or len(match.ids) > 1:
            return self._lost(written, paths[0], start, match)
        self._note(match.kind, written, match.ids[0])
        self._claim(match.ids[0], match.path, where, line)
        return match.ids[0]

    def problem(self, id: str) -> str | None:
        """Return why the image with an id that `find` returned cannot be used, or None."""
        return self._problems.get(id)

    def notes(self) -> list[str]:
        """Return how many images were found otherwise than as written, with an example of each."""
        return [
            printable(
                f"{count_noun(count, 'image')} {kind} (such as {_shown(written)}, read as {id})"
            )
            for kind, count in self._found.items()
            for written, id in [self._examples[kind]]
        ]

    def none_usable(self, skipped: Sequence[Skipped], where: Path) -> DataError:
        """Return the error for an annotation file of which no image can be used."""
        details = []
        if self._missing:
            images = [id for ids in self._index().values() for id in ids]
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
        shorter = [path for path in map(without_store_prefix, paths) if path]
        bare = [path for path in paths if not has_image_suffix(path)]
        for kind, candidates, choices in (
            (_ELSEWHERE, paths, self._index),
            (_UPLOADED, shorter, self._index),
            (_ANY_SUFFIX, bare, self._by_stem),
        ):
            for path in candidates:
                if ids := self._best(path, start, choices):
                    differs = kind == _ELSEWHERE and path_parts(path)[-1] != ids[0].split("/")[-1]
                    return _Match(ids, path, _OTHER_CASE if differs else kind)
        return None

    def _best(
        self, path: str, start: str, choices: Callable[[], dict[str, list[str]]]
    ) -> list[str]:
        """Return the images that fit a path best: the same name, and the longest common end."""
        *folders, name = path_parts(path)
        scope = self._scope(folders, start)
        split = _last_split(folders) or _last_split(start.split("/"))
        keys = [_key(one) for one in reversed(folders)]
        ranks: dict[str, tuple[bool, int, bool]] = {}
        for id in choices().get(_key(name), ()):
            *found, last = id.split("/")
            other = _last_split(found)
            if not id.startswith(scope) or (split and other and split != other):
                continue
            common = 0
            for one, key in zip(reversed(found), keys, strict=False):
                if _key(one) != key:
                    break
                common += 1
            ranks[id] = (last == name, common, "/".join(found) == start)
        best = max(ranks.values(), default=None)
        return [id for id, rank in ranks.items() if rank == best]

    def _scope(self, folders: list[str], start: str) -> str:
        """Return the folder of the dataset that a path's folders end with, "" if there is none."""
        key = (start, *folders)
        if key not in self._scopes:
            tails = ["/".join(folders[first:]) for first in range(len(folders))]
            places = (
                id
                for tail in tails
                for base in dict.fromkeys((start, ""))
                if (id := self._id_of(self._top + base, tail)) and os.path.isdir(self._top + id)  # noqa: PTH112  Path's raises for long names
            )
            self._scopes[key] = f"{place}/" if (place := next(places, "")) else ""
        return self._scopes[key]

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
        elif reason == _MISSING and (near := self._other_suffix(path, start)):
            reason += f" ({near} has another suffix)"
        self._problems[id] = reason
        return id

    def _other_suffix(self, path: str, start: str) -> str | None:
        """Return the image with the name of a missing one and another suffix, if there is one."""
        stem = path.removesuffix(PurePosixPath(path).suffix)
        best = self._best(stem, start, self._by_stem) if path_parts(stem) else []
        return best[0] if len(best) == 1 else None

    def _index(self) -> dict[str, list[str]]:
        """Return the ids of all images below the root, by their names without capitals."""
        if self._names is None:
            self._names = {}
            for id, _ in walk_images(self.root, self.root, []):
                self._names.setdefault(_key(id.rpartition("/")[2]), []).append(id)
        return self._names

    def _by_stem(self) -> dict[str, list[str]]:
        """Return the ids of all images below the root, by their names without suffixes."""
        if self._stems is None:
            self._stems = {}
            for name, ids in self._index().items():
                self._stems.setdefault(name.rpartition(".")[0], []).extend(ids)
        return self._stems

    def _note(self, kind: str, written: str, id: str) -> None:
        self._found[kind] += 1
        self._examples.setdefault(kind, (written, id))


def _key(name: str) -> str:
    """Return a name without capitals, and with its accents in one form."""
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name).casefold()


def _last_split(folders: Iterable[str]) -> str | None:
    splits = [split for folder in folders if (split := split_of(folder))]
    return splits[-1] if splits else None


def _shown(written: str | None) -> str:
    text = written or ""
    return repr(text if len(text) < 200 else f"...{text[-200:]}")
