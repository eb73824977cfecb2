"""Images together with the prompts that a task's predictions answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from foveate.annotations import Instances
from foveate.data.dataset import Image, Images


@dataclass(frozen=True)
class PromptedImages(Sequence[Image]):
    """Images with their targets, from which clicks are made.

    Attributes:
        images: N images.
        targets: N targets; their objects are clicked on, and the errors of each prediction.
    """

    images: Images
    targets: Sequence[Instances]

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, row: Any) -> Any:
        return self.images[row]


@dataclass(frozen=True)
class CaptionedImages(Sequence[Image]):
    """Images, each with a caption to generate another one from.

    Attributes:
        images: N images.
        texts: N captions.
    """

    images: Images
    texts: Sequence[str]

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, row: Any) -> Any:
        if isinstance(row, slice):
            return CaptionedImages(self.images[row], self.texts[row])
        return self.images[row]
