"""A checkpoint that is damaged or malicious: one error that names the file, and soon."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

import foveate as fv
from foveate.errors import FoveateError
from foveate.progress import NullReporter
from foveate.training import checkpoint
from foveate.training.ema import ModelEMA
from foveate.training.optim import optimizer
from foveate.training.state import Progress, TrainState
from helpers import hostile
from helpers.hostile import record_of, refused

pytestmark = pytest.mark.usefixtures("one_thread")


class StoppedError(Exception):
    """Raised in the middle of training."""


class Stopper(NullReporter):
    @contextmanager
    def training(self, *_asked: Any):
        def on_step(progress: Any, _loss: float) -> None:
            if progress.step == 7:
                raise StoppedError

        yield on_step


@pytest.fixture(scope="module")
def interrupted(colours: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that ended after seven of twelve steps."""
    path = tmp_path_factory.mktemp("interrupted") / "run"
    with pytest.raises(StoppedError):
        fv.train(
            colours, epochs=4, batch_size=16, ema=0.9, save_seconds=0.0, out=path,
            reporter=Stopper(),
        )  # fmt: skip
    return path


@pytest.fixture(scope="module")
def state(interrupted: Path) -> TrainState:
    """A state that takes the checkpoint of `interrupted`."""
    _, net = fv.Run.open(interrupted).load()
    built = optimizer("adamw", net, lr=0.001, weight_decay=0.0)
    made = TrainState(net, built, ModelEMA(net, 0.9), Progress(segments=[(0, 0.0, 1)]))
    made.load(interrupted / "last.safetensors")
    return made


def load_refused(state: TrainState, path: Path) -> FoveateError | None:
    with hostile.within():
        try:
            state.load(path)
        except FoveateError as error:
            return error
    return None


def test_any_wrong_value_in_a_checkpoint_is_one_error(interrupted, state, tmp_path):
    path = Path(shutil.copy(interrupted / "last.safetensors", tmp_path))
    header, data = hostile.read_weights(path)
    count = {"refused": 0, "taken": 0}
    for name, content in hostile.json_variants(record_of(path)):
        header["__metadata__"]["foveate"] = content.decode()
        hostile.write_weights(path, header, data)
        error = load_refused(state, path)
        count["taken" if error is None else "refused"] += 1
        assert error is None or "last.safetensors" in str(error), (name, error)
    assert count["refused"] > 4 * count["taken"], count


PROGRESS: dict[str, dict[str, Any]] = {
    "best step of no row": {"best_step": 5},
    "negative step": {"step": -7},
    "step before the rows": {"step": 2},
    "no end": {"segments": []},
    "falling progress": {"segments": [[0, 0.0, 12], [5, 2.0, 12]]},
    "endless": {"segments": [[0, 0.0, 10**18]]},
    "nan": {"loss_sum": float("nan")},
    "unknown": {"more": 1},
}


@pytest.mark.parametrize("name", PROGRESS)
def test_progress_that_cannot_be_is_refused_by_resume(name, interrupted, use, tmp_path):
    path = shutil.copytree(interrupted, tmp_path / "run")
    hostile.change_record(
        path / "last.safetensors", lambda record: record["progress"].update(PROGRESS[name])
    )
    before = (path / "last.safetensors").read_bytes()
    error = refused(use, path, "resume")
    assert error is not None
    assert "last.safetensors: this file is damaged" in str(error)
    assert (path / "last.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    "prefix", ["net.mean", "net.body", "ema.std", "optimizer.body", "optimizer."]
)
@pytest.mark.parametrize("change", ["gone", "renamed", "shape", "type"])
def test_tensors_of_a_checkpoint_that_do_not_fit_are_refused(
    prefix, change, interrupted, state, tmp_path
):
    path = Path(shutil.copy(interrupted / "last.safetensors", tmp_path))
    tensors, record = checkpoint.read(path)
    del record["format"]
    name = next(
        one for one in tensors if one.startswith(prefix) and tensors[one].is_floating_point()
    )
    value = tensors.pop(name)
    tensors |= {
        "gone": {},
        "renamed": {f"{name}x": value},
        "shape": {name: torch.zeros(2, 2)},
        "type": {name: value.to(torch.int32)},
    }[change]
    checkpoint.write(path, tensors, record)
    weights = state.net.state_dict()["mean"].clone()
    assert "damaged" in str(load_refused(state, path))
    assert torch.equal(state.net.state_dict()["mean"], weights)


@pytest.mark.parametrize("damage", hostile.FILES)
def test_a_damaged_checkpoint_is_one_error(damage, interrupted, state, tmp_path):
    path = Path(shutil.copy(interrupted / "last.safetensors", tmp_path))
    hostile.FILES[damage](path)
    assert "last.safetensors" in str(load_refused(state, path))
