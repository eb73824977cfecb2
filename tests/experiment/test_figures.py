"""Figures of runs and datasets show what the report and the data hold."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

import foveate as fv
from foveate.data.dataset import ArraySource
from foveate.errors import BadImage, SettingError
from helpers import masks_demo


def shown(figure: Figure) -> list:
    return [axis for axis in figure.axes if axis.images]


def titles(figure: Figure) -> list[str]:
    return [" ".join(axis.get_title().split()) for axis in shown(figure)]


def test_the_curves_are_those_of_the_run(trained):
    figure = trained.plot_curves()
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["loss", "accuracy"]
    for axis, quantity in zip(figure.axes, ("loss", "accuracy"), strict=True):
        train, valid = axis.lines[:2]
        assert list(valid.get_ydata()) == [row[f"valid_{quantity}"] for row in trained.curves]
        assert list(train.get_xdata()) == [row["epoch"] for row in trained.curves]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()][:2] == ["training", "validation"]
    assert figure._repr_png_().startswith(b"\x89PNG")


@pytest.fixture
def mistaken(trained, monkeypatch):
    """A run that took some red images for blue."""
    ids, stats = trained.read_predictions("valid")
    red = np.flatnonzero(stats["target"] == 2)[:2]
    stats["predicted"][red] = 0
    run = fv.Run.open(trained.path)
    monkeypatch.setattr(type(run), "read_predictions", lambda self, split: (ids, stats))
    return run, [ids[row] for row in red]


def test_mistakes_are_those_of_the_predictions(mistaken):
    run, wrong = mistaken
    figure = run.show_mistakes()
    assert len(titles(figure)) == len(wrong)
    assert all("red, predicted as blue" in title for title in titles(figure))
    assert all(any(id in title for title in titles(figure)) for id in wrong)
    assert len(titles(run.show_mistakes(n=1))) == 1


def test_mistakes_of_one_class(mistaken):
    run, wrong = mistaken
    assert len(titles(run.show_mistakes("red"))) == len(wrong)
    figure = run.show_mistakes(class_name="green")
    assert titles(figure) == []
    assert figure.get_suptitle() == "No mistakes of the class green in 9 validation images"
    with pytest.raises(SettingError, match="no class is called 'gren'; did you mean 'green'"):
        run.show_mistakes("gren")


def test_a_class_is_mistaken_where_it_is_the_target_or_the_prediction(mistaken):
    run, wrong = mistaken
    for name in ("red", "blue"):
        figure = run.show_mistakes(name)
        assert len(titles(figure)) == len(wrong)
        assert figure.get_suptitle().startswith(f"Most confident mistakes of the class {name}")


def test_samples_are_spread_over_the_classes(colours):
    data = fv.load(colours)
    figure = data.show(6)
    assert len(titles(figure)) == 6
    assert {title.split()[0] for title in titles(figure)} == {"blue", "green", "red"}
    assert titles(data.show(6)) == titles(figure)
    assert set(titles(data.show(3, class_name="red"))) == {"red"}
    assert len(titles(data.show(1000))) == len(data)


def test_no_such_class_and_no_such_image(colours):
    data = fv.load(colours)
    with pytest.raises(SettingError, match="no class is called 'x'"):
        data.show(class_name="x")
    with pytest.raises(SettingError, match="no image of the dataset fits"):
        data.show(split="test")


def test_masks_are_drawn_into_the_samples(tmp_path):
    data = fv.load(masks_demo.write_pairs(tmp_path / "data", 3, shapes=masks_demo.SQUARE))
    figure = data.show(2)
    drawn = shown(figure)[0].images[0].get_array()
    plain = data[0].source.read()
    assert drawn.shape[0] % plain.shape[0] == 0  # enlarged by whole pixels
    assert not np.array_equal(drawn[:: drawn.shape[0] // plain.shape[0]][:, :1], plain[:, :1])


class Damaged(ArraySource):
    def read(self):
        raise BadImage("the image is damaged")


def test_an_image_that_cannot_be_read_is_named():
    sample = fv.Sample("x.png", Damaged(np.zeros((1, 2, 2, 3), np.uint8), 0), fv.Label(0))
    data = fv.Dataset("d", "classification", ("a", "b"), [sample])
    assert titles(data.show()) == ["x.png: the image is damaged"]
