"""The package: what is in it, its checksums, and that it predicts without torch."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import pytest

import foveate as fv
from foveate.errors import StorageError
from foveate.experiment.shipped import pack as packing
from foveate.experiment.shipped.pack import pack
from foveate.experiment.shipped.private_paths import PrivatePaths
from helpers.command_line import refused, run_cli, run_without_torch

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    """A copy of the run with an export; tests copy it to change it."""
    path = tmp_path_factory.mktemp("packed") / "run"
    shutil.copytree(trained.path, path)
    code, _, err = run_cli("export", path)
    assert code == 0, err
    return path


@pytest.fixture(scope="module")
def unzipped(exported, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unzipped")
    code, out, err = run_cli("pack", exported, "--out", folder / "package.zip")
    assert code == 0, err
    assert "sha256sum -c SHA256SUMS" in out
    with zipfile.ZipFile(folder / "package.zip") as archive:
        assert archive.testzip() is None
        archive.extractall(folder / "content")
    return folder / "content"


def test_everything_is_in_it_and_every_checksum_holds(unzipped, exported):
    names = {
        "README.md",
        "model.onnx",
        "model.pbtxt",
        "report.html",
        "export.html",
        "SHA256SUMS",
    }
    assert {path.name for path in unzipped.iterdir()} == names
    lines = (unzipped / "SHA256SUMS").read_text().splitlines()
    sums = {name: digest for digest, name in (line.split("  ") for line in lines)}
    assert sums.keys() == names - {"SHA256SUMS"}
    for name, digest in sums.items():
        assert hashlib.sha256((unzipped / name).read_bytes()).hexdigest() == digest
    assert (unzipped / "model.onnx").read_bytes() == (exported / "model.onnx").read_bytes()
    assert "foveate predict model.onnx images/" in (unzipped / "README.md").read_text()


def test_the_packed_model_predicts_where_torch_cannot_be_imported(unzipped, trained, colours):
    images = [colours / name / "000.png" for name in ("red", "green", "blue")]
    run_without_torch("predict", "model.onnx", *images, "--json", "found.json", cwd=unzipped)
    found = json.loads((unzipped / "found.json").read_text())["predictions"]
    (unzipped / "found.json").unlink()
    expected = trained.predict(images)
    assert [one["class"] for one in found] == [one.class_name for one in expected]
    for one, other in zip(found, expected, strict=True):
        assert one["probability"] == pytest.approx(other.score, abs=1e-4)


def test_no_path_of_this_machine_is_in_it(unzipped, colours, exported):
    source = str(Path(fv.__file__).parent).encode()
    for path in unzipped.iterdir():
        content = path.read_bytes()
        assert str(colours).encode() not in content, path
        assert str(exported).encode() not in content, path
        assert source not in content, path


def test_the_same_inputs_give_the_same_bytes(exported, tmp_path):
    one = pack(fv.Run.open(exported), tmp_path / "a.zip")
    other = pack(fv.Run.open(exported), tmp_path / "b.zip")
    assert one.path.read_bytes() == other.path.read_bytes()


def test_without_an_export_the_command_that_makes_one_is_named(trained, exported, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(trained.path, path)
    assert f"foveate export {path}" in refused("pack", path)
    shutil.rmtree(path)
    shutil.copytree(exported, path)
    (path / "exports.json").write_text("[")
    assert f"foveate export {path}" in refused("pack", path)
    assert not (path / "package.zip").exists()


@pytest.mark.parametrize("harm", ["gone", "changed", "other weights"])
def test_an_export_that_is_not_that_of_the_record_is_left_out(exported, tmp_path, harm):
    path = tmp_path / "run"
    shutil.copytree(exported, path)
    entries = json.loads((path / "exports.json").read_text())
    entries[0]["file"] = str(path / "model.onnx")
    if harm == "gone":
        (path / "model.onnx").unlink()
    elif harm == "changed":
        with (path / "model.onnx").open("ab") as file:
            file.write(b"x")
    else:
        entries[0]["weights"] = "0" * 64
    (path / "exports.json").write_text(json.dumps(entries))
    code, out, err = run_cli("pack", path)
    assert code == 2
    assert "is left out" in out
    assert f"foveate export {path}" in err


def test_a_moved_run_is_packed(exported, tmp_path):
    shutil.copytree(exported, tmp_path / "moved")
    made = pack(fv.Run.open(tmp_path / "moved"))
    assert made.path == tmp_path / "moved" / "package.zip"
    assert "model.onnx" in made.files
    pack(fv.Run.open(tmp_path / "moved"))  # its own is replaced


def test_an_export_of_two_files_is_packed_whole_or_left_out(exported, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(exported, path)
    contents = {"model.xml": b"<net/>", "model.bin": b"weights"}
    for name, content in contents.items():
        (path / name).write_bytes(content)
    (entry,) = json.loads((path / "exports.json").read_text())
    sums = {
        Path(name).suffix: hashlib.sha256(content).hexdigest() for name, content in contents.items()
    }
    pair = {**entry, "file": "model.xml", "format": "openvino", "sha256": sums}
    (path / "exports.json").write_text(json.dumps([entry, pair]))
    assert set(contents) < set(pack(fv.Run.open(path)).files)
    (path / "model.bin").unlink()
    assert not set(contents) & set(pack(fv.Run.open(path)).files)


def test_a_missing_page_is_named(exported, tmp_path):
    shutil.copytree(exported, tmp_path / "run")
    (tmp_path / "run" / "report.html").unlink()
    assert "foveate report" in refused("pack", tmp_path / "run")


def test_it_is_written_whole_or_not_at_all(exported, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(packing.zipfile.ZipFile, "writestr", full)
    with pytest.raises(StorageError):
        pack(fv.Run.open(exported), tmp_path / "package.zip")
    assert not list(tmp_path.iterdir())


def test_a_zip_of_the_user_is_not_replaced(exported, tmp_path):
    mine = tmp_path / "mine.zip"
    with zipfile.ZipFile(mine, "w") as archive:
        archive.writestr("README.md", "mine")
    before = mine.read_bytes()
    assert "holds no package" in refused("pack", exported, "--out", mine, "--overwrite")
    assert mine.read_bytes() == before


def test_paths_of_the_typed_command_are_hidden(exported):
    run = fv.Run.open(exported)
    command = "foveate train data --set weights=/srv/of-me/w.pt --out '/mnt/of me/run'"
    run.settings = run.settings.model_copy(update={"command": command})
    hidden = PrivatePaths.of(run).hide_in_html(command.replace("'", "&#39;"))
    assert "of-me" not in hidden
    assert "of me" not in hidden
    assert hidden.startswith("foveate train data --set weights=w.pt --out ")


def test_only_whole_paths_are_hidden():
    paths = PrivatePaths((("/home/me/da ta", "da ta"), ("/home/me", "~")))
    assert paths.hide("in /home/me/da ta/x and /home/me.") == "in da ta/x and ~."
    kept = "/home/me2 base64,AA/home/me=="
    assert paths.hide(kept) == kept
    assert paths.hide_in_html("audit &#39;/home/me/da ta&#39;") == "audit &#39;da ta&#39;"
