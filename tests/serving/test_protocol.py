"""The Open Inference Protocol v2, and what a monitoring system reads."""

from __future__ import annotations

import base64
import json
import time

import httpx
import numpy as np
import pytest

import foveate as fv
from helpers.served import png_bytes
from helpers.toy_datasets import toy_dataset

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def client(server):
    with httpx.Client(base_url=server[0], timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    samples = toy_dataset("detection", 4, np.random.default_rng(7)).samples
    return [sample.source.read() for sample in samples]


def infer(client, tensor: dict, model: str = "detection", **more) -> httpx.Response:
    body = {"inputs": [{"name": "image", **tensor}], **more}
    return client.post(f"/v2/models/{model}/infer", json=body)


def predictions(answer: httpx.Response) -> list:
    assert answer.status_code == 200, answer.text
    (output,) = answer.json()["outputs"]
    assert (output["name"], output["datatype"]) == ("prediction", "BYTES")
    assert output["shape"] == [len(output["data"])]
    return [json.loads(text) for text in output["data"]]


def test_health_and_metadata(client, runs):
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.get("/v2").json()["name"] == "foveate"
    for name in runs:
        assert client.get(f"/v2/models/{name}/ready").json() == {"name": name, "ready": True}
    said = client.get("/v2/models/detection").json()
    assert said["inputs"] == [{"name": "image", "datatype": "BYTES", "shape": [-1]}]
    assert said["outputs"] == [{"name": "prediction", "datatype": "BYTES", "shape": [-1]}]
    for url in ("/v2/models/none", "/v2/models/none/ready"):
        assert client.get(url).status_code == 404


def test_files_in_base64_give_the_predictions_of_predict(client, runs, images):
    files = [png_bytes(image) for image in images]
    data = [base64.b64encode(file).decode() for file in files]
    answer = infer(client, {"datatype": "BYTES", "shape": [4], "data": data}, id="mine")
    assert predictions(answer) == [one.to_dict() for one in fv.predict(runs["detection"], files)]
    assert answer.json()["id"] == "mine"
    assert answer.json()["model_name"] == "detection"


def test_pixels_give_the_predictions_of_predict(client, runs, images):
    batch = np.stack(images)
    expected = [one.to_dict() for one in fv.predict(runs["detection"], images)]
    for data in (batch.tolist(), batch.ravel().tolist()):
        answer = infer(client, {"datatype": "UINT8", "shape": list(batch.shape), "data": data})
        assert predictions(answer) == expected
    one = {"shape": [32, 32, 1], "data": (images[0] / 255).ravel().tolist()}
    alone = [fv.predict(runs["detection"], images[0]).to_dict()]
    assert predictions(infer(client, {"datatype": "FP64", **one})) == alone


def test_a_text_gives_an_image(client, runs):
    tensor = {"name": "text", "datatype": "BYTES", "shape": [2], "data": ["dark above"] * 2}
    answer = client.post("/v2/models/text_to_image/infer", json={"inputs": [tensor]})
    (output,) = answer.json()["outputs"]
    (image,) = fv.Run.open(runs["text_to_image"]).generate("dark above")
    assert [base64.b64decode(text) for text in output["data"]] == [png_bytes(image)] * 2


@pytest.mark.parametrize(
    ("tensor", "said"),
    [
        ({"datatype": "BYTES", "shape": [1], "data": ["/etc/passwd!"]}, "in base64"),
        ({"datatype": "BYTES", "shape": [2], "data": ["aa"]}, "as the shape says"),
        ({"datatype": "BYTES", "shape": [1], "data": [5]}, "texts of the datatype BYTES"),
        ({"datatype": "UINT8", "shape": [1, 1, 1], "data": [256]}, "as the shape says"),
        ({"datatype": "UINT8", "shape": [1, 1, 1], "data": [-1]}, "as the shape says"),
        ({"datatype": "UINT8", "shape": [1, 1, 1], "data": [10**30]}, "as the shape says"),
        ({"datatype": "UINT8", "shape": [1, 1, 1], "data": ["x"]}, "as the shape says"),
        ({"datatype": "UINT8", "shape": [2, 2, 1], "data": [[1], [2, 3]]}, "as the shape says"),
        ({"datatype": "UINT8", "shape": [4], "data": [1, 2, 3, 4]}, "an image [H, W, C]"),
        ({"datatype": "UINT8", "shape": [10**6, 10**6, 3], "data": [1]}, "can be sent as files"),
        ({"datatype": "UINT8", "shape": [-1, -1, 1], "data": [1]}, "an image [H, W, C]"),
        ({"datatype": "INT64", "shape": [1, 1, 1], "data": [1]}, "one of the datatypes BYTES"),
        ({"datatype": "FP32", "shape": [1, 1, 1], "data": [3.5]}, "floats from 0"),
        ({"datatype": "UINT8", "shape": [2, 2, 7], "data": [1] * 28}, "channels is expected"),
        ({"name": "photo", "datatype": "BYTES", "shape": [1], "data": ["aa"]}, "the input image"),
        ({"datatype": "BYTES", "shape": [0], "data": []}, "as the shape says"),
        ({"datatype": "BYTES"}, "Field required"),
    ],
)
def test_damaged_tensors_are_refused_in_one_sentence(client, tensor, said):
    answer = infer(client, tensor)
    assert answer.status_code == 400, answer.text
    assert said in answer.json()["error"]
    assert "\n" not in answer.json()["error"]


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("UINT8", [0.5] * 48), ("UINT8", ["7"] * 48), ("UINT8", [256] * 48), ("UINT16", [-1] * 48),
        ("BOOL", [2] * 48), ("FP32", ["0.5"] * 48), ("UINT8", [None] * 48), ("FP32", [1.0] * 47),
    ],
)  # fmt: skip
def test_no_value_is_cut_off_or_read_as_another(client, kind, data):
    response = infer(client, {"datatype": kind, "shape": [4, 4, 3], "data": data})
    assert response.status_code == 400
    assert f"numbers of the type {kind}" in response.json()["error"]


