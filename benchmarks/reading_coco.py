"""How long a full-size file of COCO instances takes to be read, and how much memory.

    python benchmarks/reading_coco.py INSTANCES.json PICTURES/ [--images 118287]

From a small file, repeated until it has as many image records as COCO's train2017, a large one is made in a temporary
folder, with a hard link for each picture. It is recognised and read; prints seconds and the peak memory of the whole process.
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
    """Writes folder/instances.json and folder/images/, piece by piece so that it takes no memory. Returns its objects."""
    small = json.loads(instances.read_text(encoding="utf-8"))
    drawn: dict[object, list[dict[str, object]]] = {}
    for annotation in small["annotations"]:
        drawn.setdefault(annotation["image_id"], []).append(annotation)
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
            for annotation in drawn.get(record["id"], []):
                file.write(comma + json.dumps({**annotation, "id": next(objects), "image_id": id}))
                comma = ", "
        file.write(f'], "categories": {json.dumps(small["categories"])}}}')
    return next(objects)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("instances", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--images", type=int, default=118_287)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        objects = repeat(given.instances, given.pictures, folder, given.images)
        megabytes = (folder / "instances.json").stat().st_size / 1e6
        begun = time.perf_counter()
        data = formats.read(folder)
        seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"{len(data):,} pictures, {objects:,} objects, {megabytes:,.0f} MB: {seconds:.1f} s, peak memory {peak:.2f} GB"
    )


if __name__ == "__main__":
    main()
