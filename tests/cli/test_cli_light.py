"""Lists, help, the version and misspelt names come at once: none of them imports torch."""

from __future__ import annotations

import shlex
import subprocess
import sys
from importlib.metadata import version

import pytest

import foveate
from foveate import tasks
from foveate.settings import Settings
from helpers.command_line import refused, run_cli

SCRIPT = """
import sys
from foveate.cli.main import main
sys.argv = ["foveate", *sys.argv[1:]]
try:
    main()
except SystemExit as stop:
    code = stop.code or 0
else:
    code = 0
heavy = {"torch", "sklearn", "matplotlib"} & sys.modules.keys()
print(f"{code} {sorted(heavy)}")
"""


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("--version", 0, version("foveate")),
        ("--help", 0, "tasks"),
        ("tasks", 0, "text_to_image"),
        ("models", 0, "resnet152"),
        ("formats", 0, "coco"),
        ("settings", 0, "batch_size: an integer from 1 up to 1,000,000; default None"),
        ("settings bach-size", 2, "did you mean 'batch_size' or "),
        ("datsets", 2, "datasets"),
        ("train digit", 2, "did you mean 'digits'?"),
        ("audit no/such/folder", 2, "no such path"),
        ("test runs/none", 2, "no such run"),
        ("predict runs/none digits", 2, "no such run"),
        ("export runs/none", 2, "no such run"),
        ("compare runs/none runs/other", 2, "no such run"),
        ("train ''", 2, "a path or the name of a dataset is expected, got nothing"),
        ("train digits --task clasification", 2, "did you mean 'classification'?"),
        ("audit digits --task detecton", 2, "did you mean 'detection'?"),
        ("train digits --model resnet19", 2, "did you mean 'resnet18' or "),
        ("tune digits --set model=tinycnn", 2, "did you mean 'tiny_cnn' or "),
        ("cross-validate digits --set bach_size=3", 2, "did you mean 'batch_size' or "),
    ],
)
def test_torch_is_not_imported(words, code, said):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *shlex.split(words)], capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1:] == [f"{code} []"], done.stderr
    assert said in done.stdout + done.stderr


def test_the_version_is_that_of_the_installed_package():
    assert foveate.__version__ == version("foveate")
    assert run_cli("--version") == (0, f"foveate {foveate.__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (["train", "digits", "--format", "yollo"], "did you mean 'yolo'?"),
        (["convert", "digits", "nowhere", "--format", "cocco"], "did you mean 'coco'?"),
        (["train", "digits", "--resume", "nowhere", "--set", "epoch=2"], "did you mean 'epochs'?"),
    ],
)
def test_a_misspelt_name_is_answered_with_the_nearest(words, near):
    assert near in refused(*words)


def test_every_setting_is_listed_with_its_meaning_in_80_columns():
    code, out, _ = run_cli("settings")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    titles = [line.partition(":")[0] for line in out.splitlines() if line[0].isalpha()]
    assert set(Settings.model_fields) <= set(titles)
    assert all(field.description for field in Settings.model_fields.values())
    assert "lr: a number above 0 and up to 1,000,000,000 or 'find'; default None" in out
    assert run_cli("settings", "batch-size")[1].startswith("batch_size: ")


def test_a_setting_of_one_task_says_so():
    for task in tasks.all().values():
        for name in task.extra_settings:
            assert task.name in (Settings.model_fields[name].description or "")


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("foveate conv", ["convert"]),
        ("foveate train --task det", ["detection"]),
        ("foveate audit --task sem", ["semantic"]),
        ("foveate train --model resnet15", ["resnet152"]),
        ("foveate settings batch", ["batch_size"]),
    ],
)
def test_a_shell_completes_commands_and_names_without_torch(typed, completed, monkeypatch):
    monkeypatch.setenv("_FOVEATE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(typed.count(" ")))
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.stdout.split() == [*completed, "0", "[]"]
