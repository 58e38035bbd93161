"""Files that do not fill the operating system's page cache."""

import os
from contextlib import suppress
from pathlib import Path


def release(file: Path) -> None:
    """Advise the system to keep none of a file in memory. Changes no byte and waits for nothing.

    Linux begins to transfer to the disk what is not there yet, and lets go of what is: written a
    moment ago, a file has to be released twice. Nothing happens on systems that take no advice.
    """
    with suppress(OSError), file.open("rb") as opened:
        if hasattr(os, "posix_fadvise"):  # macOS has none
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