def test_a_shape_without_end_is_refused(client):
    body = '{"inputs": [{"name": "image", "datatype": "UINT8", "shape": [%s, 1, 1], "data": [1]}]}'
    for side in ("9" * 400, "0", "-1"):
        response = client.post("/v2/models/detection/infer", content=body % side)
        assert response.status_code == 400


def test_millions_of_values_are_counted_before_they_are_read(client):
    body = b'{"session": "' + b'x", "clicks": [' + b"[]," * 1_000_000 + b"[]]}"
    start = time.monotonic()
    response = client.post("/click?model=promptable", content=body)
    assert response.status_code == 413
    assert "values is expected" in response.json()["error"]
    assert time.monotonic() - start < 5


def test_a_body_that_is_no_request_is_refused(client):
    for body in (b"", b"[]", b"{", b'{"inputs": []}', b"[" * 100_000):
        answer = client.post("/v2/models/detection/infer", content=body)
        assert answer.status_code == 400
        assert list(answer.json()) == ["error"]
    tensor = {"datatype": "BYTES", "shape": [1], "data": ["aa"]}
    assert infer(client, tensor, outputs=[{"name": "x"}]).status_code == 400
    assert infer(client, tensor, "none").status_code == 404


def test_what_is_counted_is_what_happened(client, images):
    def value(line: str) -> float:
        lines = client.get("/metrics").text.splitlines()
        return next((float(one.split()[-1]) for one in lines if one.startswith(line)), 0.0)

    good = 'foveate_requests_total{route="/predict",status="200"}'
    bad = 'foveate_requests_total{route="/predict",status="400"}'
    predicted = 'foveate_images_total{model="detection"}'
    before = [value(one) for one in (good, bad, predicted)]
    files = [("image", png_bytes(image)) for image in images]
    assert client.post("/predict?model=detection", files=files).status_code == 200
    assert client.post("/predict?model=detection", content=b"no").status_code == 400
    after = [value(one) for one in (good, bad, predicted)]
    assert [new - old for old, new in zip(before, after, strict=True)] == [1, 1, 4]
    assert value('foveate_requests_admitted{model="detection"}') == 0
    assert value('foveate_batch_images_count{model="detection"}') >= 1
    for path in ("/nowhere/1", "/nowhere/2"):  # a client makes no series of its own
        client.get(path)
    assert "nowhere" not in client.get("/metrics").text
