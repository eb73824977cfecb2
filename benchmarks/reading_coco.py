"""Time and memory to read a full-size file of COCO instances.

    python benchmarks/reading_coco.py INSTANCES.json IMAGES/ [--count 118287]

A small file is repeated in a temporary folder until it has as many image records as COCO's
train2017, with a hard link for each image. Prints the seconds to recognise and read it, and the
peak memory of the whole process.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import tempfile
import time
from itertools import count
from pathlib import Path

from foveate import formats


def repeat(instances: Path, images: Path, folder: Path, repeats: int) -> int:
    """Write folder/instances.json and folder/images/ piece by piece; returns the objects."""
    small = json.loads(instances.read_text(encoding="utf-8"))
    by_image: dict[object, list[dict[str, object]]] = {}
    for annotation in small["annotations"]:
        by_image.setdefault(annotation["image_id"], []).append(annotation)
    (folder / "images").mkdir()
    shutil.copytree(images, folder / ".once")
    ids, objects = range(repeats), count()
    records = [small["images"][id % len(small["images"])] for id in ids]
    with (folder / "instances.json").open("w", encoding="utf-8") as file:
        file.write('{"images": [')
        for id, record in zip(ids, records, strict=True):
            name = f"{id:012}{Path(record['file_name']).suffix}"
            (folder / "images" / name).hardlink_to(folder / ".once" / record["file_name"])
            file.write(", " * (id > 0) + json.dumps({**record, "id": id, "file_name": name}))
        file.write('], "annotations": [')
        comma = ""
        for id, record in zip(ids, records, strict=True):
            for annotation in by_image.get(record["id"], []):
                file.write(comma + json.dumps({**annotation, "id": next(objects), "image_id": id}))
                comma = ", "
        file.write(f'], "categories": {json.dumps(small["categories"])}}}')
    return next(objects)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("instances", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--count", type=int, default=118_287)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        objects = repeat(given.instances, given.images, folder, given.count)
        megabytes = (folder / "instances.json").stat().st_size / 1e6
        begun = time.perf_counter()
        data = formats.read(folder)
        seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"{len(data):,} images, {objects:,} objects, {megabytes:,.0f} MB: "
        f"{seconds:.1f} s, peak memory {peak:.2f} GB"
    )


if __name__ == "__main__":
    main()
