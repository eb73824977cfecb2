"""The audit of a dataset: decode every image once, run every check, write the findings down."""

from __future__ import annotations

import os
import shlex
from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from foveate import atomic_io, csv_file, formats, outputs, processes
from foveate.audit import Audit, FindingGroup, report
from foveate.audit import audit as run_checks
from foveate.audit.feature_space import FeatureSpace
from foveate.audit.label_errors import LabelErrors
from foveate.audit.repair import Repair, repair
from foveate.console import choose_reporter
from foveate.data import depth
from foveate.data.cache import decoding, workers
from foveate.data.cache.workers import Chunk, DecodeSpec
from foveate.data.dataset import Dataset, Source
from foveate.data.image_reading import DEFAULT_READING, ImageReading
from foveate.data.natural_size import natural_size
from foveate.data.unique_ids import check_unique_ids
from foveate.datasets.load import load
from foveate.errors import RunError
from foveate.progress import Reporter
from foveate.wording import describe_html, escape_controls

MIN_DECODED_SIZE = 16
"""Side in pixels below which images are enlarged as they are read."""
MAX_AMBIGUOUS = 100
"""Ambiguous images in the record."""
_PAGE = outputs.html_kind("audit")
_RECORD = outputs.json_kind("audit")
_REPAIRS_COLUMNS = ("sample", "repair", "before", "after")
_REPAIRS = outputs.csv_kind("repairs", _REPAIRS_COLUMNS)


