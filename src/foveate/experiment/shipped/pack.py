"""All that one hands over of a run in one zip: exported files, card, reports and checksums."""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foveate import atomic_io, record_io
from foveate.errors import RunError
from foveate.experiment.export.page import PAGE, read_entries
from foveate.experiment.run_folder import RunFolder
from foveate.experiment.shipped.card import make_card
from foveate.experiment.shipped.private_paths import PrivatePaths
from foveate.outputs import FileKind, check_output
from foveate.progress import NullReporter, Reporter

NAME = "package.zip"
"""The file's name in a run folder."""
CARD = "README.md"
"""The card's name in the package, as hubs expect it."""
SUMS = "SHA256SUMS"
"""The file with the checksum of every other one, for sha256sum -c."""
KIND = FileKind("package", re.compile(rb"(?s)PK\x03\x04.{26}README\.md---\nlibrary_name: foveate"))
"""A file of `pack`: nothing in it is compressed, and the card comes first."""
MAX_FILE_BYTES = 2**32
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first date that a zip can hold


@dataclass(frozen=True)
class Package:
    """A zip that was written.

    Attributes:
        path: The zip.
        files: Bytes of each file in it, by name.
    """

    path: Path
    files: Mapping[str, int]


def pack(
    run: RunFolder,
    out: Path | None = None,
    *,
    license: str | None = None,
    overwrite: bool = False,
    reporter: Reporter | None = None,
) -> Package:
    """Write exported files, card, report.html, export.html and checksums into one zip.

    The same files and record give the same bytes. Pages name no path of this machine.

    Args:
        run: A finished run with an export.
        out: The zip; by default package.zip in the run, where an earlier one is replaced.
        license: Identifier of the model's licence, for the card.
        overwrite: Whether an earlier package is replaced elsewhere, too.
        reporter: Receives which exports are left out, and why.

    Raises:
        RunError: There is no export, the run is not finished or damaged, or the zip would replace
            something.
        SettingError: The licence is no identifier.
        StorageError: The zip cannot be written.
    """
    path = run.path / NAME if out is None else out
    check_output(path, KIND, option="--out", overwrite=overwrite or out is None)
    with run.locked():
        entries = read_entries(run.path)
        exported = _exported_files(run, entries, reporter or NullReporter())
        earlier = [one.run for entry in run.ledger.entries for one in entry.earlier]
        paths = PrivatePaths.of(run, [*(entry["file"] for entry in entries), *earlier])
        card = make_card(run, license, tuple(exported), paths=paths).render()
        files = {
            CARD: card.encode("utf-8", "backslashreplace"),
            **exported,
            "report.html": _page(run.report_path, paths, f"foveate report {run.quoted_path}"),
            PAGE: _page(run.path / PAGE, paths, f"foveate export {run.quoted_path}"),
        }
    lines = [f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files)]
    files[SUMS] = "".join(lines).encode()
    _write(path, files)
    return Package(path, {name: len(content) for name, content in files.items()})


def _exported_files(
    run: RunFolder, entries: list[dict[str, Any]], reporter: Reporter
) -> dict[str, bytes]:
    """The exported files that are what the record says, by name; of one name, the newest."""
    found: dict[str, bytes] = {}
    for entry in entries:
        read = _read(run, entry)
        if isinstance(read, str):
            reporter.warning(f"{entry['file']} is left out: {read}")
            continue
        if read.keys() & found.keys():
            reporter.warning(f"an earlier export of the name of {entry['file']} is left out")
        found |= read
    if not found:
        raise RunError(
            "there is no export of these weights to pack",
            where=run.path,
            remedy=f"Export the model first: foveate export {run.quoted_path}",
        )
    return found


def _read(run: RunFolder, entry: Mapping[str, Any]) -> dict[str, bytes] | str:
    """The files of an export; or why they cannot be packed."""
    sums = entry.get("sha256")
    if entry["weights"] != run.weights_digest():
        return "it has the weights that the run had earlier"
    path = Path(entry["file"])
    if not path.is_file():  # the run was moved, or the path begins at another folder
        path = run.path / path.name
    files = {}
    for suffix, expected in sums.items() if isinstance(sums, dict) else ():
        one = path.with_name(path.stem + suffix)
        try:
            with record_io.open_file(one, MAX_FILE_BYTES) as file:
                files[one.name] = file.read()
        except FileNotFoundError:
            return f"{one.name} is gone"
        if hashlib.sha256(files[one.name]).hexdigest() != expected:
            return f"{one.name} was changed after it was exported"
    return files or "its checksum was not recorded, export it again"


def _page(path: Path, paths: PrivatePaths, remedy: str) -> bytes:
    try:
        page = record_io.read_text(path, MAX_FILE_BYTES, remedy=f"Write it again: {remedy}")
    except FileNotFoundError:
        raise RunError("this page is missing", where=path, remedy=f"Write it: {remedy}") from None
    return paths.hide_in_html(page).encode("utf-8")


def _write(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a zip whose bytes depend on these files alone, not even on a library that packs."""
    with atomic_io.new_file(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system, info.external_attr = 3, 0o644 << 16
            archive.writestr(info, content, zipfile.ZIP_STORED)
