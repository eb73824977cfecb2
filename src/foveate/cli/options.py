"""What commands share of what can be typed after them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    str, typer.Argument(metavar="DATA", help="A folder, a file, or a known set's name.")
]
Root = Annotated[Path | None, typer.Option(help="Where known sets are looked for first.")]
Format = Annotated[
    str | None, typer.Option("--format", help="What DATA is, where that cannot be told by looking.")
]
GroupBy = Annotated[
    str | None,
    typer.Option(
        metavar="HOW", help="What stays together: folder:N, or a regular expression on names."
    ),
]
TimeBy = Annotated[
    str | None,
    typer.Option(
        metavar="HOW", help="Test on the latest: exif, data (a column), or an expression."
    ),
]
Fold = Annotated[
    str | None, typer.Option(metavar="I/K", help="Test on the I-th of K equal parts, from 1.")
]
