"""Settings are finite and bounded, and say so; a config.yaml of another format is refused."""

from __future__ import annotations

import math
import re
from typing import Any, get_args

import pytest

from foveate.errors import RunError, SettingError
from foveate.settings import FORMAT, Settings


def numeric(annotation: Any) -> bool:
    """Whether a number is among the values of this type."""
    return annotation in (int, float) or any(map(numeric, get_args(annotation)))


NUMERIC = [
    name
    for name, field in Settings.model_fields.items()
    if name != "format" and numeric(field.annotation)
]
SHAPES = {
    "class_weights": lambda number: [1.0, number],
    "fractions": lambda number: [number, 0.5, 0.5],
    "progress_segments": lambda number: [(0, 0.0, number)],
}
SIGNED = {"black", "white"}  # e.g. Hounsfield units


def test_the_numeric_settings_are_known():
    assert {"lr", "epochs", "minutes", "accumulate", "seed", *SHAPES} <= set(NUMERIC)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 1e308, -1e308, -1, 10**30])
@pytest.mark.parametrize("name", NUMERIC)
def test_a_number_out_of_range_is_refused_with_the_range(name, number):
    value = SHAPES.get(name, lambda number: number)(number)
    if name in SIGNED and number == -1:
        assert getattr(Settings.of(**{name: value}), name) == -1
        return
    with pytest.raises(SettingError) as refused:
        Settings.of(**{name: value})
    assert refused.value.message.startswith(f"{name}: ")
    assert re.search(r"(above|from) -?\d.*(up to|below|to) [\d,]+", refused.value.message)


@pytest.mark.parametrize(
    "segments",
    [
        [],
        [(1, 0.0, 10)],
        [(0, 0.5, 10)],
        [(0, 0.0, 10), (0, 0.5, 20)],
        [(0, 0.0, 10), (5, 1.5, 20)],
        [(0, 0.0, 10), (5, 0.5, 4)],
        [(0, 0.0, 10**10)],
    ],
    ids=str,
)
def test_segments_that_make_no_schedule_are_refused(segments):
    with pytest.raises(SettingError, match="progress_segments: a list of"):
        Settings.of(progress_segments=segments)


@pytest.mark.parametrize("segments", [[(0, 0.0, 1)], [(0, 0.0, 10**9), (8, 0.1, 8)]], ids=str)
def test_segments_of_real_runs_are_taken(segments):
    assert Settings.of(progress_segments=segments).progress_segments == segments


def test_settings_survive_their_file(tmp_path):
    settings = Settings.of(lr=0.1, class_weights=[1, 2], progress_segments=[(0, 0.0, 5)])
    settings.save(tmp_path / "config.yaml")
    assert Settings.load(tmp_path / "config.yaml") == settings


@pytest.mark.parametrize("version", [0, 1, FORMAT + 1])
def test_a_run_of_another_format_is_refused_with_what_to_do(version, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(f"format: {version}\nhalf: true\n")
    with pytest.raises(
        RunError, match=f"format {version}; this foveate reads format {FORMAT}"
    ) as refused:
        Settings.load(path)
    assert ("train again" if version < FORMAT else "Upgrade") in refused.value.remedy
