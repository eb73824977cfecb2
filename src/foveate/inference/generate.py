"""Pictures from words, into a folder: each alone, all on one sheet, and a strip of how noise became one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from foveate.progress import NullReporter, Reporter
from foveate.data.dataset import Image
from foveate.inference.predict import make_ready, write_picture
from foveate.report import drawing

ON_WAY = 8
"""Pictures in a strip."""
ACROSS = 8
"""Pictures in a line of the sheet."""
_GAP = 2


class Maker(Protocol):
    """What makes pictures from words: a run, or a foundation model."""

    def stages(
        self, texts: Sequence[str], *, seed: int, guidance: float | None, steps: int | None
    ) -> Iterator[Sequence[Image]]:
        """For each text what noise is on its way to a picture, the picture last. Raises SettingError for what cannot be asked for, before
        anything is made.
        """
        ...


def generate(
    open_generator: Maker,
    prompts: Sequence[str],
    out: Path,
    *,
    n: int = 4,
    seed: int = 0,
    guidance: float | None = None,
    steps: int | None = None,
    reporter: Reporter | None = None,
) -> list[Path]:
    """N pictures of each prompt, as PNG in a new folder, with sheet.png and strip.png, which are enlarged where small; returns the paths of
    the single ones. guidance, steps: None for those that the maker chooses. Raises SettingError for words that it does not know, before
    anything is written.
    """
    reporter = reporter or NullReporter()
    texts = [prompt for prompt in prompts for _ in range(n)]
    made = open_generator.stages(texts, seed=seed, guidance=guidance, steps=steps)
    make_ready(out, "--out")
    paths: list[Path] = []
    lines: list[list[Image]] = []
    strips: list[list[Image]] = []
    with reporter.bar("making pictures", len(texts)) as bar:
        for number, (text, stages) in enumerate(zip(texts, made, strict=True)):
            stem = (
                re.sub(r"\W+", "-", text.lower()).strip("-").encode()[:80].decode(errors="ignore")
            )
            paths.append(out / f"{number // n + 1:02d}-{stem}-{number % n + 1:04d}.png")
            write_picture(stages[-1], paths[-1])
            if number % n == 0:
                strips.append(
                    [
                        stages[at]
                        for at in np.linspace(0, len(stages) - 1, ON_WAY).round().astype(int)
                    ]
                )
            if number % n % ACROSS == 0:
                lines.append([])
            lines[-1].append(stages[-1])
            bar(number + 1)
    write_picture(_laid(lines), out / "sheet.png")
    write_picture(_laid(strips), out / "strip.png")
    reporter.info(
        f"{len(paths):,} pictures in {out}; all of them: {out / 'sheet.png'}; from noise: {out / 'strip.png'}"
    )
    return paths


def _laid(lines: Sequence[Sequence[Image]]) -> Image:
    """Lines of pictures of one size on white, enlarged where they are small."""
    height, width, _ = lines[0][0].shape
    times = max(1, 96 // height)
    down, along = height * times + _GAP, width * times + _GAP
    sheet = np.full(
        (down * len(lines) + _GAP, along * max(map(len, lines)) + _GAP, 3), 255, np.uint8
    )
    for row, line in enumerate(lines):
        for column, image in enumerate(line):
            large = drawing.to_rgb(image).repeat(times, 0).repeat(times, 1)
            top, left = _GAP + row * down, _GAP + column * along
            sheet[top : top + large.shape[0], left : left + large.shape[1]] = large
    return sheet
