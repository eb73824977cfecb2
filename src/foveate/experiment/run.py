"""The public `Run`: train one, test it once, and use it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from foveate.data.dataset import Dataset, Image, Images
from foveate.data.image_reading import ImageReading
from foveate.data.rng import SampleRNG, sample_keys
from foveate.data.split import file as split_file
from foveate.data.vocabulary import numbered_ids
from foveate.errors import FoveateError, RunError, SettingError
from foveate.experiment import card, pipeline, report_again, test_split
from foveate.experiment.claim import UNFINISHED
from foveate.experiment.data_place import Place
from foveate.experiment.run_folder import RunFolder
from foveate.inference.inputs import ImageInput
from foveate.inference.onnx_model import open_onnx
from foveate.inference.predictor import Predictor
from foveate.metrics.names import display_name
from foveate.models.fused import fused
from foveate.models.interactive import InteractivePredictor
from foveate.models.model import VisionModel
from foveate.progress import Reporter
from foveate.tasks.capabilities import GeneratesImages, Interactive, require
from foveate.tasks.presenters.presenter import interval
from foveate.tasks.task import Task
from foveate.tasks.tiled import Tiled
from foveate.wording import describe_html, describe_object


@dataclass
class Run(RunFolder, Predictor):
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

    def test(self, *, data: Place | None = None) -> Mapping[str, Any]:
        """Open the locked test split, and record that; see `test_split.test`."""
        return test_split.test(self, data=data)

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

    def generate(
        self,
        text: str,
        n: int = 1,
        *,
        seed: int = 0,
        guidance: float | None = None,
        steps: int | None = None,
    ) -> list[Image]:
        """Generate images from a text. The i-th image of a text and a seed is always the same.

        Args:
            text: What to show, in words that the run has learnt.
            n: Number of images.
            seed: Seed of the noise.
            guidance: Weight of the text; None: the one calibrated on the validation split.
            steps: Steps from noise to image.

        Returns:
            n images, (S, S, C) uint8.

        Raises:
            SettingError: A word is unknown, or the task generates no images.
        """
        all_stages = self.stages([text] * n, seed=seed, guidance=guidance, steps=steps)
        return [stages[-1] for stages in all_stages]

    def stages(
        self,
        texts: Sequence[str],
        *,
        seed: int = 0,
        guidance: float | None = None,
        steps: int | None = None,
    ) -> Iterator[list[Image]]:
        """Generate an image from each text, with every stage on the way from noise to image.

        A text that is given twice gives two different images. Arguments and errors are those of
        `generate`.
        """
        task, net = self.load()
        rng = SampleRNG(sample_keys(numbered_ids(texts)), seed)
        return require(task, GeneratesImages).generate(
            net, texts, rng, guidance=guidance, steps=steps
        )

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
                    facts[f"{split} {metric}"] = (
                        f"{value['value']:.1%} {interval(value)}" if value else "not opened"
                    )
        except (FoveateError, OSError) as error:
            facts["damaged"] = " ".join(str(error).split())
        return f"Run {self.name!r}", facts


def train(
    data: str | Path | Dataset[Any],
    *,
    out: str | Path | None = None,
    reporter: Reporter | None = None,
    download: bool = False,
    **settings: Any,
) -> Run:
    """From images to a trained, evaluated and reported model. The test split stays locked.

    Args:
        data: A path, the name of a known dataset, or a Dataset.
        out: A new run folder; by default runs/DATA-MODEL-N.
        reporter: Receives the progress, if there is one.
        download: Whether a known dataset may be downloaded.
        **settings: Any of `Settings`: task, model, epochs, minutes, size, lr, seed, ...

    Returns:
        The run, ready to predict.

    Raises:
        FoveateError: Data or settings cannot work; before training, where that can be known.
        Interrupted: Ctrl-C or SIGTERM; the run can be resumed.
    """
    return _as_run(pipeline.train(data, out=out, reporter=reporter, download=download, **settings))


def resume(
    run: str | Path | RunFolder,
    *,
    data: Place | None = None,
    reporter: Reporter | None = None,
    **settings: Any,
) -> Run:
    """Resume an interrupted run. It ends with the bits of a run that was never interrupted.

    Args:
        run: The run, or its folder.
        data: Where its data lies now, if it was moved; the content decides whether it is the same.
        reporter: Receives the progress, if there is one.
        **settings: Settings that the run must have, as it began; only `device` may be another.

    Raises:
        RunError: The run has no checkpoint or other settings, or its data has changed.
        DataError: The data cannot be read.
        Interrupted: Ctrl-C or SIGTERM; the run can be resumed again.
    """
    return _as_run(pipeline.resume(run, data=data, reporter=reporter, **settings))


def test(
    run: str | Path | Run, *, data: Place | None = None, reporter: Reporter | None = None
) -> Mapping[str, Any]:
    """Open the locked test split of a run, and record that in its ledger.

    The same weights are tested once: asked again, the first result is returned.

    Args:
        run: The run, or its folder.
        data: Where its data lies now, if it was moved; the content decides whether it is the same.
        reporter: Receives the progress, if there is one.

    Returns:
        Each metric with value, low, high and n.

    Raises:
        RunError: The weights are damaged, or the data has changed.
    """
    return test_split.test(_opened(run), data=data, reporter=reporter)


def predict(
    run: str | Path | Run, images: ImageInput | Iterable[ImageInput], *, tile: int | None = None
) -> Any:
    """Predict for an image, or for several images.

    Args:
        run: The run, or its folder.
        images: A path, the bytes of an image file, a Pillow image, an array (H, W, C) or a tensor
            (C, H, W), of uint8 or of floats from 0 to 1; or a list of these.
        tile: Cut larger images into overlapping squares of this many pixels a side.

    Returns:
        A prediction as a dict of JSON values, or a list of them for several images.

    Raises:
        BadImage: An image cannot be read, or could be read in two ways.
        RunError: The weights are missing or damaged.
    """
    return _opened(run).predict(images, tile=tile)


def _opened(run: str | Path | Run) -> Run:
    return run if isinstance(run, Run) else Run.open(run)


def _as_run(folder: RunFolder) -> Run:
    return folder if isinstance(folder, Run) else Run(folder.path, folder.settings, folder.dataset)
