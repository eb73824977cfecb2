"""Read LabelMe files one after another, and find the image of each."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from foveate.data.dataset import Skipped, Source
from foveate.data.images import FileSource
from foveate.data.images import size as size_of_file
from foveate.errors import BadImage, DataError
from foveate.formats._shared.documents.json_file import (
    optional_text,
    read_json,
    read_size,
    required_text,
)
from foveate.formats._shared.files.image_finder import ImageFinder
from foveate.formats._shared.files.partners import best_partners, by_stem, stem_of
from foveate.formats._shared.files.written_names import path_parts, readings
from foveate.formats._shared.layout import printable
from foveate.formats.labelme.shapes import EmbeddedSource, LabelmeShape, read_shapes
from foveate.wording import count_noun

_EMBEDDED = "missing images, read from their JSON file"


@dataclass(frozen=True, slots=True)
class LabelmeFile:
    """The content of one file.

    Attributes:
        id: The path of the file, relative to the dataset's folder.
        path: The file.
        source: The image.
        size: Height and width of the image in pixels as the file gives them, or None.
        mask_size: Height and width of the image, where there is a mask.
        shapes: The objects.
        group: The group, or None.
        time: When the image was taken, or None.
    """

    id: str
    path: Path
    source: Source
    size: tuple[int, int] | None
    mask_size: tuple[int, int] | None
    shapes: list[LabelmeShape]
    group: str | None
    time: str | None


@dataclass
class LabelmeReader:
    """The files that were read, and what was left out.

    Attributes:
        root: The dataset's folder.
        images: The images below it.
        skipped: What was left out.
        found: The file of each image, by the path of the image.
        counts: What is not read, or read as something else, and how often.
    """

    root: Path
    images: list[str]
    skipped: list[Skipped]
    found: dict[str, LabelmeFile] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._finder = ImageFinder(self.root)
        self._stems = by_stem(self.images)
        self._by_stem: list[str] = []
        self._movable: set[str] = set()  # images found elsewhere by files that hold their own

    def add(self, id: str) -> None:
        """Read a file; one that has no image or is another JSON file is skipped.

        Args:
            id: Its path, relative to the dataset's folder.

        Raises:
            DataError: If it is damaged, or if its image has a file already.
        """
        path = self.root / id
        content = read_json(path)
        if not isinstance(content, dict) or "shapes" not in content:
            self.skipped.append(Skipped(id, "another JSON file: it has no shapes"))
            return
        image, reason = self._image(id, content)
        source: Source = FileSource(self.root / image)
        embedded = isinstance(content.get("imageData"), str)
        written = self._is_written(path, content)
        if not reason and image in self.found and embedded and not written:
            # The image of another file has that name; this one's own image lies inside.
            image, reason = _beside(id, image), "its image belongs to another file"
        if reason:
            if not embedded:
                self.skipped.append(Skipped(printable(image), reason))
                return
            source = EmbeddedSource(path)
            self.counts[_EMBEDDED] += 1
        elif image in self._movable:
            other = self.found.pop(image)
            self.counts[_EMBEDDED] += 1
            self.found[_beside(other.id, image)] = replace(other, source=EmbeddedSource(other.path))
        if image in self.found:
            raise DataError(
                f"one JSON file per image is expected, {image!r} has {self.found[image].id} too",
                where=path,
            )
        if embedded and not reason and not written and _folder(image) != _folder(id):
            self._movable.add(image)
        self.found[image] = self._read(id, content, source)

    def all_notes(self) -> list[str]:
        """Return the notes on what is not read, and on where images were found."""
        notes = [f"{what}: {number:,}" for what, number in sorted(self.counts.items())]
        if self._by_stem:
            notes.append(
                f"{count_noun(len(self._by_stem), 'image')} found by the name of the JSON file, "
                f"since there is none of its imagePath (such as {self._by_stem[0]})"
            )
        return notes + self._finder.notes()

    def _image(self, id: str, content: dict[str, Any]) -> tuple[str, str | None]:
        """Return the path of the image of a file, and why it cannot be used, or None.

        It is the image that imagePath names, or else the one with the name of the file.
        """
        path = self.root / id
        written = content.get("imagePath")
        image = _beside(id, id)
        reason: str | None = "the file names no image"
        if written not in (None, ""):
            text = required_text(written, "imagePath", path)
            image = self._finder.find(text, folder=path.parent, where=path)
            reason = self._finder.problem(image)
        if reason:
            same = [other for other in self._stems.get(stem_of(id), ()) if other != image]
            beside = [other for other in same if _folder(other) == _folder(id)]
            best = beside or best_partners(id, same)
            if len(best) == 1 and best[0] not in self.found:
                self._by_stem.append(f"{best[0]} for {id}")
                return best[0], None
        return image, reason

    def _is_written(self, path: Path, content: dict[str, Any]) -> bool:
        """Return whether there is a file exactly where imagePath says."""
        written = content.get("imagePath")
        paths = readings(written) if isinstance(written, str) else []
        return any(path_parts(one) and os.path.isfile(path.parent / one) for one in paths)  # noqa: PTH113  Path's raises

    def _read(self, id: str, content: dict[str, Any], source: Source) -> LabelmeFile:
        path = self.root / id
        size = read_size(content, "imageHeight", "imageWidth", "the image", path)
        group, time = (optional_text(content, key, "the image", path) for key in ("group", "time"))
        sizes: list[tuple[int, int]] = [size] if size else []
        shapes = read_shapes(content, path, _measured(sizes, source, path), self.counts)
        mask_size = sizes[0] if sizes else None
        return LabelmeFile(id, path, source, size, mask_size, shapes, group, time)


def _measured(
    sizes: list[tuple[int, int]], source: Source, path: Path
) -> Callable[[], tuple[int, int]]:
    """Return a function that measures the image once, if the file does not give its size."""

    def size() -> tuple[int, int]:
        if not sizes:
            try:
                if isinstance(source, FileSource):
                    sizes.append(size_of_file(source.path))
                else:
                    height, width = source.read().shape[:2]
                    sizes.append((height, width))
            except BadImage as error:
                raise DataError(
                    f"an image is expected, to place a mask in it, but {error.message}",
                    where=path,
                ) from None
        return sizes[0]

    return size


def _folder(id: str) -> str:
    return id.rpartition("/")[0]


def _beside(id: str, image: str) -> str:
    """Return the path beside a JSON file of an image with the file's name."""
    suffix = PurePosixPath(image).suffix
    stem = id.removesuffix(PurePosixPath(id).suffix)
    return stem + ("" if suffix.lower() == ".json" else suffix)
