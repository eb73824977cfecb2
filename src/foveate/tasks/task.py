"""What a vision problem is: the one seam that everything else is built around."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from foveate.annotations import Annotation
from foveate.audit import labels
from foveate.data.augment.images import suited
from foveate.data.batches import Policy
from foveate.data.dataset import Dataset, Image, Images, Sample, SplitName
from foveate.data.rng import SampleRNG
from foveate.data.subset import Pixels, Subset
from foveate.errors import SettingError
from foveate.metrics.intervals import Score
from foveate.models.backbone import Backbone
from foveate.models.interactive import InteractivePredictor
from foveate.models.model import VisionModel
from foveate.report.panels import Panel
from foveate.settings import Settings

A = TypeVar("A")

PerImageStats = dict[str, NDArray[Any]]
"""What was right and wrong, one row a picture: any choice of rows can be scored, so any figure has an interval."""

BaselinePredictors = Callable[[Images], dict[str, list[A]]]
"""Pictures -> the answers of each baseline, by its name."""


@dataclass(frozen=True)
class MaskImage:
    """A label picture. name: what is added to its picture's; values: (H, W), of 8 bits or 16; palette: (K, 3) RGB of 0 to K-1"""

    name: str
    values: NDArray[np.uint8] | NDArray[np.uint16]
    palette: Sequence[tuple[int, int, int]] | None = None


