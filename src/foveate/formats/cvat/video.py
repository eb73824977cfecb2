"""Read the tracks of a video: an object in each frame between its first and its last one.

CVAT writes a shape for each frame. In files with key frames only, boxes are interpolated as CVAT
does; other shapes cannot be.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from foveate.errors import DataError
from foveate.formats._shared.documents.xml_elements import Element
from foveate.formats._shared.drawn import DrawnImage, DrawnObject
from foveate.formats._shared.files.image_finder import ImageFinder
from foveate.formats._shared.files.walk import walk_images
from foveate.formats._shared.layout import has_image_suffix, printable
from foveate.formats.cvat.shapes import LEFT_OUT, SHAPES, number, read_shape
from foveate.wording import count_noun

_FRAME = re.compile(r"(?:.*\D)?(\d+)")
_STEP = re.compile(r"step\s*=\s*(\d{1,6})")
_MAX_FRAMES = 10_000_000


@dataclass(slots=True)
class _Moment:
    """An object in one frame; `one` is None if it is outside from there on."""

    frame: int
    one: DrawnObject | None
    line: int


@dataclass
class Video:
    """The tracks of one file.

    Attributes:
        file: The file.
        name: The name of the video.
        first: Its first frame.
        last: Its last frame, None if the file does not say.
        step: The distance of the frames.
        size: (height, width) of the frames, None if the file does not say.
        tracks: The moments of each object.
    """

    file: Path
    name: str
    first: int = 0
    last: int | None = None
    step: int = 1
    size: tuple[int, int] | None = None
    tracks: list[list[_Moment]] = field(default_factory=list)

    @classmethod
    def from_meta(cls, meta: Element, file: Path, before: Video | None) -> Video:
        """Return the description in <meta>; the tracks follow."""
        video = before or cls(file, file.parent.name)
        for child in meta.children:
            if child.tag == "original_size":
                video.size = _two_numbers(child, ("height",), ("width",)) or video.size
            if child.tag not in ("task", "job"):
                continue
            video.name = child.text_of("name") or child.text_of("source") or video.name
            if frames := _two_numbers(child, ("start_frame",), ("stop_frame",)):
                video.first, video.last = frames
            if match := _STEP.search(child.text_of("frame_filter") or ""):
                video.step = max(1, int(match[1]))
            size = _two_numbers(child, ("original_size", "height"), ("original_size", "width"))
            video.size = size or video.size
        return video

    def add(self, track: Element, left_out: Counter[str]) -> None:
        """Add a track; raise DataError, with the line, if it cannot be understood."""
        moments: dict[int, _Moment] = {}
        for element in track.children:
            if element.tag in LEFT_OUT:
                left_out[f"shapes of type {element.tag}, left out"] += 1
            if element.tag not in SHAPES:
                continue
            frame = number(element, "frame", self.file)
            if frame % 1 or not 0 <= frame <= _MAX_FRAMES or int(frame) in moments:
                raise DataError(
                    f"each frame is expected once in a <track>, got {frame:g}",
                    where=self.file,
                    line=element.line,
                )
            element.attributes.setdefault("label", track.attributes.get("label", ""))
            outside = element.attributes.get("outside") == "1"
            one = None if outside else read_shape(element, self.size, self.file, left_out)
            moments[int(frame)] = _Moment(int(frame), one, element.line)
        if moments:
            self.tracks.append([moments[frame] for frame in sorted(moments)])


def images_of(
    video: Video, finder: ImageFinder, group: str | None, notes: list[str]
) -> list[DrawnImage]:
    """Return the frames of a video as images, those without an object included.

    Args:
        video: The video.
        finder: It finds the images of the frames.
        group: The group of the frames.
        notes: A list that notes are added to.

    Raises:
        DataError: If there are no images of the frames, or if shapes are missing in between.
    """
    files = _frame_files(video, finder, notes)
    objects = _objects_by_frame(video, set(files), notes)
    missing = sorted(set(objects) - set(files))
    images = []
    for frame in sorted({*files, *missing}):
        name = files.get(frame) or f"frame_{frame:06d}"
        id = finder.find(
            name, folder=None if frame in files else video.file.parent, where=video.file
        )
        image = DrawnImage(id, video.file, size=video.size, objects=objects[frame], group=group)
        image.time = f"{frame:09d}"  # texts in the order of the frames
        images.append(image)
    if group is None:
        notes.append(
            f"all images are frames of one video ({printable(video.name)}), and neighbours are "
            "alike: splitting by time (--time-by data) keeps them apart"
        )
    return images


def _two_numbers(
    element: Element, first: tuple[str, ...], second: tuple[str, ...]
) -> tuple[int, int] | None:
    """Return two whole numbers at paths of tags, None if one is missing or something else."""
    one, other = element.text_of(*first) or "", element.text_of(*second) or ""
    if all(text.isascii() and text.isdigit() and len(text) < 9 for text in (one, other)):
        return int(one), int(other)
    return None


def _frame_files(video: Video, finder: ImageFinder, notes: list[str]) -> dict[int, str]:
    """Return the image of each frame: by the number in its name, else by its place in order."""
    names = [
        id for id, _ in walk_images(finder.root, video.file.parent, []) if has_image_suffix(id)
    ]
    if not names:
        raise DataError(
            "the frames of the video are expected as images beside the file, found none",
            where=video.file,
            remedy="Export with images (Save images), or write the frames of the video: "
            "ffmpeg -i video.mp4 -start_number 0 images/frame_%06d.png",
        )
    by_number: dict[int, list[str]] = defaultdict(list)
    for id in names:
        if match := _FRAME.fullmatch(Path(id).stem):
            by_number[int(match[1])].append(id)
    wanted = {moment.frame for track in video.tracks for moment in track}
    unique = {frame: ids[0] for frame, ids in by_number.items() if len(ids) == 1}
    if wanted & unique.keys() and not any(len(by_number[frame]) > 1 for frame in wanted):
        last = video.last if video.last is not None else max(unique)
        return {
            frame: id
            for frame, id in unique.items()
            if frame in wanted or video.first <= frame <= last
        }
    frames = range(video.first, (video.last if video.last is not None else -1) + 1, video.step)
    natural = sorted(
        names, key=lambda id: [int(t) if t.isdigit() else t for t in re.split(r"(\d+)", id)]
    )
    if len(frames) == len(names) and natural == sorted(names):
        notes.append(
            f"the {count_noun(len(names), 'image')} below {video.file.parent.name}/ are read as "
            f"the frames of {video.file.name} in the order of their names"
        )
        return dict(zip(frames, natural, strict=True))
    raise DataError(
        f"images with the numbers of the frames are expected, got {names[0]!r}",
        where=video.file,
        remedy="Name them frame_000000.png and so on, or export as 'CVAT for images 1.1'.",
    )


def _objects_by_frame(
    video: Video, there: set[int], notes: list[str]
) -> dict[int, list[DrawnObject]]:
    """Return the objects in each frame, interpolated between key frames."""
    objects: dict[int, list[DrawnObject]] = defaultdict(list)
    frames = sorted(there)
    is_sparse = any(
        here.one and _frames_between(frames, here.frame, after.frame)
        for track in video.tracks
        for here, after in pairwise(track)
    )
    count = 0
    for track in video.tracks:
        # With key frames only, an object stays to the end unless it is said to be outside.
        end = _Moment(frames[-1] + 1, None, 0) if is_sparse and frames else track[-1]
        for here, after in pairwise([*track, end]):
            if here.one is None:
                continue
            objects[here.frame].append(here.one)
            for frame in _frames_between(frames, here.frame, after.frame):
                objects[frame].append(_between(video, here, after, frame))
                count += 1
    if count:
        notes.append(
            f"{count_noun(count, 'box', 'boxes')} between key frames of {video.file.name} "
            "interpolated, as CVAT does"
        )
    return objects


def _frames_between(frames: list[int], first: int, last: int) -> list[int]:
    """Return the frames after the first one and before the last one."""
    return frames[bisect_right(frames, first) : bisect_left(frames, last)]


def _between(video: Video, here: _Moment, after: _Moment, frame: int) -> DrawnObject:
    """Return a box between two frames; it stays where it was until one that is outside."""
    assert here.one is not None
    if not here.one.is_box or (after.one and not after.one.is_box):
        raise DataError(
            f"a shape for each frame is expected, found none for frame {frame}",
            where=video.file,
            line=here.line,
            remedy="Export as 'CVAT for images 1.1', which has them all.",
        )
    if after.one is None:
        return here.one
    share = (frame - here.frame) / (after.frame - here.frame)
    outline = here.one.outlines[0] * (1 - share) + after.one.outlines[0] * share
    return DrawnObject(here.one.label, [outline], is_box=True)
