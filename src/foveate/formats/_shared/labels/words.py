"""Words by which tools mark label images and their images: x_mask.png beside x.jpg or x_img.jpg."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from foveate.data.dataset import SplitName
from foveate.formats._shared.layout import split_of

_LABEL = (
    r"(?:(?:cp|gt|inst|instance|semantic|sem|nuclei|cell|seg|binary|lesion|tissue|pred)[_\- ]?)?"
    r"(?:masks?|labels?|labell?ed)|gt(?:fine)?|ground[_\- ]?truth|segs?|segmented|segmentations?|"
    r"annots?|annotations?|annotated|manual\d*|targets?|l|mattes?|instances?|"
    r"(?:gt[_\- ]?(?:fine|coarse)[_\- ])?(?:label|instance|labeltrain)[_\- ]?ids?"
)
_IMAGE = (
    r"images?|imgs?|im|rgb|raw|orig|original|input|sat|scan|photos?|pic|leftimg8bit|source|src|"
    r"slice"
)
_NUMBER = r"(?:[_\- ]?\(?\d+\)?)?"
_LABEL_SUFFIX = re.compile(rf"(?<=.)[_\-. ]((?:{_LABEL}){_NUMBER})$|^({_LABEL})$", re.IGNORECASE)
_IMAGE_SUFFIX = re.compile(rf"(?:^|[_\-. ])((?:{_IMAGE}))$", re.IGNORECASE)
_LABEL_PREFIX = re.compile(
    rf"^(?:({_LABEL})[_\-. ]+(?=\w)|(masks?|labels?|gt)(?=\d))", re.IGNORECASE
)
_IMAGE_PREFIX = re.compile(
    rf"^(?:({_IMAGE})[_\-. ]+(?=\w)|(?:images?|imgs?|im)(?=\d))", re.IGNORECASE
)
_LABEL_FOLDER = re.compile(
    rf"(?:^|[_\-. 0-9]|1st|2nd)(?:{_LABEL}|label|mask|class(?:es)?|trimaps?)(?:[_\-. 0-9].*)?$|"
    r"(?:segmentation|label|mask|annotation|groundtruth|annot)[a-z]*$",
    re.IGNORECASE,
)
_IMAGE_FOLDER = re.compile(
    rf"(?:^|[_\-. 0-9])(?:{_IMAGE}|inputs?|originals?|jpegimages|pngimages)(?:[_\-. 0-9].*)?$|"
    r"images$|^img",
    re.IGNORECASE,
)
_OBJECTS = re.compile(
    r"instance|segmentationobject|(?:^|[_\-. ])inst(?:[_\-. ]|$)|cp[_\- ]?masks", re.IGNORECASE
)
_GLUED = re.compile(
    r"(train|val|valid|validation|test)(annots?|annotations?|masks?|labels?|images?|imgs?)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Stem:
    """A file name without its suffix, taken apart.

    Attributes:
        base: What an image and its label image share; "" for a file called just "mask".
        mark: The word that marks it as a label image, or None.
    """

    base: str
    mark: str | None


def parse_stem(name: str) -> Stem:
    """Take a file name without its suffix apart, by the words that tools use."""
    for pattern in (_LABEL_SUFFIX, _LABEL_PREFIX):
        if match := pattern.search(name):
            base = (name[: match.start()] + name[match.end() :]).strip("_-. ")
            image = image_base(base)
            return Stem(image, match[1] or match[2])
    return Stem(name, None)


def image_base(name: str) -> str:
    """Return a file name without the words that mark images: "x" of "x_img" and of "img_x"."""
    for pattern in (_IMAGE_SUFFIX, _IMAGE_PREFIX):
        if match := pattern.search(name):
            return (name[: match.start()] + name[match.end() :]).strip("_-. ")
    return name


def names_labels(folder: str) -> bool:
    """Return whether the name of a folder says that label images lie in it."""
    return bool(_LABEL_FOLDER.search(folder))


def names_images(folder: str) -> bool:
    """Return whether the name of a folder says that images lie in it."""
    return bool(_IMAGE_FOLDER.search(folder))


def names_objects(word: str) -> bool:
    """Return whether the name of a folder or the mark of a file says that objects are numbered."""
    return bool(_OBJECTS.search(word))


def without_split(folder: str) -> tuple[SplitName | None, str]:
    """Return the split that the name of a folder gives, and the rest of it.

    "train" is ("train", ""), "val_labels" is ("valid", "labels"), "photos" is (None, "photos").
    """
    if split := split_of(folder):
        return split, ""
    if match := _GLUED.fullmatch(folder):
        return split_of(match[1]), match[2]
    words = re.split(r"([_\-. ]+)", folder)
    named = [index for index, word in enumerate(words) if split_of(word.rstrip("0123456789"))]
    if len(named) != 1:
        return None, folder
    [index] = named
    rest = "".join(words[:index] + words[index + 1 :]).strip("_-. ")
    return split_of(words[index].rstrip("0123456789")), re.sub(r"([_\-. ])[_\-. ]+", r"\1", rest)


def common_affixes(names: Sequence[str]) -> tuple[int, int]:
    """Return how many characters all names share at their beginning and at their end.

    Digits and what follows them are not counted, so that numbers stay whole.
    """
    if len(names) < 3:
        return 0, 0
    head = re.sub(r"\d.*$", "", _common_head(names))
    shortest = min(map(len, names))
    tail = _common_head([name[len(head) :][::-1] for name in names])[::-1]
    start = re.search(r"(?:^|(?<=\d))[A-Za-z]*$|[_\-. ].*$|[A-Za-z]+$", tail)
    tail = tail[start.start() :] if start else ""
    if not re.match(r"[_\-. ]", tail):
        tail = re.sub(r"^.*\d", "", tail)
    return (len(head), len(tail)) if len(head) + len(tail) < shortest else (0, 0)


def _common_head(texts: Sequence[str]) -> str:
    """Return the characters that all texts begin with."""
    first, last = min(texts), max(texts)
    length = next(
        (i for i, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), None
    )
    return first[: min(len(first), len(last)) if length is None else length]
