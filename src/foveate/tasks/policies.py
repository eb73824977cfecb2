"""The augmentation policies of the tasks: see `Task.augmentation`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Instances, Mask
from foveate.data import label_maps
from foveate.data.augment.boxes import BoxAugment
from foveate.data.augment.images import ImageAugment, default_policy
from foveate.data.augment.masks import MaskAugment, default_mask_policy
from foveate.data.mirroring import names_distinguish_sides


def box_policy(
    size: int,
    *,
    hflip_safe: bool | None,
    classes: tuple[str, ...],
    kind: str,
    epochs: float | None,
) -> BoxAugment:
    """The augmentation policy for images with boxes."""
    if kind == "none":
        return BoxAugment()
    flip = default_policy(
        size, hflip_safe=hflip_safe, classes=classes, kind=kind, epochs=epochs
    ).flip
    if kind == "strong":
        return BoxAugment(
            flip,
            scale_jitter=0.8,
            aspect_jitter=0.3,
            colour=0.3,
            mosaic=0.8,
            mosaic_until=0.85,
        )
    return BoxAugment(
        flip, scale_jitter=0.5, aspect_jitter=0.2, colour=0.2, mosaic=0.5, mosaic_until=0.8
    )


def mask_policy(
    size: int,
    *,
    hflip_safe: bool | None,
    classes: tuple[str, ...],
    kind: str,
    epochs: float | None,
) -> MaskAugment[Mask]:
    """The augmentation policy for images with a semantic mask."""
    settings = default_mask_policy(size, kind, _mirrors(hflip_safe, classes, kind))
    return MaskAugment(_classes_of_pixels, label_maps.paste_mask, **settings)


def instance_policy(
    size: int,
    *,
    hflip_safe: bool | None,
    classes: tuple[str, ...],
    kind: str,
    epochs: float | None,
) -> MaskAugment[Instances]:
    """The augmentation policy for images with instance masks."""
    settings = default_mask_policy(size, kind, _mirrors(hflip_safe, classes, kind))
    return MaskAugment(Instances.label_map, label_maps.paste_instances, **settings)


def object_policy(
    size: int,
    *,
    hflip_safe: bool | None,
    classes: tuple[str, ...],
    kind: str,
    epochs: float | None,
) -> MaskAugment[Instances]:
    """The augmentation policy; always with mirroring, as classes are not learnt."""
    settings = default_mask_policy(size, kind, flip=kind != "none")
    return MaskAugment(Instances.label_map, label_maps.paste_instances, **settings)


def caption_policy(
    size: int,
    *,
    hflip_safe: bool | None,
    classes: tuple[str, ...],
    kind: str,
    epochs: float | None,
) -> ImageAugment:
    """At most mirroring: any other change of training images would appear in generated ones.

    Captions may say left and right, so the user has to allow mirroring.
    """
    return ImageAugment(flip=bool(hflip_safe) and kind != "none")


def _mirrors(hflip_safe: bool | None, classes: tuple[str, ...], kind: str) -> bool:
    """Whether images with masks are mirrored.

    Classes named 0 and 255 are the values of masks whose classes nobody has named, not characters,
    so of the names only left and right decide.
    """
    if hflip_safe is None:
        hflip_safe = not names_distinguish_sides(classes)
    return hflip_safe and kind != "none"


def _classes_of_pixels(target: Mask) -> NDArray[np.integer]:
    return target.pixels.read()
