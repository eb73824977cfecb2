"""Whether a mirrored image is still a good example of its class, as the names of classes tell."""

from __future__ import annotations


def mirror_keeps_class(hflip_safe: bool | None, classes: tuple[str, ...]) -> bool:
    """Return `hflip_safe`, or if that is unknown, what the names of the classes suggest."""
    if hflip_safe is not None:
        return hflip_safe
    return not (_are_characters(classes) or names_distinguish_sides(classes))


def names_distinguish_sides(classes: tuple[str, ...]) -> bool:
    """Return whether a class is called left or right, which a mirror exchanges."""
    words = {
        word
        for name in classes
        for word in name.lower().replace("-", " ").replace("_", " ").split()
    }
    return bool(words & {"left", "right"})


def _are_characters(classes: tuple[str, ...]) -> bool:
    """Return whether all classes are named like digits or letters, whose mirror image is none."""
    return all(len(name) <= 1 or name.isdigit() for name in classes)
