"""Planted faults are found where they are; clean data is called clean; repairs mend errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from foveate import formats
from foveate.audit import audit
from foveate.audit.repair import repair
from foveate.data.cache.decoding import survey
from foveate.data.dataset import Dataset, Skipped
from foveate.datasets.load import load
from helpers.planted import CLEAN, FAULTS, audited, labels, spoilt

UNMENDABLE = {"classes missing from a split", "two names for one class"}
"""Errors that only the user can mend: with new images, or by saying what is one class."""


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found_where_it_is(name):
    make, check, ids = FAULTS[name]
    found = [finding for finding in audited(make()).findings if finding.check == check]
    assert found, f"{check!r} is not among {sorted({f.check for f in audited(make()).findings})}"
    assert {id for finding in found for id in finding.ids} == ids
    assert all(finding.reason and finding.remedy for finding in found)


@pytest.mark.parametrize("name", CLEAN)
def test_a_clean_set_is_called_clean(name):
    told = [
        (f.check, f.ids, f.reason) for f in audited(CLEAN[name]()).findings if f.severity != "note"
    ]
    assert told == []


@pytest.mark.parametrize("name", FAULTS)
def test_a_repaired_dataset_has_no_mendable_errors(name):
    before = audited(FAULTS[name][0]())
    dataset, repairs = repair(before)
    after = audited(dataset)
    assert {finding.check for finding in after.errors} <= UNMENDABLE
    assert repairs or not before.errors or FAULTS[name][1] in UNMENDABLE


@pytest.mark.parametrize("name", CLEAN)
def test_a_clean_set_is_not_repaired(name):
    before = CLEAN[name]()
    dataset, repairs = repair(audited(before))
    assert repairs == []
    assert [sample.id for sample in dataset] == [sample.id for sample in before]
    assert dataset.classes == before.classes


def test_findings_are_the_same_for_files_and_archives(tmp_path):
    for name in ("folder", "csv", "webdataset"):
        formats.find_writer(name).write(labels(), tmp_path / name)
        seen = survey(formats.read(tmp_path / name))
        found = audit(seen.dataset, seen.hashes, seen.image_stats).findings
        assert [(f.check, f.reason) for f in found if f.severity != "note"] == []


def test_the_built_in_digits_have_no_faults():
    assert [
        (f.check, f.ids) for f in audited(load("digits")).findings if f.severity != "note"
    ] == []


def test_few_unusable_samples_are_a_warning_and_many_an_error():
    few = Dataset(
        "few",
        "classification",
        ("cat", "dog"),
        labels().samples,
        (Skipped("x", "it is cut short"),),
    )
    many = Dataset(
        "many", "classification", ("cat", "dog"), labels().samples[:50], (Skipped("x", "cut"),) * 9
    )
    assert {(f.severity, f.ids) for f in audited(few).findings if f.check == "cannot be used"} == {
        ("warning", ("x",))
    }
    assert {f.severity for f in audited(many).findings if f.check == "cannot be used"} == {"error"}


def test_an_empty_dataset_and_a_single_image_have_no_errors():
    empty = Dataset("empty", "classification", ("cat", "dog"), [])
    assert {f.check for f in audited(empty).findings} <= {"unused class"}
    one = Dataset("one", "classification", ("cat", "dog"), labels().samples[:1])
    assert not audited(one).errors


@pytest.mark.parametrize("name", CLEAN)
@pytest.mark.parametrize("missing", [(3,), (0, 5), tuple(range(8))])
def test_samples_without_an_annotation_are_named_whatever_the_task(name, missing):
    clean = CLEAN[name]()
    samples = [
        replace(sample, target=None) if row in missing else sample
        for row, sample in enumerate(clean.samples[:8])
    ]
    dataset = replace(clean, samples=samples)
    findings = [one for one in audited(dataset).findings if one.check == "no annotation"]
    assert [one.ids for one in findings] == [(dataset[row].id,) for row in missing]


def test_groups_put_errors_first_and_count_samples_once():
    data = spoilt(spoilt(FAULTS["an image in two splits"][0](), 50, target=None), 51, target=None)
    groups = audited(data).groups
    severities = [group.severity for group in groups]
    assert severities == sorted(severities, key=["error", "warning", "note"].index)
    assert {group.check: group.samples for group in groups}["no annotation"] == 2


def test_only_splits_that_differ_are_reported():
    data = labels(400, splits=["train"] * 280 + ["test"] * 120)
    assert not [f for f in audited(data).findings if "splits" in f.check]
    darker = [
        s if s.split == "train" else spoilt(data, i, source=_darker(s))[i]
        for i, s in enumerate(data)
    ]
    found = {
        f.check for f in audited(Dataset("d", "classification", data.classes, darker)).findings
    }
    assert {"splits look different", "drift between splits"} <= found


def _darker(sample):
    from helpers.planted import source

    return source((sample.source.read() * 0.6).astype(np.uint8))
