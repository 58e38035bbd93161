"""The command line. Commands are imported when they are used; only this package prints."""

from ceflow.cli.group import main

__all__ = ["main"]
