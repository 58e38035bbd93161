"""The files of a run: its directory and everything in it. Knows no stages and no mathematics.

`directory` reads and writes them, `atomic` writes each file completely or not at all, `digests`
detects changes, `arrays` stores arrays with what they are of, `tiles` stores kernels in pieces, and
`lease` admits one writing process at a time.
"""

from ceflow.store.arrays import Damaged
from ceflow.store.atomic import WriteError
from ceflow.store.directory import PAGE, RunDirectory
from ceflow.store.lease import Busy, LeaseLost, sign_of_life

__all__ = ["PAGE", "Busy", "Damaged", "LeaseLost", "RunDirectory", "WriteError", "sign_of_life"]
