"""The timesteps of flow matching, from 0 (noise) to 1 (image)."""

from __future__ import annotations

from typing import Any

TIMESTEP_SHIFT = 8
"""Strength of `shift_timesteps`; 1 is uniform."""


def shift_timesteps(t: Any) -> Any:
    """Shift uniform timesteps towards noise (Esser et al., "SD3", 2024, equation 23).

    An image's content is decided while it is mostly noise.

    Args:
        t: (N,) from 0 to 1, a tensor or an array.

    Returns:
        (N,) from 0 to 1, likewise.
    """
    return t / (t + TIMESTEP_SHIFT * (1 - t))
