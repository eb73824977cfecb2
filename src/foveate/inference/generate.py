"""Images generated from text: single files, a sheet of all of them, and a strip of stages."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from foveate.data.dataset import Image
from foveate.data.rng import SampleRNG, sample_keys
from foveate.data.vocabulary import numbered_ids
from foveate.inference.interruptions import explain_kept_images
from foveate.inference.writers import prepare_folder, write_image
from foveate.progress import NullReporter, Reporter
from foveate.report import drawing
from foveate.tasks.capabilities import GeneratesImages

STRIP_IMAGES = 8
"""Stages in a strip."""
SHEET_COLUMNS = 8
MIN_SHEET_HEIGHT = 96
"""Smaller images are enlarged to at least half of this height, by a whole factor."""
_GAP = 2


class Generator(Protocol):
    """A model that generates images from text: a run or a foundation model."""

    def stages(
        self, texts: Sequence[str], *, seed: int, guidance: float | None, steps: int | None
    ) -> Iterator[Sequence[Image]]:
        """Generate one image per text, and yield its stages from noise to image.

        Raises:
            SettingError: A text or an option is invalid; raised before anything is generated.
        """
        ...


class TextPredictor(ABC):
    """A model that generates images from text, if its task does."""

    @abstractmethod
    def _generator(self) -> tuple[GeneratesImages[Any], Any]:
        """The task and its net; raise SettingError if the task generates nothing."""

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
        task, net = self._generator()
        rng = SampleRNG(sample_keys(numbered_ids(texts)), seed)
        return task.generate(net, texts, rng, guidance=guidance, steps=steps)


def generate(
    generator: Generator,
    prompts: Sequence[str],
    out: Path,
    *,
    n: int = 4,
    seed: int = 0,
    guidance: float | None = None,
    steps: int | None = None,
    reporter: Reporter | None = None,
) -> list[Path]:
    """Generate n images of each prompt as PNG files, with sheet.png and strip.png.

    Args:
        generator: A run or a foundation model.
        prompts: The prompts.
        out: A new or empty folder.
        n: Images per prompt.
        seed: Seed of the noise.
        guidance: Scale of classifier-free guidance; None for the model's default.
        steps: Steps from noise to image; None for the model's default.
        reporter: Receives the progress.

    Returns:
        Paths of the single images.

    Raises:
        SettingError: A prompt is invalid; raised before anything is written.
        RunError: The folder is not empty.
        StorageError: An image cannot be written; the error says what is kept.
        Cancelled: Ctrl-C; likewise.
    """
    reporter = reporter or NullReporter()
    texts = [prompt for prompt in prompts for _ in range(n)]
    generated = generator.stages(texts, seed=seed, guidance=guidance, steps=steps)
    with explain_kept_images(out):
        prepare_folder(out, "--out")
        paths = _write_images(zip(texts, generated, strict=True), len(texts), n, out, reporter)
    images = "1 image" if len(paths) == 1 else f"{len(paths):,} images"
    reporter.info(f"{images} in {out}")
    reporter.info(f"sheet   {out / 'sheet.png'}")
    reporter.info(f"stages  {out / 'strip.png'}")
    return paths


def _write_images(
    generated: Iterable[tuple[str, Sequence[Image]]],
    total: int,
    n: int,
    out: Path,
    reporter: Reporter,
) -> list[Path]:
    """Write each image when it is generated, then the sheets; return the images' paths."""
    paths: list[Path] = []
    rows: list[list[Image]] = []
    strips: list[list[Image]] = []
    with reporter.bar("generating images", total) as bar:
        for number, (text, stages) in enumerate(generated):
            image = stages[-1]
            prompt, copy = number // n, number % n
            paths.append(out / f"{prompt + 1:02d}-{_file_stem(text)}-{copy + 1:04d}.png")
            write_image(image, paths[-1])
            if copy == 0:
                strips.append(_strip(stages))
            if copy % SHEET_COLUMNS == 0:
                rows.append([])
            rows[-1].append(image)
            bar(number + 1)
    write_image(_sheet(rows), out / "sheet.png")
    write_image(_sheet(strips), out / "strip.png")
    return paths


def _file_stem(text: str) -> str:
    """The text in lower case, with hyphens, at most 80 bytes."""
    stem = re.sub(r"\W+", "-", text.lower()).strip("-")
    return stem.encode()[:80].decode(errors="ignore")


def _strip(stages: Sequence[Image]) -> list[Image]:
    """STRIP_IMAGES stages at equal intervals."""
    indices = np.linspace(0, len(stages) - 1, STRIP_IMAGES).round().astype(int)
    return [stages[index] for index in indices]


def _sheet(rows: Sequence[Sequence[Image]]) -> Image:
    """Rows of images of one size on white, enlarged if they are small."""
    height, width, _ = rows[0][0].shape
    factor = max(1, MIN_SHEET_HEIGHT // height)
    down, along = height * factor + _GAP, width * factor + _GAP
    columns = max(map(len, rows))
    sheet = np.full((down * len(rows) + _GAP, along * columns + _GAP, 3), 255, np.uint8)
    for row, images in enumerate(rows):
        for column, image in enumerate(images):
            large = drawing.to_rgb(image).repeat(factor, 0).repeat(factor, 1)
            top, left = _GAP + row * down, _GAP + column * along
            sheet[top : top + large.shape[0], left : left + large.shape[1]] = large
    return sheet
