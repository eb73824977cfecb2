"""Finds the first loss or gradient that is not finite, without waiting for the device each step."""

from __future__ import annotations

import torch
from torch import Tensor

from foveate.errors import Diverged


class FiniteCheck:
    """Checks values in the order in which they are added.

    To read a value waits until the device has computed it. An accelerator that is read at each step
    stands still while the next one is prepared, so several steps are read at once there. The step
    that is named is the first bad one all the same.

    Args:
        every: Steps after which values are read.
    """

    def __init__(self, every: int = 1):
        self.every = every
        self._added: list[tuple[str, Tensor]] = []

    def add(self, step: int, name: str, value: Tensor) -> None:
        """Add a scalar of a step, and read what was added if it is time.

        Raises:
            Diverged: See `read`.
        """
        self._added.append((f"the {name} of step {step}", value.detach()))
        if (step + 1) % self.every == 0:
            self.read()

    def read(self) -> None:
        """Read all that was added since the last time.

        Raises:
            Diverged: One of them is not finite; with the first of these.
        """
        if not self._added:
            return
        added, self._added = self._added, []
        values = [value for _, value in added]
        if len(values) > 1:
            found = torch.stack([value.float() for value in values]).tolist()
        else:
            found = [values[0].item()]
        for (name, _), value in zip(added, found, strict=True):
            if not abs(value) < float("inf"):  # inf, -inf and nan
                raise Diverged(f"{name} is {value}, not a finite number")
