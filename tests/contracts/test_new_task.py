"""A new vision problem is one file: here the number of bright dots in an image, end to end."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import foveate as fv
from foveate import tasks
from foveate.annotations import Annotation
from foveate.data.dataset import ArraySource, Dataset, Sample
from foveate.data.images import FileSource
from foveate.metrics.columns import Column
from foveate.metrics.metric import Metric
from foveate.report import drawing
from foveate.report.panels import Note, Notes
from foveate.tasks.classification import LastMap
from foveate.tasks.presenters.presenter import count_images
from foveate.tasks.task import Task
from helpers.command_line import hurry, run_cli

pytestmark = pytest.mark.usefixtures("one_thread")


@dataclass(frozen=True, slots=True)
class Count(Annotation):
    """A number of objects."""

    task: ClassVar[str] = "dot_count"

    number: float

    def present(self):
        return ()


class CountMetric(Metric[Count]):
    def per_image(self, predictions, targets):
        pairs = zip(predictions, targets, strict=True)
        return {"error": np.array([abs(a.number - b.number) for a, b in pairs])}

    def columns(self):
        return {"error": Column(whole=False)}

    def scorer(self, stats):
        errors = stats["error"]

        def score(rows):
            some = errors if rows is None else errors[rows]
            return {"exact": float((some < 0.5).mean()), "error": float(some.mean())}

        return score


class DotCount(Task[Count]):
    name = "dot_count"
    annotation = Count
    description = "how many bright dots there are"
    primary_metric = "exact"
    lower_is_better = raw_metrics = frozenset({"error"})
    single_class_ok = True
    class_aware = False

    def head(self, backbone):
        return nn.Sequential(backbone, LastMap(), backbone.classifier(1))

    def collate(self, images, targets, rng):
        return (images,), torch.tensor([target.number for target in targets])

    def loss(self, output, target):
        return {"total": (output[:, 0] - target.to(output)).square().sum() / max(1, len(target))}

    def batch_metric(self, output, target, *, quick):
        return ((output[:, 0] - target.to(output)).abs() < 0.5).float().mean().item()

    @torch.no_grad()
    def predict(self, net, images):
        if not len(images):
            return []
        net.eval()
        return [Count(round(value, 3)) for value in net(net.batch(images))[:, 0].tolist()]

    def metric(self):
        return CountMetric()

    def baselines(self, images, targets, seed):
        mean = float(np.mean([target.number for target in targets]))
        return lambda images: {
            "none": [Count(0.0) for _ in images],
            "mean": [Count(mean) for _ in images],
        }

    def to_dict(self, annotation):
        return {"dots": annotation.number}

    def summary(self, annotation):
        return f"{annotation.number:g} dots"

    def draw(self, image, annotation):
        return drawing.add_caption(image, self.summary(annotation))

    def headline(self, metrics, split):
        exact = metrics["exact"]
        images = count_images(exact, split)
        return f"counts the dots of {exact['value']:.1%} of {images} exactly"

    def report_panels(self, stats, ids, read_image, read_pair):
        worst = int(np.argmax(stats["error"]))
        return [Notes("Largest error", "", [Note(ids[worst], f"{stats['error'][worst]:.1f}")])]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("dots")
    rng = np.random.default_rng(0)
    samples = []
    for row in range(60):
        pixels = rng.integers(0, 40, (16, 16), dtype=np.uint8)
        number = row % 4
        for cell in rng.permutation(16)[:number]:
            pixels[4 * (cell // 4) + 1, 4 * (cell % 4) + 1] = 250
        Image.fromarray(pixels).save(folder / f"{row}.png")
        source = FileSource(folder / f"{row}.png")
        samples.append(Sample(f"{row}.png", source, Count(float(number))))
    return Dataset("dots", Count.task, (), samples)


@pytest.fixture(scope="module", autouse=True)
def registered():
    tasks.register(DotCount)
    yield
    tasks._REGISTERED.pop(DotCount.name)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory: pytest.TempPathFactory) -> fv.Run:
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        run = fv.train(
            data, model="tiny_cnn", epochs=2, augment="none", out=tmp_path_factory.mktemp("r") / "r"
        )
        run.test()
        return run


def test_it_is_trained_tested_and_reported(run):
    assert set(run.results["test"]) == {"exact", "error"}
    assert set(run.results["baseline"]["test"]) == {"none", "mean"}
    page = run.report_path.read_text()
    assert "this model counts the dots of" in page
    assert "Largest error" in page


def test_it_predicts_as_json(run, data, tmp_path):
    code, _, error = run_cli(
        "predict", run.path, data[0].source.path, "--json", tmp_path / "predictions.json"
    )
    assert code == 0, error
    written = json.loads((tmp_path / "predictions.json").read_text())
    assert "dots" in str(written)
    assert run.predict(data[0].source.path).to_dict().keys() == {"path", "dots"}


def test_what_it_cannot_do_is_refused(run, data):
    with pytest.raises(fv.FoveateError, match="the task dot_count predicts for whole images"):
        run.set_image(data[0].source.path)
    with pytest.raises(fv.FoveateError, match="the task dot_count predicts from images"):
        run.generate("three dots")


def test_it_is_audited(data):
    unlabelled = Sample("none", ArraySource(np.zeros((1, 16, 16, 1), np.uint8), 0))
    samples = [*data.samples, unlabelled]
    result = fv.audit(Dataset("dots", Count.task, (), samples))
    assert "no annotation" in str(result.audit.findings)
