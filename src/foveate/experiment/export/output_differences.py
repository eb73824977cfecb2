"""Outputs of a net and of its export, compared for the same inputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foveate.annotations import Instances
from foveate.data.dataset import Images
from foveate.data.vocabulary import PAD_INDEX
from foveate.experiment.export.quantization import decoder_inputs
from foveate.inference.exported.runtimes import Runtime
from foveate.inference.exported.sampler import ExportedSampler
from foveate.inference.onnx_parts import DECODER_OUTPUTS, PromptDecoder
from foveate.models.heads.flow_matching import FlowMatchingModel
from foveate.models.heads.promptable import PromptableHead
from foveate.models.model import VisionModel

OUTPUT_IMAGES, OUTPUT_WORDS, OUTPUT_CLICKED_IMAGES = 64, 16, 4
"""Images, prompts of drawn words, and images with clicks, for which outputs are compared."""


@torch.no_grad()
def output_differences(
    net: VisionModel, other: VisionModel, names: Sequence[str], images: Images, *, letterbox: bool
) -> dict[str, float]:
    """Compare the outputs of two nets for the same images.

    Args:
        net: The net in torch.
        other: The same net in another runtime.
        names: Of the outputs; empty if they are maps of any number.
        images: Of any size.
        letterbox: Whether they keep their aspect.

    Returns:
        The largest difference of each output as a share of its largest value.
    """
    largest: dict[str, float] = {}
    scale: dict[str, float] = {}
    batches = (
        (batch for _, batch in net.padded_batches(images, net.size**2))
        if letterbox
        else (net.batch([image]) for image in images)
    )
    for batch in batches:
        pairs = zip(_tensors(net, batch), _tensors(other, batch), strict=True)
        for number, (one, two) in enumerate(pairs):
            name = names[number] if names else f"map_{number}"
            if one.numel():
                # np.maximum keeps NaN, which Python's max drops.
                difference, value = float((one - two).abs().max()), float(one.abs().max())
                largest[name] = float(np.maximum(largest.get(name, 0), difference))
                scale[name] = float(np.maximum(scale.get(name, 0), value))
    return {name: largest[name] / max(scale[name], 1e-12) for name in largest}


@torch.no_grad()
def sampler_differences(net: VisionModel, sampler: ExportedSampler) -> dict[str, float]:
    """Compare the two graphs of a model that generates images with its net, on drawn inputs.

    Args:
        net: The net in torch.
        sampler: The graphs in another runtime.

    Returns:
        The largest difference of each output as a share of its largest value.
    """
    body = net.body
    assert isinstance(body, FlowMatchingModel)
    assert isinstance(body.text.embedding, nn.Embedding)
    length, rng = body.text.positions.shape[0], np.random.default_rng(0)
    words = rng.integers(0, body.text.embedding.num_embeddings, (OUTPUT_WORDS, length))
    words[0] = PAD_INDEX
    state = rng.standard_normal((OUTPUT_WORDS, *sampler.shape), np.float32)
    conditioning = body.spatial_conditioning(torch.from_numpy(words), state.shape[2:])
    shares = {"conditioning": _share(conditioning.numpy(), sampler.conditioning(words))}
    for moment in (0.0, 0.1, 0.9):
        times = torch.full((len(state),), moment)
        one = body.velocity(torch.from_numpy(state), times, conditioning).numpy()
        other = sampler.velocity(state, np.float32(moment), conditioning.numpy())
        shares["velocity"] = float(np.maximum(shares.get("velocity", 0), _share(one, other)))
    return shares


@torch.no_grad()
def decoder_differences(
    net: VisionModel, decoder: Runtime, images: Images, targets: Sequence[Instances]
) -> dict[str, float]:
    """Compare the outputs of two decoders while objects are clicked on.

    Args:
        net: The net in torch, whose body is a `PromptableHead`.
        decoder: Its decoder in another runtime.
        images: Of any size.
        targets: Their objects.

    Returns:
        The largest difference of each output as a share of its largest value.
    """
    assert isinstance(net.body, PromptableHead)
    body = PromptDecoder(net.body)
    shares: dict[str, float] = {}
    for inputs in decoder_inputs(net, decoder, images, targets):
        *maps, clicks, boxes, masks = (torch.from_numpy(one) for one in inputs.values())
        others = decoder.compute(inputs)
        for name, one in zip(DECODER_OUTPUTS, body(maps, clicks, boxes, masks), strict=True):
            share = _share(one.numpy(), others[name])
            shares[name] = float(np.maximum(shares.get(name, 0), share))
    return shares


def _share(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """The largest difference as a share of the largest value; NaN if there is one."""
    return float(np.abs(one - other).max() / max(np.abs(one).max(), 1e-12))


def _tensors(net: VisionModel, batch: Tensor) -> list[Tensor]:
    if isinstance(net.body, PromptableHead):
        return net.encode(batch)
    output = net(batch)
    return [output] if isinstance(output, Tensor) else list(output.candidates())
