"""What to say when a command that writes outputs is stopped, by Ctrl-C or a full disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from foveate.errors import Cancelled, FoveateError, StorageError
from foveate.inference.journal import Journal
from foveate.wording import count_noun


@contextmanager
def explain_kept_images(folder: Path) -> Iterator[None]:
    """Say in the errors of the block how many images are kept, and how to go on.

    Args:
        folder: The output, which fills up with images, new or empty at the beginning.

    Raises:
        StorageError: An output cannot be written.
        Cancelled: Ctrl-C, or the reader of what is printed has gone.
    """
    with _advising(lambda: _folder_advice(folder)):
        yield


def _folder_advice(folder: Path) -> str:
    images = sum(1 for _ in folder.rglob("*.png"))
    if not images:
        return "Then give the same command again."
    return (
        f"{folder} keeps the {count_noun(images, 'image')} written so far. "
        f"Then remove {folder} and give the same command again."
    )


@contextmanager
def explain_kept_predictions(journal: Journal | None) -> Iterator[None]:
    """Say in the errors of the block how many predictions are kept, and how to go on.

    Args:
        journal: Where they are kept; None if nothing is written.

    Raises:
        StorageError: An output cannot be written.
        Cancelled: Ctrl-C, or the reader of what is printed has gone.
    """
    try:
        with _advising(lambda: _journal_advice(journal), cancels=journal is not None):
            yield
    except FoveateError:
        raise
    except Exception as error:  # a bug, which keeps its traceback
        if journal is not None:
            error.add_note(_journal_advice(journal))
        raise


def _journal_advice(journal: Journal | None) -> str:
    if journal is None or not journal.count:
        return "Nothing is predicted yet. Then give the same command again."
    return (
        f"{journal.path} keeps the {count_noun(journal.count, 'prediction')} made so far. "
        "Then give the same command again: it goes on after them."
    )


@contextmanager
def _advising(advice: Callable[[], str], *, cancels: bool = True) -> Iterator[None]:
    """Add advice to the errors of a block whose output cannot be written, or that is stopped."""
    try:
        yield
    except StorageError as error:
        raise error.with_advice(advice()) from None
    except (KeyboardInterrupt, SystemExit):  # rich exits when the reader has gone
        if not cancels:
            raise
        raise Cancelled(f"interrupted. {advice()}") from None
