"""An audit by several processes gives the files of one, and none of them is waited for in vain."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import foveate as fv
from foveate import processes
from foveate.experiment import audit, shares
from foveate.models import PROBE
from foveate.training import checkpoint
from helpers.ranks import on_ranks, torchrun

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def textures(tmp_path_factory) -> Path:
    """200 images of two classes, one of them grey and one unreadable: 4 chunks."""
    folder, rng = tmp_path_factory.mktemp("textures") / "data", np.random.default_rng(0)
    for number in range(200):
        blocks = rng.integers(0, 150 + 100 * (number % 2), (5, 5, 3)).astype(np.uint8)
        place = folder / "ab"[number % 2] / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        image = PIL.Image.fromarray(blocks).resize((24, 24), 3)
        (image.convert("L") if number == 130 else image).save(place)
    (folder / "a" / "7.png").write_bytes(b"no image")
    return folder


def audited(data: Path, cache: Path, deep: bool, damage: str = "") -> dict[str, bytes]:
    """The record, the page and the cache files of an audit that the connected ranks share."""
    os.environ["FOVEATE_CACHE"] = str(cache)
    shares.MIN_IMAGES = 32
    if damage and processes.rank():
        sizes = shares.file_sizes
        shares.file_sizes = lambda sources: [size + 1 for size in sizes(sources)]
    with audit.led() as leads:
        if not leads:
            return {}
        result = audit.audit(data, deep=deep)
    cache.mkdir(exist_ok=True)
    result.write_page(cache / "page.html")
    result.write_json(cache / "record.json")
    files = sorted(path for path in cache.rglob("*") if path.suffix not in ("", ".lock"))
    return {str(path.relative_to(cache)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def alone(textures, tmp_path_factory) -> dict[bool, dict[str, bytes]]:
    """What one process finds, by whether the audit is deep."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEATE_CACHE", "")
        patch.setattr(shares, "MIN_IMAGES", 32)
        return {
            deep: audited(textures, tmp_path_factory.mktemp("alone") / "cache", deep)
            for deep in (False, True)
        }


@pytest.mark.slow
@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_the_files_are_those_of_one_process(alone, textures, tmp_path, deep, ranks):
    shared = on_ranks(ranks, audited, textures, tmp_path / "cache", deep)[0]
    assert [name.split("/")[0] for name in alone[True]] == [
        "features", "images", "page.html", "record.json",
    ]  # fmt: skip
    assert shared == alone[deep]


@pytest.mark.slow
def test_rank_0_reads_what_another_machine_has_otherwise(alone, textures, tmp_path):
    assert on_ranks(2, audited, textures, tmp_path / "cache", False, "sizes")[0] == alone[False]


@pytest.mark.slow
def test_training_data_is_decoded_together(colours, tmp_path):
    def trained(name: str, command: list[str]) -> dict[str, bytes]:
        words = ["train", str(colours), "--model", "tiny_cnn", "--epochs", "1", "--out", name]
        cache = tmp_path / f"cache-{name}"
        done = subprocess.run(
            [*command, *words], cwd=tmp_path, capture_output=True, text=True, timeout=300,
            env={**os.environ, "OMP_NUM_THREADS": "1", "FOVEATE_CACHE": str(cache)}, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return {path.name: path.read_bytes() for path in cache.rglob("*.[in][mp]*")}

    one = trained("one", [sys.executable, "-m", "foveate"])
    two = trained("two", torchrun(2))
    assert one == two
    assert {name.rpartition(".")[2] for name in one} == {"images", "npy"}


def probed(data: Path, folder: Path) -> tuple[dict[str, bytes], dict[str, list]]:
    """The features that a linear probe is trained on, and its weights."""
    os.environ["FOVEATE_CACHE"] = str(folder / "cache")
    shares.MIN_IMAGES = 32
    run = fv.train(data, model=PROBE, out=folder / "run", seed=1)
    features = {path.name: path.read_bytes() for path in (folder / "cache/features").glob("*.npy")}
    weights = checkpoint.read(run.weights)[0]
    return features, {name: value.tolist() for name, value in weights.items() if "2.3" in name}


@pytest.mark.slow
def test_a_probe_is_trained_on_features_that_are_computed_together(textures, tmp_path, monkeypatch):
    monkeypatch.setenv("FOVEATE_CACHE", "")
    monkeypatch.setattr(shares, "MIN_IMAGES", 32)
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one = probed(textures, tmp_path / "one")
    assert len(one[0]) == 2  # train and validation images
    assert one[1]
    assert on_ranks(2, probed, textures, tmp_path / "two") == [one, one]


@pytest.mark.slow
@pytest.mark.parametrize("killed", ["0", "1"])
def test_a_rank_that_is_killed_ends_the_others_and_the_next_start_goes_on(
    textures, alone, tmp_path, killed
):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(f"""
            import os, signal
            from foveate.data.cache import workers
            original = workers.read_chunks
            def read_chunks(chunks, spec, count):
                for number, chunk in enumerate(original(chunks, spec, count)):
                    if (os.environ["RANK"], number) == ("{killed}", 1):
                        os.kill(os.getpid(), signal.SIGKILL)
                    yield chunk
            workers.read_chunks = read_chunks
            from foveate.cli.main import main
            main()
        """)
    )
    cache, words = tmp_path / "cache", ["audit", str(textures), "--json", "record.json"]
    begun = time.monotonic()
    env = {**os.environ, "OMP_NUM_THREADS": "1", "FOVEATE_CACHE": str(cache)}
    done = subprocess.run(
        [*torchrun(2)[:-2], str(script), *words], cwd=tmp_path, capture_output=True, text=True,
        timeout=120, env=env, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert time.monotonic() - begun < 60
    if killed == "1":  # torchrun ends the others itself, if it comes first
        messages = ("another process of this run has ended", "closing signal SIGTERM")
        assert any(one in done.stderr for one in messages)
    assert not (tmp_path / "record.json").exists()
    assert not list(cache.rglob("*.images"))
    again = subprocess.run(
        [*torchrun(2), *words], cwd=tmp_path, capture_output=True, text=True,
        timeout=120, env=env, check=False,
    )  # fmt: skip
    assert again.stdout.count("in 200 images") + again.stdout.count("in 199 images") == 1
    assert (tmp_path / "record.json").read_bytes() == alone[False]["record.json"]
