"""The plan of the package holds: imports point up the list of rooms only, without cycles."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import foveate
from foveate import tasks

ROOT = Path(foveate.__file__).parent
ROOMS = (
    "wording", "errors", "regular_file", "record_io", "yaml_text", "atomic_io", "csv_file",
    "outputs", "progress", "ops", "annotations", "settings", "data", "processes", "formats",
    "datasets",  # data by path or name: reads formats, so it lies above them
    "metrics", "console",
    "report",  # below audit, whose page is one of its pages
    "audit", "models", "training", "tasks", "inference", "experiment", "serving",
    "lessons",  # below cli, whose command opens them
    "cli", "__main__",
)  # fmt: skip
"""A room may import from itself and from the rooms before it. The order is that of the design, but
for report: the design lists it after audit, which writes a page of its own."""
MAX_LINES = 350
NOTEBOOKS = ROOT / "lessons" / "notebooks"  # texts with a little code, read from top to bottom
FILES = sorted(
    path
    for path in ROOT.rglob("*.py")
    if path != ROOT / "__init__.py" and NOTEBOOKS not in path.parents
)
ANNOTATIONS = {
    "Boxes", "Captions", "GeneratedImage", "Instances", "InteractiveResult", "Label",
    "LabelMapShape", "Mask", "Polygon", "RunLengths",
}  # fmt: skip


def name_of(path: Path) -> str:
    """The module's name within foveate, e.g. "data.split.file"."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in FILES}


def room(module: str) -> str:
    return module.split(".")[0]


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


@cache
def imported(module: str, *, types: bool = True) -> frozenset[str]:
    """The modules of foveate that a module imports, within functions too.

    types: whether imports under TYPE_CHECKING count. For the order of rooms they do: they are
    dependencies of the reader. For cycles they do not: two classes may mention each other.
    """
    tree = parsed(MODULES[module])
    skipped = set()
    if not types:
        for node in ast.walk(tree):
            if is_type_checking(node):
                skipped.update(ast.walk(node))
    found = set()
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "foveate":
            base = ".".join((node.module or "").split(".")[1:])
            for alias in node.names:
                full = f"{base}.{alias.name}".strip(".")
                found.add(full if full in MODULES else base)
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.startswith("foveate.")]
            found.update(name.removeprefix("foveate.") for name in names)
    return frozenset(name for name in found if name in MODULES and name != module)


def test_every_room_is_in_the_list():
    assert {room(module) for module in MODULES} <= set(ROOMS)


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_up_the_list_of_rooms(module):
    lowest = ROOMS.index(room(module))
    assert not {other for other in imported(module) if ROOMS.index(room(other)) > lowest}


def test_no_module_imports_itself_by_way_of_others():
    """A package's __init__ may import its modules: they do not count as importing it."""
    edges = {
        module: {
            other for other in imported(module, types=False) if not module.startswith(f"{other}.")
        }
        for module in MODULES
    }
    remaining = dict(edges)
    while leaves := [m for m, others in remaining.items() if not others & remaining.keys()]:
        for leaf in leaves:
            del remaining[leaf]
    while roots := [m for m in remaining if not any(m in edges[other] for other in remaining)]:
        for root in roots:
            del remaining[root]
    assert not remaining


@pytest.mark.parametrize("heavy", ["torch", "sklearn", "matplotlib", "torchvision"])
def test_data_and_metrics_need_nothing_heavy(heavy):
    script = (
        "import sys, foveate, foveate.cli.main, foveate.datasets.load, foveate.data.split.assign, "
        "foveate.metrics.intervals, foveate.metrics.classification, "
        "foveate.metrics.baselines.classification, foveate.report.page, foveate.experiment.audit; "
        f"sys.exit({heavy!r} in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def literals(node: ast.AST) -> set[str]:
    return {
        child.value
        for child in ast.walk(node)
        if isinstance(child, ast.Constant) and isinstance(child.value, str)
    }


def test_no_task_is_named_in_a_comparison_or_as_a_key_outside_the_tasks():
    names = set(tasks.all())
    for path in FILES:
        if room(name_of(path)) in ("tasks", "annotations"):
            continue
        for node in ast.walk(parsed(path)):
            named: set[str] = set()
            if isinstance(node, ast.Compare):
                named = literals(node)
            elif isinstance(node, ast.Dict):
                named = {text for key in node.keys if key is not None for text in literals(key)}
            elif isinstance(node, ast.MatchValue | ast.Subscript):
                named = literals(node.value if isinstance(node, ast.MatchValue) else node.slice)
            assert not named & names, f"{path}:{getattr(node, 'lineno', 0)}"


def test_nobody_asks_for_the_type_of_an_annotation_outside_the_tasks():
    """Metrics and panels of one task know its predictions: only that task uses them."""
    for path in FILES:
        if room(name_of(path)) in ("tasks", "annotations", "metrics", "report"):
            continue
        for node in ast.walk(parsed(path)):
            named: set[str] = set()
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "isinstance",
                "issubclass",
            ):
                named = {
                    child.id for child in ast.walk(node.args[1]) if isinstance(child, ast.Name)
                }
            elif isinstance(node, ast.MatchClass):
                named = {ast.unparse(node.cls)}
            assert not named & ANNOTATIONS, f"{path}:{node.lineno}"


@pytest.mark.parametrize("module", MODULES)
def test_a_file_is_one_idea(module):
    lines = len(MODULES[module].read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_LINES


def test_no_pickle_and_no_eval():
    for path in FILES:
        for node in ast.walk(parsed(path)):
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
