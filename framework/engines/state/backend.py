"""The file backend: the paths of a stack's state, the CLI's lock files, the record of clusters.

The layout is that of the CLI's own `file://` backend (`pkg/backend/diy` of pulumi). The journal and
the record of clusters are ours; the CLI ignores them.
"""

from __future__ import annotations

import getpass
import json
import os
import re
import socket
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from framework.core import atomic_files
from framework.core.errors import StateError, StateFileError
from framework.engines.project import Project
from framework.engines.state import files
from framework.engines.state.checkpoint import format_now
from framework.engines.state.shapes import ShapeError, check_shape, parse_json

_LAYOUT = 1
# The CLI writes a file `<name>.attrs` beside each of its files.
_ATTRIBUTES = ".attrs"
# Writing a file takes less than a second.
_ABANDONED_S = 60.0
# How often an unlocked reader tries again. Commands that write take seconds, so a second try
# mostly succeeds.
_MAX_READS = 10
_META_VERSION = re.compile(r"(?m)^version:\s*(\d+)")
# By suffix: the name of the format, and the command that unpacks it in place.
_COMPRESSED = {".gz": ("gzip", "gunzip --force"), ".zst": ("zstd", "unzstd --force --rm")}


@dataclass(frozen=True)
class FileBackend:
    """The state of one stack in a `.pulumi` folder."""

    folder: Path
    project: str
    stack: str

    @property
    def checkpoint_path(self) -> Path:
        """The path of the stack's checkpoint."""
        return self.folder / "stacks" / self.project / f"{self.stack}.json"

    @property
    def journal_path(self) -> Path:
        """The path of the journal: the steps of a running or interrupted command since the
        checkpoint."""
        return self.checkpoint_path.with_name(f"{self.stack}.json.journal")

    @property
    def backup_path(self) -> Path:
        """The path of the checkpoint before its last write, which the CLI keeps as well."""
        return self.checkpoint_path.with_name(f"{self.stack}.json.bak")

    @property
    def history_folder(self) -> Path:
        """The folder with two files for each operation; see `history.py`."""
        return self.folder / "history" / self.project / self.stack

    @property
    def backups_folder(self) -> Path:
        """The folder with a copy of the checkpoint after each operation."""
        return self.folder / "backups" / self.project / self.stack

    @property
    def lock_folder(self) -> Path:
        """The folder with one file for each command that holds the stack."""
        return self.folder / "locks" / "organization" / self.project / self.stack

    @property
    def cluster_place(self) -> str:
        """The place of the record of clusters, for messages."""
        return str(self.cluster_path)

    @property
    def cluster_path(self) -> Path:
        """The path of the record of the clusters that the stack is deployed on."""
        return self.folder / "clusters" / self.project / f"{self.stack}.json"

    @property
    def replicas_path(self) -> Path:
        """The path of the replicas of deleted Deployments (`kept_replicas.py`)."""
        return self.folder / "replicas" / self.project / f"{self.stack}.json"

    # Checkpoint

    def _read_checkpoint(self) -> str | None:
        """Returns the text of the checkpoint, None when it does not exist.

        StateError for a backend in a form that only the CLI reads.
        """
        self._check_layout()
        self._check_compressed()
        return files.read_text(self.checkpoint_path)

    def read_state(self) -> tuple[str | None, bytes | None]:
        """Returns the text of the checkpoint and the content of the journal; None if it is missing.

        Both are of one moment, also without the lock. An `up` that ends replaces the checkpoint and
        then removes the journal. A reader that has the old checkpoint and finds no journal would
        lack all that this `up` has done.
        """
        for _ in range(_MAX_READS):
            before = self._identify_checkpoint()
            text, journal = self._read_checkpoint(), files.read_bytes(self.journal_path)
            # With the same checkpoint afterwards, the journal was not removed in between.
            if self._identify_checkpoint() == before:
                return text, journal
        raise StateError(
            f"{self.checkpoint_path}: other commands changed it during each of {_MAX_READS} reads; "
            "wait until they have ended, then run this command again"
        )

    def _identify_checkpoint(self) -> tuple[int, int, int]:
        """Returns what differs between two checkpoints of one path; zeros if there is none."""
        try:
            found = self.checkpoint_path.stat()
        except OSError:
            # Reading it reports the reason.
            return 0, 0, 0
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _check_layout(self) -> None:
        """Raises StateError for stacks without projects, as the CLI kept them before 3.61.

        The stack would look new, and `up` would create everything a second time.
        """
        meta = self.folder / "meta.yaml"
        found = _META_VERSION.search(files.read_text(meta) or "")
        version = int(found[1]) if found else 0
        if version > _LAYOUT:
            raise StateError(
                f"{meta}: this backend has version {version}, and the embedded engine supports "
                f"version {_LAYOUT}; use ENGINE=cli with a pulumi that supports it"
            )
        former = self.folder / "stacks" / f"{self.stack}.json"
        names = [former, *(former.with_name(former.name + end) for end in _COMPRESSED)]
        if version < _LAYOUT and any(path.is_file() for path in names):
            raise StateError(
                f"{former}: this backend has stacks without projects, which only the pulumi CLI "
                "reads; move them into the project with `pulumi state upgrade`, or use ENGINE=cli"
            )

    def _check_compressed(self) -> None:
        """Raises StateError for a compressed checkpoint that is newer than a plain one.

        The CLI reads the newest of them (`stackPath` in pkg/backend/diy/state.go).
        """
        plain = self.checkpoint_path
        written = plain.stat().st_mtime if plain.is_file() else 0.0
        for end, (name, command) in _COMPRESSED.items():
            path = plain.with_name(plain.name + end)
            if path.is_file() and path.stat().st_mtime >= written:
                raise StateError(
                    f"{path}: this checkpoint is compressed with {name}, which only the pulumi "
                    f"CLI reads; unpack it with `{command} {path}`, or use ENGINE=cli"
                )

    def write_checkpoint(self, text: str) -> None:
        """Replaces the checkpoint in one step and keeps the previous one. StateFileError."""
        meta = self.folder / "meta.yaml"
        if not meta.exists():
            files.write_atomically(meta, "version: 1\n")
        previous = self._read_checkpoint()
        if previous is not None:
            # Written before the checkpoint is replaced: at each moment one of the two files is
            # complete.
            files.write_atomically(self.backup_path, previous)
        files.write_atomically(self.checkpoint_path, text)

    # Record of clusters

    def read_cluster(self) -> dict[str, Any]:
        """Returns the record of the stack's clusters, empty when there is none.

        StateFileError for a damaged record: without it the stack's objects might be looked for,
        and written, on another cluster.
        """
        path = self.cluster_path
        remedy = (
            "it records which cluster the stack is deployed on; remove it only when you are sure "
            "that the environment names that cluster, then run the same command again"
        )
        try:
            text = files.read_text(path)
            return {} if text is None else _parse_cluster(text)
        except ShapeError as exc:
            raise StateFileError(path, str(exc), remedy) from exc
        except StateFileError as exc:
            raise StateFileError(path, exc.problem, exc.remedy or remedy) from exc

    def write_cluster(self, record: Mapping[str, Any]) -> None:
        """Replaces the record of clusters; writes nothing where it is the same already."""
        if self.read_cluster() != record:
            files.write_atomically(self.cluster_path, json.dumps(record) + "\n")

    # Replicas of deleted Deployments

    def read_replicas(self) -> dict[str, Any]:
        """Returns what `write_replicas` has written. StateFileError for a damaged file."""
        path = self.replicas_path
        text = files.read_text(path)
        try:
            return {} if text is None else _parse_replicas(text)
        except ShapeError as exc:
            remedy = (
                "it has the replicas of Deployments that an interrupted `up` has deleted; if you "
                "remove it, they start with the minimum of their autoscalers"
            )
            raise StateFileError(path, str(exc), remedy) from exc

    def write_replicas(self, entries: Mapping[str, Any]) -> None:
        """Replaces the file with the entry of each Deployment; removes an empty one."""
        if entries:
            files.write_atomically(self.replicas_path, json.dumps(entries) + "\n")
        else:
            files.remove(self.replicas_path)

    # Locks

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the stack's lock. StateError when another command holds it."""
        # The CLI's own protocol: look for locks, write one, look again. If two commands
        # start at the same time, at least one finds the other's lock and stops; both may stop.
        self.check_lock()
        own = self.lock_folder / f"{uuid.uuid4()}.json"
        holder = {
            "pid": os.getpid(),
            "username": _user_name(),
            "hostname": socket.gethostname(),
            "timestamp": format_now(),
        }
        files.write_atomically(own, json.dumps(holder))
        try:
            self.check_lock(own.name)
            for leftover in self.find_leftovers():
                files.remove(leftover)
            yield
        finally:
            # A lock that cannot be removed does no harm: a later command finds that its process has
            # ended, and removes it.
            with suppress(OSError):
                own.unlink(missing_ok=True)

    def find_leftovers(self) -> list[Path]:
        """Returns the files that killed commands left unfinished, except locks.

        Files that a command writes now are among them, unless the caller has the lock.
        """
        # With the lock, nobody else writes the files of this stack. The temporary files of the CLI
        # do not begin with a dot.
        own = [self.history_folder.glob("*"), self.backups_folder.glob("*")]
        for folder in (self.checkpoint_path.parent, self.cluster_path.parent):
            own += [folder.glob(f"{self.stack}.json*"), folder.glob(f".{self.stack}.json*")]
        leftovers = [
            path for path in chain(*own) if path.suffix == ".tmp" or _is_empty_attributes(path)
        ]
        # Commands that do not have the lock write here, too: those of other stacks, and those that
        # this lock refuses.
        shared = [*self.lock_folder.glob("*"), *self.folder.glob("*meta.yaml*")]
        for path in shared:
            is_orphan = path.suffix == _ATTRIBUTES and not path.with_suffix("").exists()
            if (
                (path.suffix == ".tmp" and _is_abandoned(path))
                or is_orphan
                or _is_empty_attributes(path)
            ):
                leftovers.append(path)
        return leftovers

    def find_holders(self) -> list[str]:
        """Describes each command that works on the stack now: its user, process, host and time."""
        return [lock.describe() for lock in self._read_locks() if not lock.has_ended()]

    def _read_locks(self) -> list[Lock]:
        try:
            paths = sorted(self.lock_folder.glob("[!.]*.json"))
        except OSError as exc:
            raise files.build_read_error(self.lock_folder, exc) from exc
        locks = [_read_lock(path) for path in paths]
        return [lock for lock in locks if lock is not None]

    def check_lock(self, own: str = "") -> None:
        """Raises StateError if a command holds the stack; removes the locks of dead ones.

        `own` is the name of the caller's lock, "" for none.
        """
        self.remove_dead_locks()
        held = [
            f"stack {self.stack} is locked by {lock.describe()}; wait for it, or, if it no "
            f"longer runs, remove {lock.path} and run again"
            for lock in self._read_locks()
            if lock.path.name != own and not lock.has_ended()
        ]
        if held:
            raise StateError("\n".join(held))

    def remove_dead_locks(self) -> None:
        """Removes the locks of commands that were killed on this machine.

        On this machine, a process that is missing has ended. The processes of another machine
        cannot be seen.
        """
        for lock in self._read_locks():
            if lock.has_ended():
                files.remove(lock.path)


