"""Images and runs that tests share. All data is made here; no test reads data from elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "agg")

import pytest

from helpers.colour_folder import make_folder


@pytest.fixture(scope="session", autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory):
    """Keep caches and state in folders of the tests, also in processes that they start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEATE_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("FOVEATE_CACHE_GB", raising=False)
        patch.setenv("FOVEATE_STATE", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="module")
def one_thread():
    """One thread for small images: the suite runs on all cores, so waiting threads only cost."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "colours")


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Like `folder`, but made once; tests must not change it."""
    return make_folder(tmp_path_factory.mktemp("shared") / "colours")


@pytest.fixture(scope="session")
def trained(colours: Path, tmp_path_factory: pytest.TempPathFactory):
    """A finished run on `colours`, its test split still locked; tests copy it to change it."""
    import foveate as fv

    return fv.train(colours, epochs=4, batch_size=16, out=tmp_path_factory.mktemp("runs") / "run")
