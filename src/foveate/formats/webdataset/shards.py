"""Read files in a tar archive in place: nothing is unpacked, so nothing is written anywhere."""

from __future__ import annotations

import io
import tarfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from foveate.data.dataset import Image
from foveate.data.image_reading import DEFAULT_READING, DeepPixels, ImageReading
from foveate.data.images import FileInfo, deep_pixels, examine_bytes
from foveate.errors import BadImage, DataError
from foveate.formats._shared.layout import printable, unusable_reason
from foveate.regular_file import open_regular

_DECOMPRESSORS = {
    b"\x1f\x8b": "gzip -d",
    b"BZh": "bzip2 -d",
    b"\xfd7zXZ": "xz -d",
    b"\x28\xb5\x2f\xfd": "zstd -d",
}
_CHUNK = 1 << 20  # bytes
_MAX_IMAGE_BYTES = 1 << 30  # bytes
_MAX_HEADER_BYTES = 1 << 16  # long names and file attributes need far less


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive.

    Attributes:
        name: Its name.
        offset: The position of its first byte in the archive.
        size: Its length in bytes.
    """

    name: str
    offset: int
    size: int


class MemberSource(ABC):
    """An image file in an archive, wherever that lies.

    Attributes:
        member: The file.
        reading: As of a `FileSource`.
    """

    __slots__ = ()

    member: Member
    reading: ImageReading

    @property
    @abstractmethod
    def where(self) -> Path | str:
        """The archive, as messages name it."""

    def read(self) -> Image:
        """Return the image: (H, W, C) uint8.

        Raises:
            BadImage: If it cannot be read.
        """
        return self.examine()[0]

    def examine(self) -> tuple[Image, FileInfo]:
        """Return the image, and what its file says about it.

        Raises:
            BadImage: If it cannot be read.
        """
        return examine_bytes(self.data(), f"{self.where}/{self.member.name}", self.reading)

    def deep_pixels(self) -> DeepPixels | None:
        """Return the image without scaling it to 8 bits; None if it has 8 bits.

        Raises:
            BadImage: If it cannot be read.
        """
        where = f"{self.where}/{self.member.name}"
        return deep_pixels(io.BytesIO(self.data()), where, self.reading)

    @property
    def suffix(self) -> str:
        """The suffix of the file's name."""
        return PurePosixPath(self.member.name).suffix

    def data(self) -> bytes:
        """Return the bytes of the file.

        Raises:
            BadImage: If they are gone, or too many for an image.
        """
        if self.member.size > _MAX_IMAGE_BYTES:
            reason = (
                f"an image of at most {_MAX_IMAGE_BYTES:,} bytes is expected, "
                f"this one has {self.member.size:,}"
            )
            raise BadImage(reason, where=f"{self.where}/{self.member.name}")
        try:
            data = self._read()
        except OSError as error:
            raise BadImage(
                f"the shard cannot be read ({error.strerror or error})", where=self.where
            ) from None
        if len(data) < self.member.size:
            raise BadImage("the shard was cut short after it was read", where=self.where)
        return data

    @abstractmethod
    def _read(self) -> bytes:
        """Read the bytes of the file."""


@dataclass(frozen=True, slots=True)
class ShardSource(MemberSource):
    """An image file in an archive of this machine.

    Attributes:
        path: The archive.
        member: The file.
        reading: As of a `FileSource`.
    """

    path: Path
    member: Member
    reading: ImageReading = DEFAULT_READING

    @property
    def where(self) -> Path:
        """The archive."""
        return self.path

    def _read(self) -> bytes:
        with open_regular(self.path) as file:
            return read_member(file, self.member)


def read_member(file: BinaryIO, member: Member) -> bytes:
    """Read the bytes of a member from an open archive.

    Raises:
        OSError: If reading fails.
    """
    file.seek(member.offset)
    return file.read(member.size)


def iter_members(shard: Path) -> Iterator[Member]:
    """Yield the files in an archive, in order; only headers are read.

    Raises:
        DataError: If it is not a tar archive, is compressed, damaged or cut short, or holds links,
            devices, or names that lead out of it.
        OSError: If it cannot be opened.
    """
    if reason := unusable_reason(shard):
        raise DataError(f"a tar archive is expected, but {reason}", where=shard)
    with open_regular(shard) as file:
        start = file.read(8)
        for magic, remedy in _DECOMPRESSORS.items():
            if start.startswith(magic):
                raise DataError(
                    "an uncompressed tar archive is expected, since single images in a "
                    "compressed one cannot be read",
                    where=shard,
                    remedy=f"Decompress it, but do not unpack it: {remedy} {shard.name}",
                )
        file.seek(0)
        try:
            yield from _members(file, shard)
        except DataError:
            raise
        except Exception as error:  # damaged archives raise any error in tarfile
            reason = str(error) or type(error).__name__
            raise DataError(
                f"a tar archive is expected, this is another file, damaged or cut short ({reason})",
                where=shard,
            ) from None


def add_file(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    """Add a file to an archive without times and owners, so that copies are equal."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def _members(file: BinaryIO, shard: Path) -> Iterator[Member]:
    with tarfile.open(
        fileobj=cast(BinaryIO, _Headers(file)), mode="r:", encoding="utf-8"
    ) as archive:
        end = 0
        while (info := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined]  # saves memory
            # From such a header tarfile would loop forever.
            if info.size < 0 or archive.offset <= end:
                raise tarfile.ReadError("a size below 0")
            end = archive.offset
            if info.isdir():
                continue
            if not info.isreg() or info.issparse():
                what = (
                    "a link"
                    if info.issym() or info.islnk()
                    else "a device, a pipe or a sparse file"
                )
                raise DataError(
                    f"files are expected, {printable(info.name)!r} is {what}", where=shard
                )
            if info.name.startswith("/") or ".." in PurePosixPath(info.name).parts:
                raise DataError(
                    f"names within the archive are expected, got {printable(info.name)!r}",
                    where=shard,
                )
            yield Member(info.name, info.offset_data, info.size)
        _check_end(file, archive.offset)


class _Headers:
    """An archive that tarfile reads headers from, limited in length.

    tarfile would read a header of any length into memory, and search in it for minutes.
    """

    def __init__(self, file: BinaryIO):
        self.seek, self.tell, self._read = file.seek, file.tell, file.read

    def read(self, count: int) -> bytes:
        """Read some bytes; refuse too many."""
        if count > _MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {count:,} bytes")
        return self._read(count)


def _check_end(file: BinaryIO, offset: int) -> None:
    """Require that an archive ends with zeros.

    Where tarfile stops for another reason it is silent, and files would be missing.
    """
    file.seek(offset)
    zeros = 0
    while chunk := file.read(_CHUNK):
        if chunk.count(0) < len(chunk):
            raise tarfile.ReadError(f"no header at byte {offset + zeros:,}, nor its end")
        zeros += len(chunk)
    if zeros < tarfile.BLOCKSIZE:
        raise tarfile.ReadError(f"its end is missing at byte {offset:,}")
