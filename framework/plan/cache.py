"""A cache of planned models, keyed by a digest of everything that they were planned from.

The digest covers the user's files, this package and its libraries: a change in any of them gives
another key. So an entry is never out of date, and the cache may be deleted at any time.
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
from io import FileIO
from pathlib import Path
from typing import Any

from framework.core.errors import UnknownNameError
from framework.core.stack import Stack
from framework.core.user_cache import cache_directory
from framework.files import environment_names, find_catalog, find_environment, list_environments

_PACKAGE = Path(__file__).resolve().parents[1]
# The .json files are tables of Kubernetes fields that patches are checked with.
_CODE = (".py", ".json")
_LIBRARIES = ("omegaconf", "pydantic", "pydantic_core", "pyyaml")
# Thirty versions of a thousand models in three environments.
_MAX_ENTRIES = 100_000
_LOCK_TIMEOUT_S = 5.0
_KEYS_PER_QUERY = 500
# What unpickling may raise where the file was damaged, or an entry has a class that was removed.
_UNREADABLE = (
    pickle.UnpicklingError,
    EOFError,
    AttributeError,
    ImportError,
    IndexError,
    ValueError,
)


@dataclass(frozen=True)
class Digests:
    """Digests of the files of one stack.

    `shared` covers the files that all models are planned from. `models` has one digest for each
    model, of the shared files and its own. `combined` covers all of these files.
    """

    shared: str
    models: Mapping[str, str]
    combined: str


def compute_digests(root: Path, stack: Stack, models: Collection[str] | None = None) -> Digests:
    """Computes the digests of a stack's files as they are now.

    `models` names the models to include; None includes all. The files of the others are not read.
    Raises UnknownNameError for the environment.
    """
    environments = environment_names(root)
    if stack.environment not in environments:
        raise UnknownNameError("environment", stack.environment, list_environments(root))
    files, own = find_catalog(root), find_environment(root, stack.environment)
    shared = hashlib.sha256()
    # Besides the content of files, a plan depends on names: errors in the names of files are
    # diagnostics, and `promotesTo` may name any environment.
    names = (stack.environment, stack.name, files.diagnostics, own.diagnostics, environments)
    strays = sorted(own.overlays.keys() - files.models.keys())
    if strays:
        # The message about a file of no model lists the models that exist.
        strays += sorted(files.models)
    for text in (_code_digest(), repr(names), repr(strays)):
        _feed(shared, text.encode())
    # All profiles, also those that a model does not use: to know which it uses, its file would have
    # to be parsed, which is what the cache saves.
    for path in (files.defaults, *files.profiles.values(), own.environment):
        _feed(shared, (path or "").encode())
        _feed(shared, _read(root, path))
    digests = {}
    for name, path in files.models.items():
        if models is None or name in models:
            # A copy of the state of the hash: the shared files are hashed once, not once for each
            # model.
            digest = shared.copy()
            _feed(digest, name.encode())
            _feed(digest, _read(root, path))
            _feed(digest, _read(root, own.overlays.get(name)))
            digests[name] = digest.hexdigest()
    combined = hashlib.sha256("".join([shared.hexdigest(), *digests.values()]).encode())
    return Digests(shared.hexdigest(), digests, combined.hexdigest())


def _feed(digest: hashlib._Hash, content: bytes) -> None:
    # The length keeps the end of one file from being taken for the beginning of the next.
    digest.update(b"%d:" % len(content))
    digest.update(content)


def _read(root: Path, path: str | None) -> bytes:
    # The first byte distinguishes an empty file, a missing one and one that cannot be read.
    if path is None:
        return b"-"
    try:
        # Unbuffered: each of a thousand small files is read in one call.
        with FileIO(root / path) as file:
            return b"+" + file.readall()
    except OSError:
        return b"?"


@cache
def _code_digest() -> str:
    """Returns the digest of this package and its libraries, which cannot change while it runs."""
    digest = hashlib.sha256(sys.version.encode())
    for name in _library_versions():
        _feed(digest, name.encode())
    _feed(digest, digest_package().encode())
    return digest.hexdigest()


@cache
def digest_package() -> str:
    """Returns the digest of this package's code, whatever Python and libraries run it."""
    digest = hashlib.sha256()
    for path in sorted(path for path in _PACKAGE.rglob("*") if path.suffix in _CODE):
        _feed(digest, path.relative_to(_PACKAGE).as_posix().encode())
        _feed(digest, path.read_bytes())
    return digest.hexdigest()


def _library_versions() -> list[str]:
    """Returns the names and versions of the libraries."""
    # Each has a folder beside it, such as `omegaconf-2.4.0.dist-info`. Looked up here, because the
    # import of importlib.metadata takes as long as reading a plan from the cache.
    folders = [Path(folder) for folder in sys.path if folder.endswith("-packages")]
    names = [path.name for folder in folders for path in folder.glob("*.dist-info")]
    versions = []
    for library in _LIBRARIES:
        found = [name for name in names if name.lower().startswith(f"{library}-")]
        if not found:
            from importlib.metadata import version

            found = [version(library)]
        versions += sorted(found)
    return versions


class PlanCache:
    """Python objects by key, in an SQLite file of the user's cache folder.

    A cache file that cannot be read or written is not an error: `find` returns nothing and `keep`
    stores nothing, so everything is planned again.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or cache_directory() / "plans.sqlite"

    def find(self, keys: Collection[str]) -> dict[str, Any]:
        """Returns the entries that exist under these keys."""
        entries: dict[str, Any] = {}
        with contextlib.suppress(sqlite3.Error, OSError, *_UNREADABLE):
            if not self._path.exists():
                return {}
            with self._connect() as connection:
                for key, checksum, blob in _select(connection, list(keys)):
                    # Checked before unpickling, because damaged bytes could run any code.
                    if _checksum(blob) == checksum:
                        entries[key] = pickle.loads(blob)
        return entries

    def keep(self, entries: Mapping[str, Any]) -> None:
        """Stores entries, and removes the oldest ones if there are too many."""
        blobs = {key: pickle.dumps(entry, -1) for key, entry in entries.items()}
        rows = [(key, _checksum(blob), blob) for key, blob in blobs.items()]
        try:
            self._store(rows)
        except sqlite3.DatabaseError as exc:
            if exc.sqlite_errorcode in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                return  # Another process writes: this run's plans are built again next time.
            # Not a database, or one with another table: begin with an empty one.
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
                (_MAX_ENTRIES,),
            )
        # Entries are unpickled, which runs code: no other user may write them.
        self._path.chmod(0o600)

    @contextlib.contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._path, timeout=_LOCK_TIMEOUT_S)
        try:
            with connection:
                yield connection
        finally:
            connection.close()


def _checksum(blob: bytes) -> str:
    return hashlib.sha256(blob).hexdigest()


def _select(connection: sqlite3.Connection, keys: list[str]) -> Iterable[tuple[str, str, bytes]]:
    # SQLite limits the number of placeholders in one statement.
    for start in range(0, len(keys), _KEYS_PER_QUERY):
        batch = keys[start : start + _KEYS_PER_QUERY]
        marks = ",".join("?" * len(batch))
        yield from connection.execute(
            f"SELECT key, checksum, entry FROM entries WHERE key IN ({marks})", batch
        )
