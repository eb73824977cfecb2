"""Files within a tar archive, read where they lie: nothing is unpacked, so nothing can land where it should not."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from foveate.data.dataset import Image
from foveate.data.images import FileInfo, examine_bytes
from foveate.errors import BadImage, DataError
from foveate.formats._shared.layout import printable, unusable

_PACKED = {
    b"\x1f\x8b": "gzip -d",
    b"BZh": "bzip2 -d",
    b"\xfd7zXZ": "xz -d",
    b"\x28\xb5\x2f\xfd": "zstd -d",
}
_CHUNK = 1 << 20  # bytes
_LARGEST_PICTURE = 1 << 30  # bytes
_LONGEST_HEADER = (
    1 << 16
)  # bytes; long names and what else a file system tells of a file are far below


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive: its name there, and where its bytes lie."""

    name: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class PackedSource:
    """A picture file in an archive. path: the archive"""

    path: Path
    member: Member

    def read(self) -> Image:
        return self.examine()[0]

    def examine(self) -> tuple[Image, FileInfo]:
        """The picture, and what its file says of itself. Raises BadImage."""
        return examine_bytes(self.data(), f"{self.path}/{self.member.name}")

    def data(self) -> bytes:
        """The file's bytes. Raises BadImage if they are no longer there, or too many for a picture."""
        if self.member.size > _LARGEST_PICTURE:
            reason = f"a picture of at most {_LARGEST_PICTURE:,} bytes is expected, this one has {self.member.size:,}"
            raise BadImage(reason, where=f"{self.path}/{self.member.name}")
        try:
            with self.path.open("rb") as file:
                data = bytes_of(file, self.member)
        except OSError as error:
            raise BadImage(
                f"the shard cannot be read ({error.strerror or error})", where=self.path
            ) from None
        if len(data) < self.member.size:
            raise BadImage("the shard was cut short since it was looked through", where=self.path)
        return data


def bytes_of(file: BinaryIO, member: Member) -> bytes:
    """A member's bytes from the open archive. Raises OSError."""
    file.seek(member.offset)
    return file.read(member.size)


def members(shard: Path) -> Iterator[Member]:
    """The files in an archive, in order. Only headers are read.

    Raises DataError, naming the archive, for one that is no file, compressed, damaged or cut short, and for links,
    devices, and names that lead out of it. Raises OSError if it cannot be opened.
    """
    if reason := unusable(shard):
        raise DataError(f"a tar archive is expected, but {reason}", where=shard)
    with shard.open("rb") as file:
        start = file.read(8)
        for magic, remedy in _PACKED.items():
            if start.startswith(magic):
                raise DataError(
                    "a plain tar archive is expected, this one is compressed: its pictures cannot be read one by one",
                    where=shard,
                    remedy=f"Unpack the compression (not the archive): {remedy} {shard.name}",
                )
        file.seek(0)
        try:
            yield from _members(file, shard)
        except DataError:
            raise
        except Exception as error:  # on damaged archives tarfile raises anything at all
            reason = str(error) or type(error).__name__
            raise DataError(
                f"a whole tar archive is expected, this is none, damaged or cut short ({reason})",
                where=shard,
            ) from None


def add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    """Put a file into an archive: without times, owners and whatever else changes from one writing to the next."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def _members(file: BinaryIO, shard: Path) -> Iterator[Member]:
    with tarfile.open(
        fileobj=cast(BinaryIO, _Headers(file)), mode="r:", encoding="utf-8"
    ) as archive:
        end = 0
        while (info := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined]  # or it would keep them all
            if (
                info.size < 0 or archive.offset <= end
            ):  # from such a header tarfile would go round in circles
                raise tarfile.ReadError("a size below 0")
            end = archive.offset
            if info.isdir():
                continue
            if not info.isreg() or info.issparse():
                what = (
                    "a link"
                    if info.issym() or info.islnk()
                    else "a device, a pipe or a file with holes"
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
    """An archive, for tarfile to read headers from: it would take one of any length into memory, and search in it for
    minutes.
    """

    def __init__(self, file: BinaryIO):
        self.seek, self.tell, self._read = file.seek, file.tell, file.read

    def read(self, count: int) -> bytes:
        if count > _LONGEST_HEADER:
            raise tarfile.ReadError(f"a header of {count:,} bytes")
        return self._read(count)


def _check_end(file: BinaryIO, offset: int) -> None:
    """An archive ends with zeros. Where tarfile stops for another reason it says nothing, and files would be missing."""
    file.seek(offset)
    zeros = 0
    while chunk := file.read(_CHUNK):
        if chunk.count(0) < len(chunk):
            raise tarfile.ReadError(f"no header at byte {offset + zeros:,}, nor its end")
        zeros += len(chunk)
    if zeros < tarfile.BLOCKSIZE:
        raise tarfile.ReadError(f"its end is missing at byte {offset:,}")
