"""A report as one self-contained HTML file: nothing is loaded from anywhere, and it can be mailed."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from foveate import atomic_io
from foveate.report import embedding, scales
from foveate.report.panels import Page


def render(page: Page) -> str:
    """The HTML. The same page gives the same text, byte for byte."""
    return _environment().get_template("page.html").render(page=page)


def write(page: Page, path: Path) -> None:
    """Write the HTML, whole or not at all. Raises RunError where that cannot be done."""
    atomic_io.write_text(path, render(page))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("foveate", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "kind": lambda panel: type(panel).__name__,
        "own_ids": own_ids,
        "uri": embedding.data_uri,
        "as_number": scales.as_number,
        "share": scales.share,
        "cells": scales.cells,
        "confusions": scales.confusions,
        "close_up": scales.close_up,
        "full_scale": scales.full_scale,
        "tick": scales.tick,
    }
    environment.tests |= {"small": embedding.is_small, "known": scales.known}
    environment.globals["largest_matrix"] = scales.LARGEST_MATRIX
    return environment


def own_ids(svg: str, prefix: str) -> str:
    """The SVG with all its ids and its references to them under a prefix, so that many can share one page."""
    return re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{prefix}-", svg)
