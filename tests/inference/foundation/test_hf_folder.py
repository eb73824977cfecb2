"""Folders without a readable model: one clear error each, before anything is loaded."""

from __future__ import annotations

import contextlib
import json
import pickle
import shutil
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from foveate import models
from foveate.errors import SettingError
from foveate.inference import foundation
from foveate.models import hf_folder, model_ref, pretrained
from helpers import hostile, tiny_models
from helpers.command_line import refused


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.fixture
def copy(clip, tmp_path):
    shutil.copytree(clip[0], tmp_path / "copy")
    return tmp_path / "copy"


def opened(folder, family="clip"):
    return foundation.open(
        f"{family}:{folder}", classes=["cat", "dog"] if family == "clip" else None
    )


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.ckpt"])
def test_pickled_weights_are_refused_and_never_unpickled(copy, tmp_path, name):
    (copy / "model.safetensors").unlink()
    trap = tmp_path / "sprung"
    (copy / name).write_bytes(pickle.dumps(Trap(trap)))
    with pytest.raises(
        SettingError, match=rf"its weights are in {name}, a file type that can hold code"
    ) as refused_error:
        opened(copy)
    assert "convert the weights" in refused_error.value.remedy
    with pytest.raises(SettingError, match="hold code"):
        hf_folder.weight_files(copy)
    assert not trap.exists()
    pickle.loads(pickle.dumps(Trap(trap)))  # the trap works
    assert trap.exists()


def test_pickles_next_to_safetensors_are_never_read(copy, tmp_path):
    trap = tmp_path / "sprung"
    for name in ("pytorch_model.bin", ".metadata", "adapter_model.bin"):
        (copy / name).write_bytes(pickle.dumps(Trap(trap)))
    (copy / "adapter_config.json").write_text(
        '{"base_model_name_or_path": "/nowhere", "peft_type": "LORA"}'
    )
    opened(copy)
    assert not trap.exists()


def test_a_config_cannot_name_code_weights_or_kernels(copy):
    config = json.loads((copy / "config.json").read_text())
    config |= {
        "auto_map": {"AutoModel": "evil.Model"},
        "transformers_weights": "../other.safetensors",
        "attn_implementation": "somebody/kernel",
        "quantization_config": {"quant_method": "bitsandbytes"},
    }
    (copy / "config.json").write_text(json.dumps(config))
    (copy / "evil.py").write_text("raise SystemExit")
    assert opened(copy).clip.net.config._attn_implementation == "sdpa"


def write_index(folder, name):
    index = json.dumps({"weight_map": {"a": name}})
    (folder / "model.safetensors.index.json").write_text(index)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda at: shutil.rmtree(at), "there is no such folder"),
        (lambda at: (at / "config.json").unlink(), r"holds no such model: it has no config\.json"),
        (
            lambda at: (at / "config.json").write_text("{"),
            r"config\.json: this file is damaged",
        ),
        (
            lambda at: (at / "config.json").write_text("[]"),
            r"config\.json: this file is damaged",
        ),
        (
            lambda at: (at / "config.json").write_text('{"model_type": "bert"}'),
            "type clip is expected, its config.json says 'bert'",
        ),
        (
            lambda at: (at / "model.safetensors").unlink(),
            r"this folder holds no weights: model\.safetensors is missing",
        ),
        (
            lambda at: (at / "model.safetensors").write_bytes(b"\x08"),
            r"model\.safetensors: this file is damaged",
        ),
        (
            lambda at: [(at / f"tokenizer{end}.json").unlink() for end in ("", "_config")],
            r"no tokenizer: neither tokenizer\.json, nor vocab\.json",
        ),
        (
            lambda at: tiny_models.tokenizer(at, words=200),
            "at most 192 tokens is expected, as its net has, got 392",
        ),
        (
            lambda at: (at / "preprocessor_config.json").unlink(),
            "no CLIPImageProcessor can be loaded from this folder",
        ),
        (
            lambda at: write_index(at, "../b.safetensors"),
            "this index names no",
        ),
        (
            lambda at: write_index(at, "b.safetensors"),
            r"b\.safetensors is missing",
        ),
    ],
)
def test_an_incomplete_folder_is_refused(copy, spoil, message):
    spoil(copy)
    with pytest.raises(SettingError, match=message):
        opened(copy)


