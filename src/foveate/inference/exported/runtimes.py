"""What computes an exported file: ONNX Runtime, or OpenVINO. Each is imported when it is used."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from foveate import record_io
from foveate.errors import SettingError
from foveate.inference.exported.record import INPUT, KEY
from foveate.inference.runtimes import check_installed

MAX_BYTES = 2**31
"""Of a file: more, no protobuf can have."""
REMEDY = "Export the run again: foveate export RUN --out FILE."


class Runtime(ABC):
    """A file that is ready to be computed.

    Attributes:
        name: Of the runtime.
        suffix: Of its files.
        record: The model's description as JSON; None if the file has none.
        content: The bytes of the file, from which its fingerprint is made.
    """

    name: ClassVar[str]
    suffix: ClassVar[str]

    record: str | None
    content: bytes

    def run(
        self, images: NDArray[np.uint8], names: Sequence[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        """The outputs for (N, H, W, C) uint8 images; see `compute`."""
        return self.compute({INPUT: images}, names)

    @abstractmethod
    def compute(
        self, inputs: Mapping[str, NDArray[Any]], names: Sequence[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        """The outputs of these names, or all of them, for these inputs, both by their names."""


class OnnxRuntime(Runtime):
    """An ONNX file, computed by ONNX Runtime.

    Args:
        name: Of the file, for errors.
        content: Its bytes.

    Raises:
        RunError: The file is damaged.
        SettingError: ONNX Runtime is not installed.
    """

    name, suffix = "onnx", ".onnx"

    def __init__(self, name: str | Path, content: bytes):
        check_installed("to open an exported model")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors
        threads = os.environ.get("OMP_NUM_THREADS", "")
        if threads.isdecimal():
            options.intra_op_num_threads = int(threads)
        try:
            self._session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's errors have no common class but this
            raise record_io.damaged(Path(name), error, remedy=REMEDY) from None
        self.content = content
        self.record = self._session.get_modelmeta().custom_metadata_map.get(KEY)
        self._names = [output.name for output in self._session.get_outputs()]

    @classmethod
    def open(cls, path: Path) -> OnnxRuntime:
        """Open a file; FileNotFoundError if there is none."""
        return cls(path, _read(path))

    def compute(
        self, inputs: Mapping[str, NDArray[Any]], names: Sequence[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        """The outputs of these names, or all of them, for these inputs, both by their names."""
        names = names or self._names
        return dict(zip(names, self._session.run(list(names), dict(inputs)), strict=True))


class OpenVino(Runtime):
    """A pair of files, .xml and .bin, computed by OpenVINO on the CPU.

    Args:
        path: The .xml file.

    Raises:
        RunError: A file is damaged.
        SettingError: OpenVINO is not installed.
    """

    name, suffix = "openvino", ".xml"

    def __init__(self, path: Path):
        openvino = import_openvino()
        self.content = _read(path) + _read(path.with_suffix(".bin"))
        try:
            core = openvino.Core()
            model = core.read_model(path)
            has_record = model.has_rt_info([KEY])
            self.record = model.get_rt_info([KEY]).astype(str) if has_record else None
            precision = {"INFERENCE_PRECISION_HINT": "f32"}
            self._compiled = core.compile_model(model, "CPU", precision)
        except Exception as error:  # openvino's errors have no common class but this
            raise record_io.damaged(path, error, remedy=REMEDY) from None

    def compute(
        self, inputs: Mapping[str, NDArray[Any]], names: Sequence[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        """The outputs of these names, or all of them, for these inputs, both by their names."""
        found = self._compiled(dict(inputs))
        names = names or [output.any_name for output in self._compiled.outputs]
        return {name: np.array(found[name]) for name in names}


def import_openvino() -> Any:
    """The module openvino.

    Raises:
        SettingError: It is not installed.
    """
    try:
        import openvino
    except ImportError as error:
        raise SettingError(
            f"OpenVINO is needed for .xml files ({error})",
            remedy="Install it: pip install 'foveate[openvino]'",
        ) from None
    return openvino


def decoder_path(path: Path) -> Path:
    """The file of a model's decoder, which lies beside it."""
    return path.with_suffix(f"{DECODER_INFIX}{path.suffix}")


def is_decoder(path: Path) -> bool:
    """Whether a file of this name is a decoder, which belongs to a model."""
    return path.stem.endswith(DECODER_INFIX)


def _read(path: Path) -> bytes:
    with record_io.open_file(path, MAX_BYTES, remedy=REMEDY) as file:
        return file.read()


RUNTIMES: Mapping[str, Callable[[Path], Runtime]] = {
    OnnxRuntime.suffix: OnnxRuntime.open,
    OpenVino.suffix: OpenVino,
}
"""What opens an exported file, by its suffix."""
DECODER_INFIX = ".decoder"
"""Before the suffix of the file beside a model that has a decoder."""
PROGRAM_SUFFIX = ".pt2"
"""Of a program of torch.export, which is the net alone: nothing here computes it."""
