"""A net that ONNX Runtime computes, in the place of one that torch computes."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import Tensor

from foveate import atomic_io
from foveate.data.cache import store
from foveate.errors import SettingError, StorageError
from foveate.inference.onnx_file import INPUT, to_onnx
from foveate.inference.runtimes import check_installed
from foveate.models.fused import example_inputs
from foveate.models.heads.promptable import PromptableHead
from foveate.models.model import VisionModel

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

_FORMAT = 2  # of the converted nets; another number has them all converted again
_MAX_FILES = 32  # in the cache
_TOLERANCE = 1e-3  # of the largest output


@dataclass(frozen=True)
class Candidates:
    """The boxes of B images, as a detection head's output gives them.

    Attributes:
        corners: (B, A, 4) in pixels of the input.
        scores: (B, A, K) from 0 to 1.
    """

    corners: Tensor
    scores: Tensor

    def candidates(self) -> tuple[Tensor, Tensor]:
        """Return corners and scores."""
        return self.corners, self.scores


class OnnxModel(VisionModel):
    """A net whose images go through ONNX Runtime; prompts are decoded by torch.

    Args:
        net: The net that was converted, on the CPU.
        session: Its ONNX file, opened.
    """

    def __init__(self, net: VisionModel, session: InferenceSession):
        mean, std = net.mean.flatten().tolist(), net.std.flatten().tolist()
        super().__init__(net.body, size=net.size, mean=mean, std=std, reading=net.reading)
        self.session = session

    def forward(self, images: Tensor, *others: Tensor) -> Any:  # noqa: ARG002 - none are exported
        """Compute the output; see `onnx_file.to_onnx`.

        Args:
            images: (B, C, H, W) uint8.
            others: None.
        """
        outputs = self._run(images)
        return Candidates(*outputs) if len(outputs) == 2 else outputs[0]

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode, as the file is."""
        return self if mode or not self.training else super().train(False)

    def encode(self, images: Tensor) -> list[Tensor]:
        """Encode images for prompts, (B, C, H, W) uint8 -> the maps."""
        return self._run(images)

    def _run(self, images: Tensor) -> list[Tensor]:
        outputs = self.session.run(None, {INPUT: np.ascontiguousarray(images.numpy())})
        return [torch.from_numpy(output) for output in outputs]


def open_onnx(net: VisionModel, digest: str, *, any_size: bool) -> OnnxModel:
    """Convert a net, or take the file of an earlier conversion from the cache, and open it.

    Args:
        net: A fused net on the CPU.
        digest: Of its weights; names the file.
        any_size: See `to_onnx`.

    Raises:
        SettingError: ONNX Runtime is not installed, or the net cannot be converted.
    """
    check_installed()
    path = _cached_path(digest)
    with contextlib.suppress(OSError):
        model = _opened(net, path.read_bytes())
        if model is not None:
            return model
    content = to_onnx(net, any_size=any_size)
    model = _opened(net, content)
    if model is None:
        raise SettingError(
            "this net gives other predictions in ONNX Runtime than in torch",
            where="runtime",
            remedy="Use the runtime torch.",
        )
    with contextlib.suppress(StorageError, OSError):  # the next process converts it again
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_io.write_bytes(path, content)
        _remove_oldest(path.parent)
    return model


def _remove_oldest(folder: Path) -> None:
    """Keep the newest files only."""
    files = sorted(folder.glob("*.onnx"), key=lambda path: path.stat().st_mtime)
    for path in files[:-_MAX_FILES]:
        path.unlink(missing_ok=True)


def _cached_path(digest: str) -> Path:
    """The file of a net in the cache, of this version of the converter."""
    versions = f"{_FORMAT} {digest} {torch.__version__}"
    name = hashlib.sha256(versions.encode()).hexdigest()[:32]
    return store.computed("onnx") / f"{name}.onnx"


def _opened(net: VisionModel, content: bytes) -> OnnxModel | None:
    """The net in ONNX Runtime; None if it is damaged, or its outputs are not the net's."""
    try:
        model = OnnxModel(net, open_session(content)).eval()
        return model if _agrees(net, model) else None
    except Exception:  # onnxruntime's errors have no common class but this
        return None


def open_session(content: bytes) -> InferenceSession:
    """Open an ONNX file in ONNX Runtime, with as many threads as torch has."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


@torch.no_grad()
def _agrees(net: VisionModel, model: OnnxModel) -> bool:
    """Whether both give the same outputs for an image of noise."""
    height = model.session.get_inputs()[0].shape[2]  # a name if it may be any
    images = example_inputs(net, height if isinstance(height, int) else None)[0]
    if isinstance(net.body, PromptableHead):
        pairs = zip(net.encode(images), model.encode(images), strict=True)
    else:
        outputs = [one(images) for one in (net, model)]
        tensors = [
            [output] if isinstance(output, Tensor) else output.candidates() for output in outputs
        ]
        pairs = zip(*tensors, strict=True)
    return all(bool((old - new).abs().max() <= _TOLERANCE * old.abs().max()) for old, new in pairs)
