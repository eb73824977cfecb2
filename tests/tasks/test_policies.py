"""Which tasks mirror their images, where the data does not say whether a mirror image is fine."""

from __future__ import annotations

import pytest

from foveate import tasks

PIXELS = ("semantic", "instance", "promptable")


def flips(task: str, classes: tuple[str, ...], hflip_safe: bool | None, kind: str = "auto") -> bool:
    policy = tasks.find(task).augmentation(
        64, hflip_safe=hflip_safe, classes=classes, kind=kind, epochs=None
    )
    return policy.flip


@pytest.mark.parametrize("task", PIXELS)
def test_values_of_masks_are_no_characters(task: str) -> None:
    for classes in (("0", "255"), ("0", "1"), ("1",), ("a", "b"), ("background", "cell")):
        assert flips(task, classes, None)
        assert not flips(task, classes, None, "none")


@pytest.mark.parametrize("task", ["semantic", "instance"])
def test_sides_are_not_exchanged_in_masks(task: str) -> None:
    assert not flips(task, ("background", "left lung", "right lung"), None)
    assert not flips(task, ("0", "255"), False)
    assert flips(task, ("left", "right"), True)


@pytest.mark.parametrize("task", ["classification", "detection"])
def test_characters_are_not_mirrored(task: str) -> None:
    assert not flips(task, ("0", "1", "2"), None)
    assert flips(task, ("cat", "dog"), None)
    assert flips(task, ("0", "1"), True)
