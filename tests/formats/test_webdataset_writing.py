"""Written shards can be read by others, lose nothing, or are not written at all."""

from __future__ import annotations

import os
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from foveate.annotations import Boxes, Captions, Label
from foveate.data.dataset import ArraySource, Dataset, Sample
from foveate.data.images import FileSource
from foveate.errors import BadImage, DataError
from foveate.formats import webdataset
from helpers.tars import IMAGE, TWO, ids, read, tar


def made(
    task: str, targets: list[Any], classes: tuple[str, ...] = (), **given: Any
) -> Dataset[Any]:
    pixels = np.arange(len(targets) * 12, dtype=np.uint8).reshape(-1, 3, 4, 1)
    samples = [
        Sample(f"s{i:04}", ArraySource(pixels, i), target) for i, target in enumerate(targets)
    ]
    return Dataset("made", task, classes, samples, **given)


def test_the_standard_library_reads_written_shards(tmp_path: Path) -> None:
    labels = made("classification", [Label(i % 2) for i in range(3)], ("b", "a"))
    samples = [
        replace(s, split=split) for s, split in zip(labels, ("test", None, "test"), strict=True)
    ]
    webdataset.write(replace(labels, samples=samples), tmp_path / "copy")
    assert sorted(file.name for file in (tmp_path / "copy").iterdir()) == [
        "classes.txt",
        "data-000000.tar",
        "test-000000.tar",
    ]
    assert (tmp_path / "copy/classes.txt").read_text() == "b\na\n"
    with tarfile.open(tmp_path / "copy/test-000000.tar") as archive:
        assert archive.getnames() == ["s0000.png", "s0000.cls", "s0002.png", "s0002.cls"]
        member = archive.extractfile("s0002.png")
        assert member is not None
        assert np.array_equal(
            np.asarray(PIL.Image.open(member))[..., None], labels[2].source.read()
        )
        annotation = archive.extractfile("s0002.cls")
        assert annotation is not None
        assert annotation.read() == b"0"
        assert all(
            (info.mtime, info.uid, info.uname, info.mode) == (0, 0, "", 0o644) for info in archive
        )


def test_a_thousand_samples_go_into_a_shard(tmp_path: Path) -> None:
    webdataset.write(
        made("text_to_image", [Captions((str(i),)) for i in range(1001)]), tmp_path / "copy"
    )
    shards = sorted((tmp_path / "copy").iterdir())
    assert [shard.name for shard in shards] == ["data-000000.tar", "data-000001.tar"]
    assert [len(read(shard)) for shard in shards] == [1000, 1]
    data = read(tmp_path / "copy")
    assert [sample.target.texts for sample in data] == [(str(i),) for i in range(1001)]


def test_images_are_packed_unchanged(tmp_path: Path) -> None:
    (tmp_path / "f.jpg").write_bytes(IMAGE)  # a PNG with another suffix
    (tmp_path / "f.bmp").write_bytes(b"damaged")
    first = tar(tmp_path / "one.tar", {"a.TIF": b"damaged", "a.txt": "x"})
    samples = [
        *read(first),
        *(
            Sample(f"f{i}", FileSource(tmp_path / f"f.{end}"), Captions(("y",)))
            for i, end in enumerate(("jpg", "bmp"))
        ),
    ]
    webdataset.write(Dataset("x", "text_to_image", (), samples), tmp_path / "copy")
    copy = {sample.source.member.name: sample.source.data() for sample in read(tmp_path / "copy")}
    assert copy == {"a.TIF": b"damaged", "f0.jpg": IMAGE, "f1.bmp": b"damaged"}


def test_a_shard_that_is_cut_while_it_is_copied_leaves_nothing(tmp_path: Path) -> None:
    data = read(tar(tmp_path / "one.tar", TWO))
    os.truncate(tmp_path / "one.tar", 2000)
    with pytest.raises(BadImage, match="cut short"):
        webdataset.write(data, tmp_path / "copy")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["one.tar"]


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        (
            replace(
                made(
                    "classification",
                    [Label(0, np.array([1.0]))],
                    ("a", "a", "b\nc", "\ud800"),
                    colours=((0, 0, 0),) * 4,
                ),
                samples=[
                    Sample(
                        "s",
                        ArraySource(np.zeros((1, 3, 4, 5), np.uint8), 0),
                        Label(0, np.array([1.0])),
                        "g",
                        None,
                        "t",
                    )
                ],
            ),
            [
                "1 sample with a group (such as 's')",
                "1 sample with a time",
                "1 sample with scores",
                "the colours of the classes",
                "two classes with the name 'a'",
                "the class name 'b\\nc'",
                "the class name '\\ud800', which is not UTF-8",
                "1 sample with an image that is neither grey nor RGB",
            ],
        ),
        (
            made("text_to_image", [Captions(("\ud800",)), Captions(("x",))]),
            ["1 sample with text that is not valid Unicode"],
        ),
        (
            made("detection", [Boxes(np.array([[1, 2, 3, 2e9]]), np.array([0]))], ("a",)),
            ["beyond 1,000,000,000"],
        ),
        (
            made("detection", [Boxes(np.zeros((0, 4)), np.zeros(0, int), size=(0, 4))], ("a",)),
            ["beyond 1,000,000,000"],
        ),
        (
            made("semantic", [None], ("a",)),
            ["annotations for semantic (it stores those for classification and"],
        ),
        (
            made("classification", [None, Label(0)], ("a",)),
            ["1 sample without an annotation (such as 's0000')"],
        ),
    ],
)
def test_unsupported_content_is_named(
    tmp_path: Path, dataset: Dataset[Any], words: list[str]
) -> None:
    with pytest.raises(DataError) as caught:
        webdataset.write(dataset, tmp_path / "copy")
    for word in words:
        assert word in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_odd_ids_become_other_names(tmp_path: Path) -> None:
    odd = [
        "../up",
        "/root",
        "a.b.png",
        "a/b",
        ".hidden",
        "x\0y",
        "ü" * 200,
        "\ud800",
        "A.B.png",
        "line\nbreak",
        "",
    ]
    one = made("text_to_image", [Captions((str(i),)) for i in range(len(odd))])
    webdataset.write(
        replace(one, samples=[replace(s, id=i) for s, i in zip(one, odd, strict=True)]),
        tmp_path / "copy",
    )
    data = read(tmp_path / "copy")
    assert sorted(int(sample.target.texts[0]) for sample in data) == list(range(len(odd)))
    assert len(set(ids(data))) == len(odd)
    assert (data.skipped, data.notes) == ((), ())