def test_weights_of_another_net_are_refused(copy):
    state = load_file(copy / "model.safetensors")
    save_file(
        {key: value for key, value in state.items() if "visual_projection" not in key},
        copy / "model.safetensors",
    )
    with pytest.raises(
        SettingError,
        match=r"1 tensors are missing or of another shape, e\.g\. visual_projection\.weight",
    ):
        opened(copy)


def test_a_model_of_another_family_is_refused_with_its_name(clip, sam):
    with pytest.raises(
        SettingError, match=r"type sam2 is expected, its config\.json says 'sam'"
    ) as refused_error:
        opened(sam[0], "sam2")
    assert refused_error.value.remedy == f"Use sam:{sam[0]}."
    with pytest.raises(SettingError, match=r"type sam is expected, its config\.json says 'clip'"):
        opened(clip[0], "sam")


def test_weights_may_be_split_over_several_files(clip, copy):
    state = load_file(copy / "model.safetensors")
    half = len(state) // 2
    names = {
        "model-00001-of-00002.safetensors": list(state)[:half],
        "model-00002-of-00002.safetensors": list(state)[half:],
    }
    for name, keys in names.items():
        save_file({key: state[key] for key in keys}, copy / name)
    index = {"weight_map": {key: name for name, keys in names.items() for key in keys}}
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    (copy / "model.safetensors").unlink()
    image = [tiny_models.colours()]
    torch.testing.assert_close(
        opened(copy).clip.encode_images(image), opened(clip[0]).clip.encode_images(image)
    )


def test_a_model_that_exceeds_the_memory_is_refused_before_loading(clip, monkeypatch):
    monkeypatch.setattr(hf_folder, "available_memory", lambda: 10_000)
    monkeypatch.setattr(hf_folder, "read_tensors", lambda files: pytest.fail("it was loaded"))
    with pytest.raises(
        SettingError,
        match=r"about 0\.0 GB of memory are needed to load 1\d,\d{3} weights, "
        r"0\.0 GB are available",
    ):
        opened(clip[0])


def test_available_memory_is_limited_by_system_and_container(tmp_path):
    path, group = tmp_path / "meminfo", tmp_path / "group"
    path.write_text("MemTotal:  900 kB\nMemAvailable:    512 kB\n")
    assert hf_folder.available_memory(path, group) == 512 * 1024
    group.mkdir()
    (group / "memory.max").write_text("100000\n")
    (group / "memory.current").write_text("60000\n")
    (group / "memory.stat").write_text("anon 50000\ninactive_file 7000\n")
    assert hf_folder.available_memory(path, group) == 47_000
    (group / "memory.max").write_text("max\n")
    assert hf_folder.available_memory(path, group) == 512 * 1024
    path.write_text("nothing of the kind")
    assert hf_folder.available_memory(path, group) is None
    assert hf_folder.available_memory(tmp_path / "missing", group) is None


def test_nothing_is_downloaded_unasked(tmp_path, monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    message = refused(
        "predict", "clip:openai/clip-vit-base-patch32", tmp_path, "--classes", "cat,dog"
    )
    assert "there is no such folder, and no such model was downloaded before" in message
    assert "--download" in message
    assert "there is no such folder" in refused("predict", "sam:./some/where", tmp_path)


def test_only_safetensors_and_tokenizer_files_are_downloaded(clip, monkeypatch):
    import huggingface_hub

    calls = []

    def download(name, *, allow_patterns, local_files_only):
        calls.append((name, local_files_only))
        assert all(one.endswith((".json", ".safetensors", ".txt")) for one in allow_patterns)
        return str(clip[0])

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    ref = model_ref.ModelRef("clip", "some/body")
    assert model_ref.find_folder(ref, download=True) == clip[0]
    assert calls == [("some/body", False)]

    def fails(*_, **__):
        raise OSError("no route")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fails)
    with pytest.raises(SettingError, match=r"could not be downloaded \(no route\)"):
        model_ref.find_folder(ref, download=True)


