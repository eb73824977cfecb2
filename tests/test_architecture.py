"""The plan of the house holds: imports point up the list of rooms only, and the light rooms stay light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import foveate

ROOT = Path(foveate.__file__).parent
ROOMS = (
    "errors", "files", "ops", "annotations", "data", "evaluation", "report", "models", "training", "settings", "tasks",
    "answering", "foundation", "console", "run", "material", "learning", "story", "deep", "auditing", "experiment",
    "predicting", "labelling", "generating", "comparing", "teaching", "commands", "cli", "__main__",
)  # fmt: skip


def room(path: Path) -> str:
    splits = path.relative_to(ROOT).with_suffix("").parts
    return splits[0]


def imported(path: Path) -> set[str]:
    """Names of foveate's modules that this file imports at its top; those inside functions are for use, not structure."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("foveate"):
            base = (node.module or "").split(".")
            names = [base[1]] if len(base) > 1 else [alias.name for alias in node.names]
            found.update(names)
    return found


FILES = [path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_up_the_list_of_rooms(path):
    mine = ROOMS.index(room(path))
    for other in imported(path) & set(ROOMS):
        assert ROOMS.index(other) <= mine, f"{path.name} imports {other}, which lies below it"


@pytest.mark.parametrize("heavy", ["torch", "sklearn", "matplotlib", "torchvision"])
def test_data_and_evaluation_need_nothing_heavy(heavy):
    script = (
        "import sys, foveate, foveate.cli.main, foveate.data.load, foveate.data.split.assign, foveate.metrics.intervals, "
        "foveate.metrics.classification, foveate.metrics.baselines.classification, foveate.report.page; "
        f"sys.exit({heavy!r} in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def test_no_task_is_named_outside_its_own_file():
    for path in FILES:
        if room(path) in ("tasks", "settings", "annotations"):
            continue
        text = path.read_text(encoding="utf-8")
        assert "== 'classification'" not in text, path
        assert '== "classification"' not in text, path


def test_no_pickle_and_no_eval():
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
                assert not {"pickle", "joblib", "dill"} & {name.split(".")[0] for name in names}, (
                    path
                )
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("eval", "exec"), path
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                assert any(
                    k.arg == "weights_only" and ast.unparse(k.value) == "True"
                    for k in node.keywords
                ), path
