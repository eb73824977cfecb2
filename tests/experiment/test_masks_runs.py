"""Masks from a folder to a tested run, as a user types it: classes of pixels, and things told apart. Two trained runs serve all."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

import foveate as fv
from foveate.annotations import Instances
from foveate.data.images import decode
from foveate.data.load import load
from helpers import masks_demo
from helpers.command_line import hurry, refused, run_cli

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # pycocotools' own
]


def trained_and_tested(data: Path, out: Path, *words: object) -> Path:
    """A run that is trained and tested; not to be changed."""
    words = ("--model", "quick", "--size", 32, "--batch-size", 8, *words)
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        for line in (("train", data, *words, "--out", out), ("test", out)):
            code, said, err = run_cli(*line)
            assert code == 0, err
            assert str(out / "report.html") in said
    return out


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("masks")


@pytest.fixture(scope="module")
def classes(place: Path) -> Path:
    """A run of `semantic`, on label pictures with a palette with holes."""
    return trained_and_tested(
        masks_demo.write_pairs(place / "pairs", 20, shapes=masks_demo.SQUARE), place / "classes", "--epochs", 3
    )


@pytest.fixture(scope="module")
def things(place: Path) -> Path:
    """A run of `instance`, on outlines of two classes that overlap."""
    data = masks_demo.write_coco(place / "coco", 40, shapes=masks_demo.SQUARE)
    return trained_and_tested(data, place / "things", "--epochs", 12)


@pytest.fixture(scope="module")
def pictures(place: Path) -> list[Path]:
    """Of several sizes and aspects, with things in them."""
    folder = place / "pictures"
    folder.mkdir()
    for row, (pixels, _) in enumerate(masks_demo.made(6, seed=5, shapes=((48, 48), (45, 61), (64, 40)))):
        Image.fromarray(pixels).save(folder / f"{row}.png")
    Image.fromarray(np.zeros((3, 200, 3), np.uint8)).save(folder / "a strip.png")
    return sorted(folder.glob("*.png"))


def answered(run: Path, pictures: list[Path], tile: int | None = None) -> list:
    """What of an answer is shown, from Python."""
    opened = fv.Run.open(run)
    task, _ = opened.load()
    return [task.shown(answer) for answer in opened.answer([decode(path) for path in pictures], tile)]


# --- train, test, report ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "primary"), [("classes", "miou"), ("things", "map50")])
def test_results_have_figures_with_intervals_and_lifts_over_baselines(name, primary, request):
    run = request.getfixturevalue(name)
    results = json.loads((run / "results.json").read_text())
    assert results["primary"] == primary
    for part in ("valid", "test"):
        assert results["best_baseline"] in results["baseline"][part]
        for figures in (results[part], *results["baseline"][part].values()):
            assert 0 <= figures[primary]["low"] <= figures[primary]["value"] <= figures[primary]["high"] <= 1
            assert figures[primary]["n"] == len(fv.Run.open(run).read_predictions(part)[0])
        best = results["baseline"][part][results["best_baseline"]][primary]["value"]
        assert results["lift"][part][primary]["value"] == pytest.approx(results[part][primary]["value"] - best)


def test_it_has_learnt_something_or_the_other_tests_would_be_of_nothing(classes, things, pictures):
    assert json.loads((things / "results.json").read_text())["valid"]["map50"]["value"] > 0.4
    assert sum(len(answer) for answer in answered(things, pictures)) > 4
    assert len({k for answer in answered(classes, pictures) for k in np.unique(answer.pixels.read())}) > 1


@pytest.mark.parametrize("name", ["classes", "things"])
def test_the_report_is_written_again_with_the_classes(name, request, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(request.getfixturevalue(name), copy)
    (copy / "report.html").unlink()
    code, out, err = run_cli("report", copy)
    assert code == 0, err
    assert str(copy / "report.html") in out
    page = (copy / "report.html").read_text()
    assert "square" in page
    assert "bar" in page


@pytest.mark.parametrize(("name", "data"), [("classes", "pairs"), ("things", "coco")])
@pytest.mark.parametrize("part", ["valid", "test"])
def test_the_figures_are_those_of_predicting_the_original_files(name, data, part, request, place):
    """Evaluation takes letterboxed pictures from the cache, prediction files: the answers are the same."""
    opened = fv.Run.open(request.getfixturevalue(name))
    task, _ = opened.load()
    ids = opened.read_predictions(part)[0]
    chosen = [sample for sample in load(str(place / data)) if sample.id in ids]
    assert len(chosen) == len(ids) > 2
    answers = opened.answer([decode(sample.source.path) for sample in chosen])
    found, told = task.score(answers, [sample.truth for sample in chosen]), opened.results[part]
    for figure, value in found.items():
        known = np.nan if told[figure]["value"] is None else told[figure]["value"]
        assert known == pytest.approx(value, abs=1e-9, nan_ok=True), figure


# --- predict ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tile", [None, 24, 1000])
def test_label_pictures_read_back_are_the_answers_in_the_datas_colours(tile, classes, pictures, tmp_path):
    words = ["--masks", tmp_path / "masks", "--json", tmp_path / "answers.json", *(["--tile", tile] if tile else [])]
    code, out, err = run_cli("predict", classes, *pictures, *words)
    assert code == 0, err
    told = json.loads((tmp_path / "answers.json").read_text())
    assert told["classes"] == list(masks_demo.CLASSES)
    task, _ = fv.Run.open(classes).load()
    answers = answered(classes, pictures, tile)
    assert len(told["answers"]) == len(answers) == len(pictures)
    for path, one, answer in zip(pictures, told["answers"], answers, strict=True):
        assert one["path"] == str(path)
        assert {key: one[key] for key in ("shares", "pixels")} == task.words(answer)
        assert one["masks"] == [f"{path.stem}.png"]
        assert f"{path}  {task.tell(answer)}" in out
        with Image.open(tmp_path / "masks" / one["masks"][0]) as picture:
            assert picture.mode == "P"
            assert picture.size[::-1] == decode(path).shape[:2]
            assert np.array_equal(np.asarray(picture), answer.pixels.read())
            colours = np.reshape(picture.getpalette("RGB")[: 3 * len(masks_demo.COLOURS)], (-1, 3)).tolist()
        assert [tuple(colour) for colour in colours] == list(masks_demo.COLOURS)


def test_drawings_are_pictures_of_their_own(classes, things, pictures, tmp_path):
    for name, run in (("classes", classes), ("things", things)):
        code, _, err = run_cli("predict", run, *pictures, "--draw", tmp_path / name)
        assert code == 0, err
        assert sorted(path.name for path in (tmp_path / name).iterdir()) == sorted(path.name for path in pictures)
        task, _ = fv.Run.open(run).load()
        for path, answer in zip(pictures, answered(run, pictures), strict=True):
            with Image.open(tmp_path / name / path.name) as drawn:
                assert np.array_equal(np.asarray(drawn), task.draw(decode(path), answer))


@pytest.mark.parametrize("tile", [None, 32])
def test_coco_is_read_by_pycocotools_and_holds_the_masks(tile, things, pictures, tmp_path):
    words = ["--coco", tmp_path / "coco.json", "--masks", tmp_path / "masks", "--json", tmp_path / "answers.json"]
    code, _, err = run_cli("predict", things, *pictures, *words, *(["--tile", tile] if tile else []))
    assert code == 0, err
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(tmp_path / "coco.json"))
        results = coco.loadRes(coco.dataset["annotations"])
    told = json.loads((tmp_path / "answers.json").read_text())["answers"]
    names = {category["id"]: category["name"] for category in coco.loadCats(coco.getCatIds())}
    assert sum(map(len, answered(things, pictures, tile))) > 2
    for image, one, answer in zip(coco.loadImgs(coco.getImgIds()), told, answered(things, pictures, tile), strict=True):
        assert image["file_name"] == one["path"]
        own = results.loadAnns(results.getAnnIds(image["id"]))
        masks = answer.masks((image["height"], image["width"]))
        assert len(own) == len(one["things"]) == len(answer)
        for thing, words, mask, written in zip(own, one["things"], masks, one["masks"], strict=True):
            assert np.array_equal(results.annToMask(thing), mask)
            assert thing["segmentation"]["counts"] == words["mask"]
            assert names[thing["category_id"]] == words["class"]
            assert thing["score"] == pytest.approx(words["score"], abs=1e-6)
            left, top, width, height = thing["bbox"]
            assert [left, top, left + width, top + height] == words["box"]
            with Image.open(tmp_path / "masks" / written) as picture:
                assert np.array_equal(np.asarray(picture), 255 * mask)


def test_each_thing_has_a_mask_of_its_own_in_its_pictures_folder(things, pictures, tmp_path):
    shutil.copytree(pictures[0].parent, tmp_path / "again")
    words = [pictures[0].parent, tmp_path / "again", "--masks", tmp_path / "masks", "--json", tmp_path / "answers.json"]
    code, _, err = run_cli("predict", things, *words)
    assert code == 0, err
    answers = json.loads((tmp_path / "answers.json").read_text())["answers"]
    written = [name for one in answers for name in one["masks"]]
    assert len(written) == len(set(written)) == sum(len(one["things"]) for one in answers)
    assert sorted(written) == sorted(
        str(p.relative_to(tmp_path / "masks")) for p in (tmp_path / "masks").rglob("*.png")
    )
    for one in answers:
        assert [Path(name).name for name in one["masks"]] == [
            f"{number:04d}-{thing['class']}.png" for number, thing in enumerate(one["things"], 1)
        ]


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--masks", "--draw"])
def test_a_folder_with_something_in_it_is_refused_and_left_alone(option, classes, pictures, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "0.png").write_bytes(b"precious")
    assert f"Name a new folder with {option}" in refused("predict", classes, pictures[0], option, tmp_path / "full")
    assert [path.read_bytes() for path in (tmp_path / "full").iterdir()] == [b"precious"]
    assert "cannot be used" in refused("predict", classes, pictures[0], option, tmp_path / "full" / "0.png")


def test_a_run_without_masks_refuses_them(trained, pictures, tmp_path):
    error = refused("predict", trained.path, pictures[0], "--masks", tmp_path / "masks")
    assert "classification" in error
    assert "--masks" in error
    assert list(tmp_path.rglob("*.png")) == []


def test_a_run_without_things_refuses_coco(classes, pictures, tmp_path):
    assert "semantic" in refused("predict", classes, pictures[0], "--coco", tmp_path / "coco.json")
    assert not (tmp_path / "coco.json").exists()


def test_one_folder_for_drawings_and_masks_loses_nothing(classes, pictures, tmp_path):
    words = ["predict", classes, pictures[0], "--masks", tmp_path / "both", "--draw", tmp_path / "both"]
    code, _, _ = run_cli(*words)
    assert code == 2 or len(list((tmp_path / "both").iterdir())) == 2


def test_what_is_no_picture_is_skipped_and_told(classes, pictures, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    words = ["--masks", tmp_path / "masks", "--json", tmp_path / "answers.json"]
    code, out, err = run_cli("predict", classes, tmp_path / "bad.png", pictures[0], *words)
    assert code == 0, err
    assert "skipped" in out + err
    written = json.loads((tmp_path / "answers.json").read_text())
    assert [one["path"] for one in written["skipped"]] == [str(tmp_path / "bad.png")]
    assert len(list((tmp_path / "masks").iterdir())) == 1


def test_answers_of_python_are_annotations_of_the_pictures_size(things, pictures):
    for path, answer in zip(pictures, answered(things, pictures), strict=True):
        assert isinstance(answer, Instances)
        assert answer.boxes.size == decode(path).shape[:2]
