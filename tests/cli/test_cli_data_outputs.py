"""Outputs of audit, split and convert: nothing of the user's is replaced, the data stays as it was,
and nobody waits for an audit to be refused."""

from __future__ import annotations

import json
import shlex

import pytest

from helpers.command_line import refused, run_cli

OUTPUTS = {
    "page": ("audit", "--html", "a.html"),
    "record": ("audit", "--json", "a.json"),
    "split": ("split", "--out", "split.csv"),
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder, which lies beside the data."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.mark.parametrize("name", OUTPUTS)
def test_only_foveates_own_file_is_replaced_and_only_when_asked(name, folder, here):
    command, option, file = OUTPUTS[name]
    words = (command, folder, option, file)
    (here / file).write_text("mine")
    for more in ([], ["--overwrite"]):
        assert "written by foveate, so it is not replaced" in refused(*words, *more)
    assert (here / file).read_text() == "mine"
    assert [path.name for path in here.iterdir()] == [file]  # not even the page: no audit was made
    (here / file).unlink()
    assert run_cli(*words)[0] == 0
    first = (here / file).read_bytes()
    (folder / "red" / "000.png").unlink()
    assert "add --overwrite" in refused(*words)
    assert (here / file).read_bytes() == first
    assert run_cli(*words, "--overwrite")[0] == 0
    assert (here / file).read_bytes() != first


@pytest.mark.parametrize("name", OUTPUTS)
def test_no_output_lies_in_the_data_or_replaces_a_link(name, folder, here, tmp_path):
    command, option, file = OUTPUTS[name]
    (here / "door").symlink_to(folder)
    for place in (folder / file, folder / "red" / file, here / "door" / file):
        assert "an output outside of the data" in refused(command, folder, option, place)
    (here / file).symlink_to(tmp_path / "elsewhere")
    assert "this is a link" in refused(command, folder, option, file)
    assert not (tmp_path / "elsewhere").exists()
    assert not list(folder.rglob(f"*{file}"))


@pytest.mark.parametrize("command", ["--fix", "convert"])
def test_a_copy_is_a_new_folder_outside_of_the_data(command, folder, here):
    def words(place):
        convert = ("convert", folder, place, "--format", "csv")
        return convert if command == "convert" else ("audit", folder, "--fix", place)

    (here / "mine").mkdir()
    (here / "mine" / "letter").write_text("mine")
    (here / "link").symlink_to(here / "nowhere")
    for place in ("mine", "mine/letter", "link"):
        assert "a new or empty folder" in refused(*words(place))
    assert "outside of the data" in refused(*words(folder / "copy"))
    assert sorted(path.name for path in here.iterdir()) == ["link", "mine"]


def test_the_list_of_repairs_replaces_nothing(folder, here):
    (here / "copy.repairs.csv").write_text("mine")
    assert "holds no repairs written by foveate" in refused("audit", folder, "--fix", "copy")
    assert (here / "copy.repairs.csv").read_text() == "mine"
    assert not (here / "copy").exists()


def test_the_parents_of_a_copy_are_created(folder, here):
    assert run_cli("audit", folder, "--fix", "new/deep/copy")[0] == 0
    assert (here / "new" / "deep" / "copy.repairs.csv").is_file()


def test_the_default_page_replaces_an_earlier_one_and_nothing_else(folder, here):
    page = here / "audit-colours.html"
    assert run_cli("audit", folder)[0] == 0
    first = page.read_bytes()
    (folder / "red" / "000.png").unlink()
    assert run_cli("audit", folder)[0] == 0
    assert page.read_bytes() != first
    page.write_text("mine")
    assert "--html" in refused("audit", folder)
    assert page.read_text() == "mine"


@pytest.mark.parametrize("inside", [".", "red"])
def test_within_the_data_the_audit_says_how_to_go_on(inside, folder, monkeypatch):
    monkeypatch.chdir(folder / inside)
    words = ("audit", folder)
    remedy = refused(*words).rpartition(": ")[2]
    assert remedy.startswith("--html ../")
    code, _, err = run_cli(*words, *shlex.split(remedy))
    assert code == 0, err
    assert (folder.parent / "audit-colours.html").is_file()


@pytest.mark.usefixtures("here")
def test_two_outputs_are_two_files(folder):
    assert "same file" in refused("audit", folder, "--html", "a", "--json", "a")


def test_files_say_what_they_are(folder, here):
    assert run_cli("audit", folder, "--json", "a.json")[0] == 0
    assert next(iter(json.loads((here / "a.json").read_text()).items())) == ("foveate", "audit")
    assert (
        '<meta name="generator" content="foveate audit">'
        in (here / "audit-colours.html").read_text()
    )
