"""Files that are either complete or absent, even if the process dies."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class WriteError(OSError):
    """A file could not be written; the message says which, and why."""

    def __str__(self) -> str:
        return self.strerror or super().__str__()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn errors in the block into a sentence about `path`."""
    try:
        yield
    except WriteError:
        raise
    except OSError as error:
        why = (error.strerror or str(error) or type(error).__name__).lower()
        raise WriteError(error.errno or 0, f"{path} could not be written: {why}") from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file under a temporary name, flush it to disk, and rename it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _make_way(path)
        temporary.replace(path)
    finally:
        with suppress(OSError):  # a disk that fails here too has failed above
            temporary.unlink(missing_ok=True)


def _make_way(path: Path) -> None:
    """Remove an empty folder in the place of a file, since nothing is lost."""
    if path.is_dir() and not path.is_symlink():
        try:
            path.rmdir()
        except OSError as error:
            why = "a folder with files is in its place; move it away"
            raise OSError(error.errno, why) from error


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, like `write_bytes`."""
    write_bytes(path, text.encode())


def remove(path: Path) -> None:
    """Remove a file or a folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def release(file: Path) -> None:
    """Advise the system to drop a file from its page cache. The content is unchanged, and nothing
    blocks.

    Linux drops the pages that are on disk, and starts writing the others: a file that was just
    written must be released twice. On systems without this call, nothing happens.
    """
    with suppress(OSError), file.open("rb") as opened:
        if hasattr(os, "posix_fadvise"):  # macOS has none
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
