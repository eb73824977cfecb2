"""Published datasets: found where they lie, fetched only if asked; otherwise a helpful error."""

from __future__ import annotations

import gzip
import hashlib
import pickle
import struct
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from sklearn.datasets import load_digits

from foveate.datasets import catalog
from foveate.datasets.load import list_datasets, load
from foveate.errors import DataError

FILES = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing of this machine is seen: neither what its user nor what its system has."""
    monkeypatch.delenv("FOVEATE_DATA", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(catalog, "_SYSTEM", tmp_path / "system")
    return tmp_path / "home" / "foveate"


def lay_idx(folder: Path, zipped: bool = True) -> Path:
    """Twenty images as MNIST is published."""
    folder.mkdir(parents=True)
    for name in FILES:
        values = np.arange(10, dtype=np.uint8)
        shape = (10, 28, 28) if "images" in name else (10,)
        data = struct.pack(f">I{len(shape)}I", 0x800 + len(shape), *shape)
        data += values.tobytes() if len(shape) == 1 else values.repeat(28 * 28).tobytes()
        (folder / f"{name}-ubyte{'.gz' if zipped else ''}").write_bytes(
            gzip.compress(data) if zipped else data
        )
    return folder


def test_digits_are_scikit_learns() -> None:
    data, oracle = load("digits"), load_digits()
    assert len(data) == 1797
    assert data.classes == tuple("0123456789")
    assert (data.name, data.origin, data.hflip_safe) == ("digits", "digits", False)
    images = np.stack([sample.source.read() for sample in data])
    assert images.dtype == np.uint8
    assert images.shape == (1797, 8, 8, 1)
    assert np.abs(images[..., 0] / 255 * 16 - oracle.images).max() < 16 / 255 / 2 + 1e-9
    assert (images.min(), images.max()) == (0, 255)
    assert [sample.target.index for sample in data] == oracle.target.tolist()
    assert len({sample.id for sample in data}) == 1797
    assert {sample.split for sample in data} == {None}


def test_a_path_comes_before_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        (tmp_path / "digits" / name).mkdir(parents=True)
        PIL.Image.new("L", (2, 2)).save(tmp_path / "digits" / name / "1.png")
    monkeypatch.chdir(tmp_path)
    assert load("digits").classes == ("a", "b")


@pytest.mark.parametrize("folder", ["fashion-mnist", "fashion_mnist", "FashionMNIST/raw"])
def test_the_folder_may_be_called_many_ways(tmp_path: Path, folder: str) -> None:
    lay_idx(tmp_path / "root" / folder)
    data = load("fashion-mnist", root=tmp_path / "root")
    assert data.classes[0] == "T-shirt/top"
    assert data.classes[9] == "Ankle boot"
    assert (data.name, data.hflip_safe, data.origin) == (
        "fashion-mnist",
        True,
        tmp_path / "root" / folder,
    )
    again = load(data.origin)
    assert (again.name, again.classes, again.hflip_safe) == (
        data.name,
        data.classes,
        data.hflip_safe,
    )
    assert [sample.id for sample in again] == [sample.id for sample in data]


def test_links_keep_the_name(tmp_path: Path) -> None:
    lay_idx(tmp_path / "store" / "v7")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "mnist").symlink_to(tmp_path / "store" / "v7")
    data = load("mnist", root=tmp_path / "root")
    assert (data.name, data.hflip_safe, data.classes) == ("mnist", False, tuple("0123456789"))
    assert data.origin == tmp_path / "root" / "mnist"


def test_the_order_of_the_places(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOVEATE_DATA", str(tmp_path / "told"))
    expected = [tmp_path / "system", home, tmp_path / "told", tmp_path / "root"]
    for place in expected:  # each in turn hides those before it
        lay_idx(place / "mnist")
        assert load("mnist", root=tmp_path / "root").origin == place / "mnist"


def test_cifar_as_a_folder_per_class(tmp_path: Path) -> None:
    classes = catalog.PUBLISHED["cifar10"].classes
    for name in classes:
        (tmp_path / "cifar10" / "train" / name).mkdir(parents=True)
        PIL.Image.new("RGB", (32, 32)).save(tmp_path / "cifar10" / "train" / name / "1.png")
    data = load("cifar10", root=tmp_path)
    assert (data.classes, data.hflip_safe, data.name) == (classes, True, "cifar10")
    assert load(tmp_path / "cifar10") == data


def test_other_data_in_a_folder_of_that_name_is_left_as_it_is(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "mnist" / name).mkdir(parents=True)
        PIL.Image.new("L", (2, 2)).save(tmp_path / "mnist" / name / "1.png")
    data = load(tmp_path / "mnist")
    assert (data.classes, data.hflip_safe) == (("a", "b"), None)


def refused(name: str, *words: str, root: Path | None = None, download: bool = False) -> None:
    with pytest.raises(DataError) as caught:
        load(name, root=root, download=download)
    for word in words:
        assert word in str(caught.value)


def test_what_is_nowhere(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ways = ("--download", "--root", "FOVEATE_DATA", str(home), str(tmp_path / "system"))
    refused("mnist", "'mnist'", f"into {home}", *ways)
    refused("mnist", f"into {tmp_path / 'root'}", *ways, root=tmp_path / "root")
    monkeypatch.setenv("FOVEATE_DATA", str(tmp_path / "told"))
    refused("mnist", f"into {tmp_path / 'told'}", *ways)
    assert list(tmp_path.iterdir()) == []  # and nothing was made


def test_what_is_packed_or_pickled_is_pointed_at_and_not_opened(tmp_path: Path) -> None:
    (tmp_path / "cifar10.tar.gz").write_bytes(b"x")
    refused("cifar10", f"{tmp_path}/cifar10.tar.gz exists", "tar xf", root=tmp_path)
    (tmp_path / "cifar-10-batches-py").mkdir()
    refused("cifar10", f"{tmp_path}/cifar-10-batches-py exists", "pickle", root=tmp_path)


def test_the_catalogue(tmp_path: Path) -> None:
    lay_idx(tmp_path / "mnist")
    entries = {entry.name: entry for entry in list_datasets(tmp_path)}
    assert list(entries) == [
        "colour-digits",
        "digits",
        "duos",
        "scenes",
        "mnist",
        "fashion-mnist",
        "cifar10",
    ]
    assert entries["digits"].where == "built in"
    assert entries["mnist"].where == tmp_path / "mnist"
    assert entries["cifar10"].where is None
    for entry in entries.values():
        assert ("captions" if entry.name == "duos" else "10 classes") in entry.summary


# --- torchvision finds the files in place, so these tests need no network


@pytest.mark.parametrize(
    ("name", "folder"), [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST")]
)
def test_torchvision_puts_idx_files_where_we_look(tmp_path: Path, name: str, folder: str) -> None:
    lay_idx(tmp_path / folder / "raw", zipped=False)
    assert catalog.PUBLISHED[name].fetch(tmp_path) == tmp_path / folder / "raw"
    assert load(name, root=tmp_path).origin == tmp_path / folder / "raw"


@pytest.fixture
def batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """A CIFAR-10 of 24 images in the published layout; torchvision gets its checksums."""
    from torchvision.datasets import CIFAR10

    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (24, 3072), np.uint8)

    def put(name: str, content: object) -> str:
        (folder / name).write_bytes(pickle.dumps(content))
        return hashlib.md5((folder / name).read_bytes()).hexdigest()

    sums = []
    for number, name in enumerate([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]):
        labels = [(number * 4 + index) % 10 for index in range(4)]
        sums.append(
            [name, put(name, {"data": pixels[number * 4 : number * 4 + 4], "labels": labels})]
        )
    label_names = list(catalog.PUBLISHED["cifar10"].classes)
    monkeypatch.setattr(CIFAR10, "train_list", sums[:5])
    monkeypatch.setattr(CIFAR10, "test_list", sums[5:])
    monkeypatch.setattr(
        CIFAR10, "meta", {**CIFAR10.meta, "md5": put("batches.meta", {"label_names": label_names})}
    )
    return pixels.reshape(24, 3, 32, 32).transpose(0, 2, 3, 1)


@pytest.mark.filterwarnings("ignore:dtype\\(\\).*align:DeprecationWarning")
def test_torchvisions_cifar_becomes_idx(tmp_path: Path, batches: np.ndarray) -> None:
    refused("cifar10", "pickle", root=tmp_path)  # unasked, nothing is unpickled
    data = load("cifar10", root=tmp_path, download=True)
    assert data.origin == tmp_path / "cifar10"
    assert (data.name, data.hflip_safe, data.classes) == (
        "cifar10",
        True,
        catalog.PUBLISHED["cifar10"].classes,
    )
    assert [sample.split for sample in data] == ["train"] * 20 + ["test"] * 4
    assert [sample.target.index for sample in data] == [index % 10 for index in range(24)]
    for sample, pixels in zip(data, batches, strict=True):
        assert np.array_equal(sample.source.read(), pixels)
    again = load("cifar10", root=tmp_path)  # from now on without a download, and without pickle
    assert again.origin == data.origin
    assert load(data.origin).classes == data.classes


def test_a_download_that_fails_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import MNIST

    monkeypatch.setattr(MNIST, "mirrors", [(tmp_path / "nowhere").as_uri() + "/"])
    refused(
        "mnist",
        "could not be fetched",
        str(tmp_path / "target"),
        root=tmp_path / "target",
        download=True,
    )
    (tmp_path / "file").write_text("")
    refused("mnist", "could not be fetched", root=tmp_path / "file" / "below", download=True)
