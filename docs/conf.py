"""How Sphinx builds the documentation: `make docs`. Nothing is loaded from a network."""

from __future__ import annotations

import inspect
import os
import re
import tempfile
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

os.environ.setdefault("MPLBACKEND", "agg")
# The notebook opens a test split: this machine's record of openings has no part in that.
os.environ["FOVEATE_STATE"] = tempfile.mkdtemp()

HERE = Path(__file__).parent

project = "foveate"
author = "The foveate authors"
copyright = author
version = release = installed_version("foveate")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
templates_path = ["_templates"]
exclude_patterns = ["_templates", "README.md"]
highlight_language = "none"
default_role = "py:obj"
suppress_warnings = ["ref.python"]  # foveate.Dataset is foveate.data.dataset.Dataset

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_timeout = 600  # seconds a cell
nb_execution_raise_on_error = True
nb_merge_streams = True

autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
python_maximum_signature_line_length = 88

html_theme = "pydata_sphinx_theme"
html_title = "foveate"
html_static_path = ["_static"]
html_css_files = ["style.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_prev_next": False,
    "secondary_sidebar_items": ["page-toc"],
    "pygments_light_style": "tango",
    "pygments_dark_style": "monokai",
}


def _write_commands() -> None:
    """Write reference/commands.md from the command-line interface itself."""
    from typer.main import get_command

    from foveate.cli.main import app

    page = [
        "# Commands",
        "",
        "Generated from the commands. `foveate COMMAND --help` prints the same.",
    ]
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        context = command.context_class(command, info_name=f"foveate {name}")
        usage = command.get_usage(context).removeprefix("Usage: ")
        page += ["", f"## {name}", "", inspect.cleandoc(command.help or "")]
        page += ["", "```text", usage.replace("{", "").replace("}", ""), "```"]
        records = [parameter.get_help_record(context) for parameter in command.params]
        if rows := [_row(*record) for record in records if record is not None]:
            page += ["", "| | |", "|---|---|", *rows]
    path, text = HERE / "reference" / "commands.md", "\n".join(page) + "\n"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def _row(usage: str, description: str) -> str:
    """A table row; names that stand in capitals need no type beside them."""
    usage = re.sub(r"([A-Z]) <\S+>$", r"\1", usage)
    for special in "|<>[]*_":
        description = description.replace(special, f"\\{special}")
    return f"| `{usage}` | {description} |"


def _escape_stars(_app: Any, _what: str, _name: str, _obj: Any, _options: Any, lines: Any) -> None:
    """Escape a star that stands alone: docstrings have no emphasis."""
    for row, line in enumerate(lines):
        pieces = line.split("`")
        if sum(piece.count("*") for piece in pieces[::2]) % 2 and not line.lstrip().startswith("*"):
            pieces[::2] = [piece.replace("*", "\\*") for piece in pieces[::2]]
            lines[row] = "`".join(pieces)


def _mark_literals(_app: Any, _what: str, _name: str, _obj: Any, _options: Any, lines: Any) -> None:
    """Show an indented block after a paragraph as written."""
    marked: list[str] = []
    paragraph = ""  # the last line without indentation
    for line in lines:
        starts_block = line.startswith("    ") and marked and not marked[-1].strip()
        if starts_block and paragraph and not paragraph.startswith(("..", ":", "-", "*")):
            marked += ["::", ""]
            paragraph = ""
        elif line.strip() and not line.startswith(" "):
            paragraph = line
        marked.append(line)
    lines[:] = marked


def setup(app: Any) -> None:
    """Connect the functions of this file; napoleon runs at priority 500."""
    app.connect("autodoc-process-docstring", _escape_stars, priority=400)
    app.connect("autodoc-process-docstring", _mark_literals, priority=600)


_write_commands()
