"""Small pieces of messages that readers and writers share."""

from __future__ import annotations

from collections.abc import Sequence

from foveate.data.dataset import Skipped


def first_reason(skipped: Sequence[Skipped]) -> str:
    """Write the first skipped sample with its reason, as the end of a message; "" without one."""
    return f"; {skipped[0].id}: {skipped[0].reason}" if skipped else ""
