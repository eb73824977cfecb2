"""Whether a training gives the same bits again, and what it says of that in its record."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

_OPERATION = (
    r"(.{1,100}?) (does not have a deterministic implementation"
    r"|defaults to a non-deterministic algorithm)"
)
"""What torch warns of where deterministic algorithms are asked for and it has none."""
CHECKED = ("cpu", "cuda")
"""Kinds of devices on which torch's operations are deterministic, or warn that they are not."""


@contextmanager
def noted(reasons: list[str]) -> Iterator[None]:
    """Note each operation of this block that has no deterministic version, once.

    Args:
        reasons: The notes go here. Other warnings are shown as ever.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("always", _OPERATION)
        show = warnings.showwarning

        def note(message: Warning | str, *place: Any, **more: Any) -> None:
            found = re.match(_OPERATION, str(message))
            if found is None:
                show(message, *place, **more)
                return
            reason = f"{found[1].strip()} has no deterministic version on this device"
            if reason not in reasons:
                reasons.append(reason)

        warnings.showwarning = note
        yield


def record(kind: str, reasons: Sequence[str], *, compiled: bool) -> dict[str, Any]:
    """The entry of results.json.

    Args:
        kind: Of the device: "cpu", "cuda", "mps", ...
        reasons: Why the bits may be others next time, from `noted` or from a resume elsewhere.
        compiled: Whether torch.compile made the net faster.

    Returns:
        `to_the_bit`: whether the same command gives the same bits on such a machine, with the same
        numbers of threads and processes; None where nobody knows. `reasons`: why not.
    """
    if reasons:
        return {"to_the_bit": False, "reasons": list(reasons)}
    unknown = []
    if kind not in CHECKED:
        unknown.append(f"torch does not tell which operations on {kind} are deterministic")
    if compiled and kind != "cpu":
        unknown.append("torch.compile may choose other kernels by their speed")
    return {"to_the_bit": None if unknown else True, "reasons": unknown}


def sentence(entry: Mapping[str, Any] | None, *, timed: bool = False) -> str:
    """The entry in words.

    Args:
        entry: From `record`; None in runs of an older foveate.
        timed: Whether the command was given minutes, and the clock decided how many steps fit.
    """
    if timed:
        return (
            "The command has --minutes: the clock decides how many steps fit, so its numbers "
            "differ each time. With every choice written out, it has the schedule of this run "
            f"(progress_segments) instead. Then: {_lower(sentence(entry))}"
        )
    why = "; ".join(entry["reasons"]) if entry else ""
    match entry and entry["to_the_bit"]:
        case False:
            return f"The same seed may give numbers that differ a little: {why}."
        case None if entry:
            return f"Whether the same seed gives the same numbers is not known: {why}."
    return "The same seed on the same machine gives the same numbers."


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
