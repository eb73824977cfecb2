"""How the learning rate goes over a run: factors between 0 and 1 of the peak, as functions of progress in [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Callable

from foveate.errors import SettingError


def one_cycle(progress: float, warm_up: float = 0.2) -> float:
    """Up in a straight line over the first fifth, then down in a straight line (Smith and Topin, "Super-convergence",
    2018): large steps in the middle, small ones to settle.
    """
    return progress / warm_up if progress < warm_up else (1 - progress) / (1 - warm_up)


def cosine(progress: float, warm_up: float = 0.05) -> float:
    """A short warm-up, then down along half a cosine (Loshchilov and Hutter, "SGDR", 2017)."""
    if progress < warm_up:
        return progress / warm_up
    return 0.5 * (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up)))


def constant(progress: float) -> float:
    """The peak, always."""
    del progress
    return 1.0


SCHEDULES: dict[str, Callable[[float], float]] = {
    "one-cycle": one_cycle,
    "cosine": cosine,
    "constant": constant,
}


def schedule(name: str) -> Callable[[float], float]:
    """The named schedule. Progress in (0, 1) gives a factor above 0: no step is wasted."""
    if name not in SCHEDULES:
        raise SettingError(
            f"no schedule is called {name!r}; there are: {', '.join(SCHEDULES)}", where="schedule"
        )
    return SCHEDULES[name]
