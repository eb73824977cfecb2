"""What the name of a folder says: images or annotations lie in it, or it is a split."""

from __future__ import annotations

import re

from foveate.data.dataset import SplitName
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
_SPLIT_SET = re.compile(f"({'|'.join(SPLIT_WORDS)})(?:set|data|images|imgs)?")  # as in "trainset"


def is_reserved(name: str) -> bool:
    """Return whether a folder is named after the images or annotations in it, not after a class."""
    name = name.strip()
    return bool(_RESERVED.fullmatch(name)) and not _NUMBERED_LABEL.fullmatch(name)


def split_in(name: str) -> SplitName | None:
    """Return the split that one word in a name tells: "train2017", "seg_test", "training_set"."""
    words = re.findall("[a-z]+", name.casefold())
    found = {SPLIT_WORDS[match[1]] for word in words if (match := _SPLIT_SET.fullmatch(word))}
    return found.pop() if len(found) == 1 else None
