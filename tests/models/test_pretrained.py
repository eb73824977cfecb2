"""Weight files from untrusted sources: read or refused, but never run."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from foveate import models
from foveate.errors import SettingError


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "net.pth"
    torch.manual_seed(0)
    torch.save(torchvision.models.resnet18().state_dict(), path)
    return path


def build(path, name="resnet18"):
    return models.build(name, channels=3, size=67, weights=path)


def test_weights_of_another_net_are_refused_with_the_mismatch(file):
    with pytest.raises(
        SettingError,
        match="not the published weights of resnet34: 80 tensors are missing, 0 are unknown",
    ):
        build(file, "resnet34")
    with pytest.raises(
        SettingError, match=r"of alexnet: 16 tensors are missing.*e\.g\. classifier"
    ):
        build(file, "alexnet")


def test_a_tensor_of_another_shape_is_named(file, tmp_path):
    state = torch.load(file, weights_only=True)
    state["fc.weight"] = state["fc.weight"][:10]
    save_file(state, tmp_path / "ten.safetensors")
    with pytest.raises(SettingError, match=r"1 have another shape, e\.g\. fc\.weight") as refused:
        build(tmp_path / "ten.safetensors")
    assert refused.value.where == tmp_path / "ten.safetensors"


@pytest.mark.parametrize(
    "name", ["cut.pth", "cut.safetensors", "empty.pth", "empty.safetensors", "picture.pt"]
)
def test_damaged_files_are_refused_by_name(file, tmp_path, name):
    path, whole = tmp_path / name, file
    if name == "cut.safetensors":
        whole = tmp_path / "whole.safetensors"
        save_file(torch.load(file, weights_only=True), whole)
    content = {
        "cut": whole.read_bytes()[:100_000],
        "empty": b"",
        "picture": b"\x89PNG\r\n\x1a\n" * 9,
    }
    path.write_bytes(content[path.stem])
    with pytest.raises(SettingError, match=rf"{name}: these weights cannot be read safely \(.+\)"):
        build(path)


def test_files_without_weights_are_refused(tmp_path):
    save_file({}, tmp_path / "none.safetensors")
    torch.save([torch.zeros(3)], tmp_path / "list.pth")
    torch.save({"epoch": 3}, tmp_path / "number.pth")
    (tmp_path / "folder.pth").mkdir()
    for path in tmp_path.iterdir():
        with pytest.raises(SettingError, match=path.name):
            build(path)
    with pytest.raises(SettingError, match=r"gone\.pth: there is no such file"):
        build(tmp_path / "gone.pth")


def test_code_in_a_pickle_is_never_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    for save in (
        lambda path: path.write_bytes(pickle.dumps(Evil())),
        lambda path: torch.save({"a": Evil()}, path),
    ):
        save(tmp_path / "evil.pth")
        with pytest.raises(SettingError, match="cannot be read safely"):
            build(tmp_path / "evil.pth")
    assert not (tmp_path / "ran").exists()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """torch's download cache, empty; a proxy at a dead port blocks the network."""
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    for scheme in ("http", "https"):
        monkeypatch.setenv(f"{scheme}_proxy", "http://127.0.0.1:9")
    (tmp_path / "home/hub/checkpoints").mkdir(parents=True)
    url = torchvision.models.get_model_weights("resnet18").DEFAULT.url
    return tmp_path / "home/hub/checkpoints" / Path(url).name


def test_a_download_uses_torchs_cache(file, cache):
    cache.write_bytes(file.read_bytes())
    downloaded, read = build("download"), build(file)
    assert all(
        torch.equal(a, b) for a, b in zip(downloaded.parameters(), read.parameters(), strict=True)
    )


@pytest.mark.filterwarnings("ignore")  # torch warns of the pickle before it refuses it
def test_a_damaged_or_malicious_cache_file_is_refused_by_name(cache, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    for content in (b"", b"<html>502</html>", pickle.dumps({"a": Evil()})):
        cache.write_bytes(content)
        with pytest.raises(
            SettingError,
            match=f"{cache.name}: the published weights of resnet18 could not be downloaded",
        ):
            build("download")
    assert not (tmp_path / "ran").exists()


@pytest.mark.skipif(sys.platform == "darwin", reason="there the system's proxy settings come first")
def test_without_a_network_a_download_fails_with_a_remedy(cache):
    with pytest.raises(SettingError, match="could not be downloaded") as refused:
        build("download")
    assert "--weights FILE" in refused.value.remedy
    assert cache.name in str(refused.value)
    assert not cache.exists()
