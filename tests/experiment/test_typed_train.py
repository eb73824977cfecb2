"""The keywords of the functions that train are the settings: same names, types, defaults."""

from __future__ import annotations

import inspect
import re
import typing

import pytest

import foveate as fv
from foveate import tasks
from foveate.errors import SettingError
from foveate.experiment.typed_train import DEFAULT
from foveate.settings import Settings

RECORDED = {"format", "data", "model_reason", "command"}
"""Settings that foveate writes itself, and the positional `data`."""
OWN = {"data", "out", "download", "progress", "reporter", "unknown"}
NAMES = [name for name in Settings.model_fields if name not in RECORDED]
PARAMETERS = inspect.signature(fv.train).parameters
DIFFER = {name for task in tasks.all().values() for name in task.default_settings} - {"model"}
"""Settings whose default depends on the task."""


def test_the_keywords_are_the_settings():
    assert PARAMETERS.keys() - OWN == set(NAMES)
    assert all(PARAMETERS[name].kind is inspect.Parameter.KEYWORD_ONLY for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_type_default_and_description_are_those_of_the_setting(name):
    expected, default = typing.get_type_hints(Settings)[name], Settings.model_fields[name].default
    description = " ".join((Settings.model_fields[name].description or "").split())
    if name in DIFFER:
        default = DEFAULT
    if name == "task":  # its default is what the data fits
        expected, default = str | None, None
        description = "A name that `foveate tasks` lists; None: what the data fits."
    assert typing.get_type_hints(fv.train)[name] == expected
    assert PARAMETERS[name].default == default
    documented = " ".join((fv.train.__doc__ or "").split())
    assert re.search(rf"\b{name}: {re.escape(description)}", documented)


@pytest.mark.parametrize(
    ("function", "own"),
    [
        (fv.cross_validate, set()),
        (fv.train_seeds, set()),
        (fv.tune, {"minutes"}),
        (fv.resume, set()),
    ],
)
def test_other_functions_take_the_settings_with_their_types(function, own):
    (keywords,) = typing.get_args(typing.get_type_hints(function)["settings"])
    typed = typing.get_type_hints(fv.train)
    assert typing.get_type_hints(keywords) == {name: typed[name] for name in set(NAMES) - own}
    assert own <= inspect.signature(function).parameters.keys()


def test_defaults_that_are_given_change_nothing(colours, tmp_path):
    """A setting at its default is not taken for a choice against the task's own default."""
    every = {name: one.default for name, one in PARAMETERS.items() if name in NAMES}
    few = {"epochs": 1, "size": 16, "device": "cpu", "progress": False}
    plain = fv.train(colours, out=tmp_path / "plain", **few)
    given = fv.train(colours, out=tmp_path / "given", **{**every, **few})
    assert given.settings == plain.settings
    assert given.weights_digest() == plain.weights_digest()


@pytest.mark.parametrize("name", ["epoch", "learning_rate", "Size"])
def test_an_unknown_keyword_is_refused_with_the_nearest(name, colours):
    with pytest.raises(SettingError, match=f"there is no setting {name!r}") as caught:
        fv.train(colours, **{name: 1})
    assert "epochs" in str(caught.value)


@pytest.mark.parametrize("name", sorted(RECORDED - {"data"}))
def test_what_foveate_records_cannot_be_given(name, colours):
    with pytest.raises(SettingError, match=f"{name}: it is recorded by foveate"):
        fv.train(colours, **{name: 2})


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import foveate as fv\nfv.", {"train", "load", "predict", "audit", "compare", "Run"}),
        ("import foveate as fv\nfv.train(data, ", {"minutes=", "model=", "task=", "progress="}),
        ("import foveate as fv\nfv.train(data).", {"predict", "test", "plot_curves", "results"}),
    ],
    ids=["names", "keywords", "run"],
)
def test_an_editor_completes(code, expected):
    jedi = pytest.importorskip("jedi")
    completions = {one.name_with_symbols for one in jedi.Script(code).complete()}
    assert expected <= completions
    assert not completions & {"Any", "ModuleType", "TYPE_CHECKING", "sys"}


def test_a_notebook_completes_the_public_names_alone():
    jedi = pytest.importorskip("jedi")
    completions = {one.name for one in jedi.Interpreter("fv.", [{"fv": fv}]).complete()}
    assert completions == {*fv.__all__, "__version__"} == set(dir(fv))


def test_help_shows_what_the_defaults_are():
    assert "ema: 'float | None' = <the task's default>" in str(inspect.signature(fv.train))


def test_the_version_is_that_of_the_package():
    assert re.fullmatch(r"\d+\.\d+.*", fv.__version__)
    assert "__version__" in dir(fv)
