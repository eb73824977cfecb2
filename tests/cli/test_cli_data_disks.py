"""On a full disk the commands on data say so, what is kept and what to do; the data stays whole."""

from __future__ import annotations

import hashlib
import re
import shutil

import pytest

from foveate import formats
from foveate.datasets.load import load
from foveate.errors import DataError
from helpers.command_line import refused
from helpers.small_disk import fill, small_disk


def digests(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path / "disk", 64) as disk:
        yield disk


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (["audit", "DATA", "--html", "DISK/a.html"], "The findings are those above"),
        (
            ["audit", "DATA", "--html", "ELSEWHERE/a.html", "--json", "DISK/a.json"],
            "The findings are on the page .*a.html",
        ),
        (
            ["audit", "DATA", "--html", "ELSEWHERE/a.html", "--fix", "DISK/copy"],
            "nothing was written, and the data is as it was",
        ),
        (["split", "DATA", "--out", "DISK/split.csv"], "the data is as it was"),
        *(
            (["convert", "DATA", "DISK/copy", "--format", name], "nothing was written")
            for name in ("csv", "folder", "webdataset")
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_full_disk_is_named_with_what_is_kept(words, kept, folder, tmp_path, disk):
    places = {"DATA": folder, "DISK": disk, "ELSEWHERE": tmp_path}
    before, filler = digests(folder), fill(disk)
    words = [re.sub(r"[A-Z]+", lambda m: str(places[m[0]]), w) for w in words]
    error = refused(*words)
    assert error.startswith(f"error: {disk}/"), error  # not the image that was being copied
    assert "The disk is full: free some space." in error
    assert re.search(kept, error), error
    assert "train" not in error
    assert list(disk.iterdir()) == [filler]
    assert digests(folder) == before


def test_a_disk_that_fills_up_while_a_dataset_is_copied(folder, tmp_path):
    """Half of the images fit: what fails is the copy of an image, in the middle."""
    size = sum(path.stat().st_size for path in folder.rglob("*.png")) // 1024
    with small_disk(tmp_path / "half", max(8, size // 2) // 4 * 4) as disk:
        error = refused("convert", folder, disk / "copy", "--format", "folder")
        assert error.startswith(f"error: {disk}/copy: this dataset cannot be written")
        assert list(disk.iterdir()) == []


def test_the_list_of_repairs_alone_does_not_fit(folder, tmp_path, monkeypatch):
    (folder / "red" / "broken.png").write_bytes(b"\x89PNG no")
    from foveate import csv_file

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(csv_file, "_line", full)
    error = refused("audit", folder, "--html", tmp_path / "a.html", "--fix", tmp_path / "copy")
    assert f"The copy in {tmp_path}/copy is complete" in error
    assert len(load(tmp_path / "copy")) == 60


def test_an_image_that_cannot_be_read_is_named_and_no_disk_is_blamed(folder, tmp_path):
    data = load(folder)
    shutil.rmtree(folder / "red")
    with pytest.raises(DataError, match=r"red/000.png: this file cannot be read"):
        formats.find_writer("folder").write(data, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_the_working_folder_is_no_link_that_someone_laid(folder, tmp_path, monkeypatch):
    thesis = tmp_path / "thesis"
    thesis.mkdir()
    monkeypatch.setattr("secrets.token_hex", lambda _: "0" * 16)
    (tmp_path / f".foveate-{'0' * 16}.partial").symlink_to(thesis)
    with pytest.raises(Exception, match="cannot be written"):
        formats.find_writer("csv").write(load(folder), tmp_path / "copy")
    assert list(thesis.iterdir()) == []
    assert (tmp_path / f".foveate-{'0' * 16}.partial").is_symlink()
