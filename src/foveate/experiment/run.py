"""The public `Run`: resume one, test it once, and use it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, overload

from foveate.console import choose_reporter
from foveate.data.dataset import Image, Images
from foveate.data.image_reading import ImageReading
from foveate.data.split import file as split_file
from foveate.errors import FoveateError, RunError, SettingError
from foveate.experiment import card, figures, pipeline, report_again, test_split, verdict
from foveate.experiment.claim import UNFINISHED
from foveate.experiment.data_place import Place
from foveate.experiment.run_folder import RunFolder
from foveate.experiment.setting_keywords import SettingKeywords
from foveate.inference.exported.model import ExportedModel
from foveate.inference.generate import TextPredictor
from foveate.inference.inputs import ImageInput
from foveate.inference.onnx_model import open_onnx
from foveate.inference.predictor import Predictor
from foveate.metrics.names import display_name, interval
from foveate.models.fused import fused
from foveate.models.interactive import InteractivePredictor
from foveate.models.model import VisionModel
from foveate.progress import Reporter
from foveate.tasks.capabilities import GeneratesImages, Interactive, require
from foveate.tasks.presenters.prediction import Prediction
from foveate.tasks.task import Task
from foveate.tasks.tiling import Tiled
from foveate.wording import describe_html, describe_object, percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass
class Run(RunFolder, Predictor, TextPredictor):
    """A trained model with the record of its training. See `RunFolder` for its files."""

    _runtimes = ("torch", "onnx")
    _prepared: tuple[tuple[str, str, str], VisionModel] | None = field(
        default=None, init=False, repr=False, compare=False
    )

    @property
    def name(self) -> str:
        """The path of its folder."""
        return str(self.path)

    @property
    def task(self) -> Task[Any]:
        """The task, as it was calibrated for the best weights."""
        return self.load()[0]

    @property
    def caution(self) -> str | None:
        """A sentence for whoever uses the predictions, if a baseline is better."""
        try:
            return verdict.caution(self)
        except (FoveateError, OSError):  # a damaged record is no reason not to predict
            return None

    def test(self, *, data: Place | None = None, progress: bool = True) -> Mapping[str, Any]:
        """Open the locked test split, and record that; see `foveate.test`."""
        return test(self, data=data, progress=progress)

    def plot_curves(self) -> Figure:
        """Draw loss and metric of training and validation by epoch.

        Returns:
            A matplotlib figure, which a notebook shows; `savefig("curves.png")` writes it.
        """
        return figures.plot_curves(self)

    def show_mistakes(self, class_name: str | None = None, *, n: int = 12) -> Figure:
        """Draw the worst predictions on the test split once it is opened, until then on valid.

        They are those of the report: of a classifier its most confident mistakes.

        Args:
            class_name: Only mistakes of this class: where it is missed, or predicted wrongly.
            n: Largest number of images.

        Returns:
            A matplotlib figure, which a notebook shows.

        Raises:
            SettingError: There is no such class.
            DataError: The images are not there any more.
        """
        return figures.show_mistakes(self, class_name, n)

    def report(self, *, data: Place | None = None, reporter: Reporter | None = None) -> Path:
        """Write report.html again from the record, and return its path; see `report_again`."""
        return report_again.report(self, data=data, reporter=reporter)

    @property
    def fingerprint(self) -> str:
        """The sha256 of its weights."""
        return self.weights_digest()

    @property
    def _own_reading(self) -> ImageReading:
        return replace(self.load()[1].reading, max_pixels=self.settings.max_pixels)

    @property
    def channels(self) -> int:
        """Channels of the images that the net takes."""
        return self.load()[1].channels

    @property
    def locked_images(self) -> Mapping[str, Set[str]]:
        """The images of the test split, as long as it was never opened; see `Predictor`."""
        try:
            return (
                {} if self.ledger.entries else split_file.read_test_images(self.path / "split.csv")
            )
        except (RunError, OSError):  # a damaged record is no reason not to predict
            return {}

    @property
    def card(self) -> Mapping[str, Any]:
        """How far the run can be trusted; see `card`. Empty if its record is damaged."""
        try:
            return card.describe(self)
        except (FoveateError, OSError):  # a damaged record is no reason not to predict
            return {}

    def predict_images(self, images: Images, tile: int | None = None) -> list[Any]:
        """An annotation for each image; see `Predictor`."""
        task, net = self._load_for_prediction()
        if tile is None:
            return task.predict(net, images)
        tiled = require(task, Tiled)
        return [tiled.predict_tiled(net, image, tile) for image in images]

    def predict_confident(self, images: Images, tile: int | None = None) -> list[Any]:
        """An annotation for each image; see `Predictor`."""
        if tile is not None:
            return self.predict_images(images, tile)
        task, net = self._load_for_prediction()
        return task.predict_confident(net, images)

    def _load_for_prediction(self) -> tuple[Task[Any], VisionModel]:
        """The task, and the net as the runtime computes it, which is prepared once."""
        task, net = self.load()
        key = (self.weights_digest(), str(net.mean.device), self.runtime)
        if self._prepared is None or self._prepared[0] != key:
            prepared = fused(net)
            if self.runtime == "onnx":
                if self.device not in (None, "auto", "cpu"):
                    raise SettingError(
                        f"ONNX Runtime computes on the CPU, got the device {self.device!r}",
                        where="device",
                        remedy="Use the runtime torch, or leave out the device.",
                    )
                prepared = open_onnx(prepared.cpu(), key[0], any_size=task.letterbox)
            self._prepared = key, prepared
        return task, self._prepared[1]

    def _set_image(self, image: Image) -> InteractivePredictor:
        task, net = self._load_for_prediction()
        return require(task, Interactive).set_image(net, image)

    def _generator(self) -> tuple[GeneratesImages[Any], VisionModel]:
        task, net = self.load()
        return require(task, GeneratesImages), net

    def __repr__(self) -> str:
        return describe_object(*self._description())

    def _repr_html_(self) -> str:
        return describe_html(*self._description(), self.report_path)

    def _description(self) -> tuple[str, dict[str, str]]:
        """What it is, and how far it has come; of a damaged run, what is damaged."""
        facts = {"task": self.settings.task, "model": self.settings.model}
        try:
            if (self.path / UNFINISHED).exists():
                facts["unfinished"] = f"go on with: foveate train --resume {self.quoted_path}"
            else:
                results = self.results
                metric = display_name(results["primary"])
                for split in ("valid", "test"):
                    value = (results[split] or {}).get(results["primary"])
                    shown = value and f"{percent(value['value'])} (the {interval(value)})"
                    facts[f"{split} {metric}"] = shown or "not opened"
        except (FoveateError, OSError) as error:
            facts["damaged"] = " ".join(str(error).split())
        return f"Run {self.name!r}", facts


def resume(
    run: str | Path | RunFolder,
    *,
    data: Place | None = None,
    progress: bool = True,
    reporter: Reporter | None = None,
    **settings: Unpack[SettingKeywords],
) -> Run:
    """Resume an interrupted run. It ends with the bits of a run that was never interrupted.

    Args:
        run: The run, or its folder.
        data: Where its data lies now, if it was moved; the content decides whether it is the same.
        progress: Whether the progress is shown.
        reporter: Receives the progress in place of the screen.
        **settings: Settings that the run must have, as it began; only `device` may be another.

    Raises:
        RunError: The run has no checkpoint or other settings, or its data has changed.
        DataError: The data cannot be read.
        Interrupted: Ctrl-C or SIGTERM; the run can be resumed again.
    """
    shown = choose_reporter(reporter, progress=progress)
    return as_run(pipeline.resume(run, data=data, reporter=shown, **settings))


def test(
    run: str | Path | Run,
    *,
    data: Place | None = None,
    progress: bool = True,
    reporter: Reporter | None = None,
) -> Mapping[str, Any]:
    """Open the locked test split of a run, and record that in its ledger.

    The same weights are tested once: asked again, the first result is returned.

    Args:
        run: The run, or its folder.
        data: Where its data lies now, if it was moved; the content decides whether it is the same.
        progress: Whether the progress is shown.
        reporter: Receives the progress in place of the screen.

    Returns:
        Each metric with value, low, high and n.

    Raises:
        RunError: The weights are damaged, or the data has changed.
    """
    shown = choose_reporter(reporter, progress=progress)
    opened = run if isinstance(run, Run) else Run.open(run)
    return test_split.test(opened, data=data, reporter=shown)


@overload
def predict(  # type: ignore[overload-overlap]
    model: str | Path | Predictor,
    images: ImageInput,
    *,
    tile: int | None = None,
    conf: float | None = None,
    classes: Sequence[str] | None = None,
) -> Prediction[Any]: ...
@overload
def predict(
    model: str | Path | Predictor,
    images: Iterable[ImageInput],
    *,
    tile: int | None = None,
    conf: float | None = None,
    classes: Sequence[str] | None = None,
) -> list[Prediction[Any]]: ...
def predict(
    model: str | Path | Predictor,
    images: ImageInput | Iterable[ImageInput],
    *,
    tile: int | None = None,
    conf: float | None = None,
    classes: Sequence[str] | None = None,
) -> Prediction[Any] | list[Prediction[Any]]:
    """Predict for an image, or for several images.

    Args:
        model: A run or its folder, or an exported model or its file.
        images: A path, the bytes of an image file, a Pillow image, an array (H, W, C) or a tensor
            (C, H, W), of uint8 or of floats from 0 to 1; or a list of these.
        tile: Cut larger images into overlapping squares of this many pixels a side.
        conf: Confidence threshold of objects, from 0 to 1; None for the calibrated ones.
        classes: Names of the classes whose objects are wanted; None for all.

    Returns:
        A prediction for an image, or a list of them for several. The task decides on its fields.

    Raises:
        BadImage: An image cannot be read, or could be read in two ways.
        RunError: The weights are missing or damaged.
    """
    if isinstance(model, str | Path):
        model = ExportedModel.open(model) if ExportedModel.is_one(model) else Run.open(model)
    return model.predict(images, tile=tile, conf=conf, classes=classes)


def as_run(folder: RunFolder) -> Run:
    """The run in a folder."""
    return folder if isinstance(folder, Run) else Run(folder.path, folder.settings, folder.dataset)
