"""The lists that need no torch are those of the registries, and cover every file."""

from __future__ import annotations

import pkgutil
import sys

from foveate import models, tasks
from foveate.models import catalog as model_catalog
from foveate.tasks import catalog as task_catalog

NEW_BACKBONE = """
from foveate.models.registry import Model
MODELS = (Model("new_net", "a new file", "Nobody, 2026", 1, None),)
"""


def test_models_are_listed_as_they_are():
    listed = [(one.name, one.summary, one.paper, one.min_size) for one in models.all()]
    assert listed == list(model_catalog.entries())


def test_tasks_are_listed_as_they_are():
    listed = {t.name: (t.name, t.primary_metric, t.description) for t in tasks.all().values()}
    assert listed == tasks.entries()


def test_every_file_is_in_the_catalogs():
    from foveate.models import backbones

    files = {module.name for module in pkgutil.iter_modules(backbones.__path__)}
    assert files == model_catalog.CATALOG.keys()
    files = {module.name for module in pkgutil.iter_modules(tasks.__path__)}
    assert files == task_catalog.CATALOG.keys() | task_catalog.WITHOUT_TASK


def test_a_task_file_is_listed_without_an_entry(monkeypatch):
    before = tasks.entries()
    monkeypatch.delitem(task_catalog.CATALOG, "semantic")
    assert tasks.entries() == before


def test_a_new_backbone_file_is_listed_without_an_entry(tmp_path, monkeypatch):
    from foveate.models import backbones

    (tmp_path / "new.py").write_text(NEW_BACKBONE)
    monkeypatch.setattr(backbones, "__path__", [str(tmp_path)])
    monkeypatch.setattr(
        pkgutil, "iter_modules", lambda _paths: [pkgutil.ModuleInfo(None, "new", False)]
    )
    monkeypatch.delitem(sys.modules, "foveate.models.backbones.new", raising=False)
    assert model_catalog.entries.__wrapped__() == (("new_net", "a new file", "Nobody, 2026", 1),)
