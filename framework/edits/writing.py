"""Puts prepared changes in place: each file at once, all of them or none.

Kept apart from preparing them: this alone touches the disk, and knows nothing of YAML but that
what was written must read as it was meant.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from framework.core.errors import EditError
from framework.edits.documents import Change
from framework.edits.proof import is_same
from framework.files import load_document


@contextmanager
def written(root: Path, changes: Sequence[Change]) -> Iterator[None]:
    """Write every change; all are undone where one fails or the block raises. Errors: EditError.

    A file that another hand changed since it was read is left as it is.
    """
    needed = [change for change in changes if change.is_needed]
    done: list[Change] = []
    made: list[Path] = []
    try:
        for change in needed:
            _expect_unchanged(root, change)
        for change in needed:
            made += _make_folders(root / change.path)
            done.append(change)
            _write(root, change.path, change.new)
            _expect_written(root, change)
        yield
    except BaseException:
        for change in reversed(done):
            _restore(root, change)
        for folder in reversed(made):
            folder.rmdir()
        raise


def _expect_unchanged(root: Path, change: Change) -> None:
    file = root / change.path
    now = file.read_bytes() if file.exists() else None
    if now != change.old:
        what = "is there already" if change.old is None else "was changed meanwhile"
        raise EditError((change.path, f"{what}; nothing was written, run it again"))


def _make_folders(file: Path) -> list[Path]:
    missing = [folder for folder in file.parents if not folder.exists()][::-1]
    for folder in missing:
        folder.mkdir()
    return missing


def _write(root: Path, path: str, content: bytes) -> None:
    # A link stays one: what it points to is replaced.
    file = (root / path).resolve()
    # No search for models finds a name that begins with a dot.
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        if file.exists():
            temporary.chmod(file.stat().st_mode & 0o7777)
        temporary.replace(file)
    except OSError as exc:
        raise EditError((path, f"cannot be written: {exc.strerror or exc}")) from exc
    finally:
        temporary.unlink(missing_ok=True)


def _expect_written(root: Path, change: Change) -> None:
    document, diagnostics = load_document(root, change.path)
    if diagnostics or not is_same(document.data, change.data):
        message = "does not read as it was meant; it is again as it was, edit it by hand"
        raise EditError((change.path, message))


def _restore(root: Path, change: Change) -> None:
    if change.old is not None:
        _write(root, change.path, change.old)
    else:
        (root / change.path).unlink(missing_ok=True)
