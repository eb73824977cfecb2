"""Machines train on images of which each keeps a share: real processes with their own caches."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import torch

import foveate as fv
from foveate.datasets.load import load
from foveate.formats import webdataset
from foveate.training import checkpoint
from helpers.colour_folder import make_folder
from helpers.http_folder import serving
from helpers.machines import run_machines, start_machines
from helpers.ranks import run_torchrun

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]
SETTINGS = ["--model", "tiny_cnn", "--epochs", "3", "--batch-size", "8", "--seed", "1"]
FEW = 80_000 / 1e9
"""Gigabytes of half of the images, and not of all of them."""


def same_bits(one: Path, two: Path) -> bool:
    first, second = (checkpoint.read(run / "best.safetensors")[0] for run in (one, two))
    return first.keys() == second.keys() and all(
        torch.equal(value, second[name]) for name, value in first.items()
    )


def cached(folder: Path) -> list[Path]:
    return sorted(folder.glob("images/*.images"))


@pytest.fixture(scope="module")
def alone(colours: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two processes of one machine, whose cache holds all images."""
    folder = tmp_path_factory.mktemp("alone")
    done = run_torchrun(2, "train", colours, *SETTINGS, "--out", "run", folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "run"


def test_machines_that_each_keep_a_share_train_test_and_resume_what_one_does(
    alone: Path, colours: Path, tmp_path: Path
) -> None:
    caches = [tmp_path / "one", tmp_path / "two"]
    words = ["train", colours, *SETTINGS, "--out", "run"]
    done = run_machines(caches, *words, folder=tmp_path, cache_gb=FEW)
    assert "each of the 2 machines decodes and keeps a share of the images" in done[0].stdout
    assert "each of" not in done[1].stdout
    assert [len(cached(cache)) for cache in caches] == [1, 1]
    assert same_bits(alone, tmp_path / "run")
    run = fv.Run.open(tmp_path / "run")
    assert run.data["encoding"] == "raw"
    assert run.results["valid"] == fv.Run.open(alone).results["valid"]
    assert (run.path / "report.html").stat().st_size > 100_000

    # Two processes on each machine: one of them reads the file of the other.
    run_machines(caches, "test", "run", folder=tmp_path, cache_gb=FEW, processes=2)
    assert run.results["test"]["accuracy"]["n"] == 9
    images = (run.path / "report.html").read_text().count("data:image/png")
    again = run_machines(caches, "train", "--resume", "run", folder=tmp_path, cache_gb=FEW)
    assert "this run is finished" in again[0].stdout
    assert (run.path / "report.html").read_text().count("data:image/png") == images > 10
    assert [len(cached(cache)) for cache in caches] == [1, 1]


def test_a_machine_that_dies_ends_the_other_and_the_run_goes_on_to_the_same_bits(
    alone: Path, colours: Path, tmp_path: Path
) -> None:
    caches = [tmp_path / "one", tmp_path / "two"]
    words = ["train", colours, *SETTINGS, "--set", "save_seconds=0", "--out", "run"]
    started = start_machines(caches, *words, folder=tmp_path, cache_gb=FEW)
    while not (tmp_path / "run" / "last.safetensors").exists():
        time.sleep(0.02)
        assert started[1].poll() is None, started[0].communicate()[1]
    children = Path(f"/proc/{started[1].pid}/task/{started[1].pid}/children").read_text().split()
    for child in [*map(int, children), started[1].pid]:
        os.kill(child, signal.SIGKILL)
    began = time.monotonic()
    _, errors = started[0].communicate(timeout=120)
    assert time.monotonic() - began < 120
    assert started[0].returncode != 0
    assert "another process of this run has ended" in errors
    for pipe in (started[1].stdout, started[1].stderr):
        pipe.close()
    started[1].wait()
    run_machines(caches, *words, folder=tmp_path, cache_gb=FEW)
    assert same_bits(alone, tmp_path / "run")


class Server(SimpleHTTPRequestHandler):
    """Serves files, and notes who was sent which."""

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers["Range"]))  # type: ignore[attr-defined]
        super().do_GET()

    def log_message(self, *words: Any) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A server of four shards."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    data = make_folder(tmp_path / "colours")
    dataset = load(data)
    for number in range(4):
        part = replace(dataset, samples=dataset.samples[number::4])
        webdataset.write(part, tmp_path / f"{number}")
        (tmp_path / "site").mkdir(exist_ok=True)
        shard, place = next((tmp_path / f"{number}").glob("*.tar")), tmp_path / "site"
        shard.rename(place / f"part-{number}.tar")
        (tmp_path / f"{number}" / "classes.txt").rename(place / "classes.txt")
    with serving(tmp_path / "site", Server) as server:
        server.address = f"{server.site}/part-{{0..3}}.tar"
        yield server


def test_each_machine_fetches_its_own_shards_from_an_address(site: Any, tmp_path: Path) -> None:
    caches = [tmp_path / "one", tmp_path / "two"]
    words = ["train", site.address, *SETTINGS]
    run_machines(caches, *words, "--out", "run", folder=tmp_path, cache_gb=20)
    fetched = [sorted(one.name for one in cache.rglob("*.tar")) for cache in caches]
    assert fetched == [["part-0.tar", "part-1.tar"], ["part-2.tar", "part-3.tar"]]
    assert [len(cached(cache)) for cache in caches] == [1, 1]
    whole = [path for path, part in site.asked if part is None and path.endswith(".tar")]
    assert sorted(whole) == [f"/part-{number}.tar" for number in range(4)]  # each once
    run, one = tmp_path / "run", tmp_path / "alone"
    assert any(part for _, part in site.asked)  # images of the report, of the other machine

    done = run_torchrun(2, "train", site.address, *SETTINGS, "--out", "alone", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert same_bits(one, run)
    images = [(path / "report.html").read_text().count("data:image/png") for path in (one, run)]
    assert images[0] == images[1] > 10
