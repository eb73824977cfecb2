"""A device whose memory is too small for a batch: half of the batch, and as many images a step."""

from __future__ import annotations

import pytest
import torch

import foveate as fv
from foveate.errors import RunError
from foveate.progress import NullReporter
from foveate.training import fit

pytestmark = pytest.mark.usefixtures("one_thread")


class Messages(NullReporter):
    def __init__(self):
        self.warnings = []

    def warning(self, text):
        self.warnings.append(text)


def limit_memory(monkeypatch, images: int, after: int = 0) -> None:
    """Let steps with more images fail, as they do on a GPU, from some step on."""
    steps = fit.steps

    def limited(*args, **kwargs):
        for step in steps(*args, **kwargs):
            if len(step.output) > images and step.number >= after:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            yield step

    monkeypatch.setattr(fit, "steps", limited)


def test_batches_are_halved_until_they_fit(colours, tmp_path, monkeypatch):
    limit_memory(monkeypatch, 5)
    reporter = Messages()
    settings = {"model": "tiny_cnn", "epochs": 2, "batch_size": 16}
    run = fv.train(colours, out=tmp_path / "run", reporter=reporter, **settings)
    assert (run.settings.batch_size, run.settings.accumulate) == (4, 4)
    messages = [text for text in reporter.warnings if "memory" in text]
    assert len(messages) == 2
    assert "does not hold a batch of 8 images" in messages[1]
    assert "batches of 4, of which 4 make a step" in messages[1]
    assert run.finished


def test_batches_of_a_pretrained_net_are_halved_too(colours, tmp_path, monkeypatch):
    """Its weights before the first step are validated, so its curves have a row."""
    limit_memory(monkeypatch, 9)
    settings = {"model": "efficientnet_lite0", "epochs": 1, "batch_size": 16, "size": 40}
    run = fv.train(colours, out=tmp_path / "run", weights="included", **settings)
    assert (run.settings.batch_size, run.settings.accumulate) == (8, 2)


@pytest.mark.parametrize(("images", "after"), [(0, 0), (5, 8)])
def test_nothing_is_begun_again_where_that_does_not_help(
    images, after, colours, tmp_path, monkeypatch
):
    limit_memory(monkeypatch, images, after)
    settings = {"model": "tiny_cnn", "epochs": 4, "batch_size": 8, "device": "cpu"}
    with pytest.raises(RunError, match="the memory of cpu does not hold a batch of") as error:
        fv.train(colours, out=tmp_path / "run", **settings)
    assert "smaller --size" in error.value.remedy
    assert ("--batch-size 4 --set accumulate=2" in error.value.remedy) == (images > 0)
