"""Reads and writes the files of a stack's state; every failure is one sentence about one file.

Kept apart from what the files mean, so that the checkpoint, the journal, the locks and the record
of the cluster fail in the same way.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from framework.core.errors import StateFileError

# Secrets are encrypted in state, but it names every object, image and host of an environment.
OWNER_ONLY = 0o600
_FREE_SPACE = "free some space, or make the file system writable, then run the same command again"
_CHECK_DISK = "make it readable for this user, or check the disk, then run the same command again"


def read_bytes(path: Path) -> bytes | None:
    """Returns the content of a file, None where there is no such file. StateFileError otherwise."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise explain_read(path, exc) from exc


def read_text(path: Path) -> str | None:
    """Returns the text of a file, as `read_bytes`."""
    content = read_bytes(path)
    try:
        return None if content is None else content.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise StateFileError(path, f"is not UTF-8 (byte {exc.start})") from exc


def explain_read(path: Path, exc: OSError) -> StateFileError:
    """Returns the error for a file or folder that cannot be read."""
    if isinstance(exc, IsADirectoryError):
        return StateFileError(path, "is a folder, where a file is expected", "move it away")
    if isinstance(exc, NotADirectoryError):
        return _explain_folder(path)
    return StateFileError(path, f"cannot be read ({_words(exc)})", _CHECK_DISK)


def _explain_folder(path: Path) -> StateFileError:
    parents = [parent for parent in path.parents if parent.exists() and not parent.is_dir()]
    remedy = "move it away, or set backend.url of Pulumi.yaml to a folder"
    return StateFileError(parents[-1] if parents else path.parent, "is not a folder", remedy)


def explain_write(path: Path, exc: OSError) -> StateFileError:
    """Returns the error for a file that cannot be written or removed."""
    if isinstance(exc, IsADirectoryError):
        return StateFileError(path, "is a folder, where a file is expected", "move it away")
    if isinstance(exc, NotADirectoryError | FileExistsError):
        return _explain_folder(path)
    return StateFileError(path, f"cannot be written ({_words(exc)})", _FREE_SPACE)


def _words(exc: OSError) -> str:
    return (exc.strerror or type(exc).__name__).lower()


def make_folder(path: Path) -> None:
    """Makes a folder and those above it. StateFileError where it cannot be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise explain_write(path, exc) from exc


def remove(path: Path) -> None:
    """Removes a file, which need not exist. StateFileError where it cannot be removed."""
    try:
        path.unlink(missing_ok=True)
    except OSError as exc:
        raise explain_write(path, exc) from exc


def write_atomically(path: Path, text: str, mode: int = OWNER_ONLY) -> None:
    """Replaces a file in one step: no reader and no crash ever meets half of it.

    StateFileError where that fails; the file is then as it was, and nothing is left beside it.
    """
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        fd = open_new(temporary, mode)
        try:
            write_all(fd, text.encode("utf-8"))
            os.fsync(fd)
        finally:
            os.close(fd)
        temporary.replace(path)
    except BaseException as exc:
        _discard(temporary)
        if isinstance(exc, OSError):
            raise explain_write(path, exc) from exc
        raise


def _discard(temporary: Path) -> None:
    try:
        temporary.unlink(missing_ok=True)
    except OSError:
        # Why it cannot be removed is what the write already failed on.
        return


def open_new(path: Path, mode: int) -> int:
    """Opens a file that must not exist yet, for writing; returns its descriptor."""
    return os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, mode)


def write_all(fd: int, data: bytes) -> None:
    """Writes every byte, in as many calls as that takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
