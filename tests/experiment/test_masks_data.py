"""Faulty masks on the command line: finite metrics, a counted skip, or one clear error."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

import foveate as fv
from foveate.annotations import IGNORE
from foveate.tasks.semantic import Semantic
from helpers import masks_demo
from helpers.command_line import hurry, refused, run_cli

pytestmark = pytest.mark.usefixtures("one_thread")

N, SQUARE = 12, ((32, 32),)
SPLITS = ["train"] * 6 + ["valid"] * 3 + ["test"] * 3
WORDS = ("--model", "unet:4x2", "--epochs", 1, "--size", 32, "--batch-size", 4)


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch):
    hurry(monkeypatch)


def pairs(tmp_path: Path, change, splits: list[str] = ()) -> Path:
    """change: (row, classes) -> the label map to write, None for none."""
    data = tmp_path / "data"
    return masks_demo.write_pairs(
        data,
        N,
        shapes=SQUARE,
        splits=splits,
        change=lambda row, pixels, values: (pixels, change(row, values)),
    )


def cells(tmp_path: Path, change) -> Path:
    return masks_demo.write_cells(tmp_path / "data", N, shapes=SQUARE, change=change)


def finite(data: Path, tmp_path: Path, *words: object) -> tuple[fv.Run, str]:
    """Train and test on this data; returns the run and all output."""
    run, told = tmp_path / "run", []
    for line in (("train", data, *WORDS, *words, "--out", run), ("test", run)):
        code, out, err = run_cli(*line)
        assert code == 0, err
        assert "Traceback" not in err
        told += [out, err]
    opened = fv.Run.open(run)
    for split in ("valid", "test"):
        for metrics in (opened.results[split], *opened.results["baseline"][split].values()):
            metric = metrics[opened.results["primary"]]
            assert 0 <= metric["low"] <= metric["value"] <= metric["high"] <= 1
    assert all(
        math.isfinite(float(row[name]))
        for row in opened.curves
        for name in ("train_loss", "valid_loss")
    )
    assert opened.report_path.stat().st_size > 10_000
    return opened, "".join(told)


def skipped(run: fv.Run) -> dict[str, str]:
    return {one["id"]: one["reason"] for one in run.data["skipped"]}


def ends(data: Path, tmp_path: Path, *words: object) -> str:
    """A finished run, or one clear error, which is returned, and nothing left behind."""
    code, _, err = run_cli("train", data, *WORDS, *words, "--out", tmp_path / "run")
    if code == 0:
        return ""
    assert code == 2, err
    assert not (tmp_path / "run").exists()
    error = err[err.index("error: ") :]
    assert all(line.startswith("  ") for line in error.splitlines()[1:]), error
    assert "data" in error.splitlines()[0], error  # where it is
    return error


# --- classes of pixels


def only(row: int, then):
    return lambda at, values: then(values) if at == row else values


def all_ground(values: np.ndarray) -> np.ndarray:
    return np.zeros_like(values)


def unlabelled(values: np.ndarray) -> np.ndarray:
    return np.full_like(values, IGNORE)


@pytest.mark.parametrize("then", [all_ground, unlabelled])
def test_one_image_of_background_alone_or_without_a_label_does_no_harm(then, tmp_path):
    run, told = finite(pairs(tmp_path, only(2, then)), tmp_path)
    assert sum(run.data["images"].values()) == N
    assert skipped(run) == {}
    assert ("no pixel is labelled" in told) == (then is unlabelled)


def test_a_dataset_of_background_alone_is_refused(tmp_path):
    error = refused(
        "train",
        pairs(tmp_path, lambda _, values: all_ground(values)),
        *WORDS,
        "--out",
        tmp_path / "run",
    )
    assert "'ground'" in error
    assert not (tmp_path / "run").exists()


def test_a_dataset_without_labelled_pixels_is_refused(tmp_path):
    error = refused(
        "train",
        pairs(tmp_path, lambda _, values: unlabelled(values)),
        *WORDS,
        "--out",
        tmp_path / "run",
    )
    assert "labelled" in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("split", ["train", "valid", "test"])
@pytest.mark.parametrize("words", [(), ("--allow-errors",)])
def test_a_split_without_labelled_pixels_is_refused_by_name(split, words, tmp_path):
    data = pairs(
        tmp_path, lambda row, values: unlabelled(values) if SPLITS[row] == split else values, SPLITS
    )
    error = refused("train", data, *WORDS, *words, "--out", tmp_path / "run")
    assert f"the {split} split" in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("words", [(), ("--allow-errors",)])
def test_a_class_that_only_the_validation_split_has_is_refused_by_name(words, tmp_path):
    data = pairs(
        tmp_path,
        lambda row, values: np.where(values == 2, 0, values) if SPLITS[row] == "train" else values,
        SPLITS,
    )
    error = refused("train", data, *WORDS, *words, "--out", tmp_path / "run")
    assert "'bar'" in error
    assert "train" in error


@pytest.mark.parametrize("row", [0, SPLITS.index("valid"), SPLITS.index("test")])
def test_a_mask_of_another_size_is_refused(row, tmp_path):
    data = pairs(tmp_path, only(row, lambda values: values[:-5]), SPLITS)
    error = refused("train", data, *WORDS, "--out", tmp_path / "run")
    assert "mask of another size" in error
    assert "32 x 27" in error
    assert f"{row:03}.png" in error


@pytest.mark.parametrize(
    "row",
    [
        0,
        pytest.param(SPLITS.index("valid")),
    ],
)
def test_a_mask_of_another_size_that_is_allowed_gives_no_traceback(row, tmp_path):
    data = pairs(tmp_path, only(row, lambda values: values[:-5]), SPLITS)
    ends(data, tmp_path, "--allow-errors")


def beyond(values: np.ndarray) -> np.ndarray:
    """A label map with a value that no class has."""
    written = np.array([*masks_demo.VALUES, masks_demo.VOID], np.uint8)[values]
    written[4:7, 4:7] = 77
    return written


def test_a_value_beyond_the_classes_is_refused(tmp_path):
    error = refused("train", pairs(tmp_path, only(1, beyond)), *WORDS, "--out", tmp_path / "run")
    assert "9 pixels have a value that is no class" in error
    assert "001.png" in error


@pytest.mark.parametrize("row", [0, SPLITS.index("valid")])
def test_a_value_beyond_the_classes_that_is_allowed_gives_no_traceback(row, tmp_path):
    ends(pairs(tmp_path, only(row, beyond), SPLITS), tmp_path, "--allow-errors")


def test_an_image_without_a_label_map_is_skipped_and_counted(tmp_path):
    run, told = finite(pairs(tmp_path, only(3, lambda _: None)), tmp_path, "--allow-skipped")
    assert sum(run.data["images"].values()) == N - 1
    assert skipped(run) == {"images/003.png": "no label image has the same name"}
    assert "skipped images/003.png: no label image has the same name" in told


def test_a_dataset_without_label_maps_is_refused(tmp_path):
    data = pairs(tmp_path, lambda row, values: None)
    error = refused("train", data, *WORDS, "--out", tmp_path / "run")
    assert str(data) in error


def test_an_unreadable_label_map_is_skipped_and_counted(tmp_path):
    data = pairs(tmp_path, lambda _, values: values)
    (data / "masks" / "003.png").write_bytes(b"no picture")
    run, _ = finite(data, tmp_path, "--allow-skipped")
    assert list(skipped(run)) == ["images/003.png"]
    assert "masks/003.png" in skipped(run)["images/003.png"]


def test_objects_of_one_pixel_train_to_finite_metrics(tmp_path):
    def dots(row: int, values: np.ndarray) -> np.ndarray:
        dots = np.zeros_like(values)
        dots[row % 7 :: 7, ::5] = 1
        dots[3::11, row % 3 :: 6] = 2
        return dots

    finite(pairs(tmp_path, dots), tmp_path)


def test_a_palette_with_gaps_adds_no_class_to_the_table(tmp_path):
    run, _ = finite(pairs(tmp_path, lambda _, values: values), tmp_path)
    assert run.data["classes"] == list(masks_demo.CLASSES)
    task, _ = run.load()
    assert [tuple(colour) for colour in task.colours] == list(masks_demo.COLOURS)


def test_without_a_table_the_values_that_occur_become_classes_with_a_note(tmp_path):
    data = pairs(tmp_path, lambda _, values: np.where(values < 0, 0, values))
    (data / "classes.csv").unlink()
    run, told = finite(data, tmp_path)
    assert run.data["classes"] == [str(value) for value in masks_demo.VALUES]
    assert "no classes.csv" in told


# --- things


def test_an_instance_without_pixels_is_refused_or_left_out_if_that_is_allowed(tmp_path):
    data = cells(
        tmp_path, lambda row, masks: [*masks, np.zeros((32, 32), bool)] if row == 1 else masks
    )
    error = refused("train", data, *WORDS, "--out", tmp_path / "run")
    assert "mask without a pixel" in error
    assert "001" in error
    finite(data, tmp_path, "--allow-errors")


def test_two_instances_in_one_place_train_to_finite_metrics(tmp_path):
    run, _ = finite(
        cells(tmp_path, lambda row, masks: [mask for mask in masks for _ in range(2)]), tmp_path
    )
    assert any(found["check"] == "duplicate box" for found in run.data["audit"])


def test_instances_of_one_pixel_train_to_finite_metrics(tmp_path):
    def dots(row: int, _: list[np.ndarray]) -> list[np.ndarray]:
        masks = np.zeros((6, 32, 32), bool)
        masks[np.arange(6), 4 * np.arange(6) + row % 4, 5 * np.arange(6)] = True
        return list(masks)

    finite(cells(tmp_path, dots), tmp_path)


def test_images_without_an_instance_belong_to_the_data(tmp_path):
    """A folder without a mask is an image without an object."""
    run, _ = finite(cells(tmp_path, lambda row, masks: masks if row % 3 else []), tmp_path)
    assert sum(run.data["images"].values()) == N


def test_a_dataset_without_instances_is_refused(tmp_path):
    error = refused(
        "train", cells(tmp_path, lambda row, masks: []), *WORDS, "--out", tmp_path / "run"
    )
    assert "object" in error or "mask" in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("words", [(), pytest.param(("--allow-errors",))])
def test_an_instance_mask_of_another_size_is_refused_or_skipped(words, tmp_path):
    data = cells(tmp_path, lambda row, masks: [mask[:-5] for mask in masks] if row == 1 else masks)
    told = ends(data, tmp_path, *words)
    if told:
        assert "001" in told
        assert "32 x 27" in told
    else:
        assert "001" in json.dumps(fv.Run.open(tmp_path / "run").data["skipped"])


def test_a_folder_with_an_unreadable_mask_is_skipped_and_counted(tmp_path):
    data = cells(tmp_path, lambda _, masks: masks)
    (data / "001" / "masks" / "1.png").write_bytes(b"no picture")
    run, _ = finite(data, tmp_path, "--allow-skipped")
    assert list(skipped(run)) == ["001"]


@pytest.mark.parametrize(
    ("side", "words", "told"),
    [(96, (), True), (64, (), False), (96, ("--size", 32), False)],
    ids=str,
)
def test_a_note_names_images_that_lose_more_than_half_of_their_size(
    tmp_path, monkeypatch, side, words, told
):
    monkeypatch.setattr(Semantic, "max_default_size", 32)
    data = masks_demo.write_pairs(tmp_path / "data", N, shapes=((side // 2, side),), splits=SPLITS)
    line = (
        "train",
        data,
        "--model",
        "unet:4x2",
        "--epochs",
        1,
        "--batch-size",
        4,
        *words,
        "--out",
        tmp_path / "run",
    )
    code, out, err = run_cli(*line)
    assert code == 0, err
    note = (
        "images of about 96 px are reduced to 32: objects smaller than 3 px in them are lost; "
        "--size 96 keeps more"
    )
    assert (note in out) == told
    assert any(note in one for one in fv.Run.open(tmp_path / "run").data["notes"]) == told
