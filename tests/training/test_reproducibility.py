"""A run says whether it can be repeated to the bit; torch's generators are put back."""

from __future__ import annotations

import warnings

import pytest
import torch

from foveate.training import device
from foveate.training.reproducibility import noted, record, sentence


@pytest.fixture
def deterministic():
    """Ask for deterministic algorithms, as on a GPU."""
    with device.preserved_torch_state():
        torch.use_deterministic_algorithms(True, warn_only=True)
        yield


@pytest.mark.usefixtures("deterministic")
def test_operations_without_a_deterministic_version_are_noted_once():
    reasons: list[str] = []
    with warnings.catch_warnings(record=True) as others:
        warnings.simplefilter("always")
        with noted(reasons):
            for _ in range(2):
                torch.zeros(3).put_(torch.tensor([0, 0]), torch.ones(2))
                warnings.warn(
                    "Memory Efficient attention defaults to a non-deterministic algorithm. To ...",
                    stacklevel=1,
                )
            warnings.warn("something else", stacklevel=1)
    assert reasons == [
        f"{name} has no deterministic version on this device"
        for name in ("put_", "Memory Efficient attention")
    ]
    assert [str(one.message) for one in others] == ["something else"]


def test_what_is_recorded():
    assert record("cpu", [], compiled=True) == {"to_the_bit": True, "reasons": []}
    assert record("cuda", [], compiled=False)["to_the_bit"] is True
    assert record("cuda", ["put_ ..."], compiled=False) == {
        "to_the_bit": False, "reasons": ["put_ ..."],
    }  # fmt: skip
    for kind, compiled in (("mps", False), ("xpu", False), ("cuda", True)):
        entry = record(kind, [], compiled=compiled)
        assert entry["to_the_bit"] is None
        assert sentence(entry).endswith(f"is not known: {entry['reasons'][0]}.")
    assert "may give" in sentence(record("mps", ["put_ ..."], compiled=False))
    assert sentence(None) == sentence(record("cpu", [], compiled=False))


def test_a_command_with_minutes_is_not_said_to_repeat_the_run():
    timed = sentence(None, timed=True)
    assert not timed.startswith("The same seed")
    assert "differ each time" in timed
    assert timed.endswith("Then: the same seed on the same machine gives the same numbers.")


class Generators:
    """Stands for torch.cuda, torch.xpu or torch.mps with some devices."""

    def __init__(self, count: int):
        self.states = [torch.tensor([number], dtype=torch.uint8) for number in range(count)]

    def install(self, module, patch) -> None:
        patch.setattr(module, "is_available", lambda: True)
        patch.setattr(module, "device_count", lambda: len(self.states))
        patch.setattr(module, "get_rng_state", lambda device=0: self.states[device].clone())
        patch.setattr(module, "set_rng_state", self.set)

    def set(self, state, device=0) -> None:
        self.states[device] = state


@pytest.mark.parametrize(("kind", "count"), [("cuda", 2), ("xpu", 2), ("mps", 1)])
def test_the_generators_of_every_device_are_put_back(kind, count, monkeypatch):
    generators = Generators(count)
    generators.install(getattr(torch, kind), monkeypatch)
    before = [state.clone() for state in generators.states]
    with device.preserved_torch_state():
        for number in range(count):
            generators.set(torch.tensor([99], dtype=torch.uint8), number)
    assert all(torch.equal(one, two) for one, two in zip(generators.states, before, strict=True))
