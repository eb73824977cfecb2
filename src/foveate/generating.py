"""Pictures from words, into a folder: each alone, all on one sheet, and a strip of how noise became one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from foveate.console import Silent, Watch
from foveate.data.dataset import Image
from foveate.predicting import make_ready, write_picture
from foveate.report import drawing
from foveate.run import Run

ON_WAY = 8
"""Pictures in a strip."""
ACROSS = 8
"""Pictures in a line of the sheet."""
_GAP = 2


def generate(
    run: Run,
    prompts: Sequence[str],
    out: Path,
    *,
    n: int = 4,
    seed: int = 0,
    guidance: float | None = None,
    steps: int | None = None,
    watch: Watch | None = None,
) -> list[Path]:
    """n pictures of each prompt, as PNG in a new folder, with sheet.png and strip.png, which are enlarged where small; returns the paths of
    the single ones. Raises SettingError for words that the run does not know, before anything is written."""
    watch = watch or Silent()
    texts = [prompt for prompt in prompts for _ in range(n)]
    made = run.stages(texts, seed=seed, guidance=guidance, steps=steps)
    make_ready(out, "--out")
    paths: list[Path] = []
    lines: list[list[Image]] = []
    strips: list[list[Image]] = []
    with watch.bar("making pictures", len(texts)) as bar:
        for number, (text, stages) in enumerate(zip(texts, made, strict=True)):
            stem = re.sub(r"\W+", "-", text.lower()).strip("-")[:80]
            paths.append(out / f"{number // n + 1:02d}-{stem}-{number % n + 1:04d}.png")
            write_picture(stages[-1], paths[-1])
            if number % n == 0:
                strips.append([stages[at] for at in np.linspace(0, len(stages) - 1, ON_WAY).round().astype(int)])
            if number % n % ACROSS == 0:
                lines.append([])
            lines[-1].append(stages[-1])
            bar(number + 1)
    write_picture(_laid(lines), out / "sheet.png")
    write_picture(_laid(strips), out / "strip.png")
    watch.say(f"{len(paths):,} pictures in {out}; all of them: {out / 'sheet.png'}; from noise: {out / 'strip.png'}")
    return paths


def _laid(lines: Sequence[Sequence[Image]]) -> Image:
    """Lines of pictures of one size on white, enlarged where they are small."""
    side = lines[0][0].shape[0]
    times = max(1, 96 // side)
    step = side * times + _GAP
    sheet = np.full((step * len(lines) + _GAP, step * max(map(len, lines)) + _GAP, 3), 255, np.uint8)
    for row, line in enumerate(lines):
        for column, picture in enumerate(line):
            large = drawing.rgb(picture).repeat(times, 0).repeat(times, 1)
            top, left = _GAP + row * step, _GAP + column * step
            sheet[top : top + large.shape[0], left : left + large.shape[1]] = large
    return sheet
