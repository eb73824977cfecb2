"""An output replaces nothing but foveate's own file of its kind, and never lies in the data."""

from __future__ import annotations

import os

import pytest

from foveate import outputs
from foveate.errors import RunError

KIND = outputs.json_kind("predictions")
OWN = b'{\n "foveate": "predictions",\n "classes": []\n}\n'


def check(path, **options):
    outputs.check_output(path, KIND, option="--json", **options)


OTHERS = {
    "an image": b"\x89PNG\r\n\x1a\n",
    "empty": b"",
    "the user's JSON": b'{"classes": []}',
    "another kind of ours": OWN.replace(b"predictions", b"audit"),
    "a name that begins alike": OWN.replace(b"predictions", b"predictions2"),
    "a list": b"[" + OWN + b"]",
}


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("content", OTHERS.values(), ids=OTHERS)
def test_what_foveate_did_not_write_is_never_replaced(content, overwrite, tmp_path):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(RunError, match="holds no predictions written by foveate"):
        check(path, overwrite=overwrite)


def test_its_own_file_is_replaced_only_when_asked(tmp_path):
    check(tmp_path / "new.json")
    path = tmp_path / "x.json"
    path.write_bytes(OWN)
    with pytest.raises(RunError, match="add --overwrite"):
        check(path)
    check(path, overwrite=True)


def test_html_and_csv_are_recognised_by_their_first_lines(tmp_path):
    path = tmp_path / "x"
    tag = '<meta name="generator" content="foveate audit">'
    for kind, own, other in (
        (outputs.html_kind("audit"), f"<!doctype html>\n<head>{tag}", f"<p>{tag}"),
        (
            outputs.csv_kind("repairs", ["sample", "repair"]),
            "sample,repair\n1,2",
            "sample,repairs\n",
        ),
    ):
        path.write_text(own)
        outputs.check_output(path, kind, option="--out", overwrite=True)
        path.write_text(other)
        with pytest.raises(RunError, match="not replaced"):
            outputs.check_output(path, kind, option="--out", overwrite=True)


def test_links_folders_and_devices_are_refused(tmp_path):
    (tmp_path / "own.json").write_bytes(OWN)
    (tmp_path / "link.json").symlink_to(tmp_path / "own.json")
    (tmp_path / "dangling.json").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop.json").symlink_to(tmp_path / "loop.json")
    os.mkfifo(tmp_path / "pipe.json")
    for path, found in (
        (tmp_path, "a folder"),
        (tmp_path / "link.json", "a link"),
        (tmp_path / "dangling.json", "a link"),
        (tmp_path / "loop.json", "a link"),
        (tmp_path / "pipe.json", "a device or pipe"),
        (tmp_path.joinpath("/dev/null"), "a device or pipe"),
    ):
        with pytest.raises(RunError, match=f"this is {found}"):
            check(path, overwrite=True)


def test_nothing_is_written_within_the_data(tmp_path):
    data = tmp_path / "data"
    (data / "red").mkdir(parents=True)
    (tmp_path / "link").symlink_to(data / "red")
    image = tmp_path / "x.png"
    image.write_bytes(OWN)  # even if it looks like ours
    (tmp_path / "hard.json").hardlink_to(image)
    for path in (
        data / "new.json",
        data / "red" / "more" / "new.json",
        tmp_path / "link" / "new.json",
        tmp_path / "red" / ".." / "data" / "new.json",
        image,
        tmp_path / "hard.json",
    ):
        with pytest.raises(RunError, match="outside of the data"):
            check(path, overwrite=True, data=[data, image])
    for folder in (data, data / "new", tmp_path / "link" / "new"):
        with pytest.raises(RunError, match="outside of the data"):
            outputs.check_folder(folder, option="--draw", data=[data])
    check(tmp_path / "data.json", data=[data, image, tmp_path / "missing"])


def test_output_folders_are_new_or_empty(tmp_path):
    outputs.check_folder(tmp_path / "new", option="--draw")
    outputs.check_folder(tmp_path, option="--draw")
    (tmp_path / "file").write_bytes(b"")
    for folder in (tmp_path, tmp_path / "file"):
        with pytest.raises(RunError, match="new or empty folder"):
            outputs.check_folder(folder, option="--draw")


def test_a_name_that_no_file_can_have_is_left_to_whoever_writes(tmp_path):
    check(tmp_path / ("x" * 5000), data=[tmp_path / "data"])


def test_a_folder_that_is_missing_is_told_before_the_work(tmp_path):
    (tmp_path / "file").touch()
    for parent in ("missing", "file"):
        with pytest.raises(RunError, match="a folder that exists"):
            check(tmp_path / parent / "x.json")
