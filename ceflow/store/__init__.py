"""What survives a run: its directory and files. Knows no stage and no mathematics.

`directory` holds them, `atomic` writes them whole, `digests` tells whether they still are, `tiles`
are kernels in pieces, and `lease` lets one process at a time write.
"""

from ceflow.store.atomic import WriteError
from ceflow.store.directory import Damaged, RunDirectory
from ceflow.store.lease import Busy, LeaseLost, sign_of_life

__all__ = ["Busy", "Damaged", "LeaseLost", "RunDirectory", "WriteError", "sign_of_life"]
