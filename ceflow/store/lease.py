"""The right to write in a folder: one process at a time, even if several machines share it."""

import json
import os
import secrets
import socket
import threading
import time
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from ceflow.store.atomic import WriteError

LEASE_FILE = ".lease"

BEAT_SECONDS = 15.0
"""Seconds between signs of life, which are updates of the file's time."""

STALE_SECONDS = 300.0
"""Seconds without a sign of life after which a process of another machine counts as dead."""

_held: set[str] = set()
"""Tokens of the leases that this process holds."""


@dataclass(frozen=True)
class Holder:
    """The process that holds a lease. `machine` and `born` distinguish it from others with the same
    PID.
    """

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
        """Tell whether the process is alive, as far as known; `silent`: seconds since its last sign
        of life.
        """
        if self.machine != _machine():
            return silent < STALE_SECONDS
        if self.pid == os.getpid():
            return self.token in _held
        return _born(self.pid) == self.born


@dataclass(frozen=True)
class Sign:
    """The last sign of life of a process that holds a lease or died with it."""

    holder: Holder
    is_here: bool
    """Whether the process runs, or ran, on this machine, where it is known to be alive or dead."""
    is_alive: bool
    silent: float
    """Seconds since the last sign of life."""


def sign_of_life(folder: Path) -> Sign | None:
    """Return who holds the lease of a folder, and whether that process is alive; None if nobody
    does.
    """
    path = folder / LEASE_FILE
    try:
        silent = max(0.0, time.time() - path.stat().st_mtime)
    except OSError:
        return None
    holder = _read(path)
    if holder is None:
        return None
    return Sign(holder, holder.machine == _machine(), holder.is_alive(silent), silent)


class Busy(Exception):
    """Another process is working in the folder."""

    def __init__(self, holder: Holder):
        self.holder = holder
        super().__init__(str(holder))


class LeaseLost(WriteError):
    """Another process has taken over, since this one gave no sign of life."""


class Lease:
    """The right to write in a folder, kept alive by a thread until it is released.

    It is the file `.lease`, created by a hard link, so that it is complete and belongs to one
    process only. A process that takes over from a dead one, or releases its own lease, first links
    a guard named after the token to be removed, so that only one process can do so at a time. The
    guard of a process that died meanwhile is itself taken over.
    """

    def __init__(self, folder: Path):
        """Take the lease. Raises `Busy` if a living process holds it."""
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / LEASE_FILE
        self.holder = _this_process()
        self._claim = folder / f"{LEASE_FILE}.{self.holder.token}.tmp"
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
        """Raise `LeaseLost` if another process holds the lease by now."""
        held = _read(self.path)
        if held is None or held.token != self.holder.token:
            self.is_lost = True
        if self.is_lost:
            folder = self.path.parent
            if not folder.exists():
                raise LeaseLost(f"{folder} is gone (moved or deleted?); this process stops writing")
            by = f" by {held}" if held else ""
            raise LeaseLost(
                f"{folder} was taken over{by}, as this process had given no sign of life; it stops"
                " writing"
            )

    def release(self) -> None:
        """Release the lease, so that others can work here."""
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
        """Put this process's claim at `path` and return None; if a living process has one, return
        that process.
        """
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
        """Return the seconds since the last sign of life, by the clock of the file system."""
        self._claim.touch()
        with suppress(OSError):
            return self._claim.stat().st_mtime - path.stat().st_mtime
        return 0.0

    def _beat(self) -> None:
        while not self._over.wait(BEAT_SECONDS):
            held = _read(self.path)
            if held is None or held.token != self.holder.token:
                self.is_lost = True
                return
            with suppress(OSError):
                os.utime(self.path)


def sweep(folder: Path) -> None:
    """Remove the files of processes that died while they took or released a lease."""
    for path in folder.glob(f"{LEASE_FILE}.*"):
        with suppress(OSError):
            held, silent = _read(path), time.time() - path.stat().st_mtime
            if held is not None and not held.is_alive(silent):
                path.unlink()


def _place(claim: Path, path: Path) -> bool:
    """Put a claim at `path`; return False if there is one already."""
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
    """Read who holds a lease, or None. A lease that cannot be read counts as held."""
    unknown = Holder("unreadable", "a machine unknown", "", 0, "", "a time unknown")
    try:
        holder = Holder(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError):
        return unknown
    kinds = zip(astuple(holder), astuple(unknown), strict=True)
    return holder if all(type(one) is type(other) for one, other in kinds) else unknown


@cache
def _machine() -> str:
    """Identify machine, boot and PID namespace."""
    boot, space = "", ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = os.readlink("/proc/self/ns/pid")
    return " ".join(filter(None, (socket.gethostname(), boot, space)))


def _born(pid: int) -> str:
    """Return the start time of a process, in units of its system; '' if there is no such
    process.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "" if Path("/proc/self/stat").exists() else _answers(pid)
    state, *fields = stat.rpartition(")")[2].split()
    return "" if state in "ZX" else fields[18]


def _answers(pid: int) -> str:
    """Like `_born`, on systems without /proc: only tell whether the process exists."""
    if os.name == "nt":  # where signal 0 is not harmless
        return "unknown"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        return "running"
    return "running"
