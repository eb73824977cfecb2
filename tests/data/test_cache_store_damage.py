"""Damaged or foreign cache files are never used."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foveate.cli.lists import cache_row
from foveate.data.cache import decoding, store
from helpers.cache_files import kept, listed, make_images


def changed(data, place):
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def damaged(path, damage):
    data = path.read_bytes()
    record = data.rindex(b'{"name"')
    path.write_bytes(
        {
            "empty": b"",
            "one byte": data[:1],
            "half": data[: len(data) // 2],
            "last byte": data[:-1],
            "first page": data[4096:],
            "more": data + b"x",
            "zeros": bytes(len(data)),
            "a hash": bytes([data[0] ^ 1]) + data[1:],
            "a statistic": changed(data, 70),
            "the first pixel": changed(data, record - 4 * 4 - 3 * 64 * 64 * 3),
            "the last pixel": changed(data, record - 4 * 4 - 1),
            "a checksum": changed(data, record - 1),
            "the record": data[:record] + data[record:].replace(b'"samples": 3', b'"samples": 9'),
            "the name": data[:record] + data[record:].replace(b'"name": "', b'"name": "x'),
            "a page of pixels": data[: record - 4096] + data[record:],
        }[damage]
    )


@pytest.mark.parametrize(
    "damage",
    [
        "empty", "one byte", "half", "last byte", "first page", "more", "zeros", "a hash",
        "the record", "the name", "a page of pixels", "a statistic", "the first pixel",
        "the last pixel", "a checksum",
    ],
)  # fmt: skip
def test_a_damaged_file_is_removed_and_made_anew(place, tmp_path, damage):
    whole = listed(make_images(tmp_path / "set", size=64))
    first = decoding.decode(whole, 64)
    pixels = np.array(first.pixels)
    (name,) = kept(place)
    damaged(place / name, damage)
    spoilt = (place / name).stat().st_ino, (place / name).read_bytes()
    told = []
    assert np.array_equal(decoding.decode(whole, 64, on_message=told.append).pixels, pixels)
    assert len(told) == 1
    assert told[0].startswith("a damaged cache file was removed, and the images are decoded anew")
    assert str(place / name) in told[0]
    assert kept(place) == [name]
    assert ((place / name).stat().st_ino, (place / name).read_bytes()) != spoilt
    assert len(store.entries()) == 1


def test_a_file_of_other_images_is_not_taken_for_these(place, tmp_path):
    one, other = listed(make_images(tmp_path / "one")), listed(make_images(tmp_path / "other", 4))
    decoding.decode(one, 8)
    (first,) = kept(place)
    decoding.decode(other, 8)
    (second,) = set(kept(place)) - {first}
    (place / first).replace(place / second)
    assert len(decoding.decode(other, 8).hashes) == 4


@settings(
    deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    edits=st.lists(
        st.tuples(
            st.integers(0, 700),
            st.integers(0, 12),
            st.binary(max_size=4)
            | st.sampled_from(
                [b"[" * 5000, b"Infinity", b"null", b"-1", b"{}", b"\xff" * 8, b"1e999"]
            ),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_any_damage_to_the_end_of_a_file_is_a_value_error_or_no_damage(place, tmp_path, edits):
    good = tmp_path / "good"
    if not good.exists():
        decoding.decode(listed(make_images(tmp_path / "set")), 8)
        next(place.iterdir()).replace(good)
    data = good.read_bytes()
    path = place / f"{'0' * 32}-8x0.images"
    begin = data.rindex(b'{"name"') - 20
    end = data[begin:]
    for start, length, piece in edits:
        end = end[:start] + piece + end[start + length :]
    path.write_bytes(data[:begin] + end)
    assert store.open_cached(path, print) is None  # its name is another, if nothing else
    assert not path.exists()
    path.write_bytes(data[:begin] + end)
    (entry,) = store.entries()
    assert entry.shape is None or len(entry.shape) == 4
    assert all(isinstance(word, str) for word in cache_row(entry))
