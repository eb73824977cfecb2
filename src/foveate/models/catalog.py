"""What `foveate models` lists, apart from the nets themselves, whose files import torch.

A new file in `backbones/` that is not here is imported for the list, which takes seconds.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from pathlib import Path
from typing import NamedTuple

_LE_CUN = "LeCun et al., 1998, with modern layers"
_RUMELHART = "Rumelhart, Hinton and Williams, 1986"
_JORDAN = "Jordan, 2024"
_VGG = "Simonyan and Zisserman, 2015"
_HE = "He et al., 2016"
_YOLO = "Redmon and Farhadi, 2018"
_UNET = "Ronneberger, Fischer and Brox, 2015"


class Entry(NamedTuple):
    """The first fields of a `registry.Model`."""

    name: str
    summary: str
    paper: str
    min_size: int


CATALOG = {
    "airbench": (
        Entry("airbench", "six convolutions on whitened patches, for small images", _JORDAN, 9),
    ),
    "cnn": (
        Entry("cnn", "two 3x3 convolutions, max-pooling, dropout, 128 hidden units", _LE_CUN, 6),
    ),
    "darknet": (
        Entry(
            "yolo_v1",
            "the first YOLO, with one grid over the image; for lessons",
            "Redmon et al., 2016",
            32,
        ),
    ),
    "efficientnet_lite": (
        Entry(
            "efficientnet_lite0",
            "4.7 million weights that were trained on ImageNet: the start for photographs",
            "Tan and Le, 2019",
            33,
        ),
        Entry(
            "probe",
            "a linear layer on the features of efficientnet_lite0: fitted in seconds",
            "Kornblith et al., 2019",
            33,
        ),
    ),
    "hf_nets": (
        Entry(
            "hf:*",
            "ViT or DINOv2 from a folder of transformers: hf:DIR "
            "(pip install 'foveate[foundation]')",
            "Dosovitskiy et al., 2021; Oquab et al., 2023",
            14,
        ),
    ),
    "mlp": (
        Entry("mlp", "two hidden layers of 256 units", _RUMELHART, 1),
        Entry("mlp:*", "hidden layers of any widths: mlp:512-256", _RUMELHART, 1),
    ),
    "patch_resnet": (Entry("patch_resnet", "small residual net, for generating images", _HE, 8),),
    "timm_nets": (
        Entry(
            "timm:*",
            "any net of timm: timm:convnext_atto",
            "Wightman, 2019, and each net's own",
            32,
        ),
    ),
    "tiny_cnn": (
        Entry(
            "tiny_cnn",
            "five small convolutions; the default: trains in a minute on a CPU",
            _JORDAN,
            8,
        ),
    ),
    "tiny_encoder": (Entry("tiny_encoder", "small net with five maps, for masks", _JORDAN, 32),),
    "torchvision_nets": (
        Entry(
            "alexnet",
            "five convolutions, three linear layers",
            "Krizhevsky, Sutskever and Hinton, 2012",
            15,
        ),
        *(
            Entry(f"vgg{depth}", f"{depth} layers of 3x3 convolutions", _VGG, 16)
            for depth in (11, 13, 16, 19)
        ),
        *(
            Entry(f"resnet{depth}", f"{depth} layers with residual connections", _HE, 8)
            for depth in (18, 34, 50, 101, 152)
        ),
    ),
    "unet": (
        Entry("unet", "the U-Net of the paper, for masks", _UNET, 16),
        Entry(
            "unet:*",
            "narrower or shallower (unet:16x3), or with an encoder (unet:resnet18, unet:timm:NAME)",
            _UNET,
            16,
        ),
    ),
    "yolo": (
        Entry("yolo", "small residual net with five maps, for boxes and masks", _YOLO, 32),
        Entry("yolo:*", "larger versions: yolo:s, yolo:m", _YOLO, 32),
    ),
}
"""The models of each file in `backbones/`."""


def entry(name: str) -> Entry:
    """Return the entry of a model, from which its file makes the `Model`."""
    return next(one for entries in CATALOG.values() for one in entries if one.name == name)


@cache
def entries() -> tuple[Entry, ...]:
    """Return an entry for each model, in the order of the file names."""
    listed: list[Entry] = []
    for info in pkgutil.iter_modules([str(Path(__file__).parent / "backbones")]):
        if info.name in CATALOG:
            listed += CATALOG[info.name]
        else:
            module = importlib.import_module(f"foveate.models.backbones.{info.name}")
            listed += [
                Entry(one.name, one.summary, one.paper, one.min_size)
                for one in getattr(module, "MODELS", ())
            ]
    return tuple(listed)
