"""The laws of every device: what is trained there is validated, saved, resumed and used there.

No accelerator is needed: see `helpers.pretended_device`. It computes as the CPU does, so all
results must have the same bits.
"""

from __future__ import annotations

import copy
from itertools import islice

import pytest
import torch

from foveate import models, tasks
from foveate.data.augment.images import ImageAugment
from foveate.data.batches import AugmentPolicy, Batches, validation_batches
from foveate.models.model import VisionModel
from foveate.training.ema import ModelEMA
from foveate.training.loop import steps
from foveate.training.optim import OPTIMIZERS, optimizer
from foveate.training.state import Progress, TrainState
from foveate.training.validation import validate
from helpers.pretended_device import DEVICE, PretendedDevice, allow_fused
from helpers.task_case import Case

pytestmark = pytest.mark.usefixtures("one_thread")
BATCH = 8


@pytest.fixture(autouse=True)
def _device(monkeypatch):
    allow_fused(monkeypatch)
    with PretendedDevice():
        yield


def test_the_device_refuses_what_a_real_one_refuses():
    there, here = torch.ones(3, device=DEVICE), torch.ones(3)
    for mixed in (lambda: there + here, lambda: here.mul_(there), lambda: torch.cat([there, here])):
        with pytest.raises(AssertionError, match="mixes the device"):
            mixed()
    with pytest.raises(AssertionError, match="float64"):
        there.double()
    with pytest.raises(RuntimeError, match="numpy"):
        there.numpy()
    assert (there + 1).device == (there + torch.tensor(1.0)).device == DEVICE
    assert there.cpu().tolist() == [1, 1, 1]
    assert torch.tensor([1, 2], device=DEVICE).sum().item() == 3


@pytest.fixture(params=sorted(tasks.all()), scope="module")
def case(request):
    return Case(request.param)


def batches(case: Case, device: torch.device, augment: AugmentPolicy = ImageAugment()) -> Batches:
    return Batches(
        case.task, case.decoded.pixels, case.targets, case.ids, batch_size=BATCH, seed=0,
        augment=augment, device=device,
    )  # fmt: skip


def new_state(case: Case, device: str | torch.device, name: str = "adamw") -> TrainState:
    net = case.net().to(device)
    built = optimizer(name, net, lr=1e-3, weight_decay=1e-4)
    return TrainState(net, built, ModelEMA(net, 0.9), Progress(segments=[(0, 0.0, 9)]))


def train(case: Case, state: TrainState, first: int, last: int) -> list[float]:
    """Losses of the steps, and the metric of the last batch."""
    device = next(state.net.parameters()).device
    stream = islice(batches(case, device)(first), last - first)
    found = []
    for step in steps(
        state.net, case.task.loss, stream, state.optimizer, lambda n: 1.0, start=first,
        ema=state.ema, clip=1.0,
    ):  # fmt: skip
        found.append(step.losses["total"].item())
        with torch.no_grad():
            found.append(case.task.batch_metric(step.output, step.target, quick=True))
    return found


def tensors(net: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu() for name, value in net.state_dict().items()}


def assert_same(one: torch.nn.Module, two: torch.nn.Module) -> None:
    first, second = tensors(one), tensors(two)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_training_gives_the_same_bits_on_every_device(case, name):
    if name in ("sgd", "adam") and case.task.name != "classification":
        pytest.skip("the optimizer knows no task")
    on_cpu, there = new_state(case, "cpu", name), new_state(case, DEVICE, name)
    assert train(case, on_cpu, 0, 2) == pytest.approx(train(case, there, 0, 2), nan_ok=True)
    assert all(value.device == DEVICE for value in there.net.state_dict().values())
    assert_same(on_cpu.net, there.net)


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_a_run_that_is_resumed_goes_on_with_the_same_bits(case, name, tmp_path):
    straight = new_state(case, DEVICE, name)
    train(case, straight, 0, 2)
    straight.save(tmp_path / "last.safetensors")
    train(case, straight, 2, 3)
    resumed = new_state(case, DEVICE, name)
    resumed.load(tmp_path / "last.safetensors")
    assert all(
        value.device == DEVICE
        for values in resumed.optimizer.state.values()
        for value in values.values()
    )
    train(case, resumed, 2, 3)
    assert_same(straight.net, resumed.net)
    for key, value in straight.ema.state.items():
        assert torch.equal(value.cpu(), resumed.ema.state[key].cpu()), key


@pytest.mark.parametrize("kind", ["auto", "strong"])
def test_images_are_augmented_there_to_the_same_bits(case, kind):
    sizes = [case.size]
    if case.task.name == "classification":
        sizes.append(96)  # larger images are cropped and resized, and change their colours
    for size in sizes:
        policy = case.task.augmentation(
            size, hflip_safe=True, classes=case.task.classes, kind=kind, epochs=None
        )
        pairs = zip(
            islice(batches(case, torch.device("cpu"), policy)(), 3),
            islice(batches(case, DEVICE, policy)(), 3),
            strict=True,
        )
        for (here, _), (there, _) in pairs:
            assert there[0].device == DEVICE
            assert torch.equal(here[0], there[0].cpu())


def test_validation_gives_the_same_numbers(case):
    pixels = case.decoded.pixels

    def numbers(device) -> tuple[float, float]:
        given = validation_batches(case.task, pixels, case.targets, case.ids, BATCH)
        return validate(case.net().to(device), case.task, given)

    assert numbers(DEVICE) == pytest.approx(numbers("cpu"), nan_ok=True)


def test_predictions_and_calibration_are_the_same(case):
    nets = [case.net().eval().to(device) for device in ("cpu", DEVICE)]
    some = slice(8)  # a pretended device is slow
    described = [[case.task.to_dict(one) for one in case.predictions(net, some)] for net in nets]
    assert described[0] == described[1]
    options = []
    for net in nets:
        task = copy.deepcopy(case.task)
        task.calibrate(net, case.images, case.targets)
        options.append((task.options, tensors(net)))
    assert options[0][0] == options[1][0]
    assert all(torch.equal(value, options[1][1][name]) for name, value in options[0][1].items())


@pytest.mark.parametrize("name", [name for name in models.list_models() if ":" not in name])
def test_every_model_computes_there(name):
    if name.startswith(("vgg", "resnet")) and name not in ("vgg11", "resnet18", "resnet50"):
        pytest.skip("differs from its family in depth alone")
    size = max(models.find(name).min_size, 16)
    torch.manual_seed(0)
    backbone = models.build(name, channels=3, size=size)
    body = torch.nn.Sequential(backbone, Last(), backbone.classifier(4))
    net = VisionModel(body, size=size, mean=[0.5] * 3, std=[0.5] * 3)
    images = torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8)
    there = copy.deepcopy(net).to(DEVICE)
    outputs = []
    for one, device in ((net, "cpu"), (there, DEVICE)):
        torch.manual_seed(0)
        output = one(images.to(device))
        output.square().sum().backward()
        outputs.append(output.detach().cpu())
    assert torch.equal(*outputs)
    assert all(p.grad is None or p.grad.device == DEVICE for p in there.parameters())


class Last(torch.nn.Module):
    def forward(self, maps):
        return maps[-1]
