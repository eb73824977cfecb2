"""Find the image of each XML file: the one that <filename> names, or the one with its own name."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from foveate.errors import DataError
from foveate.formats._shared.files.partners import best_partners, by_stem, stem_of
from foveate.formats._shared.files.splits import split_of_path
from foveate.formats._shared.files.written_names import (
    common_end,
    folded,
    path_parts,
    readings,
)
from foveate.formats.voc.xml import VocFile
from foveate.wording import count_noun

_USUAL = ("jpegimages", "images")


def match_images(
    root: Path, voc_files: dict[str, VocFile], images: list[str], notes: list[str]
) -> dict[str, str]:
    """Find the image of each XML file.

    <filename> counts if such an image exists; its folders are often those of another machine, so
    its last part decides, and the longest common end where several images have that name. If
    several files name the same image, because they were copied, each takes the image with its own
    name. An XML file below train/ has no image below test/.

    Args:
        root: The dataset's folder.
        voc_files: The XML files by their paths.
        images: The paths of the images.
        notes: A list that is added to where <filename> and the file's name differ.

    Returns:
        The image of each XML file that has one.

    Raises:
        DataError: If an XML file has two images, or an image two XML files.
    """
    by_name: dict[str, list[str]] = {}
    for id in images:
        by_name.setdefault(folded(id.rpartition("/")[2]), []).append(id)
    stems = by_stem(images)
    named = {
        xml_file: image
        for xml_file, voc_file in voc_files.items()
        if (image := _named(xml_file, voc_file, by_name))
    }
    claims = Counter(named.values())
    matched: dict[str, str] = {}
    owner: dict[str, str] = {}
    for xml_file in voc_files:
        image = named.get(xml_file)
        if image is None or claims[image] > 1:
            same = _same_stem(xml_file, stems)
            if len(same) > 1 and image not in same:
                names = [id.rpartition("/")[2] for id in same]
                first, second = same[:2] if names[0] == names[1] else names[:2]
                raise DataError(
                    f"one image is expected for this file, found {first} and {second}",
                    where=root / xml_file,
                )
            image = image if image in same else same[0] if same else image
        if image is None:
            continue
        if owner.setdefault(image, xml_file) != xml_file:
            raise DataError(
                f"one XML file is expected for {image}, {owner[image]} is another",
                where=root / xml_file,
            )
        matched[xml_file] = image
    _note_differences(voc_files, matched, notes)
    return matched


def _named(xml_file: str, voc_file: VocFile, by_name: dict[str, list[str]]) -> str | None:
    """Return the image that <filename> names, or None if there is none or several are."""
    if not voc_file.filename:
        return None
    split = split_of_path(xml_file)
    for path in readings(voc_file.filename[0]):
        *folders, name = path_parts(path)
        same = by_name.get(folded(name), [])
        same = [id for id in same if id.rpartition("/")[2] == name] or same
        same = [
            id for id in same if None in (split, split_of_path(id)) or split == split_of_path(id)
        ]
        common = {id: common_end(folders, id.split("/")[:-1]) for id in same}
        most = max(common.values(), default=0)
        best = best_partners(xml_file, [id for id in same if common[id] == most])
        best = _prefer_usual(best)
        if len(best) == 1:
            return best[0]
    return None


def _same_stem(xml_file: str, stems: dict[str, list[str]]) -> list[str]:
    """Return the images with the name of an XML file: one, unless several fit as well."""
    same = stems.get(stem_of(xml_file), [])
    exact = [id for id in same if Path(id).stem == Path(xml_file).stem]
    beside = [id for id in exact if id.rpartition("/")[0] == xml_file.rpartition("/")[0]]
    usual = _prefer_usual(exact or same)
    return beside or best_partners(xml_file, usual)


def _prefer_usual(images: list[str]) -> list[str]:
    """Keep the images in JPEGImages/ or images/, if there are any: others may be masks of them."""
    usual = [id for id in images if set(_USUAL).intersection(id.casefold().split("/")[:-1])]
    return usual or images


def _note_differences(
    voc_files: dict[str, VocFile], matched: dict[str, str], notes: list[str]
) -> None:
    """Note the XML files whose <filename> is another one than the image's or the file's name."""
    differing = []
    for xml_file, id in matched.items():
        written = voc_files[xml_file].filename
        stem, name = Path(xml_file).stem, id.rpartition("/")[2]
        names = ("", name, stem, id)
        if Path(name).stem != stem or (written and written[0] not in names):
            text = written[0][:100] if written else ""
            differing.append(f"{Path(xml_file).name} names {text!r}, read with {name!r}")
    if differing:
        notes.append(
            f"{count_noun(len(differing), 'XML file')} with another name than the <filename> "
            f"inside (such as {differing[0]})"
        )