def test_without_the_libraries_the_message_says_how_to_install_them(clip, vit, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    for call in (lambda: opened(clip[0]), lambda: models.find(f"hf:{vit[0]}")):
        with pytest.raises(
            SettingError, match="needs transformers, which is not installed"
        ) as refused_error:
            call()
        assert refused_error.value.remedy == "pip install 'foveate[foundation]'"


def places(value, start=()):
    """The path of each number in a JSON value."""
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, item in items:
        if isinstance(item, int | float) and type(item) is not bool:
            yield (*start, key)
        yield from places(item, (*start, key))


def use(family, folder):
    if family == "vit":
        return models.build(f"hf:{folder}", channels=3, size=32, weights=folder)
    if family == "diffusion":
        return foundation.open_generator(f"diffusion:{folder}").images(["cat"], steps=1)
    model = opened(folder, family)
    return model.predict(tiny_models.colours()) if family == "clip" else model


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "name"),
    [
        ("vit", "config.json"),
        ("clip", "config.json"),
        ("clip", "preprocessor_config.json"),
        ("clip", "tokenizer_config.json"),
        ("sam", "config.json"),
        ("sam", "preprocessor_config.json"),
        pytest.param("sam2", "config.json", marks=pytest.mark.slow),
        ("sam2", "preprocessor_config.json"),
        ("diffusion", "unet/config.json"),
        ("diffusion", "vae/config.json"),
        ("diffusion", "scheduler/scheduler_config.json"),
        ("diffusion", "text_encoder/config.json"),
        ("diffusion", "tokenizer/tokenizer_config.json"),
    ],
)
@pytest.mark.parametrize("number", [10**7, 999_999, 0, -1, "x", None])
def test_no_number_in_a_description_fills_the_memory(family, name, number, request, tmp_path):
    """Ten million layers, channels, heads or pixels are refused at once, wherever they stand."""
    if family == "diffusion":
        pytest.importorskip("diffusers")
    written = request.getfixturevalue(family)[0]
    folder = tmp_path / "copy"
    shutil.copytree(written, folder)
    whole = json.loads((folder / name).read_text())
    for place in places(whole):
        changed = copy_json(whole)
        holder = changed
        for key in place[:-1]:
            holder = holder[key]
        holder[place[-1]] = number
        (folder / name).write_text(json.dumps(changed))
        with (
            hostile.within(),
            hostile.memory_limit(2_000_000_000),
            contextlib.suppress(SettingError),
        ):
            use(family, folder)


def copy_json(value):
    return json.loads(json.dumps(value))


@pytest.mark.parametrize("damage", hostile.FILES)
def test_a_damaged_file_of_a_folder_is_one_error(damage, copy):
    names = ("config.json", "model.safetensors", "preprocessor_config.json", "tokenizer.json")
    for name in names:
        shutil.copy(copy / name, copy / "whole")
        hostile.FILES[damage](copy / name)
        with hostile.within(), pytest.raises(SettingError):
            opened(copy)
        shutil.rmtree(copy / name) if (copy / name).is_dir() else (copy / name).unlink()
        (copy / "whole").rename(copy / name)
    opened(copy)


@pytest.mark.parametrize("damage", hostile.FILES)
@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_a_damaged_file_of_weights_is_one_error(damage, ending, tmp_path):
    path = tmp_path / f"net.{ending}"
    path.write_bytes(b"x" * 100)
    hostile.FILES[damage](path)
    with hostile.within(), pytest.raises(SettingError, match=f"net.{ending}"):
        pretrained.read(path)


def test_compressed_weights_are_refused(tmp_path):
    torch.save({"a": torch.zeros(1_000_000)}, tmp_path / "whole.pth")
    with (
        zipfile.ZipFile(tmp_path / "whole.pth") as whole,
        zipfile.ZipFile(tmp_path / "small.pth", "w", zipfile.ZIP_DEFLATED) as small,
    ):
        for name in whole.namelist():
            small.writestr(name, whole.read(name))
    assert (tmp_path / "small.pth").stat().st_size < 100_000
    assert pretrained.read(tmp_path / "whole.pth")["a"].shape == (1_000_000,)
    with pytest.raises(SettingError, match="compressed"):
        pretrained.read(tmp_path / "small.pth")
