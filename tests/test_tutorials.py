"""The tutorials run as they are written: the notebook, and every command of the pages."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import foveate as fv

TUTORIALS = Path(__file__).parents[1] / "docs" / "tutorials"
NOTEBOOK = TUTORIALS / "first-model.ipynb"
PAGES = ("beginners", "microscopy", "other-tools")
RUNS = {"beginners": "runs/second", "microscopy": "runs/nuclei"}
"""The run that a page tests; it says that the model beats the baselines by far."""
BLOCK = re.compile(r"^```(python|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def cells() -> list[dict]:
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]


def test_the_notebook_is_kept_without_outputs():
    """Its outputs are made when the documentation is built, so they are never old."""
    code = [cell for cell in cells() if cell["cell_type"] == "code"]
    assert len(code) > 10
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)


@pytest.mark.parametrize("page", [NOTEBOOK.name, *(f"{page}.md" for page in PAGES)])
def test_the_names_that_it_uses_are_public(page):
    path = TUTORIALS / page
    if path == NOTEBOOK:
        blocks = ["".join(cell["source"]) for cell in cells() if cell["cell_type"] == "code"]
    else:
        blocks = [text for kind, text in BLOCK.findall(path.read_text()) if kind == "python"]
    for block in blocks:
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "fv":
                assert hasattr(fv, node.attr)


@pytest.mark.slow
def test_the_notebook_runs(tmp_path):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    shown = {
        "".join(cell["source"]): cell["outputs"] for cell in notebook.cells if "outputs" in cell
    }

    def text_of(source: str) -> str:
        return "".join(one.get("text", "") for one in shown[source])

    for source, outputs in shown.items():
        if ".show" in source or "plot_" in source:
            assert any("image/png" in one.get("data", {}) for one in outputs), source
    assert all(one.get("name") != "stderr" for outputs in shown.values() for one in outputs)
    train = next(source for source in shown if "fv.train" in source)
    assert "epoch (of 5)" in text_of(train)
    assert "The test split is still locked" in text_of(train)
    assert "better than every baseline" in text_of(train)
    tested = next(source for source in shown if "run.test()" in source)
    assert re.search(r"test images +\d\d\.\d% ", text_of(tested))
    assert (tmp_path / "runs").is_dir()


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_runs(page, tmp_path):
    for kind, text in BLOCK.findall((TUTORIALS / f"{page}.md").read_text(encoding="utf-8")):
        if kind == "python":
            if name := re.match(r"# (\w+\.py)\b", text):
                (tmp_path / name[1]).write_text(text, encoding="utf-8")
            else:
                run(["-c", text], tmp_path)
        else:
            for line in text.splitlines():
                assert line.startswith("$ "), line
                program, *words = shlex.split(line[2:])
                run({"python": [], "foveate": ["-m", "foveate"]}[program] + words, tmp_path)
    if page in RUNS:
        results = fv.Run.open(tmp_path / RUNS[page]).results
        assert results["lift"]["test"][results["primary"]]["low"] > 0.2


def run(words: list[str], folder: Path) -> None:
    done = subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
