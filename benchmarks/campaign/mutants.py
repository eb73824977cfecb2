"""Mutants: damaged and hostile data files give an error or a warning, and nothing else happens."""

from __future__ import annotations

import os
import site
import sys
from pathlib import Path

from compare_files import changes, tree
from lab import Failed, Lab, Result, check_polite, require
from mutate import bytes_of, draw, json_of, replace_file
from PIL import Image
from runner import Attack

import foveate

FORMATS = (
    "classification", "csv", "webdataset", "idx", "detection", "instance", "voc", "yolo", "labelme",
    "semantic", "captions", "instance-masks",
)  # fmt: skip
IMAGES = {".png", ".jpg", ".bmp", ".gif", ".tiff", ".tif", ".webp", ".pgm"}
SYSTEM = tuple(
    os.path.realpath(str(place)) + "/"
    for place in (
        sys.prefix, sys.base_prefix, *site.getsitepackages(), *filter(None, sys.path), "/proc",
        "/sys", "/dev", "/etc", "/usr", "/lib", Path(foveate.__file__).parents[1],
        Path(__file__).parent,
    )
)  # fmt: skip
"""Where Python and its libraries read what they need."""


def files_of(folder: Path, images: bool) -> list[Path]:
    """The files of a dataset that are images, or those that are not."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink() and (path.suffix.lower() in IMAGES) == images
    )


def mutate(lab: Lab, path: Path, secret: Path) -> None:
    """Damage one file of a dataset."""
    rng = lab.rng
    if rng.random() < 0.12:
        lab.note(replace_file(rng, path, secret))
        return
    data = path.read_bytes()
    way, changed = (
        json_of(rng, data) if path.suffix == ".json" and rng.random() < 0.6 else bytes_of(rng, data)
    )
    path.write_bytes(changed)
    lab.note(f"{path.name}: {way}")


def attack_data(lab: Lab, format: str, *, images: bool) -> None:
    """Damage some files of a dataset, and read it with a command."""
    data = lab.copy(lab.materials.data(format), "data")
    secret = lab.folder / "secret" / "secret.png"
    secret.parent.mkdir()
    Image.new("RGB", (16, 16)).save(secret)
    options = files_of(data, images) or files_of(data, not images)
    for _ in range(int(lab.rng.integers(1, 3))):
        path = draw(lab.rng, options)
        if path.is_file() and not path.is_symlink():
            mutate(lab, path, secret)
    before, outside = tree(data), tree(secret.parent)
    words = draw(lab.rng, commands(format))
    result = lab.run(*words, watch=True, seconds=30.0)
    check_polite(result, codes=(0, 1, 2))
    require(tree(data) == before, f"the data changed: {changes(before, tree(data))}")
    require(tree(secret.parent) == outside, "a file outside of the data changed")
    check_opened(lab, result, data)


def commands(format: str) -> list[tuple[object, ...]]:
    """The commands that read the data; audit is the most thorough, so the most frequent."""
    audit = ("audit", "data", "--html", "audit.html", "--json", "audit.json")
    target = {
        "classification": "csv", "csv": "folder", "idx": "csv", "webdataset": "folder",
        "semantic": "pairs", "captions": "captions",
    }.get(format, "coco")  # fmt: skip
    train = ("train", "data", "--out", "run", "--epochs", "0.2", "--size", "32", "--allow-errors",
             "--allow-skipped")  # fmt: skip
    convert = ("convert", "data", "converted", "--format", target)
    return [audit, audit, audit, audit, convert, convert, train]


def check_opened(lab: Lab, result: Result, data: Path) -> None:
    """Check that nothing was opened but data, what foveate writes, and its libraries."""
    secret, own = lab.folder / "secret", os.path.realpath(lab.folder)
    # A link in the data may lead elsewhere: that is the user's choice.
    linked = any(entry.is_symlink() for entry in data.rglob("*"))
    for path in result.opened:
        foreign = not f"{path}/".startswith((*SYSTEM, f"{own}/"))
        hidden = Path(path).is_relative_to(os.path.realpath(secret))
        if foreign or (hidden and not linked):
            raise Failed(f"a file outside of the data was opened: {path}; {result}")


def annotation_files(lab: Lab, number: int) -> None:
    attack_data(lab, FORMATS[number % len(FORMATS)], images=False)


def image_files(lab: Lab, number: int) -> None:
    format = "image-kinds" if number % 3 else FORMATS[number // 3 % len(FORMATS)]
    attack_data(lab, format, images=True)


_PROMISE = "an answer or one error within 10 s of processor time and 1 GB; no other file is opened"
_HOW = (
    "bytes flipped, cut, swapped, inserted, repeated; numbers and texts replaced by hostile ones; "
    "pipes, links, devices, 20 GB in the file's place"
)

ATTACKS = [
    Attack(
        "mutants-annotations",
        f"damaged annotations of {len(FORMATS)} kinds of datasets: {_PROMISE}",
        f"audit, convert and train; {_HOW}",
        annotation_files,
        weight=3,
    ),
    Attack(
        "mutants-images",
        f"damaged images of 14 kinds: {_PROMISE}",
        f"audit, convert and train; {_HOW}",
        image_files,
        weight=3,
    ),
]
