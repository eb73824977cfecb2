"""Outputs: none replaces a user's file, lies in the data, or is written through a link."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from compare_files import changes, tree
from lab import Lab, check_polite, require
from materials import FINDER, set_up
from runner import Attack

TEXT = "the user's own\n"


def _user_file(_lab: Lab, target: Path) -> None:
    target.write_text(TEXT)


def _user_json(_lab: Lab, target: Path) -> None:
    target.write_text('{"foveate": "a note of the user"}\n')


def _empty_file(_lab: Lab, target: Path) -> None:
    target.touch()


def _image(lab: Lab, target: Path) -> None:
    target.write_bytes((lab.folder / "data" / "images" / "000.png").read_bytes())


def _link(lab: Lab, target: Path) -> None:
    target.symlink_to(lab.folder / "user" / "thesis")


def _dangling(lab: Lab, target: Path) -> None:
    target.symlink_to(lab.folder / "user" / "not-yet")


def _hard_link(lab: Lab, target: Path) -> None:
    os.link(lab.folder / "user" / "thesis", target)


def _link_to_input(lab: Lab, target: Path) -> None:
    target.symlink_to(lab.folder / "data" / "images" / "000.png")


def _hard_link_to_input(lab: Lab, target: Path) -> None:
    os.link(lab.folder / "data" / "images" / "000.png", target)


def _folder(_lab: Lab, target: Path) -> None:
    target.mkdir()
    (target / "kept.txt").write_text(TEXT)


def _link_to_folder(lab: Lab, target: Path) -> None:
    target.symlink_to(lab.folder / "user")


def _pipe(_lab: Lab, target: Path) -> None:
    os.mkfifo(target)


def _nothing(_lab: Lab, _target: Path) -> None:
    pass


OCCUPANTS: tuple[Callable[[Lab, Path], None], ...] = (
    _user_file, _user_json, _empty_file, _image, _link, _dangling, _hard_link, _link_to_input,
    _hard_link_to_input, _folder, _link_to_folder, _pipe, _nothing,
)  # fmt: skip
"""What already is at the place of an output."""

PLACES = (
    "here/a", "data/a", "data/images/a", "data/images/000.png", "data", "data/images",
    "user/thesis", "run/results.json", "run/a", "run", "via/a", "data/../data/images/a",
    "here/../data/a",
)  # fmt: skip
"""Where an output is asked for; `via` is a link to the data. Empty places get an occupant."""


def commands(place: str) -> list[tuple[object, ...]]:
    """Every command that writes where it is told."""
    return [
        ("predict", "run", "data/images", "--json", place),
        ("predict", "run", "data/images/000.png", "data/images/001.png", "--coco", place),
        ("predict", "run", "data", "--draw", place),
        ("predict", "run", "data/images", "--json", place, "--overwrite"),
        ("predict", "run", "data/images", "--coco", place, "--overwrite"),
        ("audit", "data", "--json", place, "--html", "here/page.html"),
        ("audit", "data", "--html", place),
        ("audit", "data", "--html", place, "--overwrite"),
        ("audit", "data", "--fix", place, "--html", "here/page.html"),
        ("convert", "data", place, "--format", "yolo"),
        ("label", "data/images", "--with", "run", "--out", place),
        ("split", "data", "--out", place),
        ("train", "data", "--out", place, "--size", "32", "--epochs", "0.1"),
    ]


def outputs(lab: Lab, number: int) -> None:
    run = set_up(lab, FINDER, "trained", data=True)
    for name in ("here", "user"):
        (lab.folder / name).mkdir()
    _user_file(lab, lab.folder / "user" / "thesis")
    (lab.folder / "via").symlink_to(lab.folder / "data")
    place = PLACES[number % len(PLACES)]
    suffix = lab.choice(("", ".json", ".html", ".csv", ".png"))
    if place.endswith("/a"):
        place += suffix
    target = lab.folder / place
    if not target.exists():
        occupant = lab.choice(OCCUPANTS)
        lab.note(f"{place}: {occupant.__name__.strip('_')}")
        occupant(lab, target)
    words = lab.choice(commands(place))
    before = {name: tree(lab.folder / name) for name in ("data", "user", "run", "here")}
    result = lab.run(*words, seconds=30.0)
    check_polite(result, codes=(0, 1, 2))
    for name, files in before.items():
        entries = changes(files, tree(lab.folder / name))
        if name != "data" or words[0] in ("predict", "label"):
            entries = [entry for entry in entries if not entry.startswith("added")]
        require(not entries, f"in {name}: {'; '.join(entries[:5])}: {result}")
    if words[0] in ("predict", "label") and "data/images" in words:
        given = [name for name in tree(lab.folder / "data") if name.startswith("images/")]
        known = [name for name in before["data"] if name.startswith("images/")]
        require(given == known, f"written among the images: {set(given) - set(known)}: {result}")
    require(run.is_dir(), "the run is gone")


def overwrite_own(lab: Lab, number: int) -> None:
    """An output of foveate's own is replaced only with --overwrite, and then whole."""
    set_up(lab, FINDER, "trained", data=True)
    options = (
        (("predict", "run", "data/images", "--json"), "a.json"),
        (("predict", "run", "data/images", "--coco"), "a.json"),
        (("audit", "data", "--html"), "a.html"),
        (("audit", "data", "--html", "b.html", "--json"), "a.json"),
    )
    words, name = options[number % len(options)]
    check_polite(lab.run(*words, name), codes=(0, 1))
    first = (lab.folder / name).read_bytes()
    (lab.folder / "data" / "images" / "023.png").unlink()
    if words[0] == "audit":
        (lab.folder / "b.html").unlink(missing_ok=True)
    refused = lab.run(*words, name)
    check_polite(refused)
    require(refused.code == 2, f"an earlier output is replaced unasked: {refused}")
    require("--overwrite" in refused.err, f"the message does not name --overwrite: {refused}")
    require((lab.folder / name).read_bytes() == first, "it was replaced all the same")
    replaced = lab.run(*words, name, "--overwrite")
    check_polite(replaced, codes=(0, 1))
    require((lab.folder / name).read_bytes() != first, f"it was not replaced: {replaced}")


ATTACKS = [
    Attack(
        "outputs-occupied",
        "no output replaces, changes or removes a file of the user's, of the data or of a run, and "
        "none lies in the data",
        f"{len(commands(''))} output options at {len(PLACES)} places (beside, in the data, through "
        f"links, in the run) with {len(OCCUPANTS)} occupants (files, images, links, pipes)",
        outputs,
        weight=2,
    ),
    Attack(
        "outputs-own",
        "an output of foveate's own is replaced with --overwrite alone",
        "predictions and findings written twice",
        overwrite_own,
        weight=0.5,
    ),
]