def open_backend(project: Project, stack: str) -> FileBackend:
    """Returns the stack's file backend. StateError for any backend but `file://`."""
    if not project.has_file_backend:
        raise StateError(
            f"the state is in {project.describe_backend()}, which only the pulumi CLI reads; the "
            "embedded engine reads file:// only. Use ENGINE=cli, or name a folder in backend.url "
            "of Pulumi.yaml and unset PULUMI_BACKEND_URL"
        )
    return FileBackend(_backend_folder(project) / ".pulumi", project.name, stack)


def create_backend_folder(project: Project) -> None:
    """Creates the folder of a file backend, which the pulumi CLI does not create itself."""
    if project.has_file_backend:
        _backend_folder(project).mkdir(parents=True, exist_ok=True)


def _backend_folder(project: Project) -> Path:
    path = project.backend_url.removeprefix("file://").partition("?")[0]
    return project.root / Path(path).expanduser()


class _Identity(msgspec.Struct):
    uid: str
    context: str | None = None


class _KeptReplicas(msgspec.Struct):
    uid: str
    replicas: int


def _parse_cluster(text: str) -> dict[str, Any]:
    record = parse_json(text)
    check_shape(record, dict[str, Any], "the record")
    # An earlier version recorded one cluster, without its provider.
    clusters = record.get("clusters", {"the only cluster": record})
    check_shape(clusters, dict[str, Any], "the record.clusters")
    for urn, identity in clusters.items():
        check_shape(identity, _Identity, f"the record of {urn}")
    return dict(record)


