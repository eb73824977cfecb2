"""Images of one patient stay in one split: DICOM files say whose they are."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from foveate.data import dicom
from foveate.data.dataset import Dataset
from foveate.data.images import FileSource
from foveate.errors import BadImage
from foveate.wording import count_noun

A = TypeVar("A")


def with_patients(dataset: Dataset[A]) -> Dataset[A]:
    """Give each DICOM image its patient as the group, if the data names no groups itself.

    The group is a hash: a record of the run holds no patient's name.
    """
    if any(sample.group is not None for sample in dataset.samples):
        return dataset
    patients: dict[str, str] = {}
    for sample in dataset.samples:
        source = sample.source
        if isinstance(source, FileSource) and source.path.suffix.lower() in dicom.DICOM_SUFFIXES:
            try:
                patient = dicom.patient(source.path)
            except BadImage:  # pydicom is missing, which decoding reports
                return dataset
            if patient is not None:
                patients[sample.id] = patient
    if not patients:
        return dataset
    files, known = count_noun(len(patients), "DICOM file"), len(set(patients.values()))
    if known == 1 and len(patients) > 1:
        note = (
            f"{files} name the same patient, as anonymised files do, so patients are not kept "
            "apart: name what stays in one split with --group-by"
        )
        return replace(dataset, notes=(*dataset.notes, note))
    note = (
        f"{files} name {count_noun(known, 'patient')}: the images of each stay in one split "
        "(PatientID, hashed)"
    )
    samples = [replace(one, group=patients.get(one.id)) for one in dataset.samples]
    return replace(dataset, samples=samples, notes=(*dataset.notes, note))
