"""Faulty boxes either train to finite metrics or are refused with a remedy, never a traceback."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import foveate as fv
from foveate import formats
from foveate.annotations import Boxes
from foveate.data.dataset import ArraySource, Dataset, Sample
from foveate.errors import FoveateError
from foveate.experiment.run import Run
from foveate.tasks.detection import DEFAULT_THRESHOLD

pytestmark = pytest.mark.usefixtures("one_thread")

SIDE, N = 32, 15
SPLITS = ["train"] * 9 + ["valid"] * 3 + ["test"] * 3
RNG = np.random.default_rng(1)

Subset = list[tuple[int, int, int, int, int]]
"""The boxes of one image: left, top, right, bottom and class of each."""


def some(count: int, classes: tuple[int, ...] = (0, 1), side: int = 8) -> Subset:
    low = RNG.integers(0, SIDE - side + 1, (count, 2)).tolist()
    return [
        (left, top, left + side, top + side, classes[n % len(classes)])
        for n, (left, top) in enumerate(low)
    ]


def made(
    targets: list[Subset],
    *,
    splits: list[str] | None = None,
    shapes: dict[int, tuple[int, int]] | None = None,
    classes: tuple[str, ...] = ("one", "two"),
) -> Dataset[Boxes]:
    """Noise with these boxes. shapes: of images that are not SIDE x SIDE, by their row."""
    samples = []
    for row, rows in enumerate(targets):
        shape = (shapes or {}).get(row, (SIDE, SIDE))
        pixels = RNG.integers(0, 255, (1, *shape, 3), dtype=np.uint8)
        corners = np.array([one[:4] for one in rows], float).reshape(-1, 4)
        target = Boxes(corners, np.array([one[4] for one in rows], int), size=shape)
        samples.append(
            Sample(
                f"{row:03}.png",
                ArraySource(pixels, 0),
                target,
                split=splits[row] if splits else None,
            )
        )
    return Dataset("made", "detection", classes, samples)


def train(data: Dataset[Boxes] | Path, tmp_path: Path, **given) -> Run:
    given = {"model": "tiny_cnn", "epochs": 1, "batch_size": 8, **given}
    return fv.train(data, task="detection", out=tmp_path / "run", **given)


def finite(run: Run, split: str = "valid") -> None:
    results = run.results
    for metrics in (results[split], *results["baseline"][split].values()):
        for name in ("map", "map50", "recall"):
            assert all(math.isfinite(metrics[name][key]) for key in ("value", "low", "high")), name
            assert 0 <= metrics[name]["low"] <= metrics[name]["value"] <= metrics[name]["high"] <= 1
    assert all(
        math.isfinite(float(row[name]))
        for row in run.curves
        for name in ("train_loss", "valid_loss")
    )
    task, _ = run.load()
    assert ((task.thresholds >= 0) & (task.thresholds <= 1)).all()
    assert run.report_path.stat().st_size > 10_000


def refused(data: Dataset[Boxes] | Path, tmp_path: Path, says: str, **given) -> FoveateError:
    """One error with a remedy, before training; the same command can be given again."""
    with pytest.raises(FoveateError, match=says) as error:
        train(data, tmp_path, **given)
    assert error.value.remedy
    assert not (tmp_path / "run").exists()
    return error.value


def attempt(data: Dataset[Boxes], tmp_path: Path, **given) -> Run | FoveateError:
    try:
        return train(data, tmp_path, **given)
    except FoveateError as error:
        return error


WIDE = [(100, 5, 4000, 40, 0), (5000, 1, 5050, 30, 1)]
TRAINABLE = {
    "one class": made([some(2, (0,)) for _ in range(N)], classes=("one",)),
    "some images without a box": made([some(2) if row % 3 else [] for row in range(N)]),
    "2,000 boxes in a picture": made(
        [some(2000, side=3) if row == 0 else some(2) for row in range(N)]
    ),
    "boxes of one pixel": made([some(4, side=1) for _ in range(N)]),
    "all boxes in one place": made([[(5, 5, 20, 20, row % 2)] for row in range(N)]),
    "all boxes in one place, of two classes": made([[(5, 5, 20, 20, 0), (5, 5, 20, 20, 1)]] * N),
    "boxes as large as their picture": made([[(0, 0, SIDE, SIDE, row % 2)] for row in range(N)]),
    "boxes that leave their picture": made([[(-5, -5, 10, 10, 0), (20, 20, 40, 40, 1)]] * N),
    "a picture of 8000 x 50 pixels": made(
        [WIDE, *(some(2) for _ in range(N - 1))], shapes={0: (50, 8000)}
    ),
    "a picture of 50 x 8000 pixels": made(
        [[(5, 100, 40, 4000, 0)], *(some(2) for _ in range(N - 1))], shapes={0: (8000, 50)}
    ),
    "a picture of one pixel": made(
        [[(0, 0, 1, 1, 0)], *(some(2) for _ in range(N - 1))], shapes={0: (1, 1)}
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", TRAINABLE)
def test_it_trains_to_finite_metrics(case, tmp_path):
    run = train(TRAINABLE[case], tmp_path)
    finite(run)
    run.test()
    finite(run, "test")


@pytest.mark.slow
@pytest.mark.parametrize("model", ["yolo", "yolo_v1"])
@pytest.mark.parametrize(
    "case", ["2,000 boxes in a picture", "boxes of one pixel", "a picture of 8000 x 50 pixels"]
)
def test_other_detectors_train_to_finite_metrics_too(case, model, tmp_path):
    finite(train(TRAINABLE[case], tmp_path, model=model))


def test_a_dataset_without_boxes_is_refused(tmp_path):
    refused(made([[]] * N), tmp_path, "box")


def test_a_dataset_without_classes_is_refused(tmp_path):
    refused(made([[]] * N, classes=()), tmp_path, "class|box")


def test_a_class_without_a_box_is_refused_by_name_or_does_no_harm(tmp_path):
    """Many files list more classes than they have boxes of, as COCO's categories do."""
    end = attempt(
        made([some(2, (0, 1)) for _ in range(N)], classes=("one", "two", "three")), tmp_path
    )
    if isinstance(end, FoveateError):
        assert "three" in end.message
        assert end.remedy
    else:
        finite(end)


