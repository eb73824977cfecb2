"""The bench on which foveate is attacked: its commands in processes that can be killed and watched.

A command runs in a fork of a process that has foveate imported, which saves seconds each time, or,
now and then, as the installed program. Nothing of foveate runs in the attacker itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import resource
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from child import act, become

if TYPE_CHECKING:
    from materials import Materials

PROGRAM = Path(sys.executable).with_name("foveate")
CPU_SECONDS = 10.0
"""Seconds of processor time that a command may take on hostile input."""
WALL_SECONDS = 30.0
"""Seconds that it may take in all: it shares the cores."""
MAX_MB = 1000.0
"""Megabytes that it may take beside what importing foveate takes."""

# C0 without tab and newline, DEL, C1, and what changes the direction of text
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]")


class Failed(Exception):
    """A promise does not hold."""


class Skipped(Exception):
    """The attack cannot be made here."""


def require(holds: object, detail: str) -> None:
    """Raise Failed unless it holds."""
    if not holds:
        raise Failed(detail)


@dataclass(frozen=True)
class Result:
    """What became of a command.

    Attributes:
        words: The command.
        code: Its exit code; the negative number of a signal that ended it.
        out: Standard output.
        err: Standard error.
        seconds: Until it ended.
        cpu: Seconds of processor time.
        megabytes: Peak memory beside what was there at the start.
        hung: Whether it had to be stopped; `err` then ends with its stacks.
        writes: How often it opened a file for writing, renamed, removed and so on.
        opened: The paths that it opened, if they were watched.
    """

    words: tuple[str, ...]
    code: int
    out: str
    err: str
    seconds: float
    cpu: float
    megabytes: float
    hung: bool
    writes: int
    opened: tuple[str, ...]

    def __str__(self) -> str:
        lines = (self.out + self.err).strip().splitlines()
        end = "hung" if self.hung else f"exit {self.code}"
        return f"{' '.join(self.words)}: {end}\n" + "\n".join(lines[-12:])


@dataclass
class Process:
    """A command that runs."""

    words: tuple[str, ...]
    pid: int
    folder: Path
    terminal: int | None
    began: float = field(default_factory=time.monotonic)
    base_mb: float = 0.0

    def signal(self, number: int) -> None:
        """Send it a signal."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def running(self) -> bool:
        """Whether it has not ended yet."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def wait(self, seconds: float = 120.0) -> Result:
        """Wait for its end; after so many seconds, end it."""
        hung = not self._ended(seconds)
        if hung:
            self.signal(signal.SIGUSR1)  # its stacks
            self._ended(1.0)
            self.signal(signal.SIGKILL)
        _, status, usage = os.wait4(self.pid, 0)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)  # what it started
        if self.terminal is not None:
            os.close(self.terminal)
        watched: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError):
            watched = json.loads((self.folder / "watched").read_text())
        return Result(
            self.words,
            os.waitstatus_to_exitcode(status),
            _text(self.folder / "out"),
            _text(self.folder / "err"),
            time.monotonic() - self.began,
            usage.ru_utime + usage.ru_stime,
            usage.ru_maxrss / 1024 - self.base_mb,
            hung,
            watched.get("writes", 0),
            tuple(watched.get("opened", ())),
        )

    def _ended(self, seconds: float) -> bool:
        descriptor = os.pidfd_open(self.pid)
        until = time.monotonic() + seconds
        try:
            while (left := until - time.monotonic()) > 0:
                watched = [descriptor, *([] if self.terminal is None else [self.terminal])]
                ready, _, _ = select.select(watched, [], [], left)
                if self.terminal in ready:
                    self._drain()
                if descriptor in ready:
                    self._drain()
                    return True
            return False
        finally:
            os.close(descriptor)

    def _drain(self) -> None:
        """Copy what the terminal shows into the file of the output."""
        if self.terminal is None:
            return
        with (self.folder / "out").open("ab") as file, contextlib.suppress(OSError):
            while select.select([self.terminal], [], [], 0)[0]:
                file.write(os.read(self.terminal, 1 << 16))


@dataclass
class Lab:
    """One attack's bench: a folder of its own, seeded draws, and the shared materials.

    Attributes:
        folder: Of this attack alone; removed afterwards.
        materials: Data and runs; never changed, but copied.
        rng: Seeded by the name and number of the attack.
        records: Where the output of the commands is kept; by default in `folder`.
    """

    folder: Path
    materials: Materials
    rng: np.random.Generator
    notes: list[str] = field(default_factory=list)
    records: Path | None = None
    _processes: int = 0

    def note(self, text: str) -> None:
        """Remember what was done, for the record of a failure."""
        self.notes.append(text)

    def choice(self, options: Sequence[Any]) -> Any:
        """One of these."""
        return options[int(self.rng.integers(len(options)))]

    def copy(self, source: Path, name: str | None = None) -> Path:
        """A copy in the folder of the attack."""
        target = self.folder / (name or source.name)
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True)
        else:
            shutil.copy2(source, target)
        return target

    def start(
        self,
        *words: object,
        env: Mapping[str, str] = {},
        function: Callable[[], object] | None = None,
        die_at: int | None = None,
        max_file: int | None = None,
        die_of_size: bool = False,
        watch: bool = False,
        terminal: bool = False,
        installed: bool = False,
    ) -> Process:
        """Start a command in the folder of the attack.

        Args:
            *words: The command, without "foveate".
            env: Variables to set. Cache and state lie in the folder, unless this says otherwise.
            function: Called instead of the command line; `words` then only names it.
            die_at: SIGKILL itself before the n-th time that it opens a file for writing, renames,
                removes, and so on; counted from 0.
            max_file: The largest file in bytes that it may write.
            die_of_size: Whether a larger one kills it, in the middle of a write, or is an error.
            watch: Record the files that it opens.
            terminal: Whether it writes to a terminal.
            installed: Run the installed program instead of a fork.
        """
        self._processes += 1
        record = (self.records or self.folder) / f".process-{self._processes}"
        record.mkdir()
        texts = tuple(map(str, words))
        self.note("foveate " + " ".join(texts))
        variables = {
            "FOVEATE_CACHE": str(self.folder / "cache"),
            "FOVEATE_STATE": str(self.folder / "state"),
            "HOME": str(self.folder / "home"),
            "COLUMNS": "100",
            **env,
        }
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        master, slave = pty.openpty() if terminal else (None, None)
        base = _resident_mb()
        pid = os.fork()
        if pid == 0:
            become(texts, self.folder, record, variables, slave)
            if max_file is not None:
                signal.signal(signal.SIGXFSZ, signal.SIG_DFL if die_of_size else signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (max_file, max_file))
            if installed:
                os.execv(PROGRAM, [str(PROGRAM), *texts])
            act(record, function, die_at, watch)
        if slave is not None:
            os.close(slave)
        return Process(texts, pid, record, master, base_mb=base)

    def run(self, *words: object, seconds: float = 120.0, **options: Any) -> Result:
        """Run a command to its end; see `start`."""
        return self.start(*words, **options).wait(seconds)

    def succeed(self, *words: object, **options: Any) -> Result:
        """Run a command that must succeed."""
        result = self.run(*words, **options)
        require(result.code == 0, f"expected to succeed: {result}")
        return result


def check_polite(result: Result, codes: Sequence[int] = (0, 2), limits: bool = True) -> None:
    """Check what holds for every command: it ends in time, with one message, and no traceback."""
    require(not result.hung, f"hangs: {result}\n{result.err[-3000:]}")
    both = result.out + result.err
    require("Traceback" not in both, f"traceback: {result}\n{result.err[-3000:]}")
    require(result.code >= 0, f"killed by signal {-result.code}: {result}")
    require(result.code in codes, f"exit code {result.code} instead of {codes}: {result}")
    if limits:
        require(result.cpu < CPU_SECONDS, f"{result.cpu:.0f} s of processor time: {result}")
        require(result.megabytes < MAX_MB, f"{result.megabytes:.0f} MB: {result}")
    if result.code == 2:
        lines = result.err.strip().splitlines()
        first = next((i for i, line in enumerate(lines) if line.startswith("error: ")), None)
        require(first is not None, f"exit code 2 without a message: {result}")
        rest = lines[(first or 0) + 1 :]
        require(all(line.startswith("  ") for line in rest), f"more than one message: {result}")
    found = CONTROL.search(both)
    if found:
        require(False, f"control character {found[0]!r} at the terminal: {both!r:.600}")


@contextlib.contextmanager
def tmpfs(folder: Path, options: str) -> Iterator[None]:
    """Mount a small file system in memory. Only root can.

    Raises:
        Skipped: It cannot be mounted.
    """
    folder.mkdir(exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, text=True
    )
    if mounted.returncode:
        raise Skipped(f"a tmpfs cannot be mounted here ({mounted.stderr.strip()})")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=False)


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "backslashreplace") if path.exists() else ""


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6
