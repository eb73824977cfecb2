"""Small pieces of messages that readers and writers share."""

from __future__ import annotations

from collections.abc import Sequence

from foveate.data.dataset import Skipped


def count_noun(number: int, noun: str, plural: str | None = None) -> str:
    """Write a number with its noun: "1 image", "1,204 images", "2 boxes".

    Args:
        number: How many there are.
        noun: The singular.
        plural: The plural, if it is not the singular with an "s".
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def first_reason(skipped: Sequence[Skipped]) -> str:
    """Write the first skipped sample with its reason, as the end of a message; "" without one."""
    return f"; {skipped[0].id}: {skipped[0].reason}" if skipped else ""