def test_a_class_that_only_the_validation_split_has_is_refused(tmp_path):
    data = made(
        [some(2, (0, 1)) if split == "valid" else some(2, (0,)) for split in SPLITS], splits=SPLITS
    )
    refused(data, tmp_path, "the train split has no image of 'two'")
    refused(data, tmp_path, "'two' occurs in valid or test but not in train", allow_errors=True)


def test_a_class_that_the_validation_split_lacks_gets_the_default_threshold(tmp_path):
    data = made(
        [some(2, (0,)) if split == "valid" else some(2, (0, 1)) for split in SPLITS], splits=SPLITS
    )
    end = attempt(data, tmp_path, allow_errors=True)
    if isinstance(end, FoveateError):
        assert "two" in end.message
        assert end.remedy
    else:
        finite(end)
        assert end.load()[0].thresholds[1] == DEFAULT_THRESHOLD


@pytest.mark.parametrize("empty", ["valid", "test"])
def test_a_split_without_a_box_is_reported_without_a_traceback(empty, tmp_path):
    """Average precision is undefined there: it is reported as that, or the data is refused."""
    data = made([[] if split == empty else some(2) for split in SPLITS], splits=SPLITS)
    end = attempt(data, tmp_path, allow_errors=True)
    if isinstance(end, FoveateError):
        assert end.remedy
    else:
        metrics = end.test() if empty == "test" else end.results["valid"]
        assert metrics["map50"]["value"] is None
        assert end.report_path.stat().st_size > 10_000


def test_a_dataset_with_only_ignored_boxes_is_refused(tmp_path):
    """Crowds are neither learnt nor scored."""
    data = made([some(2) for _ in range(N)])
    for sample in data.samples:
        object.__setattr__(sample.target, "crowd", np.ones(2, bool))
    refused(data, tmp_path, "box")


@pytest.mark.parametrize("format", ["coco", "voc"])
def test_a_folder_without_boxes_is_refused(format, tmp_path):
    formats.find_writer(format).write(made([[]] * N), tmp_path / "data")
    refused(tmp_path / "data", tmp_path, "box|class|annotation|annotated")


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_images_are_refused(count, tmp_path):
    refused(made([some(2) for _ in range(count)]), tmp_path, "image|sample")
