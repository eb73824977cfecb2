"""Ways to damage bytes, text and JSON, and what may stand in a file's place."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

Rng = np.random.Generator

HUGE = (
    "1e308", "-1e308", "99999999999999999999", "-1", "0", "nan", "inf", "-inf", "2147483648",
    "10000000", "1e-320", "0x10", "1_000", "１２", "",
)  # fmt: skip
"""In place of a number."""

HOSTILE_TEXT = (
    "", "\x1b[31mred\x1b]0;title\x07", "=1+1", "../../secret.png", "/etc/passwd", "a" * 100_000,
    "\u202egnp.x", "con\x00nul", "{{7*7}}", "<script>alert(1)</script>", "null", "\ud800",
    "/dev/zero", "~/secret", "C:\\secret", "a\nb", "%s%n", "!!python/object/apply:os.system [id]",
)  # fmt: skip
"""In place of a text."""


T = TypeVar("T")


def draw(rng: Rng, options: Sequence[T]) -> T:
    """One of these."""
    return options[int(rng.integers(len(options)))]


# --- bytes


def _flip(rng: Rng, data: bytes) -> bytes:
    changed = bytearray(data)
    for at in rng.integers(0, max(1, len(data)), int(rng.integers(1, 9))):
        if changed:
            changed[at] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _truncate(rng: Rng, data: bytes) -> bytes:
    return data[: int(rng.integers(0, len(data) + 1))]


def _swap(rng: Rng, data: bytes) -> bytes:
    a, b, c = sorted(int(v) for v in rng.integers(0, len(data) + 1, 3))
    return data[:a] + data[b:c] + data[a:b] + data[c:]


def _insert(rng: Rng, data: bytes) -> bytes:
    at = int(rng.integers(0, len(data) + 1))
    return data[:at] + rng.bytes(int(rng.integers(1, 64))) + data[at:]


def _fill(rng: Rng, data: bytes) -> bytes:
    """Set a few bytes to the largest or smallest value: sizes and counts become huge."""
    at = int(rng.integers(0, min(len(data), 512) + 1))
    length = int(draw(rng, (1, 2, 4, 8)))
    return data[:at] + draw(rng, (b"\xff", b"\x7f", b"\0")) * length + data[at + length :]


def _number(rng: Rng, data: bytes) -> bytes:
    places = list(re.finditer(rb"-?\d[\d.]*", data))
    if not places:
        return _fill(rng, data)
    place = draw(rng, places)
    return data[: place.start()] + draw(rng, HUGE).encode() + data[place.end() :]


def _word(rng: Rng, data: bytes) -> bytes:
    places = list(re.finditer(rb"[A-Za-z_./-]{3,}", data[:100_000]))
    if not places:
        return _insert(rng, data)
    place = draw(rng, places)
    text = draw(rng, HOSTILE_TEXT).encode("utf-8", "surrogatepass")
    return data[: place.start()] + text + data[place.end() :]


def _repeat(rng: Rng, data: bytes) -> bytes:
    a, b = sorted(int(v) for v in rng.integers(0, len(data) + 1, 2))
    return data[:b] + data[a:b] * int(rng.integers(2, 50)) + data[b:]


def _empty(_rng: Rng, _data: bytes) -> bytes:
    return b""


def _noise(rng: Rng, data: bytes) -> bytes:
    return data[:8] + rng.bytes(int(rng.integers(1, 4096)))


def _nested(rng: Rng, _data: bytes) -> bytes:
    opening = draw(rng, (b"[", b'{"a":', b"<a>", b"- ", b"(", b"{"))
    return opening * int(draw(rng, (500, 5_000, 100_000)))


BYTES: tuple[Callable[[Rng, bytes], bytes], ...] = (
    _flip, _flip, _flip, _truncate, _truncate, _swap, _insert, _fill, _fill, _number, _number,
    _word, _word, _repeat, _empty, _noise, _nested,
)  # fmt: skip


def bytes_of(rng: Rng, data: bytes) -> tuple[str, bytes]:
    """Damage bytes; also say how."""
    way = draw(rng, BYTES)
    return way.__name__.strip("_"), way(rng, data)


# --- JSON


def json_of(rng: Rng, data: bytes) -> tuple[str, bytes]:
    """Replace, remove or add one value anywhere in a JSON record; damage bytes if it is none."""
    try:
        value = json.loads(data)
    except ValueError:
        return bytes_of(rng, data)
    places = [place for place in _places(value) if place]
    if not places:
        return bytes_of(rng, data)
    *way, last = draw(rng, places)
    holder = value
    for step in way:
        holder = holder[step]
    done = draw(rng, ("replace", "replace", "replace", "remove", "double"))
    if done == "remove":
        del holder[last]
    elif done == "double" and isinstance(holder, list):
        holder.append(holder[last])
    else:
        holder[last] = _odd(rng, holder[last])
    text = json.dumps(value, ensure_ascii=False)
    return f"{done} {'/'.join(map(str, (*way, last)))}", text.encode("utf-8", "surrogatepass")


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value[:50])
        if isinstance(value, list)
        else ()
    )
    return [path, *(place for key, item in items for place in _places(item, (*path, key)))]


def _odd(rng: Rng, value: Any) -> Any:
    deep: Any = 0
    for _ in range(200):
        deep = [deep]
    options = [
        None, True, -1, 0, 1, 10**7, 10**30, 1e308, float("nan"), float("inf"), "", "abc", [], {},
        [value], {"a": value}, [[[]]], deep, [0] * 10_000, str(value), draw(rng, HOSTILE_TEXT),
        draw(rng, HOSTILE_TEXT),
    ]  # fmt: skip
    if isinstance(value, int | float):
        options += [value + 1, -value, value * 10**6, value / 3]
    return draw(rng, options)


# --- a file


def _link(path: Path, target: Path) -> None:
    path.symlink_to(target)


def replace_file(rng: Rng, path: Path, secret: Path) -> str:
    """Put something else in a file's place; say what.

    Args:
        rng: Draws what.
        path: The file.
        secret: A file of the user's that links lead to.
    """
    ways: dict[str, Callable[[], object]] = {
        "a pipe": lambda: os.mkfifo(path),
        "a folder": path.mkdir,
        "a link to /dev/zero": lambda: _link(path, Path("/dev/zero")),
        "a link to a user's file": lambda: _link(path, secret),
        "a link to itself": lambda: _link(path, path),
        "a link to nothing": lambda: _link(path, path.with_name("nothing")),
        "a hard link to a user's file": lambda: os.link(secret, path),
        "a sparse file of 20 GB": lambda: _sparse(path, 20 * 10**9),
        "nothing": lambda: None,
    }
    way = draw(rng, list(ways))
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
    ways[way]()
    return f"{path.name} is {way}"


def _sparse(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)
