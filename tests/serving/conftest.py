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


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of each task, trained for a moment; not to be changed."""
    root, paths = tmp_path_factory.mktemp("served"), {}
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        for task in TOY_DATASETS:
            data = toy_dataset(task, 60, np.random.default_rng(0))
            few = {"batch_size": 8, "epochs": EPOCHS.get(task, 2)}
            model = {"model": "tiny_cnn"} if task in ("classification", "detection") else {}
            run = fv.train(data, out=root / task, task=task, allow_errors=True, **few, **model)
            paths[task] = run.path
            if task == "promptable":  # so little trained, it would drop all masks of the grid
                task, net = run.load()
                torch.nn.init.constant_(net.body.iou_head[-1].bias, 5.0)
                run.save_model(task, net)
    return paths


@pytest.fixture(scope="module")
def server(runs: dict[str, Path]) -> Iterator[tuple[str, Any]]:
    """A server of all runs."""
    with serving(runs) as made:
        yield made
