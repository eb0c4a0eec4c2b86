"""Reads and writes files of a stack's state. Every error is one sentence about one file."""

from __future__ import annotations

from pathlib import Path

from framework.core import atomic_files
from framework.core.errors import StateFileError

# Secrets are encrypted in state, but it names every object, image and host of an environment.
OWNER_ONLY = 0o600
_FREE_SPACE = "free some space, or make the file system writable, then run the same command again"
_CHECK_DISK = "make it readable for this user, or check the disk, then run the same command again"


def read_bytes(path: Path) -> bytes | None:
    """Returns the content of a file, None where the file does not exist. StateFileError."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise build_read_error(path, exc) from exc


def read_text(path: Path) -> str | None:
    """Returns the text of a file, None where the file does not exist. StateFileError."""
    content = read_bytes(path)
    try:
        return None if content is None else content.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise StateFileError(path, f"is not UTF-8 (byte {exc.start})") from exc


def build_read_error(path: Path, exc: OSError) -> StateFileError:
    """Builds the error for a file or folder that cannot be read."""
    return _build_error(path, exc, "read", _CHECK_DISK)


def build_write_error(path: Path, exc: OSError) -> StateFileError:
    """Builds the error for a file that cannot be written or removed."""
    return _build_error(path, exc, "written", _FREE_SPACE)


def _build_error(path: Path, exc: OSError, verb: str, remedy: str) -> StateFileError:
    if isinstance(exc, IsADirectoryError):
        return StateFileError(path, "is a folder, where a file is expected", "move it away")
    if isinstance(exc, NotADirectoryError | FileExistsError):
        files = [parent for parent in path.parents if parent.exists() and not parent.is_dir()]
        move = "move it away, or set backend.url of Pulumi.yaml to a folder"
        return StateFileError(files[-1] if files else path.parent, "is not a folder", move)
    reason = (exc.strerror or type(exc).__name__).lower()
    return StateFileError(path, f"cannot be {verb} ({reason})", remedy)


def make_folder(path: Path) -> None:
    """Makes a folder and its parents. StateFileError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise build_write_error(path, exc) from exc


def remove(path: Path) -> None:
    """Removes a file, which need not exist. StateFileError."""
    try:
        path.unlink(missing_ok=True)
    except OSError as exc:
        raise build_write_error(path, exc) from exc


def write_atomically(path: Path, text: str, mode: int = OWNER_ONLY) -> None:
    """Replaces a file in one step: readers and crashes never see half of it.

    On StateFileError the file is as it was, and no temporary file is left beside it.
    """
    make_folder(path.parent)
    try:
        atomic_files.write_atomically(path, text.encode("utf-8"), mode)
    except OSError as exc:
        raise build_write_error(path, exc) from exc
