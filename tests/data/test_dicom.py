"""DICOM files are read as viewers show them, and keep a patient in one split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from foveate import formats
from foveate.data import depth, dicom
from foveate.data.dataset import Dataset, Sample
from foveate.data.image_reading import ImageReading
from foveate.data.images import IMAGE_SUFFIXES, FileSource, decode, examine, size
from foveate.errors import BadImage
from helpers.deep_files import save_dicom

pydicom = pytest.importorskip("pydicom")

RNG = np.random.default_rng(0)
TWELVE = RNG.integers(0, 4096, (6, 7), np.uint16)
RGB = RNG.integers(0, 256, (6, 7, 3), np.uint8)
CT: dict[str, Any] = {"BitsStored": 12, "RescaleSlope": 1, "RescaleIntercept": -1024}


def test_stored_bits_state_black_and_white(tmp_path: Path) -> None:
    path = save_dicom(tmp_path / "x.dcm", TWELVE, BitsStored=12)
    image, info = examine(path)
    assert np.array_equal(image[..., 0], np.rint(TWELVE * (255 / 4095)))
    assert (info.format, info.deep, info.pages) == ("DICOM", True, 1)
    assert size(path) == (6, 7)
    assert path.suffix in IMAGE_SUFFIXES


def test_monochrome1_is_inverted(tmp_path: Path) -> None:
    plain = decode(save_dicom(tmp_path / "x.dcm", TWELVE, BitsStored=12))
    attributes = {"BitsStored": 12, "PhotometricInterpretation": "MONOCHROME1"}
    turned = decode(save_dicom(tmp_path / "y.dcm", TWELVE, **attributes))
    assert np.abs(plain.astype(int) + turned - 255).max() <= 1
    inverted = save_dicom(tmp_path / "z.dcm", RGB[..., 0], PhotometricInterpretation="MONOCHROME1")
    assert np.array_equal(decode(inverted), 255 - RGB[..., :1])


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize(("center", "width"), [(40, 400), ([40, 300], [400, 1500])])
def test_rescale_and_window(tmp_path: Path, inverted: bool, center: Any, width: Any) -> None:
    photometric = {"PhotometricInterpretation": "MONOCHROME1"} if inverted else {}
    path = save_dicom(
        tmp_path / "x.dcm", TWELVE, **CT, WindowCenter=center, WindowWidth=width, **photometric
    )
    # DICOM PS3.3, C.11.2.1.2.1, for the first window, with an output from 0 to 255.
    hounsfield = TWELVE.astype(float) - 1024
    expected = (((hounsfield - (40 - 0.5)) / (400 - 1) + 0.5) * 255).clip(0, 255)
    expected = 255 - expected if inverted else expected
    assert np.abs(decode(path)[..., 0] - expected).max() <= 0.51


def test_points_of_a_run_are_in_rescaled_units(tmp_path: Path) -> None:
    path = save_dicom(tmp_path / "x.dcm", TWELVE, **CT, WindowCenter=40, WindowWidth=400)
    expected = ((TWELVE.astype(float) - 1024 + 1000) / 2000 * 255).clip(0, 255)
    assert np.abs(decode(path, ImageReading(-1000, 1000))[..., 0] - expected).max() <= 0.51


def test_fractional_slopes_and_signed_values(tmp_path: Path) -> None:
    half = save_dicom(
        tmp_path / "x.dcm", TWELVE, BitsStored=12, RescaleSlope=0.5, RescaleIntercept=10
    )
    pixels = FileSource(half).deep_pixels()
    assert pixels is not None
    assert np.allclose(pixels.values[..., 0], TWELVE * 0.5 + 10)
    signed = TWELVE.astype(np.int16) - 2048
    pixels = FileSource(save_dicom(tmp_path / "y.dcm", signed)).deep_pixels()
    assert pixels is not None
    assert np.array_equal(pixels.values[..., 0], signed)


def test_colour_and_8_bits_are_taken_as_they_are(tmp_path: Path) -> None:
    assert np.array_equal(decode(save_dicom(tmp_path / "x.dcm", RGB)), RGB)
    assert np.array_equal(decode(save_dicom(tmp_path / "y.dcm", RGB[..., 0])), RGB[..., :1])
    ybr = np.asarray(PIL.Image.fromarray(RGB).convert("YCbCr"))
    path = save_dicom(tmp_path / "z.dcm", ybr, PhotometricInterpretation="YBR_FULL")
    assert np.abs(decode(path).astype(int) - RGB).max() <= 3


@pytest.mark.parametrize("inverted", [False, True])
def test_frames_are_pages(tmp_path: Path, inverted: bool) -> None:
    frames = RNG.integers(0, 256, (4, 6, 7), np.uint8)
    photometric = {"PhotometricInterpretation": "MONOCHROME1"} if inverted else {}
    path = save_dicom(tmp_path / "x.dcm", frames, **photometric)
    bright = 255 - frames if inverted else frames
    image, info = examine(path)
    assert info.pages == 4
    assert np.array_equal(image[..., 0], bright[0])
    assert np.array_equal(decode(path, ImageReading(pages="max"))[..., 0], bright.max(0))
    assert np.array_equal(decode(path, ImageReading(pages="bands")), bright.transpose(1, 2, 0))


def test_one_window_for_all_files_is_that_of_the_dataset(tmp_path: Path) -> None:
    samples = []
    for index in range(3):
        window = {"WindowCenter": 40, "WindowWidth": 2000}
        path = save_dicom(tmp_path / f"{index}.dcm", TWELVE + index, **CT, **window)
        samples.append(Sample(path.name, FileSource(path)))
    found = depth.measure(Dataset("ct", "classification", (), samples))
    assert found is not None
    assert (found.black, found.white) == (-960, 1039)
    assert found.reason == "as their files say"
    window = {"WindowCenter": 90, "WindowWidth": 300}
    save_dicom(tmp_path / "1.dcm", TWELVE, **CT, **window)
    found = depth.measure(Dataset("ct", "classification", (), samples))
    assert found is not None
    assert found.black == int(TWELVE.min()) - 1024


@pytest.mark.parametrize(
    "damage", ["cut", "no pixels", "no rows", "huge", "text", "compressed", "deflated"]
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, damage: str) -> None:
    path = save_dicom(tmp_path / "x.dcm", TWELVE, BitsStored=12)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-20])
    elif damage == "text":
        path.write_bytes(b"hello" * 100)
    else:
        record = pydicom.dcmread(path)
        if damage == "no pixels":
            del record.PixelData
        elif damage == "no rows":
            del record.Rows
        elif damage == "deflated":
            record.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
        elif damage == "huge":
            record.Rows = record.Columns = 20_000
        else:
            record.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.90"
            record.PixelData = pydicom.encaps.encapsulate([b"abcd"])
            record["PixelData"].VR, record["PixelData"].is_undefined_length = "OB", True
        record.save_as(path)
    with pytest.raises(BadImage) as caught:
        decode(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 700


def test_damaged_bytes_never_break_out(tmp_path: Path) -> None:
    window = {"WindowCenter": 40, "WindowWidth": 400, "PatientID": "A"}
    whole = save_dicom(tmp_path / "x.dcm", TWELVE, **CT, **window).read_bytes()
    rng = np.random.default_rng(1)
    for _ in range(80):
        data = bytearray(whole)
        for at in rng.integers(132, len(data), 4):
            data[at] = rng.integers(0, 256)
        (tmp_path / "x.dcm").write_bytes(data)
        for read in (decode, size):
            try:
                read(tmp_path / "x.dcm")
            except BadImage:
                continue
        dicom.patient(tmp_path / "x.dcm")


def test_without_the_library_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_dicom(tmp_path / "x.dcm", TWELVE)

    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(dicom, "import_module", missing)
    with pytest.raises(BadImage, match="pydicom, which is not installed") as caught:
        decode(path)
    assert "pip install 'foveate[dicom]'" in str(caught.value.remedy)


# --- patients


def classes_of(root: Path, patients: list[str]) -> Path:
    for index, patient in enumerate(patients):
        folder = root / ("healthy", "ill")[index % 2]
        folder.mkdir(parents=True, exist_ok=True)
        attributes = {"PatientID": patient} if patient else {}
        save_dicom(folder / f"scan{index}.dcm", TWELVE, BitsStored=12, **attributes)
    return root


def test_the_images_of_a_patient_are_a_group(tmp_path: Path) -> None:
    data = formats.read(classes_of(tmp_path / "x", ["A", "A", "B", "B", "C", ""]), "folder")
    groups = {one.id.split("/")[1]: one.group for one in data}
    assert groups["scan0.dcm"] == groups["scan1.dcm"] != groups["scan2.dcm"]
    assert groups["scan5.dcm"] is None
    assert not any(group in ("A", "B", "C") for group in groups.values())
    assert any("5 DICOM files name 3 patients" in note for note in data.notes)


def test_anonymised_files_are_no_group(tmp_path: Path) -> None:
    data = formats.read(classes_of(tmp_path / "x", ["ANON"] * 4), "folder")
    assert not any(one.group for one in data)
    assert any("--group-by" in note for note in data.notes)
    nameless = formats.read(classes_of(tmp_path / "y", [""] * 4), "folder")
    assert not any(one.group for one in nameless)
    assert not any("patient" in note for note in nameless.notes)
