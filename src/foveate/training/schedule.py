"""Learning rate schedules: progress from 0 to 1 -> factor of the peak learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable

from foveate.errors import SettingError


def one_cycle(progress: float, warm_up: float = 0.2) -> float:
    """Rise linearly over the first fifth, then fall linearly to 0.

    Smith and Topin, "Super-convergence", 2018: large steps in the middle, small ones at the end.
    """
    return progress / warm_up if progress < warm_up else (1 - progress) / (1 - warm_up)


def cosine(progress: float, warm_up: float = 0.05) -> float:
    """Rise for a short time, then fall along half a cosine (Loshchilov and Hutter, 2017)."""
    if progress < warm_up:
        return progress / warm_up
    return 0.5 * (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up)))


def constant(_progress: float) -> float:
    """Stay at the peak."""
    return 1.0


SCHEDULES: dict[str, Callable[[float], float]] = {
    "one-cycle": one_cycle,
    "cosine": cosine,
    "constant": constant,
}


def schedule(name: str) -> Callable[[float], float]:
    """The schedule of that name. Progress in (0, 1) gives a factor above 0: no step is wasted.

    Raises:
        SettingError: No schedule has that name.
    """
    if name not in SCHEDULES:
        raise SettingError(
            f"no schedule is called {name!r}; there are: {', '.join(SCHEDULES)}", where="schedule"
        )
    return SCHEDULES[name]
