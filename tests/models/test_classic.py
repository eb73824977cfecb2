"""The classic nets are torchvision's: same counts, same answers with the same weights."""

from __future__ import annotations

import pickle

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from foveate import models
from foveate.errors import SettingError
from foveate.models.vision import published_statistics

PARAMETERS = {"alexnet": 61_100_840, "vgg16": 138_357_544, "resnet50": 25_557_032}


def count(*modules):
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def whole(name, channels, size, classes, weights=None):
    backbone = models.build(name, channels=channels, size=size, weights=weights)
    return backbone, backbone.classifier(classes)


@pytest.mark.parametrize(
    "name", ["alexnet", "vgg11", "vgg13", "vgg16", "vgg19", *(f"resnet{d}" for d in (18, 34, 50, 101, 152))]
)
def test_parameter_counts_are_torchvisions(name):
    with torch.device("meta"):  # counts need no memory
        mine = count(*whole(name, 3, 224, 1000))
        theirs = count(getattr(torchvision.models, name)())
    assert mine == theirs
    assert mine == PARAMETERS.get(name, mine)


def test_the_tutorial_net_has_its_1199882_weights():
    assert count(*whole("cnn", 1, 28, 10)) == 1_199_882


@pytest.fixture(scope="module", params=["alexnet", "resnet18"])
def published(request, tmp_path_factory):
    """A net of torchvision's with random weights, in a local file as its published ones would be."""
    torch.manual_seed(0)
    net = getattr(torchvision.models, request.param)().eval()
    folder = tmp_path_factory.mktemp("weights")
    save_file(net.state_dict(), folder / "net.safetensors")
    torch.save(net.state_dict(), folder / "net.pth")
    return request.param, net, folder


@pytest.mark.parametrize("file", ["net.safetensors", "net.pth"])
def test_with_the_same_weights_it_gives_the_same_answers(published, file):
    name, net, folder = published
    backbone, head = whole(name, 3, 96, 1000, folder / file)
    images = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        torch.testing.assert_close(head.eval()(backbone.eval()(images)[-1]), net(images), atol=1e-6, rtol=1e-6)


def test_another_number_of_classes_keeps_all_but_the_last_layer(published):
    name, net, folder = published
    backbone, head = whole(name, 3, 96, 7, folder / "net.pth")
    with torch.no_grad():
        assert head(backbone(torch.randn(2, 3, 96, 96))[-1]).shape == (2, 7)
    kept = dict(net.named_parameters())
    first = "features.0.weight" if name == "alexnet" else "conv1.weight"
    mine = backbone.features[0] if name == "alexnet" else backbone.stem[0]
    assert torch.equal(mine.weight, kept[first])


def test_published_filters_answer_to_grey_as_to_equal_colours(published):
    name, net, folder = published
    backbone, head = whole(name, 1, 96, 1000, folder / "net.pth")
    grey = torch.randn(2, 1, 96, 96)
    with torch.no_grad():
        mine = head.eval()(backbone.eval()(grey)[-1])
        torch.testing.assert_close(mine, net(grey.expand(-1, 3, -1, -1)), atol=1e-4, rtol=1e-4)
        assert models.build(name, channels=5, size=96, weights=folder / "net.pth")(torch.randn(1, 5, 96, 96))


def test_weights_that_do_not_fit_are_refused(published, tmp_path):
    name, _, folder = published
    with pytest.raises(SettingError, match="not the published weights of resnet34"):
        models.build("resnet34", channels=3, size=96, weights=folder / "net.pth")
    cut = tmp_path / "cut.pth"
    cut.write_bytes((folder / "net.pth").read_bytes()[:10_000])
    empty = tmp_path / "empty.safetensors"
    empty.write_bytes(b"")
    for path in (cut, empty, tmp_path / "none.pth"):
        with pytest.raises(SettingError, match=path.name):
            models.build(name, channels=3, size=96, weights=path)


def test_code_in_a_pickle_is_never_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    for save in (lambda path: path.write_bytes(pickle.dumps(Evil())), lambda path: torch.save({"a": Evil()}, path)):
        save(tmp_path / "evil.pth")
        with pytest.raises(SettingError, match="cannot be read safely"):
            models.build("resnet18", channels=3, size=96, weights=tmp_path / "evil.pth")
    assert not (tmp_path / "ran").exists()


def test_weights_need_a_model_that_has_them_and_large_pictures(tmp_path):
    with pytest.raises(SettingError, match="no published weights for 'quick'"):
        models.build("quick", channels=3, size=96, weights=tmp_path / "x")
    with pytest.raises(SettingError, match="at least 65 px"):
        models.build("resnet18", channels=3, size=32, weights=tmp_path / "x")


def test_any_depths_and_widths():
    backbone = models.build("mlp:300-200-100", channels=2, size=9)
    widths = [layer.out_features for layer in backbone.layers if isinstance(layer, nn.Linear)]
    assert widths == [300, 200, 100]
    for wrong in ("mlp:0", "mlp:a", "mlp:3--4", "mlp:-1"):
        with pytest.raises(SettingError, match="widths"):
            models.build(wrong, channels=1, size=8)
    with pytest.raises(SettingError, match="did you mean 'resnet18'"):
        models.find("resnet-18")


def test_statistics_of_published_weights():
    mean, std = published_statistics(3)
    assert mean == pytest.approx([123.675, 116.28, 103.53])
    assert std == pytest.approx([58.395, 57.12, 57.375])
    assert len(published_statistics(1)[0]) == 1
