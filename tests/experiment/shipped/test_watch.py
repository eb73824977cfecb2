"""Watching what comes in service: the share of false alarms, planted changes, and bad input."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from foveate.audit import drift
from foveate.data.image_stats import compute_batch
from foveate.experiment.shipped.observed import Observed, Predictions, predicted_rates
from foveate.experiment.shipped.reference import Reference
from foveate.experiment.shipped.watch import (
    CLASSES,
    FEATURES,
    STATISTICS,
    compare,
    watch,
)
from foveate.experiment.shipped.watch_page import headline, write_page
from foveate.models.features import map_statistics
from helpers.colour_folder import COLOURS, dark_copy
from helpers.command_line import refused, run_cli

pytestmark = pytest.mark.usefixtures("one_thread")

REPETITIONS = 200
TRAIN, VALID, SERVICE = 150, 60, 60


class Pool:
    """Images of one distribution, some of which a net mistakes, with all that is known of them."""

    def __init__(self, run, count: int, *, seed: int, brightness: float = 1.0):
        rng = np.random.default_rng(seed)
        centres = np.array(list(COLOURS.values()), float)
        self.classes = rng.integers(3, size=count)
        colours = centres[self.classes] + rng.normal(0, 50, (count, 3))
        pixels = rng.normal(colours[:, None, None], 30, (count, 16, 16, 3)) * brightness
        images = np.clip(pixels, 0, 255).astype(np.uint8)
        task, net = run.load()
        self.stats = compute_batch(images)
        self.features = map_statistics(net, images)
        self.predictions = Predictions.of(predicted_rates(run, list(images)), task.classes)
        self.names = task.classes

    def predicted(self, rows) -> Predictions:
        one = self.predictions
        return Predictions(one.amounts[rows], one.objects, one.confidences[rows])

    def reference(self, rows) -> Reference:
        train, valid = rows[:TRAIN], rows[TRAIN : TRAIN + VALID]
        return Reference(
            self.stats[train], train, self.features[valid], valid, self.predicted(valid)
        )

    def service(self, rows) -> Observed:
        return Observed(
            len(rows), self.stats[rows], self.features[rows], rows, self.predicted(rows)
        )


@pytest.fixture(scope="module")
def pool(run):
    return Pool(run, 3000, seed=1)


def draws(pool, count):
    """Disjoint rows of a reference and of service, again and again."""
    for seed in range(count):
        rows = np.random.default_rng(seed).permutation(len(pool.stats))
        yield rows[: TRAIN + VALID], rows[TRAIN + VALID :]


def test_images_of_the_same_distribution_alarm_in_about_one_case_of_twenty(pool):
    count = 0
    for reference, rest in draws(pool, REPETITIONS):
        found = compare(pool.reference(reference), pool.service(rest[:SERVICE]), pool.names)
        assert len(found.comparisons) == 4
        count += bool(found.changed)
    # Fewer than 2 or more than 20 happen in one of 500 cases if the share is the level.
    assert 2 <= count <= 20, f"{count} of {REPETITIONS}"


def test_darker_images_are_found(pool, run):
    dark = Pool(run, 600, seed=2, brightness=0.7)
    found = 0
    for seed, (reference, _) in enumerate(draws(pool, 20)):
        rows = np.random.default_rng(seed).permutation(600)[:SERVICE]
        names = [
            one.name
            for one in compare(pool.reference(reference), dark.service(rows), pool.names).changed
        ]
        found += STATISTICS in names or FEATURES in names
    assert found >= 18


def test_another_mix_of_classes_is_found(pool):
    found = 0
    for reference, rest in draws(pool, 20):
        first = rest[pool.classes[rest] == 0][: SERVICE * 2 // 3]
        others = rest[pool.classes[rest] != 0][: SERVICE // 3]
        service = pool.service(np.concatenate([first, others]))
        changed = compare(pool.reference(reference), service, pool.names).changed
        found += CLASSES in [one.name for one in changed]
    assert found >= 16


def test_copies_of_one_image_are_one_proof(pool):
    """A hundred copies of one image are no hundred images."""
    reference, rest = next(draws(pool, 1))
    service = pool.service(np.repeat(rest[:2], 50))
    names = [
        one.name for one in compare(pool.reference(reference), service, pool.names).comparisons
    ]
    assert STATISTICS not in names
    assert FEATURES not in names


def test_holms_method_holds_comparisons_together():
    def of(p):
        return drift.Comparison("x", "", "", "", p, False)

    assert [one.p for one in drift.alarms([of(0.2), of(0.02), of(0.001)])] == [0.001, 0.02]
    assert drift.alarms([of(0.03), of(0.03)]) == []
    assert drift.alarms([]) == []


def test_objects_of_one_image_stay_together():
    """Ten objects in one image are no ten images: an independent test of objects would alarm."""
    reference = np.tile([[5.0, 5.0]], (50, 1))
    service = np.concatenate([np.tile([[5.0, 5.0]], (39, 1)), [[60.0, 0.0]]])
    found = drift.compare_amounts("x", ["a", "b"], reference, service)
    assert found.p > 0.1


def test_equal_values_are_alike():
    found = drift.compare_values("x", np.ones(40), np.ones(60))
    assert found.p == 1
    other = drift.compare_values("x", np.ones(40), np.full(60, 0.9))
    assert other.p < 0.001
    assert other.large
    assert drift.compare_values("x", np.ones(29), np.ones(60)) is None


def test_the_command_on_fresh_images(run, fresh, tmp_path):
    code, out, err = run_cli("watch", run.path, fresh, "--out", tmp_path / "page.html")
    assert code == 0, err
    lines = out.strip().splitlines()
    assert lines[-3] == "Nothing speaks for a change in 60 images of service."
    assert lines[-2].startswith("Go on")
    page = (tmp_path / "page.html").read_text()
    assert "Nothing speaks for a change" in page
    assert "data:image" not in page  # it keeps no image


def test_the_command_on_darker_images_says_what_to_do(run, fresh, tmp_path):
    dark = dark_copy(fresh, tmp_path / "dark", 0.6)
    code, out, err = run_cli("watch", run.path, dark)
    assert code == 0, err
    assert "something has changed: image statistics" in out
    assert "What differs most: " in out
    assert out.strip().splitlines()[-1].startswith("What to do: look at some of the images")


def test_predictions_of_the_command_are_compared_without_images(run, fresh, tmp_path):
    for name in ("found.json", "found.jsonl"):
        code, _, err = run_cli("predict", run.path, fresh, "--json", tmp_path / name)
        assert code == 0, err
        code, out, err = run_cli("watch", run.path, tmp_path / name)
        assert code == 0, err
        assert "predicted" in out
        assert "files of predictions hold no images" in out
        assert "Nothing speaks for a change in 60 images of service." in out
    red = tmp_path / "red.json"
    code, _, err = run_cli("predict", run.path, fresh / "red", fresh / "blue", "--json", red)
    assert code == 0, err
    assert "something has changed: predicted classes" in run_cli("watch", run.path, red)[1]


def test_few_images_say_how_many_are_needed(run, fresh):
    code, out, _ = run_cli("watch", run.path, fresh / "red")
    assert code == 0
    assert "20 images of service cannot tell yet: at least 30 are needed." in out


def test_a_small_validation_split_is_said_to_be_too_small(trained, fresh, tmp_path):
    found = watch(trained.path, [fresh])
    assert [one.name for one in found.comparisons] == [STATISTICS]
    assert "the validation split has 9 images" in found.missing[0]
    write_page(found, tmp_path / "page.html", "run")
    assert "at least 30 are needed" in (tmp_path / "page.html").read_text()


def test_broken_files_and_copies_are_counted(run, fresh, tmp_path):
    shutil.copytree(fresh, tmp_path / "in")
    (tmp_path / "in" / "red" / "000.png").write_bytes(b"no image")
    shutil.copy(tmp_path / "in" / "red" / "001.png", tmp_path / "in" / "red" / "copy.png")
    found = watch(run.path, [tmp_path / "in"])
    assert found.service.count == 60
    assert "1 image could not be read" in found.service.notes
    assert "1 image is a copy of another" in found.service.notes
    assert headline(found)[1] == "good"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("{", "damaged"),
        ('{"a": 1}', "foveate predict --json wrote"),
        ('{"foveate": "predictions", "classes": ["x"], "predictions": []}', "of the classes"),
        ('{"foveate": "predictions", "conf": 0.5}', "made with --conf"),
        ('{"foveate": "predictions", "only": ["x"], "conf": 0}', "made with --conf, --classes"),
        ("CLASSES", "damaged"),
    ],
)
def test_bad_files_of_predictions_are_refused(run, tmp_path, content, expected):
    path = tmp_path / "found.json"
    if content == "CLASSES":
        values = {"foveate": "predictions", "classes": list(run.task.classes)}
        content = json.dumps({**values, "predictions": [{"class": "nothing", "probability": 1}]})
    path.write_text(content)
    assert expected in refused("watch", run.path, path)
    if "made with" in expected:
        lines = path.with_suffix(".jsonl")
        lines.write_text(content + "\n")
        assert expected in refused("watch", run.path, lines)


def test_bad_input_is_refused(run, fresh, tmp_path):
    assert "no such file" in refused("watch", run.path, tmp_path / "gone.json")
    (tmp_path / "a.json").write_text("{}")
    assert "got both" in refused("watch", run.path, fresh, tmp_path / "a.json")
    assert "no such run" in refused("watch", tmp_path / "gone", fresh)
    assert "outside of the data" in refused("watch", run.path, fresh, "--out", fresh / "page.html")
    mine = tmp_path / "mine.html"
    mine.write_text("<!doctype html>mine")
    assert "is not replaced" in refused("watch", run.path, fresh, "--out", mine, "--overwrite")
    shutil.copytree(run.path, tmp_path / "run")
    (tmp_path / "run" / ".unfinished.yaml").write_text("format: 2")
    assert "was interrupted" in refused("watch", tmp_path / "run", fresh)


def test_the_run_stays_as_it_was(run, fresh):
    before = {path: path.stat().st_mtime_ns for path in run.path.iterdir()}
    watch(run.path, [fresh])
    assert {path: path.stat().st_mtime_ns for path in run.path.iterdir()} == before
