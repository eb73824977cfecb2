"""Fetch files from an address that the user typed into the cache folder, once.

A file that is there already is fetched again only if the server has another: it is asked by the
ETag and the date of the file. Without a network the file in the cache is used, and a note says so.
HTTP and HTTPS need nothing but Python; other addresses (s3://, gs://, ...) need fsspec.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError
from urllib.parse import quote, unquote, urlsplit
from urllib.request import Request, url2pathname, urlopen

from foveate import atomic_io
from foveate.data.cache import store
from foveate.errors import DataError, FoveateError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")  # of two letters or more: C:/ is a drive
_WEB = ("http", "https")
_TIMEOUT = 30  # seconds without an answer
_CHUNK = 1 << 20  # bytes
_MISSING = (403, 404, 410)


def is_address(data: str) -> bool:
    """Return whether this is an address (http://, s3://, ...) and not a path."""
    match = _SCHEME.match(data)
    return match is not None and match[1].lower() != "file"


def local_path(data: str) -> str:
    """Return the path that a file:// address names, and anything else as it is."""
    if not data.lower().startswith("file://"):
        return data
    parts = urlsplit(data, allow_fragments=False)
    if parts.netloc not in ("", "localhost"):
        raise DataError(
            f"a file of this machine is expected, got one of {parts.netloc!r}",
            where=data,
            remedy="An address of a file has three slashes: file:///folder/train-000000.tar.",
        )
    return url2pathname(parts.path)


def cache_folder(address: str) -> Path:
    """Return the folder in the cache for the files of an address."""
    return fetched_folder(hashlib.sha256(address.encode()).hexdigest()[:16])


def fetched_folder(name: str) -> Path:
    """Return the folder of this name in the cache of this machine, see `cache_folder`."""
    return store.root().with_name("remote") / name


def file_name(address: str) -> str:
    """Return the name of the file at an address: the last part of its path."""
    return unquote(urlsplit(address).path).replace("\\", "/").rstrip("/").rpartition("/")[2]


def fetch(address: str, folder: Path, notes: list[str], *, needed: bool = True) -> Path | None:
    """Fetch a file, unless the cache has it as it is now.

    Args:
        address: Its address.
        folder: The folder in the cache where it is put under its own name.
        notes: A list that a note is added to if the server cannot be reached.
        needed: Whether it is an error if there is no such file.

    Returns:
        The file, None if there is none and it is not needed.

    Raises:
        DataError: If it cannot be fetched and is not in the cache.
        StorageError: If it cannot be written.
    """
    place = folder / file_name(address)
    known = _record(place) if place.is_file() else {}
    folder.mkdir(parents=True, exist_ok=True)
    scheme = address.partition("://")[0].lower()
    try:
        (_fetch_web if scheme in _WEB else _fetch_other)(address, place, known)
    except FoveateError:
        raise
    except HTTPError as error:
        if error.code in _MISSING and not needed:
            return None
        raise _not_fetched(address, f"the server says {error.code} {error.reason}") from None
    except (OSError, HTTPException, ValueError) as error:
        if not known:
            if not needed:
                return None
            raise _not_fetched(address, str(getattr(error, "reason", None) or error)) from None
        note = "the address cannot be reached; the files fetched before are used"
        if note not in notes:
            notes.append(note)
    return place


def read_part(address: str, offset: int, size: int) -> bytes:
    """Read some bytes of a file at an address, without fetching the rest where that can be.

    Args:
        address: Its address.
        offset: The first byte.
        size: Number of bytes.

    Raises:
        OSError: They cannot be read.
    """
    try:
        if address.partition("://")[0].lower() not in _WEB:
            system, path = _open_store(address)
            return bytes(system.cat_file(path, offset, offset + size))
        wanted = {"User-Agent": "foveate", "Range": f"bytes={offset}-{offset + size - 1}"}
        with urlopen(Request(_quoted(address), headers=wanted), timeout=_TIMEOUT) as answer:
            skipped = offset if answer.status != 206 else 0  # the server sends the whole file
            while skipped > 0:
                chunk = answer.read(min(skipped, _CHUNK))
                if not chunk:
                    break
                skipped -= len(chunk)
            return bytes(answer.read(size))
    except HTTPError as error:
        error.close()  # it holds the connection
        raise OSError(f"the server says {error.code} {error.reason}") from None
    except Exception as error:  # each store raises its own
        raise OSError(str(error) or type(error).__name__) from None


def version(place: Path) -> str:
    """The version of a fetched file: its ETag or date; empty where the server gave none."""
    record = _record(place)
    return str(record.get("etag") or record.get("modified") or "")


def _fetch_web(address: str, place: Path, known: dict[str, Any]) -> None:
    """Fetch a file over HTTP or HTTPS."""
    headers = {"User-Agent": "foveate"}
    if known.get("etag"):
        headers["If-None-Match"] = known["etag"]
    if known.get("modified"):
        headers["If-Modified-Since"] = known["modified"]
    try:
        with urlopen(Request(_quoted(address), headers=headers), timeout=_TIMEOUT) as answer:
            size = answer.headers["Content-Length"]
            record = {
                "address": address,
                "size": int(size) if size else None,
                "etag": answer.headers["ETag"],
                "modified": answer.headers["Last-Modified"],
            }
            # Some servers answer in full to what they need not send.
            if known and (record["etag"] or record["modified"]) and record == known:
                return
            with atomic_io.new_file(place) as file:
                _copy(answer, file)
                if record["size"] not in (None, file.tell()):
                    raise HTTPException(f"{file.tell():,} of {record['size']:,} bytes arrived")
    except HTTPError as error:
        error.close()  # it holds the connection
        if error.code == 304 and known:
            return
        raise
    atomic_io.write_json(_record_file(place), record)


def _quoted(address: str) -> str:
    """The address with blanks and letters beyond ASCII quoted; what is quoted already stays."""
    return quote(address, safe="%/:=&?~#+!$,;'@()*[]")


def _open_store(address: str) -> tuple[Any, str]:
    """The store that fsspec knows for an address, and the path in it."""
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise DataError(
            "addresses other than http:// and https:// are read by fsspec, which is not installed",
            where=address,
            remedy="Install it: pip install 'foveate[remote]'",
        ) from None
    system, path = url_to_fs(address)
    return system, path


def _fetch_other(address: str, place: Path, known: dict[str, Any]) -> None:
    """Fetch a file from a store that fsspec knows."""
    try:
        system, path = _open_store(address)
        info = system.info(path)
        tag = (
            info.get("ETag") or info.get("etag") or info.get("LastModified") or info.get("created")
        )
        record = {"address": address, "size": info.get("size"), "etag": tag and str(tag)}
        if known and record == known:
            return
        with system.open(path, "rb") as remote, atomic_io.new_file(place) as file:
            _copy(remote, file)
    except ImportError as error:
        raise DataError(
            f"this kind of address needs a package of its own beside fsspec ({error})",
            where=address,
            remedy="Install it with pip, or download the files yourself and give their folder.",
        ) from None
    except (FoveateError, HTTPException):
        raise
    except Exception as error:  # each store raises its own
        raise OSError(str(error) or type(error).__name__) from None
    atomic_io.write_json(_record_file(place), record)


def _copy(source: Any, file: IO[bytes]) -> None:
    """Copy all bytes; a failure to read differs from one to write."""
    while True:
        try:
            chunk = source.read(_CHUNK)
        except OSError as error:
            raise HTTPException(str(error)) from None
        if not chunk:
            return
        file.write(chunk)


def _record_file(place: Path) -> Path:
    return place.with_name(f"{place.name}.json")


def _record(place: Path) -> dict[str, Any]:
    """Return what is known of a file in the cache, {} if it is not whole."""
    with suppress(OSError, FoveateError, ValueError):
        record = atomic_io.read_json(_record_file(place))
        if isinstance(record, dict) and record.get("size") in (None, place.stat().st_size):
            return record
    return {}


def _not_fetched(address: str, reason: str) -> DataError:
    return DataError(
        f"the file could not be fetched ({reason})",
        where=address,
        remedy="Check the address and the network, or download the files yourself and give their "
        "folder.",
    )
