"""Replaces files in one step: readers and crashes never see half of one."""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from pathlib import Path

# The mode of a new file before the process's umask, which removes permissions from it.
_ANY_MODE = 0o666


def write_atomically(path: Path, content: bytes, mode: int = _ANY_MODE) -> None:
    """Replaces a file. After an OSError the file is unchanged, and no temporary file is left."""
    temporary = write_beside(path, content, mode)
    try:
        temporary.replace(path)
    except BaseException:
        discard(temporary)
        raise


def write_beside(path: Path, content: bytes, mode: int = _ANY_MODE) -> Path:
    """Writes a temporary file beside `path`, for the caller to rename, and returns its path.

    Its name begins with a dot and has the id of this process (`read_writer`). OSError.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        fd = open_new(temporary, mode)
        try:
            write_all(fd, content)
            # The rename may reach the disk before the content does: without this, a power failure
            # would leave an empty file under the final name.
            os.fsync(fd)
        finally:
            os.close(fd)
    except BaseException:
        discard(temporary)
        raise
    return temporary


def read_writer(temporary: Path) -> int:
    """Returns the id of the process that writes a temporary file, 0 if its name has none."""
    *_, pid, _, _ = ["0", "0", *temporary.name.split(".")]
    return int(pid) if pid.isdecimal() else 0


def discard(temporary: Path) -> None:
    """Removes a temporary file if it can be removed."""
    # If it cannot, then usually for the reason of the write's own error, which is reported.
    with suppress(OSError):
        temporary.unlink(missing_ok=True)


def open_new(path: Path, mode: int) -> int:
    """Opens a file that must not exist yet for writing. Returns its descriptor."""
    return os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, mode)


def write_all(fd: int, data: bytes) -> None:
    """Writes every byte: one `os.write` may write fewer than it was given."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
