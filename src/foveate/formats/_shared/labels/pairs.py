"""Find the images and label images of a folder, whatever its folders are called.

- Two folders with the usual names: images/1.jpg and masks/1.png. Split folders may lie above them
  (train/images) or below (images/train).
- Two folders with any names whose files share names, if the files of one look like label images.
- One folder with both, if the names mark the label images: 1.jpg and 1_mask.png.
- The layout of nnU-Net: imagesTr/case_0000.png and labelsTr/case.png, see `nnunet`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from foveate.annotations import Annotation
from foveate.data.dataset import Sample, Skipped, Source
from foveate.data.images import FileSource
from foveate.errors import BadImage, DataError
from foveate.formats._shared.files.image_sets import read_image_sets
from foveate.formats._shared.files.walk import contains_image, walk_images
from foveate.formats._shared.labels.arrays import SEGMENTATION_SUFFIX, is_pickle
from foveate.formats._shared.labels.band_files import BandFiles
from foveate.formats._shared.labels.by_content import (
    alike_regions,
    may_be_labels,
    pairs_by_content,
)
from foveate.formats._shared.labels.images import ARRAY_SUFFIX
from foveate.formats._shared.labels.matching import LabelFile, PairSet, match
from foveate.formats._shared.labels.nnunet import is_nnunet, nnunet_files, nnunet_table
from foveate.formats._shared.labels.words import names_objects
from foveate.formats._shared.layout import is_utf8, split_of, unusable_reason, visible
from foveate.formats._shared.wording import first_reason

A = TypeVar("A", bound=Annotation)

_IMAGES = frozenset({"image", "images", "img", "imgs", "jpegimages"})
_LABELS = frozenset({"label", "labels", "mask", "masks", "segmentationclass"})
_OBJECTS = frozenset({"instance", "instances", "segmentationobject"})


class PickleError(DataError):
    """There is nothing but files that may hold code."""


def find_pairs(root: Path, *, objects: bool) -> PairSet | None:
    """Find the images and label images of a folder.

    Args:
        root: The folder.
        objects: Whether label images are looked for that number objects, or such with classes.

    Returns:
        The pairs, or None if the folder is laid out in another way.

    Raises:
        PickleError: If there are only the pickles of Cellpose.
        DataError: If several folders or files may be meant.
        OSError: If a folder cannot be opened.
    """
    if not root.is_dir():
        return None
    if is_nnunet(root):
        return _nnunet(root, objects)
    found = _named(root, objects) or pairs_by_content(root, objects=objects)
    if found is None and objects and (file := _pickle_of_cellpose(root)):
        raise PickleError(
            "label images are expected, these files of Cellpose are pickles, which may hold code "
            "and are never loaded",
            where=file,
            remedy="In Cellpose, save the masks as images: File, Save masks as PNG/tif, or the "
            "option --save_png (or --save_tif) of its command.",
        )
    return found


def required_pairs(root: Path, *, objects: bool) -> PairSet:
    """Find the images and label images of a folder; see `find_pairs`.

    Raises:
        DataError: If there is no pair, or if several folders or files may be meant.
        OSError: If a folder cannot be opened.
    """
    found = find_pairs(root, objects=objects)
    if found is None:
        raise DataError(
            "a folder of images and one of label images are expected, such as images/ and masks/",
            where=root,
        )
    if not found.pairs:
        raise DataError(
            "pairs of images and label images are expected, found none with the same name"
            + first_reason(found.skipped),
            where=root,
            remedy="Give both the same name: images/1.jpg and masks/1.png.",
        )
    return found


def _source_of(image: LabelFile, found: PairSet) -> Source:
    """Return where the pixels of an image come from."""
    if more := found.bands.get(image.id):
        return BandFiles((image.path, *more))
    return FileSource(image.path)


def paired_samples(
    root: Path, found: PairSet, targets: Iterable[A | BadImage]
) -> tuple[list[Sample[A]], list[Skipped], tuple[str, ...]]:
    """Make a sample of each pair whose label image could be read.

    Args:
        root: The folder of the dataset.
        found: The pairs.
        targets: For each pair its target, or why its label image cannot be read.

    Returns:
        The samples, what is skipped, and notes on splits that lists give.

    Raises:
        DataError: If no label image could be read, or if an image is in two splits.
    """
    samples: list[Sample[A]] = []
    skipped = list(found.skipped)
    for (image, label), target in zip(found.pairs, targets, strict=True):
        if isinstance(target, BadImage):
            skipped.append(Skipped(image.id, f"{label.id}: {target.message}"))
        else:
            samples.append(Sample(image.id, _source_of(image, found), target, None, image.split))
    if not samples:
        raise DataError(
            f"label images that can be read are expected; {skipped[-1].reason}", where=root
        )
    return _with_image_sets(root, samples, skipped)


def _with_image_sets(
    root: Path, samples: Sequence[Sample[A]], skipped: Sequence[Skipped]
) -> tuple[list[Sample[A]], list[Skipped], tuple[str, ...]]:
    """Assign the splits that the lists in ImageSets/Segmentation give, if folders give none.

    Returns:
        The samples, what is skipped, and notes.

    Raises:
        DataError: If an image is in two splits.
    """
    if any(sample.split for sample in samples):
        return list(samples), list(skipped), ()
    stems = [sample.id.rpartition("/")[2].rpartition(".")[0] for sample in samples]
    sets = read_image_sets(root, "Segmentation", set(stems))
    if not sets.splits:
        return list(samples), list(skipped), ()
    assigned = [
        replace(sample, split=sets.splits.get(stem))
        for sample, stem in zip(samples, stems, strict=True)
    ]
    note = f"{len(sets.splits):,} of {len(samples):,} images have the split that a list gives them"
    return assigned, [*skipped, *sets.absent], (*sets.notes, note)


def _nnunet(root: Path, objects: bool) -> PairSet:
    skipped: list[Skipped] = []
    images, labels, bands, notes = nnunet_files(root, skipped)
    pairs = match(images, labels, skipped, objects=objects, where=root)
    return PairSet(pairs, skipped, notes, bands=bands, table=nnunet_table(root))


def _pickle_of_cellpose(root: Path) -> Path | None:
    """Return a file in which Cellpose stores what it found, None if there is none."""
    for folder in (root, *(Path(entry.path) for entry in visible(root)[0])):
        for entry in visible(folder)[1]:
            named = entry.name.lower().endswith(SEGMENTATION_SUFFIX + ARRAY_SUFFIX)
            if named and is_pickle(Path(entry.path)):
                return Path(entry.path)
    return None


# --- folders with the usual names


def _named(root: Path, objects: bool) -> PairSet | None:
    inside = [(None, root)] + [
        (split, Path(folder.path))
        for folder in visible(root)[0]
        if (split := split_of(folder.name))
    ]
    places = [
        (split, folder, *sides) for split, folder in inside if (sides := _sides(folder, objects))
    ]
    if not places:
        return None
    skipped = [
        Skipped(f"{folder.name}/", "it has no folder of label images")
        for _, folder in inside
        if folder not in [place for _, place, *_ in places] and folder != root
    ]
    images: list[LabelFile] = []
    labels: list[LabelFile] = []
    for split, _, *folders in places:
        for side, folder in zip((images, labels), folders, strict=True):
            start = len(str(folder)) + 1
            for id, file in _walk(root, folder, skipped):
                given, (*place, name) = split, file[start:].split("/")
                if given is None and place and (below := split_of(place[0])):
                    given, place = below, place[1:]
                stem = name[: name.rindex(".")]
                side.append(LabelFile(id, file, given, tuple(place), stem))
    notes = [
        note
        for _, folder, *sides in places
        for note in _other_labels(root, folder, sides, images, labels)
    ]
    pairs = match(images, labels, skipped, objects=objects, where=root)
    label_folder = places[0][3].name
    return PairSet(
        pairs,
        skipped,
        notes,
        objects=True if names_objects(label_folder) else _says_classes(label_folder),
        folders=tuple(folder for split, folder, *_ in places if split),
    )


def _other_labels(
    root: Path,
    folder: Path,
    sides: Sequence[Path],
    images: Sequence[LabelFile],
    labels: Sequence[LabelFile],
) -> list[str]:
    """Note the other folders beside two with the usual names that hold label images as well.

    Raises:
        DataError: If they hold other ones.
    """
    notes = []
    for entry in visible(folder)[0]:
        other = Path(entry.path)
        usual = entry.name.casefold() in (*_IMAGES, *_LABELS, *_OBJECTS)
        if other in sides or usual or split_of(entry.name):
            continue
        files = [
            LabelFile(id, file, images[0].split if images else None, (), Path(file).stem)
            for id, file in _walk(root, other, [])
        ]
        here = [file for file in images if file.path.parent == sides[0]]
        if not files or not may_be_labels(here, files):
            continue
        if not alike_regions(labels, files):
            raise DataError(
                f"one folder of label images is expected, found {sides[1].name} and {entry.name}",
                where=folder,
                remedy="Move the one that is not meant to be read to another place.",
            )
        notes.append(f"{entry.name}/ has the same regions as {sides[1].name}/, and is not read")
    return notes


def _says_classes(folder: str) -> bool | None:
    return False if folder.casefold() == "segmentationclass" else None


def _sides(folder: Path, objects: bool) -> tuple[Path, Path] | None:
    """Return the folder of images and that of label images, or None."""
    below = [Path(entry.path) for entry in visible(folder)[0]]
    images = _one_of(folder, [one for one in below if one.name.casefold() in _IMAGES])
    if images is None:
        return None
    for words in (_OBJECTS, _LABELS) if objects else (_LABELS,):
        named = [one for one in below if one.name.casefold() in words]
        if (labels := _one_of(folder, named)) is not None:
            return images, labels
    return None


def _one_of(folder: Path, named: list[Path]) -> Path | None:
    matches = [below for below in named if contains_image(below) or _contains_array(below)]
    if len(matches) > 1:
        raise DataError(
            f"one folder is expected, found {' and '.join(one.name for one in matches)}",
            where=folder,
            remedy="Move the one that is not meant to be read to another place.",
        )
    return matches[0] if matches else None


def _contains_array(folder: Path) -> bool:
    return any(entry.name.lower().endswith(ARRAY_SUFFIX) for entry in visible(folder)[1])


def _walk(root: Path, folder: Path, skipped: list[Skipped]) -> Iterator[tuple[str, str]]:
    """Yield (id, file) of the usable images and arrays of a folder."""
    left: list[Skipped] = []
    yield from walk_images(root, folder, left)
    for one in left:
        usable = one.id.lower().endswith(ARRAY_SUFFIX) and is_utf8(one.id)
        if usable and unusable_reason(root / one.id) is None:
            yield one.id, f"{root}/{one.id}"
        else:
            skipped.append(one)
