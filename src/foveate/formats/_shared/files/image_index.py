"""The names of all images below a folder, listed once, and which of them fit a path best."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from foveate.formats._shared.files.walk import walk_images
from foveate.formats._shared.files.written_names import common_end, folded, path_parts
from foveate.formats._shared.layout import split_of


class ImageIndex:
    """The images below a folder by name; the folder is walked when first needed."""

    def __init__(self, root: Path):
        """Prepare to list.

        Args:
            root: The folder.
        """
        self.root = root
        self._scopes: dict[tuple[str, ...], str] = {}

    @cached_property
    def by_name(self) -> dict[str, list[str]]:
        """The paths of the images relative to the root, by their names in one spelling."""
        ids: dict[str, list[str]] = {}
        for id, _ in walk_images(self.root, self.root, []):
            ids.setdefault(folded(id.rpartition("/")[2]), []).append(id)
        return ids

    @cached_property
    def by_stem(self) -> dict[str, list[str]]:
        """The same by their names without suffixes."""
        ids: dict[str, list[str]] = {}
        for name, same in self.by_name.items():
            ids.setdefault(name.rpartition(".")[0], []).extend(same)
        return ids

    def all(self) -> list[str]:
        """Return the paths of all images relative to the root."""
        return [id for ids in self.by_name.values() for id in ids]

    def best(self, path: str, start: str, *, by_stem: bool = False) -> list[str]:
        """Return the images that fit a path best: the same name, and the longest common end.

        Args:
            path: The path, with slashes.
            start: The folder that it is relative to, itself relative to the root; "" is the root.
            by_stem: Whether the path has no suffix.
        """
        *folders, name = path_parts(path)
        scope = self._scope(folders, start)
        split = _last_split(folders) or _last_split(start.split("/"))
        ranks: dict[str, tuple[bool, int, bool]] = {}
        for id in self.named(name, by_stem=by_stem):
            *found, last = id.split("/")
            other = _last_split(found)
            if id.startswith(scope) and not (split and other and split != other):
                ranks[id] = (last == name, common_end(found, folders), "/".join(found) == start)
        highest = max(ranks.values(), default=None)
        return [id for id, rank in ranks.items() if rank == highest]

    def named(self, name: str, *, by_stem: bool = False) -> list[str]:
        """Return the images of a name, wherever they lie and however it is spelled."""
        return (self.by_stem if by_stem else self.by_name).get(folded(name), [])

    def _scope(self, folders: list[str], start: str) -> str:
        """Return the folder that an image is looked for in, with a slash at its end; "" for all."""
        key = (start, *folders)
        if key not in self._scopes:
            tails = ["/".join(folders[first:]) for first in range(len(folders))]
            places = (
                "/".join(filter(None, (base, tail)))
                for tail in tails
                for base in dict.fromkeys((start, ""))
            )
            there = (f"{place}/" for place in places if os.path.isdir(self.root / place))  # noqa: PTH112  Path's raises for long names
            self._scopes[key] = next(there, "") or self._own(start)
        return self._scopes[key]

    def _own(self, start: str) -> str:
        """Return the folder that names are relative to, if there are images below it, else ""."""
        own = f"{start}/" if start else ""
        return own if any(id.startswith(own) for id in self.all()) else ""


def _last_split(folders: Iterable[str]) -> str | None:
    splits = [split for folder in folders if (split := split_of(folder))]
    return splits[-1] if splits else None
