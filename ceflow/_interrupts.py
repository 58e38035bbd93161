"""Signals that ask this process to end."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

ENDING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""Signals that ask a process to end: by Ctrl-C, by a scheduler, by a terminal that is closed."""


def _is_main() -> bool:
    """Tell whether this is the thread that signals interrupt."""
    return threading.current_thread() is threading.main_thread()


class Interrupts:
    """Holds back, in its block, signals that ask this process to end, until what is under way is
    kept and they are passed on. A second signal is passed on at once.

    Signals that are ignored stay ignored. In a thread that is not the main one nothing is held
    back.

    >>> try:
    ...     with Interrupts() as interrupts:
    ...         signal.raise_signal(signal.SIGINT)
    ...         print("asked:", interrupts.asked)
    ... except KeyboardInterrupt:
    ...     print("passed on")
    asked: True
    passed on
    """

    def __init__(self):
        self._asked: int | None = None
        self._before: dict[int, Any] = {}

    @property
    def asked(self) -> bool:
        """True if a signal has come that was not passed on."""
        return self._asked is not None

    def pass_on(self) -> None:
        """Hold back no longer: act on the signal that has come as if it came now."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
        if (number := self._asked) is not None:
            self._asked = None
            signal.raise_signal(number)

    def __enter__(self) -> Self:
        for number in ENDING if _is_main() else ():
            handler = signal.getsignal(number)
            if handler not in (signal.SIG_IGN, None):
                self._before[number] = handler
                signal.signal(number, self._come)
        return self

    def __exit__(self, *error: object) -> None:
        self.pass_on()

    def _come(self, number: int, frame: object) -> None:
        if self.asked:
            self.pass_on()
        self._asked = number


@contextmanager
def ends_as_interrupts() -> Iterator[None]:
    """Raise `KeyboardInterrupt` in the block for each signal that would end the process at once,
    so that it says what it leaves.
    """
    fatal = [n for n in ENDING if _is_main() and signal.getsignal(n) is signal.SIG_DFL]
    for number in fatal:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in fatal:
            signal.signal(number, signal.SIG_DFL)
