"""Whole or not at all, on a disk that is really full and in a process that is really killed."""

import signal
import subprocess
import sys
import textwrap

import pytest

from foveate import atomic_io
from foveate.errors import RunError, StorageError


def test_round_trips(tmp_path):
    atomic_io.write_json(tmp_path / "a.json", {"x": [1, 2.5, float("inf")], "ü": None, "t": (1,)})
    assert atomic_io.read_json(tmp_path / "a.json") == {"x": [1, 2.5, None], "ü": None, "t": [1]}
    atomic_io.write_text(tmp_path / "a.txt", "odd \udce4 name")
    assert (tmp_path / "a.txt").read_text() == "odd \\udce4 name"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.txt"]


def test_damaged_and_missing_json(tmp_path):
    (tmp_path / "a.json").write_text('{"x": ')
    with pytest.raises(RunError, match="damaged"):
        atomic_io.read_json(tmp_path / "a.json")
    with pytest.raises(RunError, match="missing"):
        atomic_io.read_json(tmp_path / "b.json")


def child(script: str, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_file_size_limit_leaves_the_old_file_whole(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    done = child(
        """
        import resource, signal, sys
        from pathlib import Path
        from foveate import atomic_io
        from foveate.errors import RunError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            atomic_io.write_bytes(Path(sys.argv[1]), bytes(5000))
        except RunError as error:
            print(error)
        """,
        path,
    )
    assert "previous version, if any, is untouched" in done.stdout, done.stderr
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_a_full_disk_leaves_the_old_file_whole(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        atomic_io.write_bytes(disk / "a.bin", b"old")
        with pytest.raises(RunError, match="disk is full"):
            atomic_io.write_bytes(disk / "a.bin", bytes(2**20))
        assert (disk / "a.bin").read_bytes() == b"old"
        assert [p.name for p in disk.iterdir()] == ["a.bin"]
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        with pytest.raises(RunError, match="read-only"):
            atomic_io.write_bytes(disk / "a.bin", b"new")
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_a_kill_leaves_the_old_file_whole(tmp_path, where):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    done = child(
        f"""
        import os, signal, sys
        from pathlib import Path
        from foveate import atomic_io
        os.{where} = lambda *a: os.kill(os.getpid(), signal.SIGKILL)
        atomic_io.write_bytes(Path(sys.argv[1]), b"new")
        """,
        path,
    )
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    atomic_io.write_bytes(path, b"newer")
    assert path.read_bytes() == b"newer"
    atomic_io.remove_temporaries(tmp_path, {"b.bin"})  # another file, which may be in the making
    assert len(list(tmp_path.iterdir())) == 2
    atomic_io.remove_temporaries(tmp_path, {"a.bin"})
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_no_link_is_written_through(tmp_path, monkeypatch):
    thesis = tmp_path / "thesis"
    thesis.write_bytes(b"years of work")
    folder = tmp_path / "run"
    folder.mkdir()
    # Links where a fixed temporary name would lie, and at the file itself.
    for name in ("report.html", "report.html.tmp", ".report.html.tmp"):
        (folder / name).symlink_to(thesis)
    atomic_io.write_bytes(folder / "report.html", b"new")
    assert (folder / "report.html").read_bytes() == b"new"
    assert not (folder / "report.html").is_symlink()
    # Even the random name, if somebody could guess it, is opened exclusively.
    monkeypatch.setattr(atomic_io.secrets, "token_hex", lambda _: "0" * 16)
    (folder / f".foveate-{'0' * 16}-other.html.tmp").symlink_to(thesis)
    with pytest.raises(StorageError):
        atomic_io.write_bytes(folder / "other.html", b"new")
    assert thesis.read_bytes() == b"years of work"


def test_a_failing_block_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(KeyError), atomic_io.new_file(path) as file:  # noqa: PT012
        file.write(b"half")
        raise KeyError
    with pytest.raises(FileNotFoundError), atomic_io.new_file(path):
        (tmp_path / "missing").read_bytes()  # an error of another file keeps its name
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_the_advice_is_that_of_the_command(tmp_path):
    advice = "The drawings so far are kept."
    with (
        pytest.raises(StorageError, match=advice),
        atomic_io.storage_advice(advice),
        atomic_io.new_file(tmp_path / "missing" / "a.bin"),
    ):
        pass


def test_the_longest_names_can_be_written(tmp_path):
    for name in ("a" * 255, "ü" * 127, "日" * 85):
        atomic_io.write_bytes(tmp_path / name, b"new")
        assert (tmp_path / name).read_bytes() == b"new"
