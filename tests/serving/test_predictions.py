"""Over HTTP each task gives the predictions of `foveate predict`, to the bit."""

from __future__ import annotations

import base64
import io
import json

import httpx
import numpy as np
import pytest
from PIL import Image

import foveate as fv
from helpers.command_line import run_cli
from helpers.served import png_bytes
from helpers.toy_datasets import TOY_DATASETS, toy_dataset

pytestmark = pytest.mark.usefixtures("one_thread")
PREDICTING = [task for task in TOY_DATASETS if task != "text_to_image"]


@pytest.fixture(scope="module")
def client(server):
    with httpx.Client(base_url=server[0], timeout=60) as client:
        yield client


def images_of(task: str) -> list[bytes]:
    samples = toy_dataset(task, 5, np.random.default_rng(7)).samples
    return [png_bytes(sample.source.read()) for sample in samples]


def parts(images: list[bytes]) -> list:
    return [("image", ("../../etc/passwd", image, "image/png")) for image in images]


@pytest.mark.parametrize("task", PREDICTING)
def test_one_image_gives_the_values_of_predict(client, runs, task, tmp_path):
    image = images_of(task)[0]
    (tmp_path / "x.png").write_bytes(image)
    code, _, err = run_cli("predict", runs[task], tmp_path / "x.png", "--json", tmp_path / "y.json")
    assert code == 0, err
    record = json.loads((tmp_path / "y.json").read_text())["predictions"][0]
    del record["path"]
    url = f"/predict?model={task}"
    assert client.post(url, content=image).json() == record
    assert client.post(url, files=parts([image])).json() == record
    curl = {"content-type": "application/x-www-form-urlencoded"}  # of curl --data-binary
    assert client.post(url, content=image, headers=curl).json() == record


@pytest.mark.parametrize("task", PREDICTING)
def test_several_images_give_the_list_of_predict(client, runs, task):
    images = images_of(task)
    expected = [one.to_dict() for one in fv.predict(runs[task], images)]
    assert any(any(values) for one in expected for values in one.values())
    assert client.post(f"/predict?model={task}", files=parts(images)).json() == expected


@pytest.mark.parametrize("task", PREDICTING)
def test_the_drawing_is_that_of_predict(client, runs, task, tmp_path):
    image = images_of(task)[1]
    (tmp_path / "x.png").write_bytes(image)
    code, _, err = run_cli("predict", runs[task], tmp_path / "x.png", "--draw", tmp_path / "drawn")
    assert code == 0, err
    answer = client.post(f"/predict?model={task}", content=image, headers={"accept": "image/png"})
    assert answer.headers["content-type"] == "image/png"
    assert answer.content == (tmp_path / "drawn" / "x.png").read_bytes()


@pytest.mark.parametrize("task", ["semantic", "instance", "promptable"])
def test_masks_are_those_of_predict(client, runs, task, tmp_path):
    image = images_of(task)[1]
    (tmp_path / "x.png").write_bytes(image)
    code, _, err = run_cli("predict", runs[task], tmp_path / "x.png", "--masks", tmp_path / "masks")
    assert code == 0, err
    masks = client.post(f"/predict?model={task}&masks=true", content=image).json()["masks"]
    written = sorted(path for path in (tmp_path / "masks").rglob("*.png"))
    assert {base64.b64decode(one["png"]) for one in masks} == {
        path.read_bytes() for path in written
    }


def test_a_task_without_masks_says_so(client):
    answer = client.post("/predict?masks=true", content=images_of("classification")[0])
    assert answer.status_code == 400
    assert answer.json() == {"error": "the task classification predicts no masks"}


def test_clicks_give_the_masks_of_python(client, runs):
    image = images_of("promptable")[0]
    predictor, task = fv.Run.open(runs["promptable"]).set_image(image), "promptable"
    encoded = client.post(f"/encode?model={task}", content=image).json()
    assert (encoded["width"], encoded["height"]) == (32, 32)

    def click(clicks: list, box: list | None = None) -> dict:
        body = {"session": encoded["session"], "clicks": clicks, "box": box}
        answer = client.post(f"/click?model={task}", json=body)
        assert answer.status_code == 200, answer.text
        (instance,) = answer.json()["instances"]
        return instance

    first = predictor.click(20.5, 14.5)
    iou = round(predictor.predicted_iou, 6)
    second = predictor.click(3.5, 3.5, inside=False)
    one, two = [20.5, 14.5, True], [3.5, 3.5, False]
    assert click([one])["pixels"] == first.sum()
    assert click([one])["score"] == iou
    assert click([one, two])["pixels"] == second.sum()
    assert click([one])["pixels"] == first.sum()  # the second click is taken back
    predictor.reset()
    boxed = predictor.predict([one], (2, 2, 30, 30))
    assert click([one], [2, 2, 30, 30])["pixels"] == boxed.sum()
    predictor.reset()
    assert click([], [2, 2, 30, 30])["pixels"] == predictor.box(2, 2, 30, 30).sum()


