"""The file backend: where a stack's state lies, in the CLI's own layout.

Owns paths, atomic writes, the CLI's lock files and the identity of the cluster that a stack was
last applied to. Knows nothing of what a checkpoint means.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framework.engines.embedded.checkpoint import timestamp
from framework.engines.embedded.project import Project
from framework.errors import StateError


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

    def read_checkpoint(self) -> str:
        """The checkpoint's text, "" when the stack has none yet."""
        try:
            return self.checkpoint_path.read_text()
        except FileNotFoundError:
            return ""

    def write_checkpoint(self, text: str) -> None:
        """Replace the checkpoint in one step, keeping the one before as the CLI does."""
        meta = self.folder / "meta.yaml"
        if not meta.exists():
            write_atomically(meta, "version: 1\n")
        path = self.checkpoint_path
        if path.exists():
            write_atomically(path.with_name(f"{path.name}.bak"), path.read_text())
        write_atomically(path, text)

    def read_cluster(self) -> dict[str, Any]:
        """The record of the clusters last applied to; empty when none is known."""
        try:
            return dict(json.loads(self.cluster_path.read_text()))
        except (FileNotFoundError, ValueError):
            return {}

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
            "username": getpass.getuser(),
            "hostname": socket.gethostname(),
            "timestamp": timestamp(),
        }
        write_atomically(own, json.dumps(holder))
        try:
            self._refuse_others(own.name)
            yield
        finally:
            own.unlink(missing_ok=True)

    def holders(self) -> list[str]:
        """Who is at work on the stack now, for people."""
        found = [_read_lock(path) for path in sorted(self.lock_folder.glob("[!.]*.json"))]
        return [_name_holder(holder) for holder in found if not _has_ended(holder)]

    def _refuse_others(self, own: str) -> None:
        others = [
            (path, _read_lock(path))
            for path in sorted(self.lock_folder.glob("*.json"))
            if path.name != own and not path.name.startswith(".")
        ]
        held = []
        for path, holder in others:
            # A killed run leaves its lock; on its own machine that is certain, elsewhere not.
            if _has_ended(holder):
                path.unlink(missing_ok=True)
            else:
                held.append(self._describe_lock(path, holder))
        if held:
            raise StateError("\n".join(held))

    def _describe_lock(self, path: Path, holder: Mapping[str, Any]) -> str:
        return (
            f"stack {self.stack} is locked by {_name_holder(holder)}; wait for it, or, if it is "
            f"dead, remove {path} and run again"
        )


def _name_holder(holder: Mapping[str, Any]) -> str:
    return (
        f"{holder.get('username', 'an unknown user')} (pid {holder.get('pid', 0)} on "
        f"{holder.get('hostname', 'an unknown host')}, "
        f"since {holder.get('timestamp', 'an unknown time')})"
    )


def _read_lock(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError):
        return {}


def _has_ended(holder: Mapping[str, Any]) -> bool:
    pid = holder.get("pid", 0)
    return (
        bool(pid) and holder.get("hostname") == socket.gethostname() and not _is_running(int(pid))
    )


def open_backend(project: Project, stack: str) -> FileBackend:
    """The stack's file backend. StateError for any backend but `file://`."""
    url = project.backend_url
    if not url.startswith("file://"):
        raise StateError(
            f'Pulumi.yaml: backend "{url or "app.pulumi.com (the default)"}" needs the pulumi CLI; '
            "the embedded engine serves file:// only: set backend.url, or use ENGINE=cli"
        )
    place = Path(url.removeprefix("file://").partition("?")[0]).expanduser()
    return FileBackend(project.root / place / ".pulumi", project.name, stack)


def write_atomically(path: Path, text: str) -> None:
    """Replace a file in one step: no reader and no crash ever meets half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")
    with temporary.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