@dataclass(frozen=True)
class AuditResult:
    """The findings of an audit.

    Attributes:
        audit: The dataset and every finding.
        label_errors: What probes say about the labels, in a deep audit of images with one class
            each.
        feature_space: Where the images lie in feature space, in a deep audit.
    """

    audit: Audit
    label_errors: LabelErrors | None = None
    feature_space: FeatureSpace | None = None

    @property
    def dataset(self) -> Dataset[Any]:
        """The samples that could be read; the others are in its `skipped`."""
        return self.audit.dataset

    @property
    def groups(self) -> list[FindingGroup]:
        """The findings by check, errors first."""
        return self.audit.groups

    def __repr__(self) -> str:
        return "\n".join(map(escape_controls, self.summary()))

    def _repr_html_(self) -> str:
        return describe_html(*report.description(self.audit))

    def summary(self) -> Iterator[str]:
        """The findings in lines of text."""
        yield from report.summary_lines(self.audit)

    def to_json(self) -> dict[str, Any]:
        """Every finding, as a record for programs."""
        dataset, groups = self.dataset, self.groups
        record: dict[str, Any] = {
            "foveate": "audit",
            "name": dataset.name,
            "origin": str(dataset.origin),
            "task": dataset.task,
            "classes": list(dataset.classes),
            "images": len(dataset),
            "notes": list(dataset.notes),
            "counts": [
                {"severity": group.severity, "check": group.check, "samples": group.samples}
                for group in groups
            ],
            "findings": [finding.to_json() for group in groups for finding in group.findings],
        }
        if self.label_errors is not None:
            margin, ambiguity = self.label_errors.margin, self.label_errors.ambiguity
            record["labels_by_margin"] = [
                {"id": dataset[int(row)].id, "margin": round(float(margin[row]), 4)}
                for row in np.argsort(-margin, kind="stable")
            ]
            order = np.argsort(-ambiguity, kind="stable")
            record["ambiguous"] = [dataset[int(row)].id for row in order[:MAX_AMBIGUOUS]]
        return record

    def write_page(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the findings as one HTML page, with thumbnails of the worst.

        Args:
            path: A file outside of the data.
            overwrite: Whether the page of an earlier audit is replaced.

        Raises:
            RunError: The file exists and is not replaced, lies in the data, or cannot be written.
        """
        AuditOutputs(page=Path(path), overwrite=overwrite).check(self.dataset)
        report.write_page(self.audit, self.label_errors, self.feature_space, Path(path))

    def write_json(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write `to_json` into a file; see `write_page`."""
        AuditOutputs(record=Path(path), overwrite=overwrite).check(self.dataset)
        atomic_io.write_json(Path(path), self.to_json())

    def write_repaired(
        self,
        path: str | Path,
        format: str | None = None,
        *,
        merge: Sequence[Sequence[str]] = (),
        overwrite: bool = False,
    ) -> list[Repair]:
        """Write a repaired copy of the dataset, and PATH.repairs.csv beside it.

        Args:
            path: A new folder.
            format: The format of the copy; None keeps the dataset's own. The usual format of these
                annotations takes the place of one that is only read.
            merge: Groups of class names that are one class each; the most frequent name stays.
            overwrite: Whether the list of earlier repairs is replaced.

        Returns:
            Every repair.

        Raises:
            FoveateError: The format cannot hold these annotations, the folder is in use or lies in
                the data, it cannot be written, or too few images would be left; see `repair`.
        """
        path = Path(path)
        AuditOutputs(copy=path, overwrite=overwrite).check(self.dataset)
        dataset, repairs = repair(self.audit, merge)
        formats.find_writer(_copy_format(dataset, format)).write(dataset, path)
        with atomic_io.storage_advice(
            f"The copy in {path} is complete, only this list is missing."
        ):
            csv_file.write(repairs_path(path), _REPAIRS_COLUMNS, [astuple(one) for one in repairs])
        return repairs


def _copy_format(dataset: Dataset[Any], name: str | None) -> str:
    name = name or dataset.format or "folder"
    if name in formats.all() and name not in formats.writers():
        first = next((one.target for one in dataset if one.target is not None), None)
        return getattr(first, "default_format", None) or "folder"
    return name


def repairs_path(copy: Path) -> Path:
    """The list of repairs beside a repaired copy; in it, it would be taken for data."""
    return copy.with_name(f"{copy.name}.repairs.csv")


@dataclass(frozen=True)
class AuditOutputs:
    """What an audit writes.

    Attributes:
        page: The HTML page.
        record: The JSON file.
        copy: The folder of the repaired copy.
        overwrite: Whether the files of earlier audits are replaced.
    """

    page: Path | None = None
    record: Path | None = None
    copy: Path | None = None
    overwrite: bool = False

    def check(self, dataset: Dataset[Any]) -> None:
        """Check all outputs, before any work is done for them.

        Raises:
            RunError: One exists and is not replaced, or lies in the data.
        """
        data, overwrite = dataset.origin_paths, self.overwrite
        repairs = None
        if self.copy is not None:
            outputs.check_folder(self.copy, option="--fix", data=data)
            if self.copy.parent.is_dir():  # otherwise it is created, and nothing is in it yet
                repairs = repairs_path(self.copy)
        for path, kind, option in (
            (self.page, _PAGE, "--html"),
            (self.record, _RECORD, "--json"),
            (repairs, _REPAIRS, "--fix"),
        ):
            if path is not None:
                outputs.check_output(path, kind, option=option, overwrite=overwrite, data=data)
        if self.page is not None and self.page == self.record:
            raise RunError("--html and --json name the same file", where=self.page)


def default_page(dataset: Dataset[Any]) -> Path:
    """audit-NAME.html in the current folder, in which an earlier page of an audit is replaced.

    Raises:
        RunError: A file is there that is no page of an audit, or the current folder lies in the
            data; with the option that goes on.
    """
    page = Path(f"audit-{dataset.name}.html")
    try:
        AuditOutputs(page=page, overwrite=True).check(dataset)
    except RunError as error:
        origin = next(iter(dataset.origin_paths), page)
        beside = os.path.relpath(Path(os.path.realpath(origin)).parent / page.name)
        if beside == str(page):
            raise
        raise RunError(
            error.message,
            where=page,
            remedy=f"Add a place for the page to the command: --html {shlex.quote(beside)}",
        ) from None
    return page


def audit(
    data: str | Path | Dataset[Any],
    *,
    deep: bool = False,
    seed: int = 0,
    root: Path | None = None,
    format: str | None = None,
    task: str | None = None,
    reading: ImageReading = DEFAULT_READING,
    progress: bool = True,
    reporter: Reporter | None = None,
) -> AuditResult:
    """Find what is wrong with a dataset, before anything is trained on it.

    Args:
        data: A path, the name of a known dataset, or a Dataset.
        deep: Whether to compute features of a pretrained net as well, which find wrong labels,
            outliers, semantic duplicates and splits that differ, a thousand images in 10 s or 20 s.
        seed: Seed of the folds and of the comparison of splits.
        root: Folder in which known datasets are looked for first.
        format: The format of the data, where it cannot be recognised.
        task: The task that the data is for, where it can be read for several.
        reading: Black, white, pages, and the largest number of pixels of image files.
        progress: Whether the progress is shown.
        reporter: Receives the progress in place of the screen.

    Raises:
        DataError: The data cannot be read.
    """
    reporter = choose_reporter(reporter, progress=progress)
    dataset = load(data, root=root, format=format, task=task)
    check_unique_ids(dataset)
    dataset = depth.with_reading(dataset, reading)
    if not deep:
        with reporter.bar("reading images", len(dataset)) as bar:
            survey = depth.decode_measured(
                dataset,
                reading,
                lambda dataset: decoding.survey(
                    dataset, read=_read, on_progress=lambda done, _: bar(done)
                ),
                reporter.info,
            )
        return AuditResult(run_checks(survey.dataset, survey.hashes, survey.image_stats))
    return _deep_audit(dataset, seed, reading, reporter)


def led() -> AbstractContextManager[bool]:
    """Whether this process audits, while others help; see `ranks.led`.

    PyTorch is imported only if torchrun started this process.
    """
    if not processes.launched():
        return nullcontext(True)
    from foveate.experiment import ranks

    return ranks.led()


def _read(sources: Sequence[Source], spec: DecodeSpec) -> Generator[Chunk]:
    """Decode images, with the processes that help; see `led`."""
    if not processes.launched():
        return workers.read_all(sources, spec)
    from foveate.experiment.shares import read_images

    return read_images(sources, spec)


def _deep_audit(
    dataset: Dataset[Any], seed: int, reading: ImageReading, reporter: Reporter
) -> AuditResult:
    """Look at features of a pretrained net as well; only here is PyTorch needed."""
    from foveate.experiment import deep_audit

    natural = natural_size(dataset)
    size = deep_audit.size_of_features(len(dataset), natural)
    with reporter.bar("reading images", len(dataset)) as bar:
        images = depth.decode_measured(
            dataset,
            reading,
            lambda dataset: decoding.decode(
                dataset,
                max(MIN_DECODED_SIZE, min(natural, size)),
                max_skipped=1.0,
                read=_read,
                on_progress=lambda done, _: bar(done),
            ),
            reporter.info,
        )
    result = run_checks(images.dataset, images.hashes, images.image_stats)
    if not len(result.dataset):
        return AuditResult(result)
    label_errors, space = deep_audit.analyse_features(
        images, size, result.duplicates.clusters, seed, reporter
    )
    more = [] if label_errors is None else label_errors.findings(result.dataset)
    findings = (*result.findings, *more, *space.findings(result.dataset))
    audited = replace(result, findings=findings)
    return AuditResult(audited, label_errors, space)
