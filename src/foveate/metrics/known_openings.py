"""Openings of test images that this user's account has seen, whichever run opened them.

A run's own ledger is lost with its folder, and a copied run begins a new one. So each opening is
also written into a small database in the user's state folder, with a hash of each test image. It
tells a second opening of the same images by any run. It cannot see other machines and accounts,
images that were encoded or resized again, and predictions that were looked at without `test`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from foveate.errors import StorageError

if TYPE_CHECKING:
    import sqlite3

_SCHEMA = """
    CREATE TABLE IF NOT EXISTS openings
        (number INTEGER PRIMARY KEY, opened TEXT, run TEXT, weights TEXT);
    CREATE TABLE IF NOT EXISTS images
        (image BLOB, opening INTEGER, PRIMARY KEY (image, opening)) WITHOUT ROWID;
"""
_SECONDS = 30  # that another process is waited for


@dataclass(frozen=True)
class Opening:
    """An opening of a test split.

    Attributes:
        opened: When, ISO 8601 in UTC.
        run: The folder of the run.
        weights: SHA-256 of its weights.
        shared: How many of the test images in question it opened.
    """

    opened: str
    run: str
    weights: str
    shared: int


def database() -> Path:
    """The file, in FOVEATE_STATE, else in XDG_STATE_HOME/foveate, else in ~/.local/state/foveate.

    Raises:
        StorageError: There is no such home.
    """
    setting = os.environ.get("FOVEATE_STATE")
    base = setting or os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    try:
        folder = Path(base).expanduser()
    except RuntimeError as error:
        raise _unusable(Path(base), error) from None
    return (folder if setting else folder / "foveate").absolute() / "test_openings.sqlite"


def find(images: Sequence[str]) -> list[Opening]:
    """All openings of any of these images, oldest first.

    Args:
        images: The hash of each test image, in hex digits.

    Raises:
        StorageError: The database cannot be used.
    """
    with _connected() as connection:
        connection.execute("CREATE TEMP TABLE wanted (image BLOB PRIMARY KEY)")
        connection.executemany("INSERT OR IGNORE INTO wanted VALUES (?)", _blobs(images))
        rows = connection.execute(
            "SELECT opened, run, weights, COUNT(*) FROM wanted JOIN images USING (image) "
            "JOIN openings ON number = opening GROUP BY number ORDER BY number"
        )
        return [Opening(*row) for row in rows]


def add(images: Sequence[str], *, opened: str, run: Path, weights: str) -> None:
    """Write an opening down.

    Args:
        images: The hash of each test image, in hex digits.
        opened: When, ISO 8601 in UTC.
        run: The folder of the run.
        weights: SHA-256 of its weights.

    Raises:
        StorageError: The database cannot be used.
    """
    with _connected() as connection:
        number = connection.execute(
            "INSERT INTO openings (opened, run, weights) VALUES (?, ?, ?)",
            (opened, str(run.resolve()), weights),
        ).lastrowid
        connection.executemany(
            "INSERT OR IGNORE INTO images VALUES (?, ?)",
            [(image, number) for (image,) in _blobs(images)],
        )


def _blobs(images: Sequence[str]) -> list[tuple[bytes]]:
    return [(bytes.fromhex(image),) for image in images]


@contextmanager
def _connected() -> Iterator[sqlite3.Connection]:
    """The open database; what the block changes is there as a whole or not at all."""
    import sqlite3

    path = database()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=_SECONDS)) as connection:
            connection.executescript(_SCHEMA)
            with connection:
                yield connection
    except (OSError, sqlite3.Error) as error:
        raise _unusable(path, error) from None


def _unusable(path: Path, error: Exception) -> StorageError:
    return StorageError(
        f"openings of test images cannot be noted here ({error})",
        where=path,
        cure="Name a folder with FOVEATE_STATE.",
    )
