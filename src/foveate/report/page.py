"""A report as one self-contained HTML file that loads nothing and can be mailed."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib import resources
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from foveate import atomic_io
from foveate.metrics.definitions import definition_of_column
from foveate.report import charts, data_uris, drawing, scales, tools
from foveate.report.panels import Page
from foveate.wording import count_noun, escape_controls


def render_html(page: Page) -> str:
    """Render a page as HTML. The same page always gives the same bytes.

    Control characters in names are written as escapes: HTML forbids them, and a page that is
    printed at a terminal must not command it.
    """
    html = _environment().get_template("page.html").render(page=page)
    return "\n".join(map(escape_controls, html.split("\n")))


def write_html(page: Page, path: Path) -> None:
    """Write a page as an HTML file, whole or not at all.

    Raises:
        RunError: If the file cannot be written.
    """
    atomic_io.write_text(path, render_html(page))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("foveate", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = resources.files("foveate.report").joinpath("page.js").read_text("utf-8").strip()
    environment.globals["script"] = Markup(script)  # ours, and no template
    digest = hashlib.sha256(f"\n{script}\n".encode()).digest()
    environment.globals["script_hash"] = base64.b64encode(digest).decode()
    environment.filters |= {
        "panel_type": lambda panel: type(panel).__name__,
        "prefix_ids": prefix_ids,
        "data_uri": data_uris.image_data_uri,
        "pixels_uri": data_uris.pixels_data_uri,
        "threshold_rows": tools.threshold_rows,
        "threshold_choices": tools.threshold_choices,
        "curves": tools.curves,
        "filters": tools.filters,
        "detail": tools.detail,
        "switches": tools.switches,
        "anchors": tools.anchors,
        "dash_if_not_finite": scales.dash_if_not_finite,
        "compact_number": scales.compact_number,
        "parse_percent": scales.parse_percent,
        "matrix_rows": scales.matrix_rows,
        "top_confusions": scales.top_confusions,
        "close_up": scales.close_up,
        "full_scale": scales.full_scale,
        "tick_label": scales.tick_label,
        "count_noun": count_noun,
        "definition_of_column": definition_of_column,
    }
    environment.tests |= {
        "exact": data_uris.is_exact,
        "finite": scales.is_finite,
        "wide": charts.is_wide,
    }
    environment.globals["max_matrix_classes"] = scales.MAX_MATRIX_CLASSES
    environment.globals["target_colour"] = drawing.TARGET_COLOUR
    return environment


def prefix_ids(svg: str, prefix: str) -> str:
    """Prefix all ids in an SVG, and the references to them, so that many SVGs can share a page."""
    return re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{prefix}-", svg)
