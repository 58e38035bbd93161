"""What survives a run: its directory and files. Knows no stage and no mathematics."""

from ceflow.store.directory import RunDirectory

__all__ = ["RunDirectory"]
