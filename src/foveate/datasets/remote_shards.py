"""WebDataset shards at an address: each machine fetches some of them, and reads of the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from foveate import processes
from foveate.data.dataset import Dataset
from foveate.data.image_reading import DEFAULT_READING, ImageReading
from foveate.datasets import remote
from foveate.errors import DataError
from foveate.formats import webdataset
from foveate.formats._shared.layout import CLASSES_FILE
from foveate.formats.webdataset.listing import Listing, list_shards
from foveate.formats.webdataset.shards import Member, MemberSource, read_member
from foveate.regular_file import open_regular


class OverMachines(Protocol):
    """Does something with some of the items on each machine, in order."""

    def __call__(
        self, work: Callable[..., Any], items: Sequence[Any], /, *args: Any
    ) -> list[Any | None]:
        """Return what each machine gives; None where it has no items."""
        ...


def on_this_machine(work: Callable[..., Any], items: Sequence[Any], /, *args: Any) -> list[Any]:
    """Do something with all items, where there is one machine."""
    return [work(items, *args)]


@dataclass(frozen=True, slots=True)
class RemoteSource(MemberSource):
    """An image file in an archive at an address.

    Attributes:
        address: Of the archive.
        folder: The name of the folder in the cache that it is fetched into.
        version: Of the archive, as it was listed, see `remote.version`.
        member: The file.
        reading: As of a `FileSource`.
        machine: The number of the machine that has fetched it; None if there was one.
    """

    address: str
    folder: str
    version: str
    member: Member
    reading: ImageReading = DEFAULT_READING
    machine: int | None = field(default=None, repr=False, compare=False)

    @property
    def path(self) -> Path:
        """Where the archive lies on a machine that has fetched it."""
        return remote.fetched_folder(self.folder) / remote.file_name(self.address)

    @property
    def where(self) -> str:
        """The address."""
        return self.address

    def _read(self) -> bytes:
        path = self.path
        fetched_here = self.machine in (None, processes.machine_number())
        if fetched_here or (self.version and _version(path) == self.version):
            with suppress(FileNotFoundError), open_regular(path) as file:
                return read_member(file, self.member)
        return remote.read_part(self.address, self.member.offset, self.member.size)


def _version(path: Path) -> str | None:
    try:
        return _version_at(path, path.stat().st_mtime_ns)
    except OSError:  # another machine has fetched it
        return None


@lru_cache(maxsize=10_000)
def _version_at(path: Path, _changed: int) -> str:
    return remote.version(path)


def read(data: str, addresses: list[str], name: str, over_machines: OverMachines) -> Dataset[Any]:
    """Read the shards at some addresses.

    Args:
        data: What the user gave.
        addresses: Of the shards.
        name: The name of the dataset.
        over_machines: Deals them out.

    Raises:
        DataError: They are no shards, or cannot be fetched or read.
    """
    names = Counter(map(remote.file_name, addresses))
    wrong = [one for one in names if not one.lower().endswith(".tar")]
    if wrong or not names or max(names.values()) > 1:
        raise DataError(
            "the address of shards is expected, each with its own name that ends in .tar, "
            f"got {(wrong or names.most_common(1)[0])[0]!r}",
            where=data,
            remedy="An address looks like https://host/data/train-{000..099}.tar. Download other "
            "data yourself and give its folder.",
        )
    place = remote.cache_folder(data)
    notes, entries, skipped = list[str](), [], []
    fetched: dict[str, tuple[int | None, str]] = {}
    by_machine = over_machines(_fetch_and_list, addresses, place.name)
    for number, found in enumerate(by_machine):
        if found is not None:
            listing, versions, more = found
            machine = number if len(by_machine) > 1 else None
            fetched |= {shard: (machine, version) for shard, version in versions.items()}
            notes += [note for note in more if note not in notes]
            entries += [replace(entry, shard=place / entry.shard.name) for entry in listing.entries]
            skipped += listing.skipped
    remote.fetch(addresses[0].rpartition("/")[0] + f"/{CLASSES_FILE}", place, [], needed=False)
    address_of = {remote.file_name(address): address for address in addresses}

    def source(shard: Path, member: Member) -> RemoteSource:
        machine, version = fetched[shard.name]
        address = address_of[shard.name]
        return RemoteSource(address, place.name, version, member, machine=machine)

    dataset = webdataset.dataset_of(Listing(entries, skipped), place, name, data, source)
    return replace(dataset, notes=(*notes, *dataset.notes))


def _fetch_and_list(
    addresses: Sequence[str], folder: str
) -> tuple[Listing, dict[str, str], list[str]]:
    """Fetch some shards into the cache of this machine; what they hold, versions, and notes."""
    place, notes = remote.fetched_folder(folder), list[str]()
    found = [remote.fetch(address, place, notes) for address in addresses]
    shards = [shard for shard in found if shard is not None]
    return list_shards(shards, place), {one.name: remote.version(one) for one in shards}, notes
