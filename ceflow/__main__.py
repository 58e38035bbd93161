"""`python -m ceflow`, and the command `ceflow`."""

import os
import sys


def main() -> None:
    """Run the command line; an interrupt ends in one line and exit status 1, also while the command
    is loaded.
    """
    try:
        from ceflow.cli import main

        main()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        _leave()
    except SystemExit as end:
        if isinstance(end.__context__, KeyboardInterrupt):  # a command has said it
            _leave()
        raise


def _leave() -> None:
    """End the process with status 1. Python itself would end it by the signal, without a status, if
    the interrupt came while it executed a text, as the decorator of dataclasses does.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(1)


if __name__ == "__main__":
    main()
