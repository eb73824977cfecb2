"""A small residual backbone for a processor without a GPU: maps at strides 2 to 32, up to three million weights.

Redmon and Farhadi, "YOLOv3", 2018 (strided convolutions with residual blocks between them, He et al., 2016); widths and
depths chosen for few pictures and few minutes: most of the work is left to the coarse maps (benchmarks/README.md).
"""

from __future__ import annotations

from torch import Tensor, nn

from foveate.errors import SettingError
from foveate.models.backbone import Backbone
from foveate.models.convolution import Residual, convolution
from foveate.models.registry import Model, Recipe, Weights

SIZES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "n": ((16, 32, 64, 128, 192), (0, 1, 2, 1)),
    "s": ((24, 48, 96, 192, 320), (1, 1, 2, 1)),
    "m": ((32, 64, 128, 256, 512), (1, 2, 3, 2)),
}
"""Channels of the five stages, of strides 2, 4, 8, 16 and 32, and residual blocks in the last four."""


class Yolo(Backbone):
    """channels: of the picture; widths, depths: as in SIZES. Five maps."""

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
        """(B, C, H, W) -> maps of strides 2, 4, 8, 16 and 32."""
        maps = [self.stem(images)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return maps


def _build(name: str, channels: int, size: int, weights: Weights) -> Yolo:
    del size, weights
    _verify(name)
    return Yolo(channels, *SIZES[name.partition(":")[2] or "n"])


def _verify(name: str) -> None:
    size = name.partition(":")[2]
    if size and size not in SIZES:
        raise SettingError(
            f"yolo has no size {size!r}", where="model", remedy="Sizes: yolo:n, yolo:s, yolo:m."
        )


_TRAINED = Recipe("muon", 3e-3, half=True)

MODELS = (
    Model(
        "yolo",
        "small residual net of five maps, for boxes and masks",
        "Redmon, 2018",
        32,
        _build,
        trained=_TRAINED,
    ),
    Model(
        "yolo:*",
        "the same larger: yolo:s, yolo:m",
        "Redmon, 2018",
        32,
        _build,
        example="yolo:s",
        verify=_verify,
        trained=_TRAINED,
    ),
)
