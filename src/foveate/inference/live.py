"""A live view: a model predicts for the images of a camera or a video while a page shows them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from foveate.data import camera, video
from foveate.data.dataset import Image, Images
from foveate.errors import SettingError
from foveate.inference.live_page import LivePage
from foveate.inference.tally import Tally
from foveate.progress import Reporter
from foveate.tasks.presenters.presenter import Presenter
from foveate.wording import count_noun

_SMOOTHING = 0.1  # of the rate that is shown


def is_camera(path: Path) -> bool:
    """Whether a path is the number of a camera, and no file."""
    return str(path).isdecimal() and len(str(path)) <= 3 and not path.exists()


def open_source(path: Path) -> Iterator[Image]:
    """The images of a camera, or those of a video at its speed.

    Args:
        path: The number of a camera, or a video file.

    Raises:
        SettingError: It is neither.
    """
    if is_camera(path):
        return camera.frames(int(str(path)))
    if path.suffix.lower() in video.VIDEO_SUFFIXES:
        return _paced(video.frames(path), video.frame_rate(path))
    raise SettingError(
        "the number of a camera, or a video, is expected with --show",
        where=path,
        remedy="For images use: foveate predict RUN IMAGES --draw DIR.",
    )


def _paced(images: Iterator[Image], rate: float) -> Iterator[Image]:
    """Images at this rate or slower."""
    begin = time.monotonic()
    for number, image in enumerate(images):
        time.sleep(max(0.0, begin + number / rate - time.monotonic()))
        yield image


def show(
    predict: Callable[[Images], list[Any]],
    task: Presenter[Any],
    source: Iterable[Image],
    title: str,
    reporter: Reporter,
    on_page: Callable[[str], None] = lambda address: None,
) -> None:
    """Predict for each image and show it, until Ctrl-C.

    The page stays until then, also when a film has ended: a short one is over before anybody has
    opened it.

    Args:
        predict: The model.
        task: Its task, as it presents the predictions.
        source: The images, (H, W, 3) uint8.
        title: Of the page.
        reporter: Receives the address of the page and, at the end, what was found.
        on_page: Receives the address too.

    Raises:
        SettingError: There is no such camera, or it was unplugged.
        BadImage: The video cannot be read.
    """
    tally, page = Tally(task), LivePage(title)
    try:
        rate, last = 0.0, time.monotonic()
        for image in source:
            if not tally.images:  # a page is announced once there is something to show
                reporter.info(f"live view: {page.address}  (press Ctrl-C to stop)")
                on_page(page.address)
            (prediction,) = predict([image])
            now = time.monotonic()
            rate += (1 / max(now - last, 1e-6) - rate) * (_SMOOTHING if rate else 1)
            last = now
            tally.add(task.amounts(prediction), frame=True)
            drawn = task.draw(image, task.confident(prediction))
            page.show(drawn, task.summary(prediction), rate)
        page.finish()
        reporter.info("the film has ended; its page stays until Ctrl-C")
        wait()
    except KeyboardInterrupt:
        pass
    finally:
        page.close()
        if tally.images:
            for line in tally.lines():
                reporter.info(line)
            reporter.info(count_noun(tally.images, "prediction"))


def wait() -> None:
    """Wait for Ctrl-C."""
    while True:
        time.sleep(1)
