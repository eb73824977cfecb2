"""A run keeps how its images are read: the same nuclei at 8, 12 and 16 bits are predicted alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

import foveate
from foveate.data.image_reading import ImageReading
from foveate.errors import BadImage, DataError, SettingError
from foveate.inference.predict import predict_paths
from foveate.inference.prediction_outputs import Outputs
from foveate.progress import NullReporter
from helpers.command_line import run_cli
from helpers.deep_files import at_depth, nuclei, save_classes, save_dicom

BITS = (8, 12, 16)
NEW = nuclei(9001)


class Warnings(NullReporter):
    """Keeps warnings."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def warning(self, text: str) -> None:
        self.lines.append(text)


def train(data: Path, out: Path, **settings: Any) -> foveate.Run:
    settings = {"epochs": 1, "size": 32, "data_format": "folder", "allow_errors": True, **settings}
    return foveate.train(data, out=out, **settings)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("deep")


@pytest.fixture(scope="module")
def runs(folder: Path) -> dict[int, foveate.Run]:
    return {
        bits: train(save_classes(folder / f"data{bits}", bits), folder / f"run{bits}")
        for bits in BITS
    }


def save(path: Path, values: np.ndarray) -> Path:
    PIL.Image.fromarray(values).save(path)
    return path


def test_three_depths_give_the_same_predictions(
    tmp_path: Path, runs: dict[int, foveate.Run]
) -> None:
    predictions = [
        run.predict(save(tmp_path / f"{bits}.tif", at_depth(NEW, bits)))
        for bits, run in runs.items()
    ]
    assert predictions[0] == predictions[1] == predictions[2]
    splits = [(run.path / "split.csv").read_text() for run in runs.values()]
    assert splits[0] == splits[1] == splits[2]  # with the hash of each image's pixels


def test_the_points_are_recorded_with_the_settings_and_the_weights(
    runs: dict[int, foveate.Run],
) -> None:
    recorded = [(run.settings.black, run.settings.white) for run in runs.values()]
    assert recorded == [(None, None), (0, 4080), (0, 65535)]
    again = foveate.Run.open(runs[12].path)
    assert (again.settings.black, again.settings.white) == (0, 4080)
    assert again.reading == runs[12].reading == ImageReading(0, 4080)
    assert "0 becomes black and 4,080 white" in json.dumps(again.data["notes"])


def test_every_form_of_an_image_gives_the_same_prediction(
    tmp_path: Path, runs: dict[int, foveate.Run]
) -> None:
    values = at_depth(NEW, 12)
    path = save(tmp_path / "x.tif", values)
    forms = [
        path, path.read_bytes(), PIL.Image.open(path), values, values[..., None],
        values.astype(np.int32), values.astype(np.float32), NEW,
    ]  # fmt: skip
    predictions = [runs[12].predict(form) for form in forms]
    assert all(one == predictions[0] for one in predictions)


def test_floats_of_another_scale_are_refused(runs: dict[int, foveate.Run]) -> None:
    with pytest.raises(BadImage, match=r"from 0 \(black\) to 4080 \(white\) are expected"):
        runs[12].predict(at_depth(NEW, 12).astype(np.float32) / 4095)


def test_a_run_of_8_bits_asks_what_12_bits_mean(
    tmp_path: Path, runs: dict[int, foveate.Run]
) -> None:
    path = save(tmp_path / "x.tif", at_depth(NEW, 12))
    run = foveate.Run.open(runs[8].path)
    with pytest.raises(BadImage, match="the image may hold 12 bits") as caught:
        run.predict(path)
    assert "--set black=0 --set white=4095" in str(caught.value.remedy)
    run.reading = ImageReading(0, 4080)
    assert run.predict(path) == runs[8].predict(NEW)
    assert runs[8].predict(save(tmp_path / "y.tif", at_depth(NEW, 16))) == runs[8].predict(NEW)


