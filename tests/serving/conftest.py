"""Small runs of every task, and a server of all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import foveate as fv
from helpers.command_line import hurry
from helpers.toy_datasets import TOY_DATASETS, toy_dataset

for library in ("fastapi", "python_multipart", "prometheus_client", "httpx"):
    pytest.importorskip(library)

from helpers.served import serving  # noqa: E402 - needs these

EPOCHS = {"instance": 15}
MODELS = {"classification": "tiny_cnn", "detection": "tiny_cnn"}


class Runs(dict[str, Path]):
    """A run of each task, trained for a moment when it is first asked for; not to be changed."""

    def __init__(self, root: Path):
        super().__init__()
        self.root = root

    def __missing__(self, task: str) -> Path:
        data = toy_dataset(task, 60, np.random.default_rng(0))
        settings: dict[str, Any] = {"batch_size": 8, "epochs": EPOCHS.get(task, 2)}
        if task in MODELS:
            settings["model"] = MODELS[task]
        with pytest.MonkeyPatch.context() as patch:
            hurry(patch)
            run = fv.train(data, out=self.root / task, task=task, allow_errors=True, **settings)
        if task == "promptable":  # so little trained, it would drop all masks of the grid
            trained, net = run.load()
            torch.nn.init.constant_(net.body.iou_head[-1].bias, 5.0)
            run.save_model(trained, net)
        self[task] = run.path
        return run.path


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """See `Runs`."""
    return Runs(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def server(runs: Runs) -> Iterator[tuple[str, Any]]:
    """A server of a run of each task."""
    with serving({task: runs[task] for task in TOY_DATASETS}) as made:
        yield made
