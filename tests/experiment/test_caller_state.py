"""foveate leaves torch's global state and the environment as it found them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
import sklearn  # noqa: F401 - its import sets KMP_ variables
import timm  # noqa: F401 - and this one TORCHINDUCTOR_CACHE_DIR
import torch

import foveate as fv
from foveate.errors import SettingError
from foveate.training import device

pytestmark = pytest.mark.usefixtures("one_thread")


def state() -> tuple:
    return (
        torch.get_rng_state().tolist(),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.get_num_threads(),
        {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")},
    )


@pytest.fixture
def unchanged(monkeypatch):
    """The caller's state must be the same at the end of the test."""
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    torch.manual_seed(123)
    before = state()
    yield
    assert state() == before


@pytest.fixture
def meddling(monkeypatch):
    """Change determinism and the environment as well, as on a GPU."""
    prepare = device.prepare

    def meddle(seed, name):
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
        torch.use_deterministic_algorithms(True, warn_only=True)
        return prepare(seed, name)

    monkeypatch.setattr(device, "prepare", meddle)


@pytest.mark.usefixtures("unchanged", "meddling")
def test_training_leaves_the_callers_state(colours, tmp_path):
    fv.train(colours, epochs=1, batch_size=16, out=tmp_path / "run")


@pytest.mark.usefixtures("unchanged", "meddling")
def test_a_run_that_fails_leaves_the_callers_state(colours, tmp_path):
    with pytest.raises(SettingError):
        fv.train(colours, epochs=1, accumulate=999, out=tmp_path / "run")


@pytest.mark.usefixtures("unchanged", "meddling")
def test_test_predict_and_report_leave_the_callers_state(trained, colours, tmp_path):
    run = fv.Run.open(shutil.copytree(trained.path, tmp_path / "run"))
    run.test()
    run.report()
    fv.predict(run.path, colours / "red" / "000.png")


@pytest.mark.slow
@pytest.mark.usefixtures("unchanged", "meddling")
def test_a_deep_audit_leaves_the_callers_state(colours):
    fv.audit(colours, deep=True)


@pytest.mark.slow
def test_an_import_changes_no_environment_whatever_the_load():
    script = (
        "import os, sklearn; before = dict(os.environ); os.getloadavg = lambda: (1e6,) * 3; "
        "import foveate, foveate.cli.main; foveate.train; assert dict(os.environ) == before"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
