"""A prediction as an object: fields, values for JSON, a drawing and a figure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from foveate.annotations import Annotation, Boxes, boxes_of
from foveate.data.dataset import Image
from foveate.data.resizing import fit_within
from foveate.formats.coco.writing import to_annotations
from foveate.report.panels import GalleryItem
from foveate.wording import describe_html, describe_object

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from foveate.tasks.presenters.presenter import Presenter

A = TypeVar("A", bound=Annotation)

MAX_DRAWN = 2048
"""Longer side in pixels of the drawing of an image that is read by windows."""


class Prediction(Generic[A]):
    """What a model predicts for one image. Each task adds its own fields.

    The image of a path is read again when it is drawn; an image that came from memory stays there
    as long as its prediction.

    Args:
        presenter: Of the task.
        annotation: What the task predicted.
        size: (height, width) of the image in pixels.
        read_image: Gives the image, (H, W, C) uint8.
        path: Its file, if it has one.

    Attributes:
        annotation: What is predicted, above the confidence threshold of the task.
        classes: The K class names of the model: a class index points into them.
        size: (height, width) of the image in pixels.
        path: The file of the image; None for an image from memory.
    """

    def __init__(
        self,
        presenter: Presenter[Any],
        annotation: Any,
        size: tuple[int, int],
        read_image: Callable[[], Image],
        path: str | None = None,
    ):
        self._presenter, self._read_image = presenter, read_image
        self.annotation: A = presenter.confident(annotation)
        self.classes = presenter.classes
        self.size = size
        self.path = path

    @property
    def summary(self) -> str:
        """The prediction in one line of text, as `foveate predict` prints it."""
        return self._presenter.summary(self.annotation)

    def __eq__(self, other: object) -> bool:
        """Whether both say the same, whatever their images are called."""
        if not isinstance(other, Prediction):
            return NotImplemented
        return self._values() == other._values()

    __hash__ = None  # type: ignore[assignment]

    def _values(self) -> dict[str, Any]:
        return self._presenter.to_dict(self.annotation)

    def to_dict(self) -> dict[str, Any]:
        """The prediction as JSON values: its entry in the file of `foveate predict --json`."""
        path = {} if self.path is None else {"path": self.path}
        return {**path, **self._values()}

    def draw(self) -> PIL.Image.Image:
        """The image with the prediction drawn on it, in RGB.

        Raises:
            BadImage: The file of the image is gone or damaged.
        """
        return PIL.Image.fromarray(
            draw_confident(self._presenter, self._read_image(), self.annotation)
        )

    def show(self) -> Figure:
        """The same as a matplotlib figure, which a notebook shows; see `draw`."""
        from foveate.report import figures  # matplotlib takes half a second

        return figures.gallery([GalleryItem(np.asarray(self.draw()), self.summary)], columns=1)

    def __repr__(self) -> str:
        return describe_object(*self._description())

    def _repr_html_(self) -> str:
        return describe_html(*self._description())

    def _description(self) -> tuple[str, dict[str, str]]:
        image = "" if self.path is None else f" {self.path!r}"
        return f"{type(self).__name__}{image}: {self.summary}", {}

    if not TYPE_CHECKING:  # for a type checker, every misspelt field would be one

        def __getattr__(self, name: str) -> Any:
            """Say which fields there are: the field of another task is the likeliest mistake."""
            if name.startswith("_"):  # what copy and notebooks ask for
                raise AttributeError(name)
            fields = ", ".join(one for one in dir(self) if not one.startswith("_"))
            raise AttributeError(
                f"a prediction of {self._presenter.name} has no {name!r}; it has {fields}"
            )


class ObjectPrediction(Prediction[A]):
    """The objects in an image."""

    @property
    def boxes(self) -> Boxes:
        """The N boxes: `boxes.xyxy` (N, 4) float64 in pixels, left, top, right, bottom."""
        return boxes_of(self.annotation)

    @property
    def scores(self) -> NDArray[np.float64]:
        """(N,) float64, the score of each object from 0 to 1."""
        scores = self.boxes.scores
        return np.ones(len(self.boxes)) if scores is None else scores

    def to_coco(self, image_id: int = 1) -> list[dict[str, Any]]:
        """The objects as COCO's results have them, for pycocotools' `loadRes`.

        Args:
            image_id: The number of the image in the annotations that they are compared with.

        Returns:
            For each object image_id, category_id (1 + its class index), bbox (left, top, width,
            height), area, iscrowd, score and, of a mask, segmentation.
        """
        return [{"image_id": image_id, **one} for one in to_annotations(self.annotation, self.size)]


def draw_confident(presenter: Presenter[Any], image: Any, prediction: Any) -> Image:
    """The image with what reaches the confidence threshold drawn on it.

    Args:
        presenter: Of the task.
        image: (H, W, C) uint8, or a large image that is read by windows: it is drawn smaller.
        prediction: An annotation of the task.

    Returns:
        (H', W', 3) uint8.
    """
    confident = presenter.confident(prediction)
    if not isinstance(image, np.ndarray):
        before = (image.shape[0], image.shape[1])
        image = fit_within(image, MAX_DRAWN, image.shape[2])
        confident = confident.resize(before, (image.shape[0], image.shape[1]))
    return presenter.draw(image, confident)
