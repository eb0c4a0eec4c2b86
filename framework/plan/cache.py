"""What was found out before, by the digest of everything it was found out from.

Owns the digests and their store. Kept apart from planning, which is the same with and without it:
the store may be deleted at any time, and an entry is only found where the very same bytes of the
files, of this code and of its libraries gave it.
"""

from __future__ import annotations

import contextlib
import hashlib
import pickle
import sqlite3
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from io import FileIO
from pathlib import Path
from typing import Any

from framework.core.user_cache import cache_directory
from framework.files import find_catalog, find_environment

_PACKAGE = Path(__file__).resolve().parents[1]
# The fields of Kubernetes are data that plans are checked with.
_CODE = (".py", ".json")
_LIBRARIES = ("omegaconf", "pydantic", "pydantic_core", "PyYAML")
# A thousand models in three environments, thirty times over.
_MOST_ENTRIES = 100_000
_BUSY_S = 5.0


@dataclass(frozen=True)
class Digests:
    """`shared` is of everything that all models of an environment are built from, `models` of
    that and each model's own files, `whole` of all of it."""

    shared: str
    models: Mapping[str, str]
    whole: str


def compute_digests(root: Path, environment: str, only: Collection[str] | None = None) -> Digests:
    """The digests of an environment's files as they are now. `only` names the models to look at;
    no file of another one is read, and `whole` is of these alone."""
    files, own = find_catalog(root), find_environment(root, environment)
    shared = hashlib.sha256()
    for text in (_code_digest(), environment, repr((files.diagnostics, own.diagnostics))):
        _feed(shared, text.encode())
    _feed(shared, repr(sorted(own.overlays.keys() - files.models.keys())).encode())
    below = [files.defaults, *files.profiles.values(), own.environment]
    for path in below:
        _feed(shared, (path or "").encode())
        _feed(shared, _read(root, path))
    models = {}
    for name, path in files.models.items():
        if only is not None and name not in only:
            continue
        digest = shared.copy()
        _feed(digest, name.encode())
        _feed(digest, _read(root, path))
        _feed(digest, _read(root, own.overlays.get(name)))
        models[name] = digest.hexdigest()
    whole = hashlib.sha256("".join([shared.hexdigest(), *models.values()]).encode())
    return Digests(shared.hexdigest(), models, whole.hexdigest())


def _feed(digest: hashlib._Hash, content: bytes) -> None:
    # The length keeps the end of one file from being taken for the beginning of the next.
    digest.update(b"%d:" % len(content))
    digest.update(content)


def _read(root: Path, path: str | None) -> bytes:
    if path is None:
        return b"-"
    try:
        # Unbuffered: a thousand small files are each read in one call.
        with FileIO(root / path) as file:
            return b"+" + file.readall()
    except OSError:
        return b"?"


@cache
def _code_digest() -> str:
    """Of this package and its libraries; it does not change while this process runs."""
    digest = hashlib.sha256(sys.version.encode())
    for library in _LIBRARIES:
        _feed(digest, version(library).encode())
    for path in sorted(path for path in _PACKAGE.rglob("*") if path.suffix in _CODE):
        _feed(digest, path.relative_to(_PACKAGE).as_posix().encode())
        _feed(digest, path.read_bytes())
    return digest.hexdigest()


class PlanCache:
    """Plain data by key, in one file of the user's cache. What goes wrong with the file only costs
    time: it is then as if there were none."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or cache_directory() / "plans.sqlite"

    def find(self, keys: Collection[str]) -> dict[str, Any]:
        """What is kept under these keys."""
        found: dict[str, Any] = {}
        # A blob that was written whole may still be of classes that are no more.
        with contextlib.suppress(sqlite3.Error, OSError, *_UNREADABLE):
            if not self._path.exists():
                return {}
            with self._connect() as connection:
                for key, checksum, blob in _select(connection, list(keys)):
                    if _checksum(blob) == checksum:
                        found[key] = pickle.loads(blob)
        return found

    def find_by(self, digests: Mapping[str, str], part: str) -> dict[str, Any]:
        """What is kept of these, by their own names."""
        found = self.find([f"{part} {digest}" for digest in digests.values()])
        keys = {name: f"{part} {digest}" for name, digest in digests.items()}
        return {name: found[key] for name, key in keys.items() if key in found}

    def keep(self, entries: Mapping[str, Any]) -> None:
        """Store entries; the oldest of too many go."""
        blobs = {key: pickle.dumps(entry, -1) for key, entry in entries.items()}
        rows = [(key, _checksum(blob), blob) for key, blob in blobs.items()]
        try:
            self._store(rows)
        except sqlite3.DatabaseError:
            # Not a database, or one of another version: begin anew.
            with contextlib.suppress(OSError, sqlite3.Error):
                self._path.unlink(missing_ok=True)
                self._store(rows)
        except OSError:
            return

    def _store(self, rows: list[tuple[str, str, bytes]]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._connect() as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS entries "
                "(key TEXT PRIMARY KEY, checksum TEXT, entry BLOB)"
            )
            connection.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", rows)
            connection.execute(
                "DELETE FROM entries WHERE rowid <= (SELECT max(rowid) FROM entries) - ?",
                (_MOST_ENTRIES,),
            )
        # Its entries are read back as Python objects: nobody else may write them.
        self._path.chmod(0o600)

    @contextlib.contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._path, timeout=_BUSY_S)
        try:
            with connection:
                yield connection
        finally:
            connection.close()


# What reading an entry back may raise where the file was damaged.
_UNREADABLE = (
    pickle.UnpicklingError,
    EOFError,
    AttributeError,
    ImportError,
    IndexError,
    ValueError,
)
_BATCH = 500


def _checksum(blob: bytes) -> str:
    return hashlib.sha256(blob).hexdigest()


def _select(connection: sqlite3.Connection, keys: list[str]) -> Iterable[tuple[str, str, bytes]]:
    for start in range(0, len(keys), _BATCH):
        batch = keys[start : start + _BATCH]
        marks = ",".join("?" * len(batch))
        yield from connection.execute(
            f"SELECT key, checksum, entry FROM entries WHERE key IN ({marks})", batch
        )
