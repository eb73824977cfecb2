"""Images of the same scene at several depths, and small TIFF and DICOM files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image


def nuclei(seed: int, count: int = 4, side: int = 32) -> np.ndarray:
    """Bright discs on a dark noisy ground, (side, side) uint8 from about 10 to 250."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side]
    image = rng.uniform(8, 24, (side, side))
    for _ in range(count):
        y, x = rng.uniform(4, side - 4, 2)
        inside = (rows - y) ** 2 + (columns - x) ** 2 < rng.uniform(2, 5) ** 2
        image = np.where(inside, rng.uniform(90, 250) + rng.uniform(-6, 6, image.shape), image)
    return image.clip(0, 255).round().astype(np.uint8)


def at_depth(image: np.ndarray, bits: int) -> np.ndarray:
    """The 8-bit image as a sensor of 8, 12 or 16 bits stores it."""
    if bits == 8:
        return image
    factor = {12: 16, 16: 257}[bits]
    return image.astype(np.uint16) * factor


def save_classes(root: Path, bits: int, count: int = 12, suffix: str = "tif") -> Path:
    """A folder for each of two classes: images with few and with many nuclei."""
    for label, nuclei_count in (("few", 1), ("many", 9)):
        folder = root / label
        folder.mkdir(parents=True)
        for index in range(count):
            image = nuclei(1000 * nuclei_count + index, nuclei_count)
            PIL.Image.fromarray(at_depth(image, bits)).save(folder / f"{label}_{index}.{suffix}")
    return root


def save_dicom(path: Path, values: np.ndarray, **attributes: Any) -> Path:
    """Write (H, W), (F, H, W) or (H, W, 3) values of 8 or 16 bits as an uncompressed DICOM file."""
    import pydicom
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[str(path)])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    record = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    record.SOPClassUID = SecondaryCaptureImageStorage
    record.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    colour = values.ndim == 3 and values.shape[2] == 3
    frames = values.ndim == 3 and not colour
    record.Rows, record.Columns = values.shape[1:] if frames else values.shape[:2]
    if frames:
        record.NumberOfFrames = len(values)
    record.SamplesPerPixel = 3 if colour else 1
    if colour:
        record.PlanarConfiguration = 0
    record.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    bits = 8 * values.dtype.itemsize
    record.BitsAllocated = record.BitsStored = bits
    record.HighBit = bits - 1
    record.PixelRepresentation = int(values.dtype.kind == "i")
    for name, value in attributes.items():
        setattr(record, name, value)
    record.HighBit = record.BitsStored - 1
    record.PixelData = values.astype(values.dtype.newbyteorder("<")).tobytes()
    pydicom.dcmwrite(path, record, enforce_file_format=True)
    return path
