"""What `foveate predict` writes: where, whether it may, and with which writers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foveate import atomic_io
from foveate.errors import SettingError
from foveate.inference.drawn_videos import remove_frames, with_names, write_videos
from foveate.inference.journal import SUFFIX, UNFINISHED, Journal
from foveate.inference.left_out import LeftOut
from foveate.inference.predictor import Predictor
from foveate.inference.result_files import (
    CHOSEN,
    COCO_PREDICTIONS,
    PREDICTIONS,
    PREDICTIONS_CSV,
    write_coco,
    write_csv,
    write_predictions,
)
from foveate.inference.writers import (
    CocoWriter,
    DrawingWriter,
    MaskWriter,
    PredictionWriter,
    TableWriter,
    ValueWriter,
    make_folder,
)
from foveate.outputs import check_folder, check_output
from foveate.tasks.capabilities import WritesMasks, require
from foveate.tasks.presenters.presenter import Presenter
from foveate.tasks.presenters.tables import is_measured

FILE_KINDS = {"--json": PREDICTIONS, "--coco": COCO_PREDICTIONS, "--csv": PREDICTIONS_CSV}
"""The files, by the options that name them; the other outputs are folders."""


@dataclass(frozen=True)
class Outputs:
    """Where predictions are written, outside of the images' folders; see `foveate.outputs`.

    Attributes:
        json_file: All predictions.
        coco_file: Boxes, and masks as RLE, with scores, in COCO's format.
        drawings: A new or empty folder for images and videos with their predictions drawn in.
        masks: A new or empty folder for masks as label images.
        overwrite: Whether the files are replaced where they hold predictions already.
        csv_file: A row for each object, class of pixels, or image.
        pixel_size: Side of a pixel in micrometres, for the CSV file.
    """

    json_file: Path | None = None
    coco_file: Path | None = None
    drawings: Path | None = None
    masks: Path | None = None
    overwrite: bool = False
    csv_file: Path | None = None
    pixel_size: float | None = None

    @property
    def by_option(self) -> dict[str, Path]:
        """All that are asked for, by the options of `foveate predict`: files, then folders."""
        named = {
            "--json": self.json_file, "--coco": self.coco_file, "--csv": self.csv_file,
            "--draw": self.drawings, "--masks": self.masks,
        }  # fmt: skip
        return {option: path for option, path in named.items() if path is not None}

    @property
    def files(self) -> list[Path]:
        """The files that are asked for."""
        return [path for option, path in self.by_option.items() if option in FILE_KINDS]

    @property
    def folders(self) -> list[Path]:
        """The folders that are asked for."""
        return [path for option, path in self.by_option.items() if option not in FILE_KINDS]

    @property
    def journal(self) -> Path | None:
        """Where predictions are kept until all are made: beside the first file, or in a folder."""
        if self.files:
            return self.files[0].with_name(self.files[0].name + SUFFIX)
        return self.folders[0] / f"predictions{SUFFIX}" if self.folders else None


def check_outputs(
    task: Presenter[Any], outputs: Outputs, journal: Journal | None, data: Sequence[Path]
) -> None:
    """Refuse outputs that the task's predictions do not have, or that would replace something.

    Raises:
        SettingError: The task has no such predictions, or one path is given twice.
        RunError: See `foveate.outputs`.
    """
    if outputs.coco_file is not None and not task.annotation.has_boxes:
        raise SettingError(
            f"the task {task.name} predicts no boxes",
            where="--coco",
            remedy="Use --json instead.",
        )
    if outputs.masks is not None:
        require(task, WritesMasks)
    if outputs.pixel_size is not None and outputs.csv_file is None:
        raise SettingError(
            "the size of a pixel is for the table of --csv, which is not asked for",
            where="--pixel-size",
            remedy="Add --csv FILE.",
        )
    if outputs.pixel_size is not None and not is_measured(task.table_columns):
        raise SettingError(
            f"the table of the task {task.name} has no lengths and no areas",
            where="--pixel-size",
            remedy="Leave it out.",
        )
    if journal is not None:
        journal.check(overwrite=outputs.overwrite)
    resumed = journal is not None and journal.resumed
    for option, path in outputs.by_option.items():
        if option not in FILE_KINDS:
            check_folder(path, option=option, data=data, may_be_full=resumed)
    folders = [os.path.realpath(folder) for folder in outputs.folders]
    files = [
        (option, path, FILE_KINDS[option], outputs.overwrite)
        for option, path in outputs.by_option.items()
        if option in FILE_KINDS
    ]
    if outputs.journal is not None:
        files.append((next(iter(outputs.by_option)), outputs.journal, UNFINISHED, True))
    for option, path, kind, overwrite in files:
        # In a new folder there is nothing to replace, and it is made with the folder.
        if os.path.realpath(path.parent) not in folders:
            check_output(path, kind, option=option, overwrite=overwrite, data=data)
    paths = [os.path.realpath(path) for path in outputs.by_option.values()]
    if len(set(paths)) < len(paths):
        raise SettingError(
            "another path is expected for each output, got one path twice",
            where=", ".join(outputs.by_option),
        )


def open_writers(task: Presenter[Any], outputs: Outputs) -> list[PredictionWriter]:
    """The writers of these outputs; folders are made."""
    writers: list[PredictionWriter] = []
    for folder in outputs.folders:
        make_folder(folder)
    if outputs.drawings is not None:
        writers.append(DrawingWriter(task, outputs.drawings))
    if outputs.masks is not None:
        writers.append(MaskWriter(task, outputs.masks))
    if outputs.coco_file is not None:
        writers.append(CocoWriter(task))
    if outputs.csv_file is not None:
        writers.append(TableWriter(task))
    if outputs.json_file is not None:
        writers.append(ValueWriter(task))
    return writers


def write_files(
    task: Presenter[Any],
    model: Predictor,
    outputs: Outputs,
    journal: Journal,
    left_out: LeftOut,
    asked: Mapping[str, Any],
) -> None:
    """Write the files from the journal. They appear together, whole, at the end; videos first."""
    chosen = {key: asked[key] for key in CHOSEN if asked.get(key) is not None}
    records = journal.records
    if outputs.drawings is not None:
        records = with_names(records, write_videos(outputs.drawings, records))
    with ExitStack() as stack:
        for option, path in outputs.by_option.items():
            if option not in FILE_KINDS:
                continue
            file = stack.enter_context(atomic_io.new_file(path))
            if option == "--coco":
                write_coco(file, task, model.name, records)
            elif option == "--csv":
                write_csv(file, task, records, outputs.pixel_size)
            else:
                write_predictions(file, path, task, model.name, records, left_out.records, chosen)
    if outputs.drawings is not None:
        remove_frames(outputs.drawings)
