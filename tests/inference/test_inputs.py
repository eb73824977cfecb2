"""One image gives one prediction in whatever form it comes, or a sentence says what to do."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import foveate as fv
from foveate.data.image_reading import ImageReading
from foveate.errors import BadImage
from foveate.inference.inputs import to_image
from foveate.tasks import clicking
from helpers import masks_demo
from helpers.command_line import hurry

pytestmark = pytest.mark.usefixtures("one_thread")

RGB = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
GREY = RGB[..., :1].copy()
ALPHA = np.dstack([RGB, RGB[..., :1]])


def saved(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(path)
    return path


def forms(pixels: np.ndarray, folder: Path) -> dict[str, object]:
    """The same picture in every form that is taken."""
    path = saved(folder / "x.png", pixels)
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    every: dict[str, object] = {
        "path": path,
        "text": str(path),
        "bytes": path.read_bytes(),
        "bytearray": bytearray(path.read_bytes()),
        "pillow": Image.open(path),
        "array": pixels,
        "read-only": np.asarray(Image.open(path)),
        "reversed view": pixels[::-1].copy()[::-1],
        "tensor": tensor,
        "contiguous tensor": tensor.contiguous(),
        "tensor with gradient": (tensor / 255).requires_grad_(),
        "float32 array": (pixels / 255).astype(np.float32),
        "float64 array": pixels / 255,
        "float16 array": (pixels / 255).astype(np.float16),
        "float tensor": tensor / 255,
        "float16 tensor": (tensor / 255).half(),
    }
    if pixels.shape[2] == 1:
        every |= {
            "big-endian": (pixels[..., 0] * 257.0).astype(">u2"),
            "flat": pixels[..., 0],
            "flat tensor": tensor[0],
            "uint16": pixels[..., 0].astype(np.uint16) * 257,
            "uint16 tensor": torch.from_numpy(pixels[..., 0].astype(np.uint16) * 257),
        }
    else:
        every["uint16"] = pixels.astype(np.uint16) * 257
    return every


@pytest.mark.parametrize("pixels", [RGB, GREY, ALPHA], ids=["rgb", "grey", "alpha"])
def test_every_form_gives_the_same_pixels(pixels, tmp_path):
    every = forms(pixels, tmp_path)
    first = to_image(every["path"])
    for name, form in every.items():
        image = to_image(form)
        assert np.array_equal(image, first), name
        assert image.flags.c_contiguous, name
        assert image.flags.writeable, name


def test_pillow_images_are_treated_as_their_files(tmp_path):
    """All modes, and EXIF orientation; also for images that were never saved."""
    source = Image.fromarray(RGB)
    exif = Image.Exif()
    exif[0x0112] = 6
    source.save(tmp_path / "turned.jpg", exif=exif)
    images = {"turned.jpg": Image.open(tmp_path / "turned.jpg")}
    for mode in ("1", "L", "P", "RGB", "RGBA", "LA", "CMYK"):
        image = source.convert("RGBA" if mode == "LA" else mode).convert(mode)
        name = f"{mode}.{'tif' if mode == 'CMYK' else 'png'}"
        image.save(tmp_path / name)
        images[name] = image
    deep = Image.fromarray(np.arange(768, dtype=np.uint16).reshape(24, 32) * 85)
    deep.save(tmp_path / "deep.png")
    images["deep.png"] = deep
    for name, image in images.items():
        assert np.array_equal(to_image(image), to_image(tmp_path / name)), name
    assert to_image(images["turned.jpg"]).shape == (32, 24, 3)
    before = ALPHA.copy()
    to_image(ALPHA)
    assert np.array_equal(ALPHA, before)


def test_16_bits_of_an_array_are_those_of_the_file(tmp_path):
    cv2 = pytest.importorskip("cv2")
    rng = np.random.default_rng(1)
    for shape in ((24, 32), (24, 32, 3)):
        deep = rng.integers(0, 65536, shape, dtype=np.uint16)
        cv2.imwrite(str(tmp_path / "deep.png"), deep[..., ::-1] if len(shape) == 3 else deep)
        assert np.array_equal(to_image(deep), to_image(tmp_path / "deep.png"))


def test_bools_and_zeros_and_ones():
    ones = np.ones((4, 5))
    assert (to_image(ones > 0) == 255).all()
    assert (to_image(ones) == 255).all()
    assert (to_image(0 * ones) == 0).all()
    assert to_image(np.ones((4, 5, 7), np.uint8), channels=7).shape == (4, 5, 7)
    assert np.array_equal(to_image(ALPHA, channels=4), ALPHA)


NORMALISED = (torch.from_numpy(RGB).permute(2, 0, 1) / 255 - 0.45) / 0.225
REFUSED = {
    "floats to 255": (RGB.astype(float), "floats from 0 .* 1 .* round them"),
    "float tensor to 255": (torch.from_numpy(RGB).permute(2, 0, 1).float(), "round them"),
    "normalised": (NORMALISED, "before it was normalised"),
    "just over 1": (RGB / 255 * 1.01, "Clip"),
    "nan": (np.full((4, 4), np.nan), "floats from 0"),
    "infinite": (np.full((4, 4), np.inf), "floats from 0"),
    "uint16 to 255": (RGB.astype(np.uint16), "pass them as uint8"),
    "file": (io.BytesIO(b"x"), "got a BytesIO"),
    "nested lists": ([[1]], "got a list"),
    "int64": (RGB.astype(np.int64), "pass them as uint8"),
    "int32 tensor": (torch.from_numpy(RGB).permute(2, 0, 1).int(), "pass them as uint8"),
    "complex": (RGB.astype(complex), "uint8"),
    "objects": (np.array([[None, 1]]), "uint8"),
    "batch": (RGB[None], "list"),
    "batch of tensors": (torch.zeros(2, 3, 4, 4), "list"),
    "line": (RGB[0, :, 0], r"\(H, W\) or \(H, W, C\)"),
    "number": (np.float64(1), r"\(H, W\) or \(H, W, C\)"),
    "two channels": (RGB[..., :2], "1, 3 or 4 channels"),
    "five channels": (np.zeros((8, 8, 5), np.uint8), "1, 3 or 4 channels"),
    "channels first": (RGB.transpose(2, 0, 1), r"transpose\(1, 2, 0\)"),
    "channels last": (torch.from_numpy(RGB), r"permute\(2, 0, 1\)"),
    "empty": (RGB[:0], "with pixels"),
    "no width": (torch.zeros(3, 4, 0), "with pixels"),
    "sparse": (torch.eye(4).to_sparse(), "dense"),
    "no image": (b"no image", "an image .* is expected"),
    "no bytes": (b"", "an image .* is expected"),
    "a number": (3, "got a int"),
    "nothing": (None, "got a NoneType"),
    "a dict": ({"a": 1}, "got a dict"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_could_be_read_in_two_ways_is_refused_in_a_sentence(name):
    value, message = REFUSED[name]
    with pytest.raises(BadImage, match=f"(?s){message}"):
        to_image(value)


def test_predictions_are_equal_and_lists_may_mix(trained, tmp_path):
    run = fv.Run.open(trained.path)
    every = list(forms(RGB, tmp_path).values())
    (first, *others) = run.predict(every)
    assert all(other == first for other in others)
    assert all(run.predict(form) == first for form in every)
    assert run.predict(form for form in every) == [first] * len(every)
    assert fv.predict(trained.path, every[0]) == first
    assert run.predict([]) == []
    with pytest.raises(BadImage, match=r"images\[1\]"):
        run.predict([RGB, RGB.astype(float)])
    for value in (3, [3], io.BytesIO(b"x"), [[[1]]]):
        with pytest.raises(BadImage, match=r"got a (int|BytesIO|list)"):
            run.predict(value)


WRITERS = {
    "detection": masks_demo.write_coco,
    "instance": masks_demo.write_coco,
    "promptable": masks_demo.write_coco,
    "semantic": masks_demo.write_pairs,
}


SLOW = {"promptable": pytest.mark.slow}


@pytest.mark.parametrize("task", [pytest.param(t, marks=SLOW.get(t, ())) for t in WRITERS])
def test_every_task_takes_every_form(task, tmp_path, monkeypatch):
    hurry(monkeypatch)
    monkeypatch.setattr(clicking, "MIN_IOU", 0.0)  # one epoch gives low scores
    data = WRITERS[task](tmp_path / "data", 10, shapes=masks_demo.SQUARE)
    settings = {"model": "tiny_cnn", "epochs": 1, "batch_size": 4, "size": 32}
    run = fv.train(data, task=task, out=tmp_path / "run", **settings)
    for pixels in (masks_demo.made(1, seed=3)[0][0], GREY):
        every = list(forms(pixels, tmp_path).values())
        (first, *others) = run.predict(every)
        assert all(other == first for other in others)
        if task == "promptable":
            masks = [run.set_image(form).click(12, 12) for form in every]
            assert all(np.array_equal(mask, masks[0]) for mask in masks)


def test_a_grey_run_takes_colour_and_the_reverse(trained, colours, tmp_path):
    grey = tmp_path / "grey"
    for path in sorted(colours.rglob("*.png")):
        target = grey / path.relative_to(colours)
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.open(path).convert("L").save(target)
    run = fv.train(grey, epochs=1, out=tmp_path / "run")
    assert run.channels == 1
    path = saved(tmp_path / "x.png", RGB)
    assert run.predict(RGB) == run.predict(path)
    assert trained.predict(GREY) == trained.predict(saved(path, GREY))


def test_a_damaged_pillow_image_is_named():
    whole = io.BytesIO()
    Image.fromarray(RGB).save(whole, "PNG")
    with pytest.raises(BadImage, match="image: the image is damaged"):
        to_image(Image.open(io.BytesIO(whole.getvalue()[:300])))


DEEP = (np.arange(64, dtype=np.uint16) * 60).reshape(8, 8)  # 12 bits


@pytest.mark.parametrize("channels", [1, 3])
def test_16_bits_that_hold_fewer_are_asked_about(channels):
    with pytest.raises(BadImage, match=r"values up to 65,535 are expected of 16 bits"):
        to_image(np.dstack([DEEP] * channels))


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.int32, np.uint32, np.float32, float])
@pytest.mark.parametrize("channels", [1, 3])
def test_values_are_those_that_the_model_was_trained_on(dtype, channels):
    values = np.dstack([DEEP] * channels).astype(dtype)
    image = to_image(values, reading=ImageReading(0, 4095))
    assert np.array_equal(image, np.rint(np.dstack([DEEP] * channels) * (255 / 4095)))
    tensor = torch.from_numpy(np.moveaxis(values, 2, 0).copy())
    assert np.array_equal(to_image(tensor, reading=ImageReading(0, 4095)), image)


def test_8_bits_stay_as_they_are_for_any_model():
    levels = DEEP.astype(np.uint8)
    assert np.array_equal(to_image(levels, reading=ImageReading(0, 4095))[..., 0], levels)


def test_floats_that_are_no_numbers_are_refused_for_any_model():
    with pytest.raises(BadImage, match="1 of 64 values are none"):
        to_image(np.where(DEEP == 60, np.nan, DEEP), reading=ImageReading(0, 4095))
