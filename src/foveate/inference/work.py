"""The work of one command: which images are still to be predicted, and what is kept of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from foveate.data import video
from foveate.data.dataset import Image, Images
from foveate.data.image_stats import content_hash
from foveate.data.images import examine
from foveate.data.windows import is_windowed, open_windows
from foveate.errors import BadImage, FoveateError
from foveate.inference.depth_notes import DepthNotes
from foveate.inference.journal import ImageName, Journal
from foveate.inference.left_out import LeftOut
from foveate.inference.predictor import Predictor
from foveate.inference.tally import Tally
from foveate.inference.writers import Job, PredictionWriter, UniqueNames
from foveate.progress import Reporter
from foveate.tasks.presenters.presenter import Presenter


class Work:
    """Reads the images of a command and keeps what is predicted for them.

    Args:
        model: The model.
        task: Its task, as it presents the predictions.
        journal: An open journal; None if nothing is written.
        writers: What is kept of each prediction.
        left_out: Receives the images that cannot be read.
        reporter: Receives a line per prediction.
        tiled: Whether images are predicted from tiles, so that large ones need not be in memory.

    Attributes:
        tally: Predictions, with those that an earlier process made.
        spent: Images of the model's test split, which is still locked, among them.
        depths: Images that the model's black and white do not fit.
    """

    def __init__(
        self,
        model: Predictor,
        task: Presenter[Any],
        journal: Journal | None,
        writers: Sequence[PredictionWriter],
        left_out: LeftOut,
        reporter: Reporter,
        *,
        tiled: bool,
    ):
        self.task, self.locked = task, model.locked_images
        self.tally = Tally(task)
        self.journal, self.writers = journal, writers
        self.left_out, self.reporter = left_out, reporter
        self.spent = 0
        self._reading, self._tiled = model.reading, tiled
        self.depths = DepthNotes(model.reading)
        self._names = UniqueNames()
        for record in journal.records_so_far() if journal is not None else ():
            if _is_sound(record):
                self._names.take(record["stem"])

    def images(self, files: Iterable[Path]) -> Iterator[tuple[Job, Image]]:
        """Read the images and frames for which there is no prediction yet."""
        for path in files:
            try:
                if path.suffix.lower() in video.VIDEO_SUFFIXES:
                    for number, frame in enumerate(video.frames(path)):
                        if job := self._job(ImageName(str(path), number)):
                            yield job, frame
                elif job := self._job(ImageName(str(path))):
                    yield job, self._read(path)
            except BadImage as error:
                self.left_out.skip(str(path), error.message)

    def _read(self, path: Path) -> Image:
        if self._tiled and (large := open_windows(path, self._reading)):
            return cast(Image, large)  # tiles are cut from it as from an array
        try:
            image, info = examine(path, self._reading)
        except BadImage as error:
            if not self._tiled and is_windowed(path, self._reading):
                raise BadImage(f"{error.message}; with --tile PX it is read in parts") from None
            raise
        self.depths.add(info)
        return image

    def _job(self, name: ImageName) -> Job | None:
        """What is to be done for an image; None if an earlier process has done it."""
        stamp = file_stamp(Path(name.path))
        if self.journal is None:
            return Job(name, 0, stamp, "")
        place, record = self.journal.place(name)
        if record is None or not _is_sound(record):
            job = Job(name, place, stamp, self._names.next(name))
            return job if self.journal.is_own(place) else None
        if record["stamp"] != stamp or not all(one.is_complete(record) for one in self.writers):
            return Job(name, place, stamp, record["stem"])
        self.journal.take(place, name)
        self._count(record | name.fields)
        return None

    def add(self, job: Job, image: Image, prediction: Any) -> None:
        """Report and keep a prediction."""
        self.reporter.info(f"{job.name}  {self.task.summary(prediction)}")
        # Hashing takes as long as decoding: only an image with the name of one is hashed.
        hashes = self.locked.get(Path(job.name.path).stem)
        spent = (
            hashes is not None and isinstance(image, np.ndarray) and content_hash(image) in hashes
        )
        amounts = self.task.amounts(prediction)
        record: dict[str, Any] = {
            "stamp": job.stamp, "stem": job.stem, "spent": spent, "amounts": amounts,
        }  # fmt: skip
        if self.journal is not None:
            for writer in self.writers:
                record |= writer.add(job, image, prediction)
            self.journal.add(job.place, job.name, record)
        self._count(record | job.name.fields)

    def add_others(self) -> None:
        """Take what the other ranks have predicted, once they are done."""
        for _, record in self.journal.take_from_others() if self.journal is not None else ():
            self._count(record)

    def _count(self, record: Mapping[str, Any]) -> None:
        self.tally.add(record.get("amounts") or {}, frame="frame" in record)
        self.spent += bool(record.get("spent"))


def predict_batch(
    predict: Callable[[Images], list[Any]], batch: Sequence[tuple[Job, Image]], left_out: LeftOut
) -> Iterator[tuple[Job, Image, Any]]:
    """Predict for a batch; if the model raises an error, for each of its images alone.

    Args:
        predict: The model.
        batch: The images.
        left_out: Receives the images on which the model raises an error.

    Raises:
        FoveateError: The command cannot work.
    """
    try:
        predictions = predict([image for _, image in batch])
    except BadImage as error:
        if len(batch) == 1:
            left_out.skip(batch[0][0].name, error.message)
    except FoveateError:
        raise
    except Exception as error:
        if len(batch) == 1:
            left_out.fail(batch[0][0].name, error)
    else:
        left_out.succeed()
        for (job, image), prediction in zip(batch, predictions, strict=True):
            yield job, image, prediction
        return
    for one in batch if len(batch) > 1 else ():
        yield from predict_batch(predict, [one], left_out)


def _is_sound(record: Mapping[str, Any]) -> bool:
    """Whether a record has the fields of every record; its name leads to no other folder."""
    stem = record.get("stem")
    return (
        isinstance(stem, str)
        and Path(stem).name == stem
        and isinstance(record.get("stamp"), list)
        and isinstance(record.get("spent"), bool)
        and isinstance(amounts := record.get("amounts"), dict)
        and all(isinstance(amount, int | float) for amount in amounts.values())
    )


def file_stamp(path: Path) -> list[int]:
    """Size and time of a file, which change with its content; empty if there is no such file."""
    try:
        status = path.stat()
    except (OSError, ValueError):  # opening it will tell why
        return []
    return [status.st_size, status.st_mtime_ns]
