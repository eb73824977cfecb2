"""What a notebook and a prompt show of a dataset and a run: short, escaped, and never an error."""

from __future__ import annotations

import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

import foveate as fv
from foveate.data.dataset import Skipped
from foveate.experiment.claim import UNFINISHED
from foveate.experiment.trials.tune import Tuning

HOSTILE = "<script>alert(1)</script>\"'&\x1b[2J\n\u202e\udc80" + "x" * 10_000


class Tags(HTMLParser):
    def __init__(self, page: str):
        super().__init__()
        self.found: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        del attrs
        self.found.add(tag)


def check(shown) -> tuple[str, str]:
    text, page = repr(shown), shown._repr_html_()
    assert 1 <= len(text.splitlines()) <= 5
    assert len(text) < 1200
    assert all(line.isprintable() for line in text.splitlines())
    assert Tags(page).found <= {"table", "caption", "tr", "th", "td", "a"}
    assert page.isprintable()
    assert len(page) < 5000
    return text, page


def test_a_dataset_says_what_is_in_it(colours):
    text, page = check(fv.load(colours))
    assert text.splitlines() == [
        "Dataset 'colours' for classification: 60 images",
        "    classes: 3: blue, green, red",
        f"    read from: {colours}",
    ]
    assert "blue, green, red" in page
    many = fv.Dataset("many", "classification", tuple(map(str, range(10_000))), ())
    assert "10,000: 0, 1, 2, 3, 4, 5, 6, 7, ..." in check(many)[0]


def test_an_empty_dataset_has_a_repr():
    text, _ = check(fv.Dataset("", "classification", (), ()))
    assert text == "Dataset '' for classification: 0 images"


def test_hostile_names_in_a_dataset_are_escaped():
    samples = [fv.Sample(HOSTILE, None, split=split) for split in ("train", "valid", "test")]
    data = fv.Dataset(
        HOSTILE, HOSTILE, (HOSTILE,) * 20, samples, (Skipped(HOSTILE, HOSTILE),), Path(HOSTILE)
    )
    check(data)


def test_a_run_says_how_far_it_has_come(trained):
    text, page = check(trained)
    assert "valid accuracy: " in text
    assert "95% confidence interval" in text
    assert "test accuracy: not opened" in text
    assert trained.report_path.as_uri() in page


def test_a_report_beside_the_notebook_is_linked_as_one(trained, tmp_path, monkeypatch):
    """A page from a server may not link to file://."""
    shutil.copytree(trained.path, tmp_path / "a b" / "run")
    monkeypatch.chdir(tmp_path)
    for path in ("a b/run", tmp_path / "a b" / "run"):
        assert 'href="a%20b/run/report.html"' in fv.Run.open(path)._repr_html_()


@pytest.mark.parametrize("damage", ["results.json", "report.html", "unfinished", "gone"])
def test_an_unfinished_or_damaged_run_has_a_repr(damage, trained, tmp_path):
    shutil.copytree(trained.path, path := tmp_path / "<b>'run\"")
    run = fv.Run.open(path)
    expected = "accuracy"
    if damage == "results.json":
        (path / damage).write_text(f"{{{HOSTILE[:-10_010]!r}: [")
        expected = "damaged: "
    elif damage == "report.html":
        (path / damage).unlink()
    elif damage == "unfinished":
        shutil.copy(path / "config.yaml", path / UNFINISHED)
        expected = "go on with: foveate train --resume"
    else:
        shutil.rmtree(path)
        expected = "damaged: "
    text, page = check(run)
    assert expected in text
    assert ("<a " in page) == (damage in ("results.json", "unfinished"))


def test_an_audit_and_a_comparison_are_what_the_commands_print(trained, colours, tmp_path):
    odd = tmp_path / "a\x1b[2J"
    shutil.copytree(trained.path, odd)
    text = repr(fv.compare([trained, odd]))
    assert "valid accuracy" in text
    assert "\x1b" not in text
    audited = fv.audit(colours, progress=False)
    assert repr(audited) == "\n".join(audited.summary())
    assert "60 images of 3 classes" in repr(audited)


def test_an_audit_and_a_comparison_are_tables_in_a_notebook(trained, colours, tmp_path):
    odd = tmp_path / "<script>"
    shutil.copytree(trained.path, odd)
    page = fv.compare([trained, odd])._repr_html_()
    assert "2 runs on the validation split, the best first" in page
    assert "accuracy" in page
    data = shutil.copytree(colours, tmp_path / "<i>")
    (data / "red" / "000.png").write_bytes(b"no image")
    audited = fv.audit(data, progress=False)
    for one in (page, audited._repr_html_()):
        assert Tags(one).found <= {"table", "caption", "tr", "th", "td"}
        assert one.isprintable()
    check_names = [group.check for group in audited.groups]
    assert check_names
    assert all(name in audited._repr_html_() for name in check_names)


def test_a_tuning_is_escaped(tmp_path):
    (path := tmp_path / "<script>").mkdir()
    (path / "report.html").touch()
    check(Tuning(path, {}))
