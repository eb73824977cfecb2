"""The model card: its YAML, its numbers, its limits, and runs that it refuses."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from typing import Any

import pytest
import yaml

import foveate as fv
from foveate import tasks
from foveate.experiment.shipped import markdown
from foveate.experiment.shipped.card import write_card
from foveate.tasks.catalog import PIPELINE_TAGS
from helpers.command_line import hurry, refused, run_cli

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def tested(trained, tmp_path_factory):
    """A copy of the run whose test split was opened."""
    path = tmp_path_factory.mktemp("tested") / "run"
    shutil.copytree(trained.path, path)
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        fv.test(path)
    return fv.Run.open(path)


def head_of(text: str) -> dict[str, Any]:
    _, head, _ = text.split("---\n", 2)
    return yaml.safe_load(head)


def numbers(head: dict[str, Any], split: str) -> dict[str, float]:
    (found,) = [
        one for one in head["model-index"][0]["results"] if one["dataset"]["split"] == split
    ]
    return {one["type"]: one["value"] for one in found["metrics"]}


def test_the_numbers_of_the_head_are_those_of_the_record(tested, tmp_path):
    head = head_of(write_card(tested, tmp_path / "card.md", license="mit").read_text())
    results = json.loads((tested.path / "results.json").read_text())
    for split, name in (("test", "test"), ("valid", "validation")):
        recorded = {key: one["value"] for key, one in results[split].items()}
        assert numbers(head, name) == {k: v for k, v in recorded.items() if v is not None}
    assert head["license"] == "mit"
    assert head["library_name"] == "foveate"
    assert head["pipeline_tag"] == "image-classification"
    assert head["datasets"] == ["colours"]
    assert head["metrics"] == ["accuracy"]


def test_metrics_stand_beside_the_best_baseline_with_intervals(tested, tmp_path):
    text = write_card(tested, tmp_path / "card.md").read_text()
    results = tested.results
    best, value = results["best_baseline"], results["test"]["accuracy"]
    line = next(line for line in text.splitlines() if line.startswith("| Accuracy |"))
    assert value["value"] == value["high"] == 1.0
    assert f"| 100.0% | at least {value['low']:.1%}, rough interval |" in line
    assert f"{results['baseline']['test'][best]['accuracy']['value']:.1%}" in line
    assert f"baseline: {best}" in text
    assert "never opened" not in text


def test_a_locked_test_split_is_said_to_be_locked(trained, tmp_path):
    text = write_card(trained, tmp_path / "card.md").read_text()
    assert "Test split: never opened" in text
    assert [one["dataset"]["split"] for one in head_of(text)["model-index"][0]["results"]] == [
        "validation"
    ]


def test_it_tells_data_split_training_and_licences(trained, tmp_path):
    text = write_card(trained, tmp_path / "card.md").read_text()
    data = trained.data
    for word in (
        data["fingerprint"], data["split"]["hash"], trained.weights_digest(), "70%, 15%, 15%",
        "random weights", "No licence was chosen", trained.results["hardware"],
        trained.results["versions"]["torch"], "foveate predict RUN",
    ):  # fmt: skip
        assert word in text
    counts = [f"{data['counts'][split][0]}" for split in ("train", "valid", "test")]
    assert f"| blue | {' | '.join(counts)} |" in text


@pytest.mark.parametrize(
    ("weights", "said"),
    [("included", "Apache-2.0"), ("download", "not recorded"), ("/home/me/w.pt", "not recorded")],
)
def test_the_licence_of_the_starting_weights(trained, tmp_path, weights, said):
    run = fv.Run.open(trained.path)
    run.settings = run.settings.model_copy(update={"weights": weights})
    last = write_card(run, tmp_path / "card.md").read_text().split("## Licences")[1]
    assert said in last.replace(" The licence of the data is not recorded.", "")
    assert "/home/me" not in last


def test_black_and_white_of_deep_images_are_told(trained, tmp_path, monkeypatch):
    run = fv.Run.open(trained.path)
    _, net = run.load()
    monkeypatch.setattr(net, "reading", replace(net.reading, black=10.0, white=4000.0))
    text = write_card(run, tmp_path / "card.md").read_text()
    assert "the values from 10 to 4000 are used" in text


def test_no_path_of_this_machine_is_in_it(trained, colours, tmp_path):
    text = write_card(trained, tmp_path / "card.md").read_text()
    assert str(colours) not in text
    assert str(trained.path) not in text


def test_the_same_record_gives_the_same_card_which_it_replaces(trained, tmp_path):
    shutil.copytree(trained.path, tmp_path / "run")
    path = write_card(fv.Run.open(tmp_path / "run"))
    before = path.read_bytes()
    assert write_card(fv.Run.open(tmp_path / "run")).read_bytes() == before


def test_a_file_of_the_user_is_not_replaced(trained, tmp_path):
    mine = tmp_path / "README.md"
    mine.write_text("mine")
    with pytest.raises(fv.FoveateError, match="no model card"):
        write_card(trained, mine, overwrite=True)
    assert mine.read_text() == "mine"
    card = write_card(trained, tmp_path / "card.md")
    with pytest.raises(fv.FoveateError, match="would be overwritten"):
        write_card(trained, card)
    write_card(trained, card, overwrite=True)


def test_an_unfinished_run_is_refused(trained, tmp_path):
    shutil.copytree(trained.path, tmp_path / "run")
    (tmp_path / "run" / ".unfinished.yaml").write_text("format: 2")
    assert "was interrupted before its end" in refused("card", tmp_path / "run")


@pytest.mark.parametrize(
    "name", ["results.json", "data.json", "split.csv", "predictions_valid.csv", "best.safetensors"]
)
@pytest.mark.parametrize("harm", ["gone", "cut"])
def test_a_damaged_run_is_refused(trained, tmp_path, name, harm):
    path = tmp_path / "run" / name
    shutil.copytree(trained.path, tmp_path / "run")
    if harm == "gone":
        path.unlink()
    else:
        os.truncate(path, path.stat().st_size // 2)
    refused("card", tmp_path / "run")
    assert not (tmp_path / "run" / "card.md").exists()


def test_the_command_says_where_it_is(trained, tmp_path):
    code, out, _ = run_cli("card", trained.path, "--out", tmp_path / "card.md")
    assert code == 0
    assert f"card  {tmp_path / 'card.md'}" in out
    assert f"foveate test {trained.path}" in out
    assert "small letters" in refused("card", trained.path, "--license", "MIT\n")


def test_hostile_names_stay_text(trained, tmp_path):
    """Class names with Markdown, HTML, YAML and control characters."""
    hostile = "a|b\n---\n# x <script>alert(1)</script> [l](http://e.org) `c` \x1b[2J: {y}"
    run = fv.Run.open(trained.path)
    data = {**run.data, "name": hostile}
    folder = tmp_path / "run"
    shutil.copytree(trained.path, folder)
    (folder / "data.json").write_text(json.dumps(data))
    text = write_card(fv.Run.open(folder)).read_text()
    head = head_of(text)
    body = text.split("---\n", 2)[2]
    assert head["model-index"][0]["results"][0]["dataset"]["name"].startswith("a|b")
    assert "\x1b" not in text
    assert "<script>" not in body
    assert "http://" not in body
    assert not [line for line in body.splitlines() if line.startswith("# x")]


@pytest.mark.parametrize("text", ["- x", "1. x", "---", "+ x", "2) x"])
def test_a_text_begins_no_list(text):
    assert markdown.escape(text).startswith("&#8203;")


def test_every_task_has_the_tag_of_hubs():
    assert set(PIPELINE_TAGS) == set(tasks.entries())


def test_a_fence_is_longer_than_what_it_holds():
    assert markdown.code(["a ```` b"]).startswith("`````\n")


def test_every_limit_of_the_page_stands_in_the_card_too(trained, tmp_path):
    text = write_card(trained, tmp_path / "card.md").read_text()
    shown = trained.card["limits"]
    assert "still locked" in shown[0]
    for limit in shown:
        assert markdown.escape(limit) in text
    listed = text.split("## Limits")[1].split("\n## ")[0].strip().splitlines()
    assert len(listed) == len(shown)


def test_names_of_images_stand_in_the_card_alone(trained, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(trained.path, folder)
    leak = {"ids": ["train/secret.png", "test/other.png"], "splits": ["train"], "reason": "copies"}
    skipped = [{"id": "secret2.png", "reason": "it is damaged"}]
    data = {**trained.data, "leaks": [leak], "skipped": skipped}
    (folder / "data.json").write_text(json.dumps(data))
    run = fv.Run.open(folder)
    text, shown = write_card(run).read_text(), " ".join(run.card["limits"])
    assert "secret" not in shown
    assert "2 images of several splits are the same" in shown
    assert "1 image could not be used" in shown
    assert "secret" in text
