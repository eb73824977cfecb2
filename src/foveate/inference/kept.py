"""What is kept when a command that writes outputs is stopped, by Ctrl-C or a full disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from foveate.errors import Cancelled, StorageError
from foveate.wording import count_noun


@contextmanager
def told_what_is_kept(
    *, files: Sequence[Path] = (), folders: Sequence[Path] = ()
) -> Iterator[None]:
    """Say in the errors of the block which outputs are kept, and how to go on.

    Args:
        files: Outputs that appear whole, or not at all; a folder may be one.
        folders: Outputs that fill up with images, new or empty at the beginning.

    Raises:
        StorageError: An output cannot be written.
        Cancelled: Ctrl-C, or the reader of what is printed has gone.
    """
    before = {path: _version(path) for path in files}
    try:
        yield
    except StorageError as error:
        raise error.with_advice(_advice(before, folders)) from None
    except (KeyboardInterrupt, SystemExit):  # rich exits when the reader has gone
        if not (files or folders):
            raise
        raise Cancelled(f"interrupted. {_advice(before, folders)}") from None


def _advice(before: dict[Path, tuple[int, int] | None], folders: Sequence[Path]) -> str:
    sentences, in_the_way = [], []
    for folder in folders:
        if images := sum(1 for _ in folder.rglob("*.png")):
            sentences.append(f"{folder} keeps the {count_noun(images, 'image')} written so far.")
            in_the_way.append(folder)
    for path, version in before.items():
        if _version(path) == version:
            sentences.append(f"{path} {'was not written' if version is None else 'is as it was'}.")
        else:
            sentences.append(f"{path} is complete.")
            in_the_way += [path] if version is None else []
    removal = f"remove {' and '.join(map(str, in_the_way))} and " if in_the_way else ""
    return " ".join([*sentences, f"Then {removal}give the same command again."])


def _version(path: Path) -> tuple[int, int] | None:
    """A value that changes when the file is replaced; None for no file or an empty folder."""
    try:
        if path.is_dir() and not any(path.iterdir()):
            return None
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns
