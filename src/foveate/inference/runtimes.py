"""ONNX Runtime, which computes a net in the place of torch."""

from __future__ import annotations

from foveate.errors import SettingError

REMEDY = "Install it: pip install 'foveate[export]'"


def check_installed(why: str = "for the runtime onnx") -> None:
    """Raise SettingError if ONNX Runtime is not installed.

    Args:
        why: What it is needed for.
    """
    try:
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise SettingError(
            f"onnxruntime is needed {why} ({error})", where="runtime", remedy=REMEDY
        ) from None
