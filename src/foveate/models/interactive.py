"""A picture that a net has looked at once, to be pointed at as often as one likes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from foveate.data.dataset import Image
from foveate.data.images import inside
from foveate.data.label_maps import nearest
from foveate.errors import SettingError
from foveate.models.heads.promptable import NO_CLICK, MaskPrediction, PromptableHead, Prompts
from foveate.models.model import VisionModel
from foveate.ops.clicks import Click

KNOWN = 4.0
"""The logit of a pixel that is known."""
Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels."""


class InteractivePredictor(ABC):
    """seer = run.on(image); seer.click(120, 80); seer.click(10, 10, inside=False)

    Each of these gives the mask of what is meant, (H, W) bool in the picture's own pixels; together they are one question, until
    `forget`. What looks at pictures (`NetSeer`, a foundation model) says how it is asked.

    size: height and width of the picture
    sure: what IoU the last answer is estimated to have
    """

    def __init__(self, size: tuple[int, int]):
        self.size = size
        self.forget()

    def forget(self) -> None:
        """Begin a new question about the same picture."""
        self.clicks: list[Click] = []
        self.outline: Box | None = None
        self.earlier: Tensor | None = None
        self.sure = float("nan")

    def begin(self, mask: NDArray[np.bool_]) -> None:
        """Begin with a mask that is nearly right, (H, W), such as another run's answer, to be corrected by clicks. Raises SettingError
        for one of another size.
        """
        if mask.shape != self.size:
            told = [" x ".join(map(str, shape[::-1])) for shape in (self.size, mask.shape)]
            raise SettingError(
                f"a mask of {told[0]} pixels is expected, as the picture has, got {told[1]}",
                where="mask",
            )
        self.forget()
        self.earlier = self.known(mask)

    def click(self, x: float, y: float, *, inside: bool = True) -> NDArray[np.bool_]:
        """Point at a pixel of the thing, or at one that is not of it. Raises SettingError outside of the picture, and where a pixel is
        said to be both.
        """
        return self.point([(x, y, inside)])

    def box(self, left: float, top: float, right: float, bottom: float) -> NDArray[np.bool_]:
        """Say between which lines the thing lies. Raises SettingError for a box without a pixel of the picture."""
        return self.point([], (left, top, right, bottom))

    def point(self, clicks: Sequence[Click], box: Box | None = None) -> NDArray[np.bool_]:
        """Several at once, answered once."""
        height, width = self.size
        before = {(int(x), int(y)): kind for x, y, kind in self.clicks}
        for x, y, kind in clicks:
            if not (0 <= x < width and 0 <= y < height):
                raise SettingError(
                    f"a pixel of a picture of {width} x {height} is expected, got {x:g},{y:g}",
                    where="point",
                )
            if before.setdefault((int(x), int(y)), kind) != kind:
                raise SettingError(
                    f"the pixel {int(x)},{int(y)} is said to be inside and outside",
                    where="point",
                    remedy="Leave out one of the two.",
                )
        if box is not None:
            left, top, right, bottom = box
            if not (max(left, 0) < min(right, width) and max(top, 0) < min(bottom, height)):
                raise SettingError(
                    f"left, top, right and bottom are expected that hold pixels of a picture of {width} x {height}, got "
                    + ",".join(f"{side:g}" for side in box),
                    where="box",
                )
            self.outline = box
        self.clicks += clicks
        prediction = self.ask([self.clicks], [self.outline], self.earlier)
        self.earlier, self.sure = prediction.best(), float(prediction.sure.max().sigmoid())
        return self.masks(self.earlier)[0]

    @abstractmethod
    def known(self, mask: NDArray[np.bool_]) -> Tensor:
        """(H, W) -> (1, h, w) logits of an earlier answer, as `ask` takes them."""

    @abstractmethod
    def ask(
        self,
        clicks: Sequence[Sequence[Click]],
        boxes: Sequence[Box | None],
        earlier: Tensor | None = None,
    ) -> MaskPrediction:
        """Of N things at once, each with its clicks and its box, in the picture's pixels. earlier: (N, h, w) logits"""

    @abstractmethod
    def masks(self, logits: Tensor) -> NDArray[np.bool_]:
        """(N, h, w) -> (N, H, W) in the picture's pixels."""


class NetInteractivePredictor(InteractivePredictor):
    """A net of our own that has looked at a picture."""

    @torch.no_grad()
    def __init__(self, net: VisionModel, image: Image):
        assert isinstance(net.body, PromptableHead)
        super().__init__((image.shape[0], image.shape[1]))
        net.eval()
        self.body = net.body
        self.shown = inside(*self.size, net.size)
        ((_, canvas),) = net.canvases([image], 1)
        self.canvas = (canvas.shape[2], canvas.shape[3])
        self.maps = self.body.encode(net.normalised(canvas))

    def known(self, mask: NDArray[np.bool_]) -> Tensor:
        height, width = self.shown
        there = nearest(mask.astype(np.uint8), self.shown) > 0
        logits = torch.zeros(1, *self.canvas, device=self.maps[0].device)
        logits[0, :height, :width] = torch.from_numpy(np.where(there, KNOWN, -KNOWN))
        return logits

    @torch.no_grad()
    def ask(
        self,
        clicks: Sequence[Sequence[Click]],
        boxes: Sequence[Box | None],
        earlier: Tensor | None = None,
    ) -> MaskPrediction:
        count, most = len(clicks), max(1, *map(len, clicks)) if clicks else 1
        down, along = (new / old for new, old in zip(self.shown, self.size, strict=True))
        laid = np.full((count, most, 3), NO_CLICK, np.float32)
        for row, own in enumerate(clicks):
            for place, (x, y, kind) in enumerate(own):
                laid[row, place] = x * along, y * down, kind
        scale = np.array([along, down] * 2, np.float32)
        around = (
            np.array([box or (0, 0, 0, 0) for box in boxes], np.float32).reshape(count, 4) * scale
        )
        device = self.maps[0].device
        prompts = Prompts(
            torch.zeros(count, dtype=torch.int64, device=device),
            torch.from_numpy(laid).to(device),
            torch.from_numpy(around).to(device),
            torch.zeros(count, *self.canvas, device=device) if earlier is None else earlier,
        )
        return self.body.decode(self.maps, prompts)

    def masks(self, logits: Tensor) -> NDArray[np.bool_]:
        height, width = self.shown
        own = logits[:, :height, :width]
        if self.shown != self.size:
            own = F.interpolate(own[:, None], size=self.size, mode="bilinear")[:, 0]
        masks: NDArray[np.bool_] = (own > 0).cpu().numpy()
        return masks
