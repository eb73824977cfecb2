"""Which folders are named after the images or annotations in them, not after a class."""

from __future__ import annotations

import re

from foveate.formats._shared.layout import SPLIT_WORDS

CONTENT_WORDS = (
    "annot|annotation|bbox|data|ground[ _-]?truth|gt|image|img|jpegimage|json|label|mask|photo|"
    "picture|segmentationclass|segmentationobject|segmentation|xml"
)
"""Names of folders with images or annotations, in lower case, as the words of a pattern."""

_SPLITS = "|".join((*SPLIT_WORDS, "tr", "ts", "va"))
_KINDS = r"\d+|\d+x\d+|png|jpe?g|tiff?|npy|rgb|raw|colou?r|gr[ae]y|resized|augmented|instance"
_RESERVED = re.compile(
    f"(?:(?:{_SPLITS})[ _-]?)?(?:{CONTENT_WORDS})s?(?:[ _-]?(?:{_SPLITS}|{_KINDS}))?",
    re.IGNORECASE,
)
_NUMBERED_LABEL = re.compile(r"label[ _-]?\d+", re.IGNORECASE)  # this is a class


def is_reserved(name: str) -> bool:
    """Return whether a folder is named after the images or annotations in it, not after a class."""
    name = name.strip()
    return bool(_RESERVED.fullmatch(name)) and not _NUMBERED_LABEL.fullmatch(name)
