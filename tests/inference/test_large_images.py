"""Large TIFFs are predicted tile by tile from the file, as they would be from memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from foveate.data import image_reading, windows
from foveate.data.image_reading import ImageReading
from foveate.inference.predict import predict_paths
from foveate.inference.prediction_outputs import Outputs
from foveate.inference.predictor import Predictor
from foveate.tasks.detection import Detection
from foveate.tasks.instance import Instance
from foveate.tasks.presenters import prediction
from foveate.tasks.semantic import Semantic
from helpers import box_oracle, mask_oracle
from helpers.box_oracle import net

tifffile = pytest.importorskip("tifffile")
SIDE = 64


class Tiler(Predictor):
    """A task and a net that knows the answer."""

    name = "tiler"
    task: Any = None

    def __init__(self, task: Any, head: Any):
        self.task, self.net, self.kinds = task, net(head, size=SIDE), []

    def predict_images(self, images, tile=None):
        self.kinds += [type(image) for image in images]
        if tile is None:
            return self.task.predict(self.net, images)
        return [self.task.predict_tiled(self.net, image, tile) for image in images]

    def _set_image(self, image):
        raise NotImplementedError


def semantic() -> tuple[Tiler, np.ndarray]:
    values = mask_oracle.blocks(np.random.default_rng(0), (230, 310), (9, 4))
    task = Semantic(("ground", "red", "green", "blue"))
    return Tiler(task, mask_oracle.Classes()), mask_oracle.coloured(values)


def instance() -> tuple[Tiler, np.ndarray]:
    rng = np.random.default_rng(0)
    cells = [
        (x, y, x + int(rng.integers(3, 12)), y + int(rng.integers(3, 12)), int(rng.integers(1, 4)))
        for x in range(0, 300, 12)
        for y in range(0, 220, 12)
    ]
    values = mask_oracle.painted((230, 310), *cells)
    return Tiler(Instance(("warm", "cold")), mask_oracle.Things()), mask_oracle.coloured(values)


def detection() -> tuple[Tiler, np.ndarray]:
    boxes = [(10, 12, 20, 24, 0), (200, 180, 212, 190, 1), (298, 218, 310, 230, 0)]
    head = box_oracle.InteractivePredictor(least=8)
    return Tiler(Detection(("red", "green")), head), box_oracle.make_image(230, 310, *boxes)


TASKS = {"semantic": semantic, "instance": instance, "detection": detection}


@pytest.fixture(params=TASKS)
def case(request, tmp_path, monkeypatch) -> tuple[Tiler, Path, Path]:
    """A model, and one image as a tiled TIFF and as a PNG."""
    monkeypatch.setattr(windows, "MIN_PIXELS", 1)
    model, image = TASKS[request.param]()
    tifffile.imwrite(
        tmp_path / "x.tif", image, tile=(32, 48), compression="deflate", photometric="rgb"
    )
    Image.fromarray(image).save(tmp_path / "x.png")
    return model, tmp_path / "x.tif", tmp_path / "x.png"


def test_windows_give_the_predictions_of_the_whole_image(case, tmp_path):
    model, large, whole = case
    records = []
    for path in (large, whole):
        out = Outputs(tmp_path / f"{path.name}.json")
        predict_paths(model, [path], out, tile=SIDE)
        (record,) = json.loads(out.json_file.read_text())["predictions"]
        records.append({key: value for key, value in record.items() if key != "path"})
    assert model.kinds == [windows.TiffWindows, np.ndarray]
    assert records[0] == records[1]
    assert any(records[0].values())
    assert model.predict(large, tile=SIDE) == model.predict(whole, tile=SIDE)
    assert model.predict([large], tile=SIDE)[0].to_dict() == {"path": str(large), **records[0]}
    assert model.kinds[2:4] == [windows.TiffWindows, np.ndarray]


def test_masks_are_whole_and_drawings_are_smaller(case, tmp_path, monkeypatch):
    model, large, whole = case
    monkeypatch.setattr(prediction, "MAX_DRAWN", 100)
    masks = None if model.task.name == "detection" else tmp_path / "masks"
    predict_paths(model, [large], Outputs(drawings=tmp_path / "drawn", masks=masks), tile=SIDE)
    with Image.open(tmp_path / "drawn" / "x.png") as drawn:
        assert abs(drawn.width / drawn.height - 310 / 230) < 0.03
    if masks:
        predict_paths(model, [whole], Outputs(masks=tmp_path / "same"), tile=SIDE)
        files = sorted(path.relative_to(masks) for path in masks.rglob("*.png"))
        assert files
        for file in files:
            assert (masks / file).read_bytes() == (tmp_path / "same" / file).read_bytes()


def test_without_tiles_an_image_beyond_the_limit_is_skipped_and_the_options_are_told(case):
    model, large, whole = case
    model.reading = ImageReading(max_pixels=50_000)
    result = predict_paths(model, [large, whole])
    assert result.count == 0
    reason, other = (one.reason for one in result.skipped)
    assert "an image of at most 50,000 pixels is expected" in reason
    assert "max_pixels=NUMBER allows it" in reason
    assert "with --tile PX it is read in parts" in reason
    assert "--tile" not in other  # a PNG is read whole
    assert predict_paths(model, [large], tile=SIDE).count == 1
    model.reading = ImageReading(max_pixels=230 * 310 // windows.MAX_WINDOWED - 1)
    result = predict_paths(model, [large], tile=SIDE)
    assert "an image of at most" in result.skipped[0].reason


def test_a_large_image_of_the_test_split_is_no_error(case, monkeypatch):
    model, large, _ = case
    monkeypatch.setattr(Tiler, "locked_images", {"x": {"0" * 32}}, raising=False)
    assert predict_paths(model, [large], tile=SIDE).count == 1


def test_a_damaged_part_skips_the_image(case):
    model, large, whole = case
    image = windows.open_windows(large, image_reading.DEFAULT_READING)
    data, offset = large.read_bytes(), image._parts.offsets[-1]
    large.write_bytes(data[:offset] + bytes(20) + data[offset + 20 :])
    result = predict_paths(model, [large, whole], tile=SIDE)
    assert result.count == 1
    assert "damaged" in result.skipped[0].reason
