"""DICOM files of medical imaging, read with the library pydicom (the extra `dicom`)."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from foveate.data.dataset import Image
from foveate.data.image_file import open_file, refusing
from foveate.data.image_reading import DEFAULT_READING, DeepPixels, ImageReading
from foveate.data.planes import as_image, check_size
from foveate.errors import BadImage

DICOM_SUFFIXES = frozenset({".dcm", ".dicom"})
"""Lower-case suffixes of DICOM files."""
_MAGIC_AT, _MAGIC = 128, b"DICM"
_DEFLATED = b"1.2.840.10008.1.2.1.99"  # a transfer syntax, which stands at the beginning
_MAX_META = 4096  # bytes within which it does

_RESCALE, _WINDOW = "PixelValueTransformationSequence", "FrameVOILUTSequence"


def read(file: BinaryIO, reading: ImageReading) -> tuple[Image | DeepPixels, str, int]:
    """Read a DICOM file.

    Stored values become those of its rescale slope and intercept, e.g. Hounsfield units.
    MONOCHROME1 is inverted, so that larger is brighter. Frames are pages. The window (of several,
    the first), or else the bits that are stored, states black and white.

    Args:
        file: The file.
        reading: What is made of frames, and how many pixels are allowed.

    Returns:
        The pixels; their photometric interpretation; the number of frames.

    Raises:
        BadImage: The library is missing, or the file holds no such image.
    """
    library = _library()
    _refuse_deflated(file)
    record = library.dcmread(file)
    frames = _check_size(record, reading)
    photometric = str(record.get("PhotometricInterpretation", ""))
    try:
        values: NDArray[Any] = record.pixel_array
    except (RuntimeError, NotImplementedError) as error:
        raise BadImage(
            f"the pixels of this DICOM file cannot be decoded ({_first_line(error)})",
            remedy="Save it uncompressed, or install a decoder: pip install python-gdcm",
        ) from None
    if photometric == "PALETTE COLOR":
        values = import_module("pydicom.pixels").apply_color_lut(values, record)
    samples = 1 if values.ndim == 2 + (frames > 1) else values.shape[-1]
    planes = values.reshape(frames, record.Rows, record.Columns, samples)
    pixels: NDArray[Any] | DeepPixels = planes
    if samples == 1:  # before the frames become one image: the maximum is that of the brightness
        pixels = _grey(planes, record, inverted=photometric == "MONOCHROME1")
    elif planes.dtype != np.uint8:
        pixels = DeepPixels(planes)
    if isinstance(pixels, DeepPixels):
        image: Image | DeepPixels = replace(pixels, values=as_image(pixels.values, reading.pages))
    else:
        image = as_image(pixels, reading.pages)
    return image, photometric[:8], frames


def size(file: BinaryIO, reading: ImageReading) -> tuple[int, int]:
    """Read the height and width of a DICOM file from its header."""
    _refuse_deflated(file)
    record = _library().dcmread(file, stop_before_pixels=True)
    _check_size(record, reading)
    return int(record.Rows), int(record.Columns)


def is_dicom(file: BinaryIO) -> bool:
    """Whether a file begins like DICOM."""
    # Reading from the start costs nothing: an image follows in the same buffer.
    head = file.read(_MAGIC_AT + len(_MAGIC))
    file.seek(0)
    return head.endswith(_MAGIC) and len(head) == _MAGIC_AT + len(_MAGIC)


def patient(path: Path) -> str | None:
    """Read whose image a DICOM file is, hashed: 16 hex digits, the same for all of a patient.

    Returns:
        None if the file names no patient or cannot be read; decoding reports the latter.

    Raises:
        BadImage: The library is missing.
    """
    library = _library()
    try:
        with open_file(path) as file, refusing(path, DEFAULT_READING):
            _refuse_deflated(file)
            tags = ["PatientID", "IssuerOfPatientID"]
            record = library.dcmread(file, stop_before_pixels=True, specific_tags=tags)
            names = [str(record.get(tag, "") or "").strip() for tag in reversed(tags)]
    except BadImage:
        return None
    if not names[1]:
        return None
    return hashlib.blake2b("\0".join(names).encode(), digest_size=8).hexdigest()


def _library() -> ModuleType:
    try:
        library = import_module("pydicom")
    except ImportError:
        raise BadImage(
            "DICOM needs the library pydicom, which is not installed",
            remedy="Install it: pip install 'foveate[dicom]'",
        ) from None
    # What is wrong with a file is raised; what is odd in it would be printed.
    logging.getLogger("pydicom").addHandler(logging.NullHandler())
    return library


def _refuse_deflated(file: BinaryIO) -> None:
    """Refuse a file that is compressed as a whole: a few bytes of it can fill the memory."""
    file.seek(0)
    deflated = _DEFLATED in file.read(_MAX_META)
    file.seek(0)
    if deflated:
        raise BadImage(
            "a DICOM file that is not compressed as a whole is expected, this one is deflated",
            remedy="Save it uncompressed, as Explicit VR Little Endian.",
        )


def _grey(values: NDArray[Any], record: Any, *, inverted: bool) -> NDArray[Any] | DeepPixels:
    """The values of grey frames, larger is brighter; and the black and white of their window."""
    bits = int(record.get("BitsStored", record.BitsAllocated))
    signed = int(record.get("PixelRepresentation", 0)) == 1
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    slope = _number(record, "RescaleSlope", _RESCALE, 1.0)
    intercept = _number(record, "RescaleIntercept", _RESCALE, 0.0)
    center = _number(record, "WindowCenter", _WINDOW, None)
    width = _number(record, "WindowWidth", _WINDOW, None)
    rescaled = slope not in (None, 0.0) and (slope, intercept) != (1.0, 0.0)
    window = center is not None and width is not None and width > 1
    if values.dtype == np.uint8 and bits == 8 and not rescaled and not window:
        return 255 - values if inverted else values
    black, white = float(low), float(high)
    if rescaled:
        values = _rescaled(values, float(slope or 1), float(intercept or 0))
        black, white = sorted((black * slope + intercept, white * slope + intercept))
    ends = black + white
    if window:
        # DICOM PS3.3, C.11.2.1.2.1: the ends of a linear window.
        exact = str(record.get("VOILUTFunction", "")) == "LINEAR_EXACT"
        middle, half = (center, width / 2) if exact else (center - 0.5, (width - 1) / 2)
        black, white = middle - half, middle + half
    if inverted:
        values = ends - values.astype(np.float64)
        values = values.astype(np.int32) if not rescaled else values
        black, white = ends - white, ends - black
    return DeepPixels(values, (black, white), binding=True)


def _rescaled(values: NDArray[Any], slope: float, intercept: float) -> NDArray[Any]:
    """Whole numbers stay whole where they can."""
    if slope.is_integer() and intercept.is_integer():
        return values.astype(np.int32) * int(slope) + int(intercept)
    return values.astype(np.float64) * slope + intercept


def _number(record: Any, name: str, sequence: str, default: Any) -> Any:
    """An attribute as a float: of the record, or of what all frames or the first one share."""
    holders = [record]
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in list(record.get(groups) or [])[:1]:
            holders += list(group.get(sequence) or [])[:1]
    for holder in holders:
        value = holder.get(name)
        if value is not None and value != "":
            first = value if not hasattr(value, "__len__") else (list(value) or [default])[0]
            return None if first is None else float(first)
    return default


def _check_size(record: Any, reading: ImageReading) -> int:
    """The number of frames of an image that is not too large."""
    if "Rows" not in record or "Columns" not in record:
        raise BadImage("a DICOM image is expected, this file holds something else")
    frames = max(1, int(record.get("NumberOfFrames") or 1))
    pixels = int(record.Rows) * int(record.Columns)
    check_size(pixels, pixels * frames * int(record.get("SamplesPerPixel") or 1), reading)
    return frames


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
