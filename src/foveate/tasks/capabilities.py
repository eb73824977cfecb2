"""What only some tasks can do. A task opts in by inheriting; none implements a refusal."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Annotation, Instances
from foveate.data.dataset import Image, Images
from foveate.data.rng import SampleRNG
from foveate.data.subset import ImageArray
from foveate.errors import SettingError
from foveate.tasks.presenters.presenter import Presenter

if TYPE_CHECKING:
    from torch import Tensor

    from foveate.models.interactive import InteractivePredictor
    from foveate.models.model import VisionModel
    from foveate.tasks.task import Task

CLASSES_IMAGE = "-classes"
"""What follows the name of an image in that of the classes of its objects."""

A = TypeVar("A", bound=Annotation)
C = TypeVar("C", bound="Capability")
N = TypeVar("N")


class Capability(ABC):
    """Something that only some tasks can do.

    Attributes:
        lacking: What a task without it does instead, to follow "the task NAME".
        option: The user's option that asks for it.
        remedy: What to do if the task lacks it.
    """

    lacking: ClassVar[str]
    option: ClassVar[str]
    remedy: ClassVar[str]


def require(task: Presenter[Any], capability: type[C]) -> C:
    """The task, if it has the capability.

    Raises:
        SettingError: If it has not.
    """
    if not isinstance(task, capability):
        raise SettingError(
            f"the task {task.name} {capability.lacking}",
            where=capability.option,
            remedy=capability.remedy,
        )
    return task


class FindsObjects(Capability, Generic[A]):
    """Predictions are objects with scores, of which some can be left out."""

    lacking = "predicts a class for every image or pixel; it finds no objects to choose from"
    option = "--conf and --classes"
    remedy = "Leave them out."

    @abstractmethod
    def restricted(self, conf: float | None, classes: Sequence[str] | None) -> Presenter[A]:
        """The task as it presents only some objects.

        Args:
            conf: Confidence threshold for all classes; None for the calibrated ones.
            classes: Names of the classes that are presented; None for all.

        Raises:
            SettingError: A class is unknown.
        """


class PromptedByTargets(Capability, Generic[A]):
    """Predictions answer prompts, so evaluation makes the prompts from the targets."""

    @abstractmethod
    def make_prompts(self, images: Images, targets: Sequence[A]) -> Images:
        """The images with prompts made from the targets, for `predict` and for the baselines."""


def with_prompts(task: Task[Any], images: Images, targets: Sequence[Any]) -> Images:
    """The images as they are evaluated: with prompts, if the task's predictions need some."""
    return task.make_prompts(images, targets) if isinstance(task, PromptedByTargets) else images


class Interactive(Capability, Generic[N]):
    """A person clicks on an object and gets its mask, by a net of type N."""

    lacking = "predicts for whole images, without prompts"
    option = "point or box"
    remedy = "Leave them out, or train with --task promptable."

    @abstractmethod
    def set_image(self, net: N, image: Image) -> InteractivePredictor:
        """Encode the image once, for any number of prompts."""


class GeneratesImages(Capability, Generic[N]):
    """Images are generated from text, by a net of type N."""

    lacking = "predicts from images and generates none"
    option = "generate"
    remedy = "Train with --task text_to_image."

    @abstractmethod
    def generate(
        self,
        net: N,
        texts: Sequence[str],
        rng: SampleRNG,
        *,
        guidance: float | None = None,
        steps: int | None = None,
    ) -> Iterator[list[Image]]:
        """Generate an image for each text.

        Args:
            net: The network.
            texts: N prompts.
            rng: Source of the noise, one row a text.
            guidance: Scale of classifier-free guidance, by default the calibrated one.
            steps: Integration steps, by default the task's.

        Returns:
            For each text the images from noise to the last, each (S, S, C) uint8.

        Raises:
            SettingError: For words that were not learnt.
        """


