"""A run whose images exceed the cache records that, and is resumed with the same pixels."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import foveate as fv
from foveate.data.cache import store
from foveate.errors import Interrupted
from helpers.interruption import interrupt_at

COUNT, SIZE = 40, 64
SETTINGS = {"epochs": 2, "batch_size": 8, "size": SIZE, "model": "tiny_cnn"}


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Images of low frequencies in two classes, and a cache that holds them only as JPEG."""
    rng = np.random.default_rng(0)
    for number in range(COUNT):
        small = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        small[..., number % 2] //= 3
        path = tmp_path / "photos" / "ab"[number % 2] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(small).resize((SIZE, SIZE), Image.Resampling.BICUBIC).save(path)
    monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FOVEATE_CACHE_GB", str(COUNT * 3 * SIZE**2 / 1e9))
    return tmp_path / "photos"


def weights(run):
    return (run / "best.safetensors").read_bytes()


@pytest.mark.usefixtures("one_thread")
def test_a_resumed_run_keeps_its_pixels_whatever_the_cache_may_take_by_then(
    photos, tmp_path, monkeypatch
):
    whole = fv.train(photos, out=tmp_path / "whole", **SETTINGS).path
    record = json.loads((whole / "data.json").read_text())
    assert record["encoding"] == "jpeg"
    assert any("JPEG of quality 95" in note for note in record["notes"])
    interrupt_at(monkeypatch, 4)
    with pytest.raises(Interrupted):
        fv.train(photos, out=tmp_path / "parts", **SETTINGS)
    monkeypatch.undo()
    monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path / "other"))  # 20 GB
    fv.resume(tmp_path / "parts")
    assert weights(tmp_path / "parts") == weights(whole)
    (entry,) = store.entries()
    assert entry.path.stem.endswith("jpeg")


@pytest.mark.usefixtures("one_thread")
def test_a_run_on_raw_pixels_stays_so_though_they_exceed_the_cache_by_then(
    photos, tmp_path, monkeypatch
):
    small = {"FOVEATE_CACHE_GB": str(COUNT * 3 * SIZE**2 / 1e9)}
    monkeypatch.delenv("FOVEATE_CACHE_GB")
    run = fv.train(photos, out=tmp_path / "run", **SETTINGS).path
    record = json.loads((run / "data.json").read_text())
    assert (record["encoding"], store.entries()[0].path.stem.endswith("jpeg")) == ("raw", False)
    del record["encoding"]  # as in runs of before
    (run / "data.json").write_text(json.dumps(record))
    expected = json.loads((run / "results.json").read_text())["valid"]
    store.clear()
    monkeypatch.setenv("FOVEATE_CACHE_GB", small["FOVEATE_CACHE_GB"])
    fv.test(fv.Run.open(run))
    assert json.loads((run / "results.json").read_text())["valid"] == expected
    assert store.entries() == []


@pytest.mark.usefixtures("one_thread")
def test_what_is_scored_is_what_predict_gives(photos, tmp_path):
    run = fv.train(photos, out=tmp_path / "run", **SETTINGS)
    run.test()
    ids, stats = run.read_predictions("test")
    found = [run.predict(photos / id) for id in ids]
    classes = run.load()[0].classes
    assert [one.class_name for one in found] == [classes[index] for index in stats["predicted"]]
    confidence = [one.score for one in found]
    assert confidence == pytest.approx(stats["confidence"].tolist(), abs=2e-6)
