"""What several processes of one command do together, and what each rank but the first does.

Rank 0 runs the pipeline as a single process does. The others join it where there is something to
share: training, validation, calibration and the prediction of a split. What they need to know comes
from the run folder, which all machines must see at the same path.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from foveate import processes
from foveate.data.dataset import Dataset, SplitName
from foveate.errors import Interrupted, RunError
from foveate.experiment import spread_images
from foveate.experiment.data_place import Place, move
from foveate.experiment.prepare import reopen
from foveate.experiment.prepared_data import PreparedData
from foveate.experiment.run_folder import RunFolder
from foveate.experiment.spread_images import SpreadImages
from foveate.experiment.train import learn
from foveate.progress import NullReporter
from foveate.tasks.capabilities import with_prompts
from foveate.training import helping
from foveate.training.device import AUTO, find

MAX_READ = 256
"""Images that are read from their files at once."""

_PACKAGES = ("foveate", "torch", "torchvision", "numpy", "Pillow")


@contextmanager
def connected(device: str | None) -> Iterator[None]:
    """Connect the processes of this command, if torchrun started several.

    Args:
        device: What this process computes with, by name; None for the best of this machine.

    Raises:
        RunError: They have other packages, or one of them has ended.
    """
    if not processes.launched():
        yield
        return
    found = find(device or AUTO)
    with processes.connected(found):
        versions = {f"the version of {name}": version(name) for name in _PACKAGES}
        processes.check_equal({**versions, "the kind of device": found.type})
        try:
            yield
        finally:
            spread_images.close()


@contextmanager
def led() -> Iterator[bool]:
    """Connect the processes of a command that rank 0 leads: the others only help it.

    No gradients are exchanged, so this works on every device.

    Yields:
        Whether this process is the one that does the work of the block.
    """
    with connected("cpu"):
        if not processes.is_main():
            helping.wait_and_help()
            yield False
            return
        with helping.helped():
            yield True
        processes.wait()


def announce(run: RunFolder, prepared: PreparedData | None, *, resume: bool = False) -> None:
    """Let the other ranks join, once the data is prepared.

    Args:
        run: The run.
        prepared: Its data; None if there is nothing to join.
        resume: Whether training goes on from a checkpoint.
    """
    images = None if prepared is None else SpreadImages.of(prepared.images)
    processes.broadcast((str(run.path.absolute()), prepared is not None, resume, images))


def _joined(device: str | None, data: Place | None) -> tuple[RunFolder, PreparedData | None, bool]:
    """The run that rank 0 announces, its data as this rank finds it, and whether it goes on."""
    path, has_work, resume, images = helping.wait_and_help()
    if not Path(path).is_dir():
        raise RunError(
            f"rank {processes.rank()} does not find the run folder",
            where=path,
            remedy="Name an --out on a disk that all machines share.",
        )
    run = RunFolder.open(path)
    run.device = device
    if not has_work:
        return run, None, resume
    if isinstance(data, Dataset):
        move(run, data)
    return run, reopen(run, NullReporter(), None if images is None else images.opened()), resume


def join_training(device: str | None, data: Place | None) -> RunFolder:
    """Train with rank 0, and predict this rank's share of the validation split.

    Args:
        device: What computes, by name.
        data: The data, if it was built in memory.

    Returns:
        The run that is finished.

    Raises:
        Interrupted: Some rank was asked to stop.
    """
    began = time.monotonic()
    run, prepared, resume = _joined(device, data)
    if prepared is not None:
        helping.wait_and_help()
        result = learn(run, prepared, NullReporter(), began, resume=resume)
        if result.reason == "interrupted":
            raise Interrupted(run.path, result.progress.step)
        predict_split(run, prepared, "valid")
        processes.wait()
    return run


def join_test(run: RunFolder, data: Place | None) -> None:
    """Predict this rank's share of the test split."""
    _, prepared, _ = _joined(run.device, data)
    if prepared is not None:
        helping.wait_and_help()
        predict_split(run, prepared, "test")
        processes.wait()


def predict_split(run: RunFolder, prepared: PreparedData, split: SplitName) -> list[object]:
    """Predict a split for its evaluation; every rank predicts its share, and rank 0 gets all.

    What is scored is what `foveate predict` gives: where the cache holds JPEG, the files are read.

    Args:
        run: A trained run.
        prepared: Its data.
        split: The split.

    Returns:
        The predictions, in the pixels of the original images.
    """
    task, net = run.load()
    prepared = prepared.for_evaluation(split)
    pixels, fitted, _ = prepared.of(split)

    def predict(rows: range) -> list[object]:
        if prepared.images.encoding == "raw":
            own = fitted[rows.start : rows.stop]
            return task.predict(net, with_prompts(task, pixels.part(rows), own))
        found = []
        for start in range(rows.start, rows.stop, MAX_READ):
            some = slice(start, min(start + MAX_READ, rows.stop))
            images = prepared.read_again(split, some)
            found += task.predict(net, with_prompts(task, images, fitted[some]))
        return found

    found = processes.map_shares(predict, range(len(fitted)), everywhere=False)
    return prepared.to_original(split, found) if processes.is_main() else []
