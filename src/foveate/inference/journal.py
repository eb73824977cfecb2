"""Predictions that are kept as they come: a command that was stopped goes on where it was.

A journal is a file beside the output, which holds one JSON object a line: first the command, then
a record for each image, written as soon as the image is predicted. After a crash, a full disk or
Ctrl-C the same command takes these records and predicts the other images only. When all is done,
the output is made of the journal, which is removed.

Where torchrun started several processes, each of them predicts its share of the images and keeps
its own journal. At the end rank 0 takes the records of all into its own, so that the output is the
one that a single process writes.
"""

from __future__ import annotations

import contextlib
import json
import os
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foveate import atomic_io, outputs, processes, record_io
from foveate.errors import RunError, StorageError
from foveate.progress import Reporter
from foveate.regular_file import open_regular
from foveate.wording import count_noun

SUFFIX = ".partial.jsonl"
"""What follows the name of an output in that of its journal."""
UNFINISHED = outputs.json_kind("unfinished predictions")
"""The file of a `Journal`."""
_MAX_HEAD_BYTES = 64_000_000
_FLAGS = os.O_RDWR | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True, slots=True)
class ImageName:
    """Which image a prediction is for. A frame is no part of the path, which may hold any sign.

    Attributes:
        path: Path of the image or of the video.
        frame: Number of the video's frame, from 0; None for an image.
    """

    path: str
    frame: int | None = None

    def __str__(self) -> str:
        return self.path if self.frame is None else f"{self.path}, frame {self.frame}"

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of a JSON object that name the image."""
        frame = {} if self.frame is None else {"frame": self.frame}
        return {"path": self.path, **frame}


class Journal:
    """The records of a command that is under way.

    Args:
        path: The file; that of rank 0, where there are several processes.
        command: All that the predictions depend on but the images, as JSON values.

    Attributes:
        resumed: Whether records of the same command are there.
        count: Records that can be used.
    """

    def __init__(self, path: Path, command: Mapping[str, Any]):
        self.rank, self.ranks = processes.rank(), processes.size()
        if self.ranks > 1:
            command = {**command, "processes": self.ranks}
        self.path = _of_rank(path, self.rank)
        self.command = json.loads(atomic_io.json_line(command))
        self.count = 0
        self._places: dict[ImageName, int] = {}  # of the images of other ranks
        self._known: dict[ImageName, int] = {}
        self._order = array("q")  # offset of the record of each image, -1 while there is none
        self._file: int | None = None
        self._previous = _read_command(self.path)
        self.resumed = self._previous == self.command

    def check(self, *, overwrite: bool) -> None:
        """Check before any work that the records of another command are not lost.

        Args:
            overwrite: Whether they are replaced.

        Raises:
            RunError: Records of another command are there.
        """
        if self._previous is None or self.resumed or overwrite:
            return
        changed = [
            f"{key} {_short(self._previous.get(key))}, not {_short(value)}"
            for key, value in self.command.items()
            if value != self._previous.get(key)
        ]
        raise RunError(
            f"unfinished predictions of another command are there ({'; '.join(changed[:3])})",
            where=self.path,
            remedy="Give that command again to complete them, name another output, or remove this "
            "file.",
        )

    @contextlib.contextmanager
    def opened(self, reporter: Reporter) -> Iterator[None]:
        """Open the file for the block, alone, with the records that are there already.

        If the block fails before there is any record, the file is removed.

        Args:
            reporter: Receives how many records are there.

        Raises:
            RunError: Another process is writing to it.
            StorageError: It cannot be written.
        """
        if not self.resumed:
            self._begin()
        self._file = os.open(self.path, _FLAGS)
        try:
            _lock(self._file, self.path)
            self._read_records()
            if self.count:
                made = count_noun(self.count, "prediction")
                reporter.info(f"going on after {made} made before, in {self.path}")
            try:
                yield
            except BaseException:
                if not self.count:
                    self.remove()
                raise
        finally:
            os.close(self._file)
            self._file = None

    def _begin(self) -> None:
        """Write the head, in the place of another command's records if no process uses them."""
        head = atomic_io.json_line({"foveate": UNFINISHED.name, "command": self.command})
        with contextlib.ExitStack() as stack:
            if self._previous is not None:
                previous = os.open(self.path, _FLAGS)
                stack.callback(os.close, previous)
                _lock(previous, self.path)
            atomic_io.write_bytes(self.path, head)

    def _read_records(self) -> None:
        """Find the records. A last line that was cut short is removed, a damaged one ignored."""
        assert self._file is not None
        with open_regular(self.path) as file:
            offset = len(file.readline())
            for line in file:
                if not line.endswith(b"\n"):
                    os.ftruncate(self._file, offset)
                    break
                if (record := _parsed(line)) is not None:
                    self._known[_name_of(record)] = offset
                offset += len(line)
        self.count = len(self._known)

    def records_so_far(self) -> Iterator[dict[str, Any]]:
        """The records that were there when the file was opened."""
        yield from self._read(self._known.values())

    def place(self, name: ImageName) -> tuple[int, dict[str, Any] | None]:
        """Take the next place in the order of the output.

        Returns:
            The number of the place, and the record of the image if there is one.
        """
        place = len(self._order)
        self._order.append(-1)
        if not self.is_own(place):
            self._places[name] = place
        offset = self._known.get(name)
        record = None if offset is None else next(self._read([offset]))
        return place, record

    def is_own(self, place: int) -> bool:
        """Whether this process predicts the image of this place."""
        return place % self.ranks == self.rank

    def take(self, place: int, name: ImageName) -> None:
        """Fill a place with the record that is there."""
        self._order[place] = self._known[name]

    def add(self, place: int, name: ImageName, record: Mapping[str, Any]) -> None:
        """Fill a place with a new record, which is on its way to the disk on return.

        Raises:
            StorageError: It cannot be written.
        """
        self._order[place] = self._append(atomic_io.json_line({**name.fields, **record}))
        self.count += name not in self._known

    def take_from_others(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Fill the places of the other ranks with their records, once they are done.

        Yields:
            Place and record of each.

        Raises:
            RunError: They are not there.
            StorageError: They cannot be written.
        """
        for rank in range(1, self.ranks):
            other = _of_rank(self.path, rank)
            if not other.is_file():
                raise RunError(
                    f"what rank {rank} has predicted is not there",
                    where=other,
                    remedy="Name an output on a disk that all machines share.",
                )
            if _read_command(other) != self.command:
                raise RunError("these predictions are of another command", where=other)
            last: dict[int, tuple[bytes, dict[str, Any]]] = {}  # an image may have two records
            with open_regular(other) as file:
                file.readline()  # the command
                for line in file:
                    record = _parsed(line)
                    place = None if record is None else self._places.get(_name_of(record))
                    if record is not None and place is not None and self._order[place] < 0:
                        last[place] = (line, record)
            for place, (line, record) in last.items():
                self._order[place] = self._append(line)
                self.count += 1
                yield place, record

    def _append(self, line: bytes) -> int:
        """Write a line, and return where it begins."""
        assert self._file is not None
        offset = os.lseek(self._file, 0, os.SEEK_END)
        try:
            while line:
                line = line[os.write(self._file, line) :]
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, offset)
            raise StorageError(
                f"this file cannot be written ({error.strerror})",
                where=self.path,
                cure=atomic_io.storage_cure(error),
            ) from None
        return offset

    def records(self) -> Iterator[dict[str, Any]]:
        """All records in the order of the images, read one by one."""
        yield from self._read(offset for offset in self._order if offset >= 0)

    def remove(self) -> None:
        """Remove the file: the output is complete. Rank 0 removes those of all ranks."""
        self.path.unlink(missing_ok=True)
        for rank in range(1, self.ranks if not self.rank else 1):
            _of_rank(self.path, rank).unlink(missing_ok=True)

    def _read(self, offsets: Iterable[int]) -> Iterator[dict[str, Any]]:
        with open_regular(self.path) as file:
            for offset in offsets:
                file.seek(offset)
                record = _parsed(file.readline())
                if record is None:
                    raise RunError(
                        "this file was changed by another program while it was written",
                        where=self.path,
                        remedy="Remove it and give the same command again.",
                    )
                yield record


def _of_rank(path: Path, rank: int) -> Path:
    """The journal of a rank."""
    return path if not rank else path.with_name(f"{path.name}.{rank}")


def _read_command(path: Path) -> dict[str, Any] | None:
    """The command in the first line of a journal; None if there is none."""
    try:
        with open_regular(path) as file:
            head = record_io.parse_json(file.readline(_MAX_HEAD_BYTES))
    except (OSError, ValueError):
        return None
    if not isinstance(head, dict) or head.get("foveate") != UNFINISHED.name:
        return None
    command = head.get("command")
    return command if isinstance(command, dict) else {}


def _parsed(line: bytes) -> dict[str, Any] | None:
    """The record in a line; None if it is damaged."""
    try:
        record = record_io.parse_json(line)
    except ValueError:
        return None
    if not isinstance(record, dict) or not isinstance(record.get("path"), str):
        return None
    frame = record.get("frame")
    return record if frame is None or isinstance(frame, int) else None


def _name_of(record: Mapping[str, Any]) -> ImageName:
    return ImageName(record["path"], record.get("frame"))


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _lock(file: int, path: Path) -> None:
    """Keep other processes from writing to a file, until it is closed or this process ends."""
    try:
        import fcntl
    except ImportError:  # Windows, where the lock is left out
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RunError(
            "another process is writing these predictions",
            where=path,
            remedy="Wait until it has finished.",
        ) from None
    except OSError:  # a file system without locks
        return
