"""A report as one self-contained HTML file: nothing is loaded from anywhere, and it can be mailed."""

from __future__ import annotations

import base64
import io
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray

from foveate import files
from foveate.report.panels import Matrix, Page

LARGEST_PICTURE = 192
"""Pixels; larger pictures are scaled down, so that the page stays small."""
LARGEST_MATRIX = 25
"""Classes; above that the page names the most frequent confusions instead."""


def render(page: Page) -> str:
    """The HTML."""
    return _environment().get_template("page.html").render(page=page)


def write(page: Page, path: Path) -> None:
    """Write the HTML, whole or not at all."""
    files.write_text(path, render(page))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("foveate", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"uri": data_uri, "kind": lambda panel: type(panel).__name__, "confusions": confusions}
    environment.globals["largest_matrix"] = LARGEST_MATRIX
    return environment


def data_uri(image: NDArray[np.uint8]) -> str:
    """(H, W, C) uint8 as a data URI: PNG for small pictures, JPEG for larger ones. Bands beyond three are not shown."""
    from PIL import Image

    channels = image.shape[2]
    shown = image[..., 0] if channels in (1, 2) else image[..., :3]
    picture = Image.fromarray(np.ascontiguousarray(shown))
    picture.thumbnail((LARGEST_PICTURE, LARGEST_PICTURE), Image.Resampling.LANCZOS)
    small = max(picture.size) <= 64
    out = io.BytesIO()
    picture.save(out, "PNG" if small else "JPEG", **({"optimize": True} if small else {"quality": 82}))
    return f"data:image/{'png' if small else 'jpeg'};base64,{base64.b64encode(out.getvalue()).decode()}"


def confusions(matrix: Matrix, most: int = 20) -> list[dict[str, Any]]:
    """The most frequent confusions of a matrix, for where the whole would be too large."""
    wrong = matrix.counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    return [
        {"truth": matrix.labels[row], "answer": matrix.labels[column], "count": int(wrong[row, column])}
        for row, column in zip(*np.unravel_index(order, wrong.shape), strict=True)
        if wrong[row, column]
    ]
