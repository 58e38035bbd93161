"""The right to work in a folder: one process at a time, whichever machines share it."""

import json
import os
import secrets
import socket
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from ceflow.store.atomic import WriteError

NAME = ".lease"

BEAT = 15.0
"""Seconds between signs of life: the time of the file."""

STALE = 300.0
"""Seconds without one after which a process of another machine is taken for dead."""

_held: set[str] = set()
"""Tokens of this process."""


@dataclass(frozen=True)
class Holder:
    """The process that holds a lease. `machine` and `born` tell it from others of its number."""

    token: str
    host: str
    machine: str
    pid: int
    born: str
    since: str

    def __str__(self) -> str:
        when = self.since.replace("T", " ").replace("+00:00", " UTC")
        return f"process {self.pid} on {self.host}, since {when}"

    def is_alive(self, silent: float) -> bool:
        """Tell whether it lives, as far as known; `silent`: seconds since its last sign of life."""
        if self.machine != _machine():
            return silent < STALE
        if self.pid == os.getpid():
            return self.token in _held
        return _born(self.pid) == self.born


@dataclass(frozen=True)
class Sign:
    """A sign of life of the process that last held a lease and has not released it."""

    holder: Holder
    is_here: bool
    """Whether it is, or was, of this machine, where a process is known to be alive or gone."""
    is_alive: bool
    silent: float
    """Seconds since its last sign of life."""


def sign_of_life(folder: Path) -> Sign | None:
    """Find who has the lease of a folder, and whether they are alive; None where nobody has it."""
    path = folder / NAME
    try:
        silent = max(0.0, time.time() - path.stat().st_mtime)
    except OSError:
        return None
    holder = _read(path)
    if holder is None:
        return None
    return Sign(holder, holder.machine == _machine(), holder.is_alive(silent), silent)


class Busy(Exception):
    """Another process is at work."""

    def __init__(self, holder: Holder):
        self.holder = holder
        super().__init__(str(holder))


class LeaseLost(WriteError):
    """Another process has taken over, as this one gave no sign of life."""


class Lease:
    """The right to write in a folder, kept alive by a thread until it is released.

    It is the file `.lease`, that comes into being by a link: whole, and for one process only. Who
    takes over from a dead process, or releases, first links a guard, named by the token that is to
    go, so that one process at a time can; the guard of a process that died there is itself taken
    over.
    """

    def __init__(self, folder: Path):
        """Take it. Raises `Busy` where a process that is alive has it."""
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / NAME
        self.holder = _this_process()
        self._claim = folder / f"{NAME}.{self.holder.token}.tmp"
        _held.add(self.holder.token)
        try:
            self._claim.write_text(json.dumps(asdict(self.holder)), encoding="utf-8")
            blocking = self._seize(self.path)
            self._claim.unlink()
            if blocking is not None:
                raise Busy(blocking)
        except BaseException:
            _held.discard(self.holder.token)
            raise
        self._over = threading.Event()
        self.is_lost = False
        threading.Thread(target=self._beat, daemon=True, name="lease").start()

    def require(self) -> None:
        """Raise `LeaseLost` where it is another process's by now."""
        held = _read(self.path)
        if held is None or held.token != self.holder.token:
            self.is_lost = True
        if self.is_lost:
            by = f" by {held}" if held else ""
            raise LeaseLost(
                f"{self.path.parent} was taken over{by}, as this process had given no sign of life;"
                " it stops writing"
            )

    def release(self) -> None:
        """Let others work here."""
        self._over.set()
        _held.discard(self.holder.token)
        guard = self._guard(self.path, self.holder)
        with suppress(OSError):
            if _place(self.path, guard):
                held = _read(self.path)
                if held is not None and held.token == self.holder.token:
                    self.path.unlink()
                guard.unlink()

    def _seize(self, path: Path) -> Holder | None:
        """Put this process's claim at `path`, where nobody alive has one; else who has."""
        while True:
            if _place(self._claim, path):
                return None
            held = _read(path)
            if held is None:
                continue
            if held.is_alive(self._silent_for(path)):
                return held
            guard = self._guard(path, held)
            blocking = self._seize(guard)
            if blocking is not None:
                return blocking
            now = _read(path)
            if now is not None and now.token == held.token:
                guard.replace(path)  # as the guard holds the claim
                return None
            guard.unlink()

    def _guard(self, path: Path, holder: Holder) -> Path:
        return path.with_name(f"{path.name}.{holder.token}")

    def _silent_for(self, path: Path) -> float:
        """Measure seconds since the last sign of life, by the clock of the file system."""
        self._claim.touch()
        with suppress(OSError):
            return self._claim.stat().st_mtime - path.stat().st_mtime
        return 0.0

    def _beat(self) -> None:
        while not self._over.wait(BEAT):
            held = _read(self.path)
            if held is None or held.token != self.holder.token:
                self.is_lost = True
                return
            with suppress(OSError):
                os.utime(self.path)


def sweep(folder: Path) -> None:
    """Remove what processes have left that died while they took a lease or released it."""
    for path in folder.glob(f"{NAME}.*"):
        with suppress(OSError):
            held, silent = _read(path), time.time() - path.stat().st_mtime
            if held is not None and not held.is_alive(silent):
                path.unlink()


def _place(claim: Path, path: Path) -> bool:
    """Put a claim where there is nothing; False where there is something."""
    try:
        os.link(claim, path)
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        content = claim.read_bytes()
        try:
            with path.open("xb") as file:
                file.write(content)
        except FileExistsError:
            return False
    return True


def _this_process() -> Holder:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    pid = os.getpid()
    return Holder(secrets.token_hex(8), socket.gethostname(), _machine(), pid, _born(pid), now)


def _read(path: Path) -> Holder | None:
    """Read who holds a lease, or None. A lease that cannot be read is somebody's."""
    try:
        return Holder(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError):
        return Holder("unreadable", "a machine unknown", "", 0, "", "a time unknown")


@cache
def _machine() -> str:
    """Name this machine, since it was started, and the space of its process numbers."""
    boot, space = "", ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = os.readlink("/proc/self/ns/pid")
    return " ".join(filter(None, (socket.gethostname(), boot, space)))


def _born(pid: int) -> str:
    """Read when a process was started, in its system's terms; empty where there is no process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "" if Path("/proc/self/stat").exists() else _answers(pid)
    state, *fields = stat.rpartition(")")[2].split()
    return "" if state in "ZX" else fields[18]


def _answers(pid: int) -> str:
    """Do the same on systems without /proc: tell whether there is such a process."""
    if os.name == "nt":  # where signal 0 is not harmless
        return "unknown"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        return "running"
    return "running"
