"""What survives a run: its directory and files. Knows no stage and no mathematics."""

from ceflow.store.atomic import WriteError
from ceflow.store.directory import Damaged, RunDirectory
from ceflow.store.lease import Busy, LeaseLost, sign_of_life

__all__ = ["Busy", "Damaged", "LeaseLost", "RunDirectory", "WriteError", "sign_of_life"]
