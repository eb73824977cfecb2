"""The interface of the tasks of exported models."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, TypeVar

from numpy.typing import NDArray

from foveate.annotations import Annotation
from foveate.data.dataset import Image, Images
from foveate.tasks.presenters.presenter import Presenter

A = TypeVar("A", bound=Annotation)
Outputs = Mapping[str, NDArray[Any]]
"""What an ONNX file returns for a batch, by the names of its outputs."""


class ExportedTask(Presenter[A]):
    """A task of which only the prediction is left.

    Attributes:
        letterbox: Whether images keep their aspect at the training size.
        mirrored: Whether the net predicts for each image and its mirror image.
        has_decoder: Whether a second file takes the outputs, with prompts or noise.
        net_outputs: Names of the net's outputs, in their order; empty if there may be any number.
        refused_options: Options of the task with which it cannot be exported, and why.
        outputs: What each output of the file holds, by its name. N is the number of images, H and
            W are their sides.
    """

    letterbox: ClassVar[bool]
    has_decoder: ClassVar[bool] = False
    net_outputs: ClassVar[tuple[str, ...]] = ()
    refused_options: ClassVar[Mapping[str, str]] = {}
    outputs: ClassVar[Mapping[str, str]]

    mirrored: bool = False


class ExportedNet(Protocol):
    """A file that predicts for images of any size; see `inference.exported.model`."""

    @property
    def size(self) -> int:
        """Pixels a side of the training images."""
        ...

    @property
    def channels(self) -> int:
        """Channels of the images that it takes."""
        ...

    def predict_images(self, images: Images) -> list[Any]:
        """An annotation for each image."""
        ...

    def outputs_of(self, image: Image) -> Outputs:
        """The outputs of the file for one image."""
        ...


class WholeTask(ExportedTask[A]):
    """A task whose file gives predictions without prompts or words.

    Attributes:
        decoded: Outputs that `decode` takes; None for all of them.
    """

    decoded: ClassVar[tuple[str, ...] | None] = None

    @abstractmethod
    def graph(self) -> str:
        """What follows the net, in ONNX's textual form.

        Its inputs are `net_outputs`, and the int64[2] height and width of the images as they were
        given (`sides`) and at the training size, without padding (`content`).
        """

    @abstractmethod
    def decode(self, outputs: Outputs, row: int, size: tuple[int, int]) -> A:
        """The prediction for an image.

        Args:
            outputs: Of the file, for a batch of images of the training size.
            row: Of the image in the batch.
            size: (height, width) of the image before it was resized.
        """