def test_one_click_gives_the_values_of_predict_with_a_point(client, runs, tmp_path):
    image = images_of("promptable")[2]
    (tmp_path / "x.png").write_bytes(image)
    words = ("--point", "20,14", "--json", tmp_path / "y.json")
    code, _, err = run_cli("predict", runs["promptable"], tmp_path / "x.png", *words)
    assert code == 0, err
    record = json.loads((tmp_path / "y.json").read_text())["predictions"][0]
    session = client.post("/encode?model=promptable", content=image).json()["session"]
    body = {"session": session, "clicks": [[20, 14, True]]}
    answer = client.post("/click?model=promptable", json=body)
    assert answer.json()["instances"] == record["instances"]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"clicks": []}, 400, "a click or a box is expected"),
        ({"clicks": [[99, 0, True]]}, 400, "a pixel of an image of 32 x 32 is expected"),
        ({"clicks": [[5, 5, True], [5, 5, False]]}, 400, "both inside and outside"),
        ({"clicks": [[5, 5]]}, 400, "clicks"),
        ({"session": "x", "clicks": [[5, 5, True]]}, 404, "send it to /encode again"),
        ({"clicks": [[5, 5, True]], "path": "/etc/passwd"}, 400, "path"),
    ],
)
def test_senseless_clicks_are_refused(client, body, status, said):
    image = images_of("promptable")[0]
    session = client.post("/encode?model=promptable", content=image).json()["session"]
    answer = client.post("/click?model=promptable", json={"session": session, **body})
    assert answer.status_code == status
    assert said in answer.json()["error"]
    good = {"session": session, "clicks": [[5, 5, True]]}
    assert client.post("/click?model=promptable", json=good).status_code == 200


def test_the_oldest_of_many_encoded_images_goes(client):
    image = images_of("promptable")[0]
    sessions = [
        client.post("/encode?model=promptable", content=image).json()["session"] for _ in range(20)
    ]
    body = {"clicks": [[5, 5, True]]}
    first, last = (
        client.post("/click?model=promptable", json={"session": one, **body}).status_code
        for one in (sessions[0], sessions[-1])
    )
    assert (first, last) == (404, 200)


def test_a_text_gives_the_images_of_generate(client, runs):
    expected = list(fv.Run.open(runs["text_to_image"]).stages(["dark above"] * 2, seed=3))
    body = {"text": "dark above", "n": 2, "seed": 3}
    url = "/generate?model=text_to_image"
    said = client.post(url, json={**body, "stages": True}).json()
    assert [[pixels(one) for one in stages] for stages in said["images"]] == [
        [stage[..., 0].tolist() for stage in stages] for stages in expected
    ]
    last = client.post(url, json=body).json()["images"]
    assert last == [stages[-1:] for stages in said["images"]]
    drawn = client.post(url, json={**body, "n": 1}, headers={"accept": "image/png"}).content
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(drawn))), expected[0][-1][..., 0])


def pixels(png: str) -> list:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(png)))).tolist()


def test_models_refuse_what_they_cannot_do(client):
    image = images_of("classification")[0]
    for url, body, said in (
        ("/predict?model=text_to_image", {"content": image}, "send a text to /generate"),
        ("/generate?model=detection", {"json": {"text": "x"}}, "send one to /predict"),
        ("/encode?model=detection", {"content": image}, "without prompts"),
        ("/generate?model=text_to_image", {"json": {"text": "unknown words"}}, "unknown"),
    ):
        answer = client.post(url, **body)
        assert answer.status_code == 400, answer.text
        assert said in answer.json()["error"]
    assert client.post("/predict?model=none", content=image).status_code == 404


def test_the_models_are_listed_with_their_cards(client, runs):
    listed = client.get("/models").json()
    assert [one["name"] for one in listed] == list(runs)
    for one in listed:
        card, results = one["card"], fv.Run.open(runs[one["task"]]).results
        metric = results["valid"][results["primary"]]
        assert card["metric"]["value"] == metric["value"]
        assert card["split"] == "valid"
        assert "still locked" in card["limits"][0]