class Averaged(Capability, Generic[A]):
    """Several models predict together: the mean of their probabilities."""

    lacking = "has no mean of the predictions of several models"
    option = "RUN"
    remedy = "Name the run of one fold, such as CV/fold-1, or train one model: foveate train."

    @abstractmethod
    def predict_mean(
        self, models: Sequence[tuple[Task[A], VisionModel]], images: Images
    ) -> list[A]:
        """Predict by the mean of several models of one architecture, each with its own task.

        Args:
            models: Each task as it was calibrated for its network, and the network.
            images: N images, (H, W, C) uint8 of any size.
        """


class HasEvaluator(Capability, Generic[A]):
    """Predictions are scored by a network that has to be trained first."""

    @abstractmethod
    def fit_evaluator(
        self,
        images: ImageArray,
        targets: Sequence[A],
        seed: int,
        say: Callable[[str], None] = lambda line: None,
        *,
        device: str = "auto",
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Train the evaluator on the train split.

        Args:
            images: (N, S, S, C) uint8.
            targets: Their targets.
            seed: For all that is random.
            say: Tells the user what takes time.
            device: What computes; see `training.device.find`.

        Returns:
            Its tensors and a JSON record, from which `load_evaluator` restores it.
        """

    @abstractmethod
    def load_evaluator(self, tensors: dict[str, Tensor], record: dict[str, Any]) -> None:
        """Restore the evaluator. Required before calibration and scoring."""


@dataclass(frozen=True)
class MaskImage:
    """A mask as an image file.

    Attributes:
        name: What is appended to the name of its image.
        values: (H, W) uint8 or uint16.
        palette: (K, 3) RGB of the values 0 to K-1; None for a greyscale image.
        numbers: The value of each object, if the values number objects; None otherwise.
    """

    name: str
    values: NDArray[np.uint8] | NDArray[np.uint16]
    palette: Sequence[tuple[int, int, int]] | None = None
    numbers: tuple[int, ...] | None = None


class WritesMasks(Capability, Generic[A]):
    """Predictions can be written as mask images."""

    lacking = "predicts no masks"
    option = "--masks"
    remedy = "Use --json instead."

    @abstractmethod
    def mask_images(self, prediction: A) -> list[MaskImage]:
        """The prediction as mask images."""


def object_masks(masks: NDArray[np.bool_], names: Sequence[str]) -> list[MaskImage]:
    """(N, H, W) bool masks of N objects as images, white on black, with a suffix to each name."""
    return [
        MaskImage(f"/{number:04d}{name}", mask.astype(np.uint8) * np.uint8(255))
        for number, (mask, name) in enumerate(zip(masks, names, strict=True), 1)
    ]


def by_falling_score(instances: Instances) -> NDArray[np.int64]:
    """(N,) the rows of N objects by falling score."""
    scores = instances.boxes.scores
    order: NDArray[np.int64] = np.argsort(
        np.zeros(len(instances)) if scores is None else -scores, kind="stable"
    )
    return order


def numbered_objects(instances: Instances, num_classes: int) -> list[MaskImage]:
    """Objects as label images that the format instance-labels reads.

    The first has 0 for background and 1 to N for the objects, by falling score; of objects that
    overlap, the smaller one lies on top. If there are several classes, a second one has 0 for
    background and 1 to K for the classes.

    Args:
        instances: The objects, with the size of their image.
        num_classes: The number of classes, K.
    """
    boxes, order = instances.boxes, by_falling_score(instances)
    ids = instances[order].label_map(instances.image_size).astype(np.uint16)
    numbers = np.empty(len(order), np.int64)
    numbers[order] = np.arange(1, len(order) + 1)
    images = [MaskImage("", ids, numbers=tuple(numbers.tolist()))]
    if num_classes > 1:
        class_of = np.concatenate(([0], boxes.classes[order] + 1)).astype(np.uint16)
        images.append(MaskImage(CLASSES_IMAGE, class_of[ids]))
    return images
