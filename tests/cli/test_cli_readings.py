"""Data that can be read in two ways: the commands ask, and --task answers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from foveate.experiment.run_folder import RunFolder
from helpers.command_line import refused, run_cli
from helpers.load_files import lay


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    """Images with label images of twelve numbers each: twelve objects, or twelve classes."""
    rng = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (tmp_path / "cells" / folder).mkdir(parents=True)
    for number in range(12):
        image = rng.integers(0, 60, (48, 64), np.uint8)
        labels = np.zeros((48, 64), np.uint16)
        for cell in range(12):
            top, left = 16 * (cell // 4) + rng.integers(1, 5), 16 * (cell % 4) + rng.integers(1, 5)
            labels[top : top + 9, left : left + 10] = cell + 1
        image[labels > 0] += 150
        PIL.Image.fromarray(image).save(tmp_path / "cells" / "images" / f"{number}.png")
        PIL.Image.fromarray(labels).save(tmp_path / "cells" / "masks" / f"{number}.png")
    return tmp_path / "cells"


@pytest.mark.parametrize("command", [["audit"], ["split"], ["convert"], ["train"]])
def test_every_command_asks_and_takes_the_task(
    command: list[str], cells: Path, tmp_path: Path
) -> None:
    out = {
        "audit": ["--html", tmp_path / "a.html"],
        "split": ["--out", tmp_path / "split.csv"],
        "convert": [tmp_path / "copy", "--format", "pairs"],
        "train": ["--out", tmp_path / "run", "--epochs", "1", "--size", "32"],
    }[command[0]]
    error = refused(*command, cells, *out)
    assert "can be read in several ways" in error
    assert "--task instance: " in error
    assert "--task semantic: " in error
    assert sorted(tmp_path.iterdir()) == [cells]
    if command != ["train"]:
        code, _, err = run_cli(*command, cells, *out, "--task", "semantic")
        assert code == 0, err


def test_the_task_of_a_run_chooses_the_reading_again(cells: Path, tmp_path: Path) -> None:
    code, _, err = run_cli(
        *("train", cells, "--task", "semantic", "--epochs", "1", "--size", "32"),
        *("--out", tmp_path / "run", "--set", "batch_size=4"),
    )
    assert code == 0, err
    assert len(json.loads((tmp_path / "run" / "data.json").read_text())["classes"]) == 13
    code, _, err = run_cli("test", tmp_path / "run")
    assert code == 0, err
    assert RunFolder.open(tmp_path / "run").settings.task == "semantic"


def test_a_task_that_the_data_is_not_for_is_refused(tmp_path: Path) -> None:
    lay(tmp_path / "pets", "a/1.png", "b/2.png")
    assert "not 'detection'" in refused("audit", tmp_path / "pets", "--task", "detection")


def test_a_format_that_is_only_read_is_not_written(tmp_path: Path) -> None:
    lay(tmp_path / "pets", "a/1.png", "b/2.png")
    error = refused("convert", tmp_path / "pets", tmp_path / "copy", "--format", "cvat")
    assert "'cvat' can be read, but is not written" in error