def _parse_replicas(text: str) -> dict[str, Any]:
    entries = parse_json(text)
    check_shape(entries, dict[str, Any], "the file")
    for name, entry in entries.items():
        check_shape(entry, _KeptReplicas, name)
    return dict(entries)


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container may run as a user that has no name.
        return f"uid {os.getuid()}"


@dataclass(frozen=True)
class Lock:
    """One lock file; `holder` is its content, empty where it is damaged."""

    path: Path
    holder: Mapping[str, Any]

    def describe(self) -> str:
        """Describes the command that holds the lock."""
        holder = self.holder
        return (
            f"{holder.get('username', 'an unknown user')} (pid {holder.get('pid', 0)} on "
            f"{holder.get('hostname', 'an unknown host')}, "
            f"since {holder.get('timestamp', 'an unknown time')})"
        )

    def has_ended(self) -> bool:
        """Returns whether its process has certainly ended; False for a damaged lock."""
        pid = self.holder.get("pid")
        if not isinstance(pid, int) or pid <= 0:
            return False
        # A process id may be used again by another process. Then the lock counts as held. This is
        # safe: the message names the file to remove.
        return self.holder.get("hostname") == socket.gethostname() and not _is_running(pid)


def _read_lock(path: Path) -> Lock | None:
    """Returns the lock, None if its file was removed in the meantime."""
    try:
        text = files.read_text(path)
        holder = None if text is None else parse_json(text)
    except (StateFileError, ShapeError):
        return Lock(path, {})
    if text is None:
        return None
    return Lock(path, holder if isinstance(holder, dict) else {})


def _is_empty_attributes(path: Path) -> bool:
    """Returns whether the CLI was killed while it wrote a file of attributes.

    It refuses every file with empty attributes ("EOF"), and needs none.
    """
    try:
        return path.suffix == _ATTRIBUTES and path.stat().st_size == 0
    except OSError:
        return False


def _is_abandoned(temporary: Path) -> bool:
    """Returns whether nobody writes a temporary file any more."""
    if writer := atomic_files.read_writer(temporary):
        return not _is_running(writer)
    try:
        return time.time() - temporary.stat().st_mtime > _ABANDONED_S
    except OSError:
        # It was renamed or removed in the meantime.
        return False


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        # The process exists and belongs to another user.
        return True
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    """Returns True if a process has ended and its parent has not collected its exit code.

    The `pulumi` of a killed command becomes a child of process 1. In many containers process 1
    never collects exit codes, so the process id, and with it the lock, would stay until the end of
    the container.
    """
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        # Not Linux, or it has gone in the meantime.
        return False
    # `27647 (pulumi) Z 1 ...`; the name of a program may contain parentheses itself.
    return status.rpartition(")")[2].split()[:1] == ["Z"]