class Task(ABC, Generic[A]):
    """One vision problem: what an answer is, how it is learnt, scored, guessed and drawn. Holds no weights.

    A task is made from the names of its classes and its own options, and can tell both again (`options`), so that a
    checkpoint's header is enough to rebuild it.
    """

    name: ClassVar[str]
    annotation: ClassVar[type[Annotation]]
    """The type of the targets."""
    description: ClassVar[str]
    primary_metric: str
    """The figure that people quote, e.g. "accuracy"."""
    lower_is_better: ClassVar[frozenset[str]] = frozenset()
    """Figures of which less is better."""
    raw_metrics: ClassVar[frozenset[str]] = frozenset()
    """Figures that are told as numbers, not in percent."""
    default_settings: ClassVar[Mapping[str, Any]] = {}
    """Settings that suit this problem better than the general ones, where the user gives none."""
    letterbox: ClassVar[bool] = False
    """Whether pictures keep their aspect on the way to the training size, and truths are brought to it with them."""
    single_class_ok: ClassVar[bool] = False
    """Whether there is something to learn where all is of one class."""
    class_aware: ClassVar[bool] = True
    """Whether an answer says of which class something is."""
    largest: ClassVar[int] = 128
    """Side in pixels that larger pictures are trained at, where the user gives none."""

    max_eval_images: ClassVar[int | None] = None
    """Pictures of a part that are judged, where an answer takes long; which ones is drawn."""

    def __init__(self, classes: Sequence[str]):
        self.classes = tuple(classes)

    @classmethod
    def from_settings(
        cls, dataset: Dataset[A], settings: Settings, targets: Sequence[A], *, mirror: bool
    ) -> Self:
        """The task as a run's data and settings want it. truths: of the train part; mirror: whether mirroring keeps a truth."""
        del settings, targets, mirror
        return cls(dataset.classes)

    @classmethod
    def check_settings(cls, settings: Settings) -> None:
        """Raises SettingError for what this problem cannot do. Before any picture is read."""
        if settings.text_encoder is not None:
            raise SettingError(
                f"the task {cls.name} reads no words",
                where="text_encoder",
                remedy="Leave it out, or train with --task text_to_image.",
            )

    @property
    def curve_metric(self) -> str:
        """The figure that learning curves show: the primary one, or another where that takes too long for every batch."""
        return self.primary_metric

    def options(self) -> dict[str, Any]:
        """The keyword arguments, apart from `classes`, that build this very task."""
        return {}

    # --- data

    def audit(self, sample: Sample[A]) -> list[str]:
        """What is wrong with the truth of this one sample, in words; empty if nothing is."""
        return [finding.reason for finding in labels.check_target(sample, len(self.classes))]

    def check(self, split: SplitName, targets: Sequence[A]) -> None:
        """Raises DataError if nothing could be learnt or scored on the truths of this part. Before training."""

    def clean_target(self, target: A, size: tuple[int, int]) -> A:
        """A truth as it can be scored, where it does not fit its picture's height and width or its classes and the user allowed
        errors.
        """
        del size
        return target

    @staticmethod
    def resized(annotation: A, before: tuple[int, int], after: tuple[int, int]) -> A:
        """The annotation of a picture of one height and width, once it is resized to others."""
        del before, after
        return annotation

    @classmethod
    def augmentation(
        cls,
        size: int,
        *,
        hflip_safe: bool | None,
        classes: Sequence[str],
        kind: str,
        epochs: float | None,
    ) -> Policy:
        """What suits train pictures of that size, see `augment.suited`."""
        return suited(size, hflip_safe=hflip_safe, classes=tuple(classes), kind=kind, epochs=epochs)

    @abstractmethod
    def collate(
        self, images: Tensor, targets: Sequence[A], rng: SampleRNG
    ) -> tuple[tuple[Tensor, ...], Any]:
        """(B, C, H, W) uint8 and B truths -> (the net's inputs, the loss's target). Noise, clicks and the like are
        made here, from `draws` alone.
        """

    def cut(
        self, pixels: Subset, targets: Sequence[A], ids: Sequence[str]
    ) -> tuple[Subset, Sequence[A], Sequence[str]]:
        """A part as a net is asked about it to judge its weights: in pieces, where pictures are too large for it."""
        return pixels, targets, ids

    # --- learning

    @abstractmethod
    def head(self, backbone: Backbone) -> nn.Module:
        """The backbone with this problem's head on it: (B, C, H, W) float -> output."""

    @abstractmethod
    def loss(self, output: Any, target: Any) -> dict[str, Tensor]:
        """How wrong, as scalars. "total" is minimised."""

    def loss_floor(self) -> float:
        """What the loss of a perfect answer is; not 0 where the truth itself is smoothed."""
        return 0.0

    @abstractmethod
    def batch_metric(self, output: Any, target: Any, *, glance: bool) -> float:
        """The followed figure of one batch, for the learning curves. glance: of a few of its pictures, where all would take
        more than a small share of a step's time.
        """

    def calibrate(self, net: VisionModel, images: Images, targets: Sequence[A]) -> None:
        """Choose, on the validation part, what is chosen after training (a temperature, thresholds). Optional."""

    def fit_evaluator(
        self,
        images: Pixels,
        targets: Sequence[A],
        seed: int,
        say: Callable[[str], None] = lambda line: None,
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What has to be learnt of the train part before answers can be scored, where an answer and its truth do not say how good it is
        (a referee that reads pictures): tensors, and a record as JSON, which the run keeps. Nothing by default. say: tells a
        person what takes time
        """
        del images, targets, seed, say
        return {}, {}

    def load_evaluator(self, tensors: dict[str, Tensor], record: dict[str, Any]) -> None:
        """Take what `study` found. Before anything is settled or scored."""

    # --- answers

    @abstractmethod
    def predict(self, net: VisionModel, images: Images) -> list[A]:
        """An answer for each picture, (H, W, C) uint8 of any size, in that picture's own pixels. Never sees truth."""

    def make_prompts(self, images: Images, targets: Sequence[A]) -> Images:
        """What `predict` and the baselines are asked so that the answers can be scored: by default the pictures alone. Where a question
        is more than a picture (clicks on things, words), it is made from the truths here.
        """
        del targets
        return images

    def set_image(self, net: VisionModel, image: Image) -> InteractivePredictor:
        """The picture, to be pointed at. Raises SettingError if this task answers for pictures."""
        del net, image
        raise SettingError(
            f"the task {self.name} answers for pictures, without prompts",
            where="point or box",
            remedy="Leave them out, or train with --task promptable.",
        )

    def generate(
        self,
        net: VisionModel,
        texts: Sequence[str],
        rng: SampleRNG,
        *,
        guidance: float | None = None,
        steps: int | None = None,
    ) -> Iterator[list[Image]]:
        """For each text all that noise is on its way to a picture, the picture last, (S, S, C) uint8 each. draws: a row a text.
        Raises SettingError for words that are not known, or if this task makes no pictures.
        """
        del net, texts, rng, guidance, steps
        raise SettingError(
            f"the task {self.name} answers for pictures and makes none",
            where="generate",
            remedy="Train with --task text_to_image.",
        )

    def predict_tiled(self, net: VisionModel, image: Image, side: int) -> A:
        """The answer for a picture that is larger than the net looks at, from overlapping squares of `side` pixels. Raises
        SettingError if this task answers for whole pictures.
        """
        del net, image, side
        raise SettingError(
            f"the task {self.name} answers for whole pictures",
            where="tile",
            remedy="Leave out --tile.",
        )

    @staticmethod
    def check_tile(net: VisionModel, side: int) -> None:
        """Raises SettingError for tiles that show too little."""
        if side < net.size // 4:
            raise SettingError(
                f"tiles of at least {net.size // 4} px are expected, got {side}", where="tile"
            )

    def confident(self, prediction: A) -> A:
        """What of an answer is worth a person's look."""
        return prediction

    @abstractmethod
    def per_image_stats(self, predicted: Sequence[A], target: Sequence[A]) -> PerImageStats:
        """Compare answers with truths, one row a picture."""

    def column(self, values: list[Any]) -> NDArray[Any]:
        """One column of a tally from plain values, a row a picture."""
        return np.array(values)

    @abstractmethod
    def metrics(self, stats: PerImageStats) -> dict[str, float]:
        """All metrics of a tally."""

    def bootstrap_scorer(self, stats: PerImageStats) -> Score:
        """The same for any choice of a tally's rows."""
        return lambda rows: self.metrics(
            stats if rows is None else {name: one[rows] for name, one in stats.items()}
        )

    def score(self, predicted: Sequence[A], target: Sequence[A]) -> dict[str, float]:
        """All metrics of these answers."""
        return self.metrics(self.per_image_stats(predicted, target))

    def label_errors(self, predicted: Sequence[A], target: Sequence[A]) -> list[int] | None:
        """Rows whose truth itself looks wrong, surest first; None if this task cannot tell."""
        del predicted, target
        return None

    @abstractmethod
    def baselines(self, images: Pixels, targets: Sequence[A], seed: int) -> BaselinePredictors[A]:
        """The simplest things that could work, fitted on the train part, (N, S, S, C) uint8, which may be too large to
        be taken at once.
        """

    # --- for people

    @abstractmethod
    def to_dict(self, annotation: A) -> dict[str, Any]:
        """An answer as JSON for people and programs."""

    @abstractmethod
    def summary(self, annotation: A) -> str:
        """An answer in a line."""

    @abstractmethod
    def draw(self, image: Image, annotation: A) -> Image:
        """The answer drawn into a copy of the picture, (H, W, 3) uint8."""

    def mask_images(self, prediction: A) -> list[MaskImage]:
        """The answer as label pictures. Raises SettingError if this task has none."""
        del prediction
        raise SettingError(
            f"the task {self.name} answers without masks",
            where="--masks",
            remedy="Use --json instead.",
        )

    @abstractmethod
    def report_panels(
        self,
        stats: PerImageStats,
        ids: Sequence[str],
        read_image: Callable[[int], Image | None],
        read_pair: Callable[[int], tuple[A, A]],
    ) -> list[Panel]:
        """The report's sections that only this task knows. picture(i): the i-th row's picture if it can be had, and if so
        pair(i): what was answered there, and what is true.
        """

    @staticmethod
    def images(metric: Mapping[str, Any], split: str) -> str:
        """How many pictures of which part a figure is of, for a claim."""
        return f"{metric['n']:,} {'test' if split == 'test' else 'validation'} pictures"

    @abstractmethod
    def headline(self, metrics: Mapping[str, Any], split: str) -> str:
        """The answer in a sentence, from the figures of one part (each with value, low, high, n)."""

    @classmethod
    @abstractmethod
    def toy_dataset(cls, count: int, rng: np.random.Generator) -> Dataset[A]:
        """A small made-up set that can be learnt in seconds, for the contract tests."""
