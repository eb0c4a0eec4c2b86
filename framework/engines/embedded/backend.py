"""The file backend: where a stack's state lies, in the CLI's own layout.

Owns paths, the CLI's lock files and the identity of the cluster that a stack was last applied to.
Knows nothing of what a checkpoint means.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framework.core.errors import StateError, StateFileError
from framework.engines.embedded import state_files
from framework.engines.embedded.checkpoint import timestamp
from framework.engines.embedded.project import Project
from framework.engines.embedded.shapes import (
    ShapeError,
    check_field,
    check_optional,
    check_type,
    parse_json,
)
from framework.engines.embedded.state_files import write_atomically


@dataclass(frozen=True)
class FileBackend:
    """The `.pulumi` folder of one stack."""

    folder: Path
    project: str
    stack: str

    @property
    def checkpoint_path(self) -> Path:
        """The stack's state."""
        return self.folder / "stacks" / self.project / f"{self.stack}.json"

    @property
    def journal_path(self) -> Path:
        """What a running, or interrupted, command has done since; ours, not the CLI's."""
        return self.checkpoint_path.with_name(f"{self.stack}.json.journal")

    @property
    def lock_folder(self) -> Path:
        """One file for each command that holds the stack."""
        return self.folder / "locks" / "organization" / self.project / self.stack

    @property
    def cluster_path(self) -> Path:
        """Which cluster the stack was last applied to; ours, not the CLI's."""
        return self.folder / "clusters" / self.project / f"{self.stack}.json"

    @property
    def backup_path(self) -> Path:
        """The checkpoint as it was before it was written last, kept as the CLI does."""
        return self.checkpoint_path.with_name(f"{self.stack}.json.bak")

    def read_checkpoint(self) -> str | None:
        """The checkpoint's text, None when there is no such file."""
        return state_files.read_text(self.checkpoint_path)

    def write_checkpoint(self, text: str) -> None:
        """Replace the checkpoint in one step, keeping the one before. StateFileError."""
        meta = self.folder / "meta.yaml"
        if not meta.exists():
            write_atomically(meta, "version: 1\n")
        before = self.read_checkpoint()
        if before is not None:
            write_atomically(self.backup_path, before)
        write_atomically(self.checkpoint_path, text)

    def read_cluster(self) -> dict[str, Any]:
        """The record of the clusters last applied to; empty when none is known.

        StateFileError for a damaged record: without it the stack's objects might be looked for,
        and written, on another cluster.
        """
        path = self.cluster_path
        remedy = (
            "it says which cluster the stack is deployed on; remove it only when you are sure that "
            "the environment names that cluster, then run the same command again"
        )
        try:
            text = state_files.read_text(path)
            return {} if text is None else _parse_cluster(text)
        except ShapeError as exc:
            raise StateFileError(path, str(exc), remedy) from exc
        except StateFileError as exc:
            raise StateFileError(path, exc.problem, exc.remedy or remedy) from exc

    def write_cluster(self, record: Mapping[str, Any]) -> None:
        """Replace the record of clusters; nothing is written where it says the same already."""
        if self.read_cluster() != record:
            write_atomically(self.cluster_path, json.dumps(record) + "\n")

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the stack's lock. StateError when another command holds it.

        The CLI's own protocol: list, write, list again; whoever then sees another's gives way.
        """
        self._refuse_others("")
        own = self.lock_folder / f"{uuid.uuid4()}.json"
        holder = {
            "pid": os.getpid(),
            "username": _user_name(),
            "hostname": socket.gethostname(),
            "timestamp": timestamp(),
        }
        write_atomically(own, json.dumps(holder))
        try:
            self._refuse_others(own.name)
            yield
        finally:
            # One that cannot be removed is recognised later: its process has ended.
            with suppress(OSError):
                own.unlink(missing_ok=True)

    def holders(self) -> list[str]:
        """Who is at work on the stack now, for people."""
        return [lock.describe() for lock in self._read_locks() if not lock.has_ended()]

    def _read_locks(self) -> list[Lock]:
        try:
            paths = sorted(self.lock_folder.glob("[!.]*.json"))
        except OSError as exc:
            raise state_files.explain_read(self.lock_folder, exc) from exc
        found = [_read_lock(path) for path in paths]
        return [lock for lock in found if lock is not None]

    def _refuse_others(self, own: str) -> None:
        held = []
        for lock in self._read_locks():
            if lock.path.name == own:
                continue
            # A killed run leaves its lock; on its own machine that is certain, elsewhere not.
            if lock.has_ended():
                state_files.remove(lock.path)
            else:
                held.append(
                    f"stack {self.stack} is locked by {lock.describe()}; wait for it, or, if it is "
                    f"dead, remove {lock.path} and run again"
                )
        if held:
            raise StateError("\n".join(held))


def _parse_cluster(text: str) -> dict[str, Any]:
    try:
        record = parse_json(text)
    except ShapeError as exc:
        raise ShapeError(f"is not JSON ({exc})") from exc
    check_type(record, dict, "the record")
    if "clusters" not in record:
        # As earlier versions wrote it, of one cluster.
        check_field(record, "uid", str, "the record")
        check_optional(record, "context", str, "the record")
        return dict(record)
    check_field(record, "clusters", dict, "the record")
    for urn, identity in record["clusters"].items():
        check_type(identity, dict, f"the record of {urn}")
        check_field(identity, "uid", str, f"the record of {urn}")
    return dict(record)


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container may run as a user that has no entry anywhere.
        return f"uid {os.getuid()}"


@dataclass(frozen=True)
class Lock:
    """One lock file; `holder` is what it says, empty where it is damaged."""

    path: Path
    holder: Mapping[str, Any]

    def describe(self) -> str:
        """Who holds it, for people."""
        holder = self.holder
        return (
            f"{holder.get('username', 'an unknown user')} (pid {holder.get('pid', 0)} on "
            f"{holder.get('hostname', 'an unknown host')}, "
            f"since {holder.get('timestamp', 'an unknown time')})"
        )

    def has_ended(self) -> bool:
        """Whether its process is certain to have ended; of a damaged lock nothing is certain."""
        pid = self.holder.get("pid")
        if not isinstance(pid, int) or pid <= 0:
            return False
        return self.holder.get("hostname") == socket.gethostname() and not _is_running(pid)


def _read_lock(path: Path) -> Lock | None:
    """Returns the lock, None where it has been given back meanwhile."""
    try:
        text = state_files.read_text(path)
        holder = None if text is None else parse_json(text)
    except (StateFileError, ShapeError):
        return Lock(path, {})
    if text is None:
        return None
    return Lock(path, holder if isinstance(holder, dict) else {})


def open_backend(project: Project, stack: str) -> FileBackend:
    """The stack's file backend. StateError for any backend but `file://`."""
    url = project.backend_url
    if not url.startswith("file://"):
        raise StateError(
            f'Pulumi.yaml: backend "{url or "app.pulumi.com (the default)"}" needs the pulumi CLI; '
            "the embedded engine serves file:// only: set backend.url, or use ENGINE=cli"
        )
    position = Path(url.removeprefix("file://").partition("?")[0]).expanduser()
    return FileBackend(project.root / position / ".pulumi", project.name, stack)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OverflowError:
        # No process has such a number.
        return False
    except PermissionError:
        return True
    return True
