"""Every example of README.md runs, in the order of the page, on small data like what it names.

Two details differ from what is written: trainings are short and few, and DIR is the folder of a
tiny model.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import foveate as fv
from foveate import formats
from foveate.datasets.builtin import duos, scenes
from helpers import boxes_demo, documented, masks_demo, tiny_models
from helpers.colour_folder import make_folder
from helpers.command_line import hurry, run_cli

pytestmark = [
    pytest.mark.slow,  # trains some thirty small networks
    pytest.mark.usefixtures("one_thread"),
]

README = Path(__file__).parents[1] / "README.md"
NOT_RUN = {
    "predict runs/blood-cells-yolo-1 0 --show": "needs a camera; see test_live.py",
    "lesson perceptron": "opens a browser; see lessons/test_browser.py",
    "label new/ --with runs/nuclei-unet-tiny_encoder-1 --out proposed/": "a short training finds "
    "no objects to propose; see inference/test_label.py",
    "label new/ --with sam:DIR --out outlined/": "the same",
    "train proposed/": "the same",
}
MINUTES = "0.1"
TRAIN = ("train", "cross-validate", "tune")
FEW = {"--minutes": MINUTES, "--folds": "3", "--trials": "3", "--seeds": "2"}
RNG = np.random.default_rng(0)


@pytest.fixture
def _all_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder with all data that README.md names."""
    monkeypatch.chdir(tmp_path)
    hurry(monkeypatch)
    monkeypatch.setattr(scenes, "SPLITS", {"train": 40, "valid": 12, "test": 12})
    monkeypatch.setattr(duos, "SPLITS", {"train": 120, "valid": 40, "test": 40})
    make_folder(tmp_path / "flowers", each=14, size=72)
    save("x.jpg", noise(160, 120))
    save("x.png", noise(160, 120))
    for number in range(3):
        save(f"new-images/{number}.jpg", noise(72, 72))
    boxes_demo.write(tmp_path / "blood-cells", 30, format="voc")
    masks_demo.write_pairs(tmp_path / "membranes", 24)
    masks_demo.write_cells(tmp_path / "nuclei", 24, shapes=masks_demo.SQUARE)
    for row, (pixels, _) in enumerate(masks_demo.made(6, seed=1, shapes=masks_demo.SQUARE)):
        save(f"new/{row}.png", pixels)
    write_street(tmp_path)
    save("slide.tif", noise(700, 300))
    write_film(tmp_path / "film.mp4")
    write_digits(tmp_path / "mnist")
    write_grouped(tmp_path)


def noise(width: int, height: int) -> np.ndarray:
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


def save(name: str, pixels: np.ndarray, **more: object) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(name, **more)


def write_street(path: Path) -> None:
    """A COCO file with polygons, whose images lie in a folder that it names."""
    coco = masks_demo.write_coco(path / "coco", 24)
    content = json.loads((coco / "instances.json").read_text())
    for image in content["images"]:
        image["file_name"] = f"coco/images/{image['file_name']}"
    (path / "street.json").write_text(json.dumps(content))


def write_film(path: Path) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 5, (48, 48))
    for _ in range(3):
        writer.write(noise(48, 48))
    writer.release()


def write_digits(path: Path) -> None:
    """Folders of real digits, whose captions are those of MNIST."""
    digits = fv.load("digits")
    few = [sample for row, sample in enumerate(digits) if row % 6 == 0]
    formats.find_writer("folder").write(dataclasses.replace(digits, samples=few), path)


def write_grouped(path: Path) -> None:
    """table.csv with groups, scans of patients, photos with a time."""
    rows = []
    for number in range(60):
        kind = ("rose", "tulip")[number % 2]
        pixels = np.clip(noise(20, 20) // 3 + (number % 2) * 150, 0, 255).astype(np.uint8)
        name = f"{number:02}.jpg"
        save(f"scans/{kind}/patient{number // 4 * 2 + number % 2}/{name}", pixels)
        exif = Image.Exif()
        exif[0x0132] = f"2026:01:{1 + number // 2:02} 12:00:00"
        save(f"photos/{kind}/{name}", noise(20, 20) // 3 + (number % 2) * 150, exif=exif)
        rows.append((f"photos/{kind}/{name}", kind, number // 4))
    with (path / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label", "group"), *rows])


def model_folder(reference: str) -> str:
    """`clip:DIR` with the folder of a tiny model of that kind."""
    kind, _, _ = reference.partition(":")
    folder = Path("models") / kind
    if not folder.exists():
        folder.mkdir(parents=True)
        getattr(tiny_models, {"hf": "vit"}.get(kind, kind))(folder)
    return f"{kind}:{folder}"


def shortened(words: list[str]) -> list[str]:
    """The command with short and few trainings."""
    words = [model_folder(word) if word.endswith(":DIR") else word for word in words]
    words = [FEW.get(before, word) for before, word in zip(["", *words], words, strict=False)]
    if "--minutes" not in words and words[0] in TRAIN and "--resume" not in words:
        words += ["--epochs", "1"]
    return words


@pytest.mark.usefixtures("_all_data")
def test_every_example_runs():
    examples = sorted([*documented.commands(README), *documented.python(README)])
    assert len(examples) > 40
    left = dict(NOT_RUN)
    names: dict[str, object] = {}
    for line, example in examples:
        if isinstance(example, str):
            exec(re.sub(r"minutes=\d+", f"minutes={MINUTES}", example), names)
        elif left.pop(" ".join(example), None) is None:
            code, said, err = run_cli(*shortened(example))
            assert code == 0, f"README.md:{line}: {' '.join(example)}\n{said}\n{err}"
    assert not left, "README.md has no such example"
