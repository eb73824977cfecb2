"""Several processes predict and label what one does: the same files, each image once."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import textwrap
from pathlib import Path

import cv2
import numpy as np
import pytest

from foveate.cli.main import main
from helpers.ranks import run_torchrun, torchrun

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


@pytest.fixture
def images(colours: Path, tmp_path: Path) -> Path:
    """Images, two of them with one stem, two damaged."""
    folder = tmp_path / "images"
    for name in ("red", "green"):
        shutil.copytree(colours / name, folder / name)
    for number in (3, 4):
        (folder / "red" / f"00{number}.png").write_bytes(b"no image")
    return folder


def alone(monkeypatch: pytest.MonkeyPatch, *words: str | Path) -> None:
    monkeypatch.setattr("sys.argv", ["foveate", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0


def test_predictions_are_those_of_one_process(trained, images, tmp_path, monkeypatch):
    film(images / "film.mp4")
    one, several = (
        ["--json", tmp_path / f"{n}.json", "--csv", tmp_path / f"{n}.csv", "--draw", tmp_path / n]
        for n in "ab"
    )
    alone(monkeypatch, "predict", trained.path, images, *one)
    done = run_torchrun(3, "predict", trained.path, images, *several, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "44 predictions, 2 skipped" in done.stdout
    assert done.stdout.count("skipped " + str(images)) == 2
    first, second = (json.loads((tmp_path / f"{n}.json").read_text()) for n in "ab")
    assert [row["path"] for row in first["predictions"]] == [
        row["path"] for row in second["predictions"]
    ]
    assert first["skipped"] == second["skipped"]
    for mine, other in zip(first["predictions"], second["predictions"], strict=True):
        assert mine["class"] == other["class"]
        assert mine["probability"] == pytest.approx(other["probability"], abs=2e-6)
    drawn = [{path.name: path.read_bytes() for path in (tmp_path / n).iterdir()} for n in "ab"]
    assert drawn[0] == drawn[1]
    assert "film.mp4" in drawn[0]
    tables = [(tmp_path / f"{n}.csv").read_text().splitlines() for n in "ab"]
    assert len(tables[0]) == 45
    assert [row.split(",")[:3] for row in tables[0]] == [row.split(",")[:3] for row in tables[1]]
    assert not list(tmp_path.glob("*.partial*"))


def film(path: Path) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 7, (48, 48))
    for number in range(6):
        writer.write(np.full((48, 48, 3), 20 * number, np.uint8))
    writer.release()


def test_labels_are_those_of_one_process(trained, images, tmp_path, monkeypatch):
    alone(monkeypatch, "label", images, "--with", trained.path, "--out", tmp_path / "one")
    done = run_torchrun(
        2, "label", images, "--with", trained.path, "--out", tmp_path / "two", folder=tmp_path
    )
    assert done.returncode == 0, done.stderr
    one, two = (
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file()
        }
        for name in ("one", "two")
    )
    assert one == two
    assert not list(tmp_path.glob("*.partial*"))


def test_a_killed_command_goes_on_with_the_same_number_of_processes(trained, images, tmp_path):
    out = tmp_path / "found.json"
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import os, signal
            from foveate.inference.journal import Journal

            original = Journal.add
            def add(self, place, name, record):
                original(self, place, name, record)
                if place == 13:
                    os.kill(os.getpid(), signal.SIGKILL)
            Journal.add = add
            from foveate.cli.main import main
            main()
            """
        )
    )
    words = ["predict", str(trained.path), str(images), "--json", str(out)]
    killed = subprocess.run(
        [*torchrun(2)[:-2], str(script), *words],
        cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert killed.returncode != 0
    assert re.search(r"exitcode\s*: -9", killed.stderr)
    assert not out.exists()
    other = run_torchrun(1, *words, folder=tmp_path)
    assert "unfinished predictions of another command" in other.stderr
    done = run_torchrun(2, *words, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    paths = [row["path"] for row in json.loads(out.read_text())["predictions"]]
    assert len(paths) == len(set(paths)) == 38


def test_several_processes_need_an_output(trained, images, tmp_path):
    done = run_torchrun(2, "predict", trained.path, images, folder=tmp_path)
    assert done.returncode != 0
    assert "no output is named" in done.stderr
