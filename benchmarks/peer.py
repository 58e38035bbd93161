"""A peer in an environment of its own: a process that times one call whenever it is asked to.

The peer's script prints a line when it is ready (`first`, which may say what the start took), then
answers each line on stdin with the seconds that one call took.
"""

import os
import subprocess
from pathlib import Path

SCRIPTS = Path(__file__).parent / "peers"


class Peer:
    """A running peer; `Peer.find` gives None where its environment is absent."""

    def __init__(self, python: str, script: str, *arguments: str):
        self.process = subprocess.Popen(
            [python, str(SCRIPTS / script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.first = self._answer()

    @classmethod
    def find(cls, variable: str, script: str, *arguments: str) -> "Peer | None":
        """The peer whose Python the environment variable names."""
        python = os.environ.get(variable)
        if python is None:
            print(f"  peer skipped: set {variable} to the python of its environment")
            return None
        return cls(python, script, *arguments)

    def __call__(self) -> float:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return float(self._answer())

    def _answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(
                "the peer ended before it answered; its script, run by hand, says why"
            )
        return line

    def close(self) -> None:
        """End the peer."""
        self.process.terminate()
        self.process.wait()
