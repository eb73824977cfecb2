"""Lists, help, the version and misspelt names come at once: none of them imports torch."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

import foveate
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
        ("datsets", 2, "datasets"),
        ("train x --task clasification", 2, "did you mean 'classification'?"),
        ("audit x --task detecton", 2, "did you mean 'detection'?"),
        ("train x --model resnet19", 2, "did you mean 'resnet18' or "),
        ("tune x --set model=tinycnn", 2, "did you mean 'tiny_cnn' or "),
        ("cross-validate x --set bach_size=3", 2, "did you mean 'batch_size' or "),
    ],
)
def test_torch_is_not_imported(words, code, said):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *words.split()], capture_output=True, text=True
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