def test_what_does_not_fit_is_warned_of(tmp_path: Path, runs: dict[int, foveate.Run]) -> None:
    paths = [
        save(tmp_path / f"{index}.tif", values)
        for index, values in enumerate([NEW, at_depth(NEW, 12), at_depth(NEW, 16)])
    ]
    reporter = Warnings()
    predict_paths(runs[12], paths, Outputs(), reporter=reporter)
    assert len(reporter.lines) == 2
    assert reporter.lines[0].startswith("1 image of 8 bits, taken as they are")
    assert reporter.lines[1].startswith("1 image with more than 5% of the values outside of 0")


def test_resume_and_test_use_the_points_of_the_run(
    runs: dict[int, foveate.Run],
) -> None:
    assert foveate.resume(runs[12].path).settings.white == 4080
    assert foveate.test(runs[12])["accuracy"]["n"] > 0


def test_points_that_are_set_are_kept(folder: Path, tmp_path: Path) -> None:
    data = save_classes(folder / "set", 12)
    run = train(data, tmp_path / "run", black=100, white=2000)
    assert run.reading == ImageReading(100, 2000)
    with pytest.raises(DataError, match="few grey levels"):
        train(data, tmp_path / "few", black=0, white=65535, allow_errors=False)
    with pytest.raises(SettingError, match="black below white is expected"):
        train(data, tmp_path / "no", black=5, white=5)


def test_bands_train_predict_and_resume(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    for label, count in (("few", 1), ("many", 9)):
        (tmp_path / "data" / label).mkdir(parents=True)
        for index in range(12):
            page = at_depth(nuclei(1000 * count + index, count), 12)
            path = tmp_path / "data" / label / f"{label}{index}.tif"
            tifffile.imwrite(path, np.stack([page, page // 2]), photometric="minisblack")
    run = train(tmp_path / "data", tmp_path / "run", pages="bands")
    assert run.channels == 2
    assert run.reading == ImageReading(0, 4095, "bands") or run.reading.pages == "bands"
    stack = tifffile.imread(tmp_path / "data/few/few0.tif")
    by_path = run.predict(tmp_path / "data/few/few0.tif")
    assert by_path == run.predict(stack.transpose(1, 2, 0))
    assert foveate.resume(run.path).finished
    assert foveate.test(run)["accuracy"]["n"] > 0
    with pytest.raises(BadImage, match="2 channels is expected"):
        run.predict(np.zeros((8, 8, 3), np.uint8))


def test_dicom_is_trained_on_and_predicted(tmp_path: Path) -> None:
    pytest.importorskip("pydicom")
    for label, count in (("few", 1), ("many", 9)):
        (tmp_path / "data" / label).mkdir(parents=True)
        for index in range(12):
            values = at_depth(nuclei(1000 * count + index, count), 12)
            path = tmp_path / "data" / label / f"{label}{index}.dcm"
            attributes = {"BitsStored": 12, "RescaleSlope": 1, "RescaleIntercept": -1024}
            save_dicom(path, values, PatientID=f"P{index // 2}", **attributes)
    run = train(tmp_path / "data", tmp_path / "run")
    assert run.reading == ImageReading(-1024, 3071)
    assert run.predict(tmp_path / "data/few/few0.dcm").class_name in ("few", "many")
    rows = (run.path / "split.csv").read_text()
    assert "P0" not in rows.replace("few0", "")


# --- the command line


def test_the_commands_take_points_and_pages(tmp_path: Path, runs: dict[int, foveate.Run]) -> None:
    path = save(tmp_path / "x.tif", at_depth(NEW, 12))
    run = runs[8].path
    code, out, err = run_cli("predict", run, path)
    assert code == 2
    assert "--set black=NUMBER --set white=NUMBER" in out + err
    code, out, err = run_cli("predict", run, path, "--set", "black=0", "--set", "white=4080")
    assert code == 0, err
    code, _, err = run_cli("predict", run, path, "--set", "size=3")
    assert code == 2
    assert "black, white, pages or max_pixels is expected" in err
    page = tmp_path / "a.html"
    code, out, err = run_cli(
        "audit", runs[12].settings.data, "--html", page, "--format", "folder",
        "--set", "black=0", "--set", "white=65535",
    )  # fmt: skip
    assert code == 1, err
    assert "few grey levels" in out
    code, out, err = run_cli("predict", run, path, "--set", "max_pixels=100")
    assert code == 2
    assert "at most 100 pixels is expected" in out + err
