"""A net for prediction alone: batch normalisation is folded into the convolution before it.

In evaluation mode batch normalisation scales and shifts each channel by constants, which the
convolution's weights and biases can hold (Jacob et al., "Quantization and training of neural
networks for efficient integer-arithmetic-only inference", 2018). Predictions stay the same but for
the last bits of a float. A tenth of the time, and more for small convolutions
(benchmarks/README.md).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from foveate.models.backbone import Backbone
from foveate.models.heads.promptable import DRAWS_PER_OBJECT, PromptableHead
from foveate.models.model import VisionModel

_TOLERANCE = 1e-3
"""Largest difference of an output between the two nets, as a share of its largest value."""


def fused(net: VisionModel) -> VisionModel:
    """Return a copy of a net for prediction, without the normalisation layers that can be folded.

    The pairs of layers are found by running the net once: a normalisation whose input is the very
    tensor that a convolution returned. The copy is in evaluation mode and in the memory format
    channels_last, in which convolutions on a CPU are faster.

    Args:
        net: Any net. It is not changed.

    Returns:
        A net of the same outputs. If folding would change them, because something else reads a
        convolution's output as well, nothing is folded.
    """
    plain = copy.deepcopy(net).eval().requires_grad_(False)
    inputs = example_inputs(plain)
    folded = copy.deepcopy(plain)
    places = {
        child: (parent, name)
        for parent in folded.modules()
        for name, child in parent.named_children()
    }
    for convolution, norm in _pairs(folded, inputs):
        _fold(convolution, norm, *places[norm])
    same = _agree(_outputs(plain, inputs), _outputs(folded, inputs))
    chosen = folded if same else plain
    return chosen.to(memory_format=torch.channels_last)


def example_inputs(net: VisionModel, side: int | None = None) -> tuple[Tensor, ...]:
    """Inputs that the net can be run on: an image of noise, and a prompt where it takes one.

    Args:
        net: The net.
        side: Of the image, in pixels; None for a small one.
    """
    backbone = next((one for one in net.modules() if isinstance(one, Backbone)), None)
    flexible = backbone is not None and backbone.flexible
    if side is None:
        side = min(net.size, 2 * backbone.strides[-1]) if backbone and flexible else net.size
    generator = torch.Generator().manual_seed(0)
    shape = (1, net.channels, side, side)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    if not isinstance(net.body, PromptableHead):
        return (images.to(net.mean.device),)
    targets = torch.zeros(1, side, side, dtype=torch.bool)
    targets[:, : side // 2] = True
    inputs = images, targets, torch.full((1, DRAWS_PER_OBJECT), 0.5)
    return tuple(one.to(net.mean.device) for one in inputs)


@torch.no_grad()
def _pairs(net: nn.Module, inputs: tuple[Tensor, ...]) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Each convolution with the normalisation that reads what it returned."""
    outputs: dict[int, tuple[nn.Conv2d, Tensor]] = {}  # holds the tensors, so that ids stay theirs
    pairs: dict[nn.BatchNorm2d, nn.Conv2d | None] = {}

    def remember(module: nn.Module, _inputs: Any, output: Tensor) -> None:
        assert isinstance(module, nn.Conv2d)
        outputs[id(output)] = module, output

    def pair(module: nn.Module, inputs: Any) -> None:
        assert isinstance(module, nn.BatchNorm2d)
        convolution = outputs.get(id(inputs[0]), (None,))[0]
        # A layer that is run several times must follow the same convolution each time.
        same = pairs.setdefault(module, convolution) is convolution
        pairs[module] = convolution if same else None

    hooks = []
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            hooks.append(module.register_forward_hook(remember))
        elif isinstance(module, nn.BatchNorm2d) and module.track_running_stats:
            hooks.append(module.register_forward_pre_hook(pair))
    net(*inputs)
    for hook in hooks:
        hook.remove()
    return [(convolution, norm) for norm, convolution in pairs.items() if convolution is not None]


def _fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d, parent: nn.Module, name: str) -> None:
    """Move a normalisation into the convolution, and leave its activation, if it has one.

    timm's normalisation layers contain the activation that follows, as `drop` and `act`.

    Args:
        convolution: Takes the weights.
        norm: Is replaced.
        parent: The module that holds it.
        name: Its name there.
    """
    if type(norm) is nn.BatchNorm2d:
        rest: nn.Module = nn.Identity()
    else:
        children = dict(norm.named_children())
        if children.keys() != {"drop", "act"}:
            return
        rest = nn.Sequential(children["drop"], children["act"])
    both = fuse_conv_bn_eval(convolution, norm)
    convolution.weight, convolution.bias = both.weight, both.bias
    setattr(parent, name, rest)


@torch.no_grad()
def _outputs(net: nn.Module, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    return list(_tensors(net(*inputs)))


def _tensors(output: Any) -> Iterator[Tensor]:
    """The tensors of an output, which may be a list or a dataclass."""
    if isinstance(output, Tensor):
        yield output
    elif is_dataclass(output):
        for field in fields(output):
            yield from _tensors(getattr(output, field.name))
    elif isinstance(output, list | tuple):
        for one in output:
            yield from _tensors(one)


def _agree(before: list[Tensor], after: list[Tensor]) -> bool:
    """Whether two nets' outputs are the same but for rounding."""
    return all(
        bool((old - new).abs().max() <= _TOLERANCE * old.abs().max())
        for old, new in zip(before, after, strict=True)
        if old.is_floating_point() and old.numel()
    )
