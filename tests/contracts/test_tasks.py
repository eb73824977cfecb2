"""The laws of every task: a new file in tasks/ is tested the day it arrives."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch

from foveate import tasks
from foveate.data.augment.images import ImageAugment
from foveate.data.batches import Batches, validation_batches
from foveate.experiment import predictions_file
from foveate.experiment.model_file import header, load_model
from foveate.settings import Settings
from foveate.tasks.capabilities import HasEvaluator, with_prompts
from foveate.training import checkpoint
from foveate.training.loop import steps
from foveate.training.optim import optimizer
from helpers.defects import DEFECTS
from helpers.task_case import Case, N
from helpers.toy_datasets import toy_dataset

STEPS = {"text_to_image": 120}
"""Steps to overfit a batch, if 60 are too few: here each step draws new noise."""
CLOSE = {"text_to_image": 0.15}
"""Distance from a perfect score, if 0.05 is too strict: the evaluator learnt from few images."""


@pytest.fixture(params=sorted(tasks.all()), scope="module")
def case(request):
    return Case(request.param)


def better(task, mine, other):
    less = task.primary_metric in task.lower_is_better
    return (
        mine[task.primary_metric] < other[task.primary_metric]
        if less
        else mine[task.primary_metric] > other[task.primary_metric]
    )


def test_the_target_is_perfect_and_beats_every_baseline(case):
    score = case.task.score(case.targets, case.targets)
    assert score[case.task.primary_metric] == pytest.approx(
        0.0 if case.task.primary_metric in case.task.lower_is_better else 1.0
    )
    held_out = toy_dataset(case.task.name, 40, np.random.default_rng(1))
    images = [sample.source.read() for sample in held_out]
    targets = [sample.target for sample in held_out]
    given = case.task.baselines(case.decoded.pixels, case.targets, seed=0)(
        with_prompts(case.task, images, targets)
    )
    assert len(given) >= 2
    for predictions in list(given.values())[
        :2
    ]:  # the examples are easy enough for a good baseline to be perfect as well
        assert len(predictions) == len(images)
        assert better(
            case.task, case.task.score(targets, targets), case.task.score(predictions, targets)
        )


def test_prediction_never_sees_the_target(case):
    net = case.net()
    before = case.task.predict(net, case.images)
    blind = replace(case.dataset, samples=[replace(sample, target=None) for sample in case.dataset])
    after = case.task.predict(net, [sample.source.read() for sample in blind])
    assert [case.task.to_dict(prediction) for prediction in before] == [
        case.task.to_dict(prediction) for prediction in after
    ]


def test_an_empty_batch_has_a_finite_loss_and_no_predictions(case):
    net = case.net().eval()
    inputs, target = case.batch(slice(0, 0))
    loss = case.task.loss(net(*inputs), target)["total"]
    assert torch.isfinite(loss)
    assert case.task.predict(net, []) == []


@pytest.mark.slow
def test_order_and_batch_size_change_no_prediction(case):
    net = case.net()
    together = case.predictions(net)
    alone = [case.predictions(net, slice(row, row + 1))[0] for row in range(N)]
    backwards = case.predictions(net, slice(None, None, -1))[::-1]
    whole = case.task.score(together, case.targets)
    for other in (alone, backwards):
        assert case.task.score(other, case.targets) == pytest.approx(whole, abs=1e-5, nan_ok=True)
    order = np.random.default_rng(0).permutation(N)
    shuffled = case.task.score([together[i] for i in order], [case.targets[i] for i in order])
    assert shuffled == pytest.approx(whole, abs=1e-9, nan_ok=True)


@pytest.mark.slow
def test_one_batch_can_be_overfitted(case):
    net = case.net()
    batches = Batches(
        case.task,
        case.decoded.pixels,
        case.targets,
        case.ids,
        batch_size=N,
        seed=0,
        augment=ImageAugment(),
    )
    built = optimizer("adamw", net, lr=5e-3, weight_decay=0.0)
    count = STEPS.get(case.task.name, 60)
    for _ in steps(
        net, case.task.loss, islice(batches(), count), built, lambda step: 1 - step / count
    ):
        pass
    score = case.task.score(case.predictions(net), case.targets)
    assert abs(
        score[case.task.primary_metric]
        - (case.task.primary_metric not in case.task.lower_is_better)
    ) < CLOSE.get(case.task.name, 0.05)


@pytest.mark.slow
def test_an_untrained_net_does_not_beat_the_best_baseline(case):
    held_out = toy_dataset(case.task.name, 60, np.random.default_rng(2))
    images, targets = [s.source.read() for s in held_out], [s.target for s in held_out]
    score = case.task.score(
        case.task.predict(case.net(), with_prompts(case.task, images, targets)), targets
    )
    given = case.task.baselines(case.decoded.pixels, case.targets, seed=0)(
        with_prompts(case.task, images, targets)
    )
    best = [case.task.score(predictions, targets) for predictions in given.values()]
    assert not all(better(case.task, score, other) for other in best)


def test_the_loss_has_a_gradient_for_every_weight(case):
    net = case.net()
    inputs, target = case.batch()
    case.task.loss(net(*inputs), target)["total"].backward()
    assert all(parameter.grad is not None for parameter in net.parameters())


def test_what_decides_about_the_kept_weights_is_a_column_of_the_curves(case):
    assert case.task.kept_by in ("valid_loss", f"valid_{case.task.curve_metric}")
    assert case.task.curve_metric not in case.task.lower_is_better


def test_validation_asks_the_same_question_whatever_the_batch_size(case):
    net = case.net().eval()

    def mean_loss(size: int) -> float:
        batches = validation_batches(case.task, case.decoded.pixels, case.targets, case.ids, size)
        return sum(case.task.loss(net(*i), t)["total"].item() * len(i[0]) for i, t in batches) / N

    assert mean_loss(5) == pytest.approx(mean_loss(N), rel=1e-5)


def test_drawing_changes_pixels_and_leaves_the_image_alone(case):
    image = case.images[0].copy()
    drawn = case.task.draw(image, case.targets[0])
    assert drawn.ndim == 3
    assert drawn.shape[2] == 3
    assert drawn.dtype == np.uint8
    assert np.array_equal(image, case.images[0])
    plain = np.repeat(image, 3, 2) if image.shape[2] == 1 else image
    assert drawn.shape != plain.shape or not np.array_equal(drawn, plain)


def test_good_samples_pass_the_audit_and_every_defect_is_found(case):
    for sample in case.dataset:
        assert case.task.audit(sample) == []
    for spoil in DEFECTS[case.task.name].values():
        assert case.task.audit(spoil(case.dataset[0], case.task))


def test_the_options_rebuild_the_task(case):
    again = type(case.task)(case.task.classes, **case.task.options)
    assert again.options == case.task.options
    assert again.classes == case.task.classes


def test_a_model_file_gives_the_same_task_and_predictions(case, tmp_path):
    net, path = case.net(), tmp_path / "best.safetensors"
    settings = Settings(task=case.task.name, model="tiny_cnn")
    checkpoint.write(path, net.state_dict(), header(case.task, net, settings))
    task, loaded = load_model(path)
    assert task.options == case.task.options
    for name, value in [*net.named_buffers(), *net.named_parameters()]:
        assert torch.equal(value, loaded.get_buffer(name) if name in dict(
            net.named_buffers()) else loaded.get_parameter(name)), name  # fmt: skip
    images = with_prompts(case.task, case.images[:3], case.targets[:3])
    if isinstance(task, HasEvaluator):
        task.evaluator = case.task.evaluator
    one, other = case.task.predict(net.eval(), images), task.predict(loaded, images)
    assert [task.to_dict(two) for two in one] == [task.to_dict(two) for two in other]


def test_statistics_survive_their_file(case, tmp_path):
    """They are what the metric says of its columns."""
    path, metric = tmp_path / "predictions_valid.csv", case.task.metric()
    for predictions in (case.targets, case.predictions(case.net())):
        stats = metric.per_image(predictions, case.targets)
        predictions_file.write(path, case.ids, [("x", "y")] * N, stats)
        ids, again = predictions_file.read(path, metric, N)
        assert ids == case.ids
        assert again.keys() == stats.keys()
        for name, column in stats.items():
            np.testing.assert_equal(again[name].tolist(), column.tolist())


def test_what_is_present_are_classes(case):
    for target in case.targets:
        assert all(0 <= k < len(case.task.classes) for k in target.present())


def test_predictions_can_be_told_and_written(case):
    import json

    net = case.net()
    for prediction in [*case.task.predict(net, case.images[:3]), *case.predictions(net, slice(3))]:
        assert isinstance(case.task.summary(prediction), str)
        assert json.loads(json.dumps(case.task.to_dict(prediction))) == case.task.to_dict(
            prediction
        )


@pytest.mark.slow
def test_calibrating_never_makes_the_validation_loss_worse(case):
    net = case.net()
    before = case.task.score(case.predictions(net), case.targets)
    settled = type(case.task)(case.task.classes, **case.task.options)
    if isinstance(settled, HasEvaluator):
        settled.load_evaluator(*settled.fit_evaluator(case.decoded.pixels, case.targets, seed=0))
    settled.calibrate(net, case.images, case.targets)
    after = settled.score(
        settled.predict(net, with_prompts(settled, case.images, case.targets)), case.targets
    )
    assert after[case.task.primary_metric] >= before[case.task.primary_metric] - 1e-9


def test_the_mistakes_of_a_class_concern_it(case):
    task, predictions = case.task, case.predictions(case.net())
    stats = task.metric().per_image(predictions, case.targets)
    images = [np.asarray(image) for image in case.images]

    def mistakes(k):
        pair = lambda row: (predictions[row], case.targets[row])  # noqa: E731
        gallery = task.mistakes(stats, case.ids, lambda row: images[row], pair, k)
        return [] if gallery is None else gallery.items

    assert mistakes(None)  # the net is not trained
    for k, name in enumerate(task.classes):
        assert all(item.tone == "bad" and name in item.classes for item in mistakes(k))
    assert any(mistakes(k) for k in range(len(task.classes))) or not task.classes
