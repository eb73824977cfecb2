"""A run to watch, and images of service that tests only read."""

from __future__ import annotations

import pytest

import foveate as fv
from helpers.colour_folder import make_folder
from helpers.command_line import hurry


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("watched") / "colours", each=80)


@pytest.fixture(scope="session")
def run(data, tmp_path_factory):
    """A run whose validation split has enough images."""
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        out = tmp_path_factory.mktemp("runs") / "run"
        return fv.train(data, epochs=3, batch_size=32, out=out)


@pytest.fixture(scope="session")
def fresh(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("service") / "fresh", each=20, seed=9)
