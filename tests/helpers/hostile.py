"""Damaged and hostile versions of a record, made systematically."""

from __future__ import annotations

import copy
import json
import os
import signal
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from foveate.errors import FoveateError

DEPTH = 100_000
SECONDS = 20
"""After which an operation counts as hanging; on an idle machine each takes less than one."""


@contextmanager
def within(seconds: int = SECONDS) -> Iterator[None]:
    """Fail if the block does not end in time, even if it waits for a pipe."""

    def stop(*_: object) -> None:
        raise AssertionError(f"it hangs: not done in {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def memory_limit(more: int) -> Iterator[None]:
    """Fail with MemoryError if the process takes so many bytes more than it has."""
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def refused(use: Callable[[Path, str], Any], path: Path, operation: str) -> FoveateError | None:
    """The error of an operation, None if it succeeds; any other exception is a failure."""
    with within():
        try:
            use(path, operation)
        except FoveateError as error:
            return error
    return None


def replaced(content: bytes) -> Callable[[Path], None]:
    """Replace a file by these bytes."""

    def change(path: Path) -> None:
        path.unlink()
        path.write_bytes(content)

    return change


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _zeros(path: Path) -> None:
    """The size stays, the content is gone: what a crash leaves on some file systems."""
    path.write_bytes(bytes(path.stat().st_size))


def _huge(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(2**40)  # a hole: it takes no room on the disk


def _link(target: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        path.unlink()
        path.symlink_to(target)

    return change


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


FILES: dict[str, Callable[[Path], None]] = {
    "empty": replaced(b""),
    "one byte": replaced(b"{"),
    "line end": replaced(b"\n"),
    "cut": _cut,
    "zeros": _zeros,
    "a terabyte": _huge,
    "binary": replaced(bytes(range(256)) * 40),
    "utf-16": replaced("step,epoch\n1,2\n".encode("utf-16")),
    "latin-1": replaced("{'a': 'größer'}".encode("latin-1")),
    "deep lists": replaced(b"[" * DEPTH + b"]" * DEPTH),
    "deep objects": replaced(b'{"a":' * DEPTH + b"1" + b"}" * DEPTH),
    "a list": replaced(b"[1, 2]"),
    "null": replaced(b"null"),
    "a text": replaced(b'"results"'),
    "a number": replaced(b"7"),
    "a long number": replaced(b"9" * 5000),
    "nan": replaced(b"NaN"),
    "aliases": replaced(b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b, *b]\n"),
    "/dev/zero": _link("/dev/zero"),
    "dangling link": _link("/nowhere/at/all"),
    "link to itself": _link("results.json"),
    "pipe": _fifo,
    "folder": _folder,
}
"""What can become of any file."""

VALUES: dict[str, Any] = {
    "null": None,
    "text": "x",
    "number": -1.5,
    "huge": 10**400,
    "nan": float("nan"),
    "inf": float("inf"),
    "list": [],
    "object": {},
    "true": True,
    "deep": None,  # see `json_variants`
}


def json_variants(value: Any) -> Iterator[tuple[str, bytes]]:
    """Versions of a JSON value with one place changed: gone, or of another type or size.

    Of a list and of a table without fixed keys only the first item is changed.
    """
    for path in _paths(value):
        name = ".".join(map(str, path))
        changed = copy.deepcopy(value)
        holder = _at(changed, path[:-1])
        del holder[path[-1]]
        yield f"without {name}", json.dumps(changed).encode()
        for what, other in VALUES.items():
            changed = copy.deepcopy(value)
            _at(changed, path[:-1])[path[-1]] = "@deep@" if what == "deep" else other
            text = json.dumps(changed).replace('"@deep@"', "[" * 900 + "]" * 900)
            yield f"{name} = {what}", text.encode()


def _paths(value: Any, start: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = (
        list(value.items())
        if isinstance(value, dict)
        else list(enumerate(value))[:1]
        if isinstance(value, list)
        else []
    )
    for key, item in items:
        yield (*start, key)
        yield from _paths(item, (*start, key))


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def read_weights(path: Path) -> tuple[dict[str, Any], bytes]:
    """The header of a safetensors file, and the bytes after it."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def write_weights(path: Path, header: dict[str, Any] | bytes, data: bytes = b"") -> None:
    """Write a safetensors file without any check."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def change_record(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change foveate's record in the header of a weights file."""
    header, data = read_weights(path)
    record = json.loads(header["__metadata__"]["foveate"])
    changed = change(record)
    header["__metadata__"]["foveate"] = (
        changed.decode() if isinstance(changed, bytes) else json.dumps(record)
    )
    write_weights(path, header, data)


def record_of(path: Path) -> dict[str, Any]:
    return json.loads(read_weights(path)[0]["__metadata__"]["foveate"])
