"""Wording that messages, reports and commands share."""

from __future__ import annotations


def count_noun(number: int, noun: str, plural: str | None = None) -> str:
    """Write a number with its noun: "1 image", "1,204 images", "2 boxes".

    Args:
        number: How many there are.
        noun: The singular.
        plural: The plural, if it is not the singular with an "s".
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
