"""A small residual backbone for a CPU: maps at strides 2 to 32, up to three million weights.

Redmon and Farhadi, "YOLOv3", 2018: strided convolutions with residual blocks between them. Widths
and depths are chosen for few images and few minutes; most of the work lies in the coarse maps
(benchmarks/README.md).
"""

from __future__ import annotations

from torch import Tensor, nn

from foveate.errors import SettingError
from foveate.models.backbone import Backbone
from foveate.models.catalog import entry
from foveate.models.convolution import Residual, convolution
from foveate.models.registry import Model, Recipe, Weights

SIZES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "n": ((16, 32, 64, 128, 192), (0, 1, 2, 1)),
    "s": ((24, 48, 96, 192, 320), (1, 1, 2, 1)),
    "m": ((32, 64, 128, 256, 512), (1, 2, 3, 2)),
}
"""Channels of the five stages, and residual blocks of the last four."""


class Yolo(Backbone):
    """Five maps at strides 2 to 32.

    Args:
        channels: Channels of the images.
        widths: Channels of the five stages.
        depths: Residual blocks of the last four stages.
    """

    strides = (2, 4, 8, 16, 32)
    flexible = True

    def __init__(self, channels: int, widths: tuple[int, ...], depths: tuple[int, ...]):
        super().__init__()
        self.stem = convolution(channels, widths[0], 4, 2)
        self.stages = nn.ModuleList()
        for before, width, depth in zip(widths, widths[1:], depths, strict=False):
            self.stages.append(
                nn.Sequential(
                    convolution(before, width, 3, 2),
                    *(Residual(width, width // 2) for _ in range(depth)),
                )
            )
        self.channels = tuple(widths)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the five maps, (B, C, H, W) -> strides 2, 4, 8, 16 and 32."""
        maps = [self.stem(images)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return maps


def _build(name: str, channels: int, _size: int, _weights: Weights) -> Yolo:
    _resolve(name)
    return Yolo(channels, *SIZES[name.partition(":")[2] or "n"])


def _resolve(name: str) -> Model:
    size = name.partition(":")[2]
    if size and size not in SIZES:
        raise SettingError(
            f"yolo has no size {size!r}", where="model", remedy="Sizes: yolo:n, yolo:s, yolo:m."
        )
    return MODELS[1]


_RECIPE = Recipe("muon", 3e-3, bf16=True)

MODELS = (
    Model(
        *entry("yolo"),
        _build,
        default_recipe=_RECIPE,
    ),
    Model(
        *entry("yolo:*"),
        _build,
        example="yolo:s",
        resolve=_resolve,
        default_recipe=_RECIPE,
    ),
)
