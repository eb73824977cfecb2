"""A vision problem: the one seam that everything else is built around."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol, Self, TypeVar

from torch import Tensor, nn

from foveate.annotations import Annotation
from foveate.audit import labels
from foveate.data.augment.images import default_policy
from foveate.data.batches import AugmentPolicy
from foveate.data.dataset import Dataset, Images, Sample
from foveate.data.rng import SampleRNG
from foveate.data.subset import ImageArray
from foveate.metrics.best_weights import LOSS
from foveate.metrics.metric import Metric
from foveate.models.backbone import Backbone
from foveate.models.model import VisionModel
from foveate.models.search import AUGMENT, SearchSpace
from foveate.settings import Settings
from foveate.tasks.presenters.presenter import Presenter

A = TypeVar("A", bound=Annotation)

BaselinePredictors = Callable[[Images], dict[str, list[A]]]
"""From images to the predictions of each baseline, by its name."""


class MakePolicy(Protocol):
    """Makes the augmentation policy for training images of `size` pixels a side."""

    def __call__(
        self,
        size: int,
        *,
        hflip_safe: bool | None,
        classes: tuple[str, ...],
        kind: str,
        epochs: float | None,
    ) -> AugmentPolicy:
        """See `data.augment.images.default_policy`."""
        ...


class Task(Presenter[A]):
    """One vision problem: how it is learnt, measured and presented. Holds no weights.

    A task is built from its class names and its options. A checkpoint's header stores both.

    Attributes:
        curve_metric: The metric of the learning curves; the primary one unless that is too slow.
        kept_by: The column of the learning curves that decides which weights are kept. It is a
            metric where a loss of one epoch cannot be compared with that of another.
        curve_reaches_one: Whether that metric is 1 for a model that fits its train images.
        lower_is_better: Metrics of which less is better.
        raw_metrics: Metrics that are shown as numbers, not in percent.
        default_settings: Settings that suit this problem better than the general defaults.
        pretrained_model: The model that starts from weights that are installed with foveate; None
            where that brings nothing.
        extra_settings: Settings that only this task has, each with a function that checks it.
        search_space: What `foveate tune` tries, beside what the model's recipe names.
        augmentation: Makes the augmentation policy.
        letterbox: Whether images keep their aspect at the training size, and targets are resized
            with them.
        single_class_ok: Whether there is something to learn in a dataset with one class.
        overlapping_masks: Whether masks of one image may overlap. Resizing makes a label map of
            them, so it is skipped where the size does not change.
        max_default_size: Pixels a side of training images, unless the user asks for more.
        max_eval_images: Images of a split that are evaluated, where prediction is slow.
        demo_data: Built-in dataset on which `foveate demo` shows the task.
        demo_settings: How long it is trained there, to be clearly better than its baselines.
        loss_floor: The loss of a perfect prediction; above 0 if targets are smoothed.
    """

    curve_metric: ClassVar[str]
    kept_by: ClassVar[str] = LOSS
    curve_reaches_one: ClassVar[bool] = True
    lower_is_better: ClassVar[frozenset[str]] = frozenset()
    raw_metrics: ClassVar[frozenset[str]] = frozenset()
    default_settings: ClassVar[Mapping[str, Any]] = {}
    pretrained_model: ClassVar[str | None] = None
    extra_settings: ClassVar[Mapping[str, Callable[[Any], None]]] = {}
    search_space: ClassVar[SearchSpace] = {"augment": AUGMENT}
    augmentation: ClassVar[MakePolicy] = staticmethod(default_policy)
    letterbox: ClassVar[bool] = False
    single_class_ok: ClassVar[bool] = False
    overlapping_masks: ClassVar[bool] = False
    max_default_size: ClassVar[int] = 128
    max_eval_images: ClassVar[int | None] = None
    demo_data: ClassVar[str] = "scenes"
    demo_settings: ClassVar[Mapping[str, Any]] = {"minutes": 5}

    loss_floor: float = 0.0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if hasattr(cls, "primary_metric") and not hasattr(cls, "curve_metric"):
            cls.curve_metric = cls.primary_metric

    @property
    def options(self) -> dict[str, Any]:
        """The keyword arguments, apart from `classes`, that rebuild this task; JSON values."""
        return {}

    # --- learn

    @classmethod
    def from_settings(
        cls, dataset: Dataset[A], settings: Settings, targets: Sequence[A], *, hflip: bool
    ) -> Self:
        """Build the task for a run.

        Args:
            dataset: The data.
            settings: The run's settings.
            targets: Targets of the train split.
            hflip: Whether training images are mirrored, so that a mirrored image is a valid one.
        """
        return cls(dataset.classes)

    @abstractmethod
    def head(self, backbone: Backbone) -> nn.Module:
        """The backbone with a head for this problem: (B, C, H, W) float -> output."""

    @abstractmethod
    def collate(
        self, images: Tensor, targets: Sequence[A], rng: SampleRNG
    ) -> tuple[tuple[Tensor, ...], Any]:
        """Turn a batch into tensors.

        Args:
            images: (B, C, H, W) uint8.
            targets: B targets.
            rng: Source of all that is random (noise, clicks), one row an image.

        Returns:
            The network's inputs and the loss's target.
        """

    @abstractmethod
    def loss(self, output: Any, target: Any) -> dict[str, Tensor]:
        """Named scalar losses; `total` is minimised."""

    @abstractmethod
    def batch_metric(self, output: Any, target: Any, *, quick: bool) -> float:
        """The curve metric of one batch.

        Args:
            output: The network's output.
            target: The loss's target.
            quick: Whether a few images suffice, because all would slow training down.
        """

    def validation_batch(self, net: VisionModel) -> int | None:
        """Images in a batch that is validated; None for as many as fit a fixed number of pixels.

        Not all tasks can choose freely: the metrics of some are computed batch by batch.
        """
        return None

    @abstractmethod
    def predict(self, net: VisionModel, images: Images) -> list[A]:
        """Predict, without seeing targets.

        Args:
            net: The network.
            images: N images, (H, W, C) uint8 of any size.

        Returns:
            N predictions in the pixels of each image.
        """

    def predict_confident(self, net: VisionModel, images: Images) -> list[A]:
        """Predict at least what `confident` keeps, where nothing else is asked for.

        A task overrides it if that is faster than all that `predict` gives to the metrics.
        """
        return self.predict(net, images)

    def calibrate(self, net: VisionModel, images: Images, targets: Sequence[A]) -> None:
        """Choose temperatures, thresholds and the like on the validation split."""

    def calibration_predictions(self, images: int) -> int:
        """How many predictions `calibrate` makes for so many validation images."""
        return 0 if type(self).calibrate is Task.calibrate else images

    # --- measure

    @abstractmethod
    def metric(self) -> Metric[A]:
        """Compares predictions with targets."""

    @abstractmethod
    def baselines(
        self, images: ImageArray, targets: Sequence[A], seed: int
    ) -> BaselinePredictors[A]:
        """Fit the simplest methods that could work.

        Args:
            images: The train split, (N, S, S, C) uint8, which may be larger than the memory.
            targets: Its targets.
            seed: For all that is random.
        """

    # --- the same for every task

    def audit(self, sample: Sample[A]) -> list[str]:
        """Why the target of this sample cannot be used; empty if it can."""
        target = sample.target
        if target is not None and not isinstance(target, self.annotation):
            expected, got = self.annotation.__name__, type(target).__name__
            return [f"an annotation of the type {expected} is expected, got {got}"]
        return [finding.reason for finding in labels.check_target(sample, len(self.classes))]

    def resize(self, annotation: A, before: tuple[int, int], after: tuple[int, int]) -> A:
        """The annotation once its image of (height, width) is resized."""
        if before == after and self.overlapping_masks:
            return annotation
        return annotation.resize(before, after)  # type: ignore[return-value]

    def score(self, predictions: Sequence[A], targets: Sequence[A]) -> dict[str, float]:
        """All metrics of these predictions."""
        return self.metric().score(predictions, targets)
