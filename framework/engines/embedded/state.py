"""The state of one stack while a command works on it.

Joins checkpoint, journal and secrets: what was recorded, what has happened since, and the one place
where a finished step becomes durable. Kept apart from the runs so that preview, apply, refresh and
destroy record in the same way.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from framework.core.errors import StateError, StateFileError
from framework.engines.embedded import state_files
from framework.engines.embedded.backend import FileBackend
from framework.engines.embedded.checkpoint import (
    Checkpoint,
    Resource,
    check_integrity,
    parse_checkpoint,
    render_checkpoint,
    stamp_manifest,
)
from framework.engines.embedded.journal import Journal, Line, fold, read_journal
from framework.engines.embedded.project import (
    Project,
    read_salt,
    settings_path,
    write_salt,
)
from framework.engines.embedded.secrets import PassphraseCipher, read_passphrase
from framework.engines.embedded.values import has_secret
from framework.engines.marks import has_sealed


class StackState:
    """A stack's recorded state; safe for use from any number of threads."""

    def __init__(self, project: Project, backend: FileBackend) -> None:
        self.project, self.backend = project, backend
        self._lock = threading.RLock()
        self._cipher: PassphraseCipher | None = None
        self._journal: Journal | None = None
        self.checkpoint = self._load()
        self._lines: list[Line] = []

    @property
    def where(self) -> str:
        """The checkpoint's path for messages."""
        return str(self.backend.checkpoint_path)

    def _load(self) -> Checkpoint:
        """Reads the checkpoint and the journal. StateFileError where either is damaged."""
        return fold(self._read_checkpoint(), read_journal(self.backend.journal_path))

    def _read_checkpoint(self) -> Checkpoint:
        """Returns the checkpoint, an empty one only for a stack that has never had any."""
        path = self.backend.checkpoint_path
        try:
            text = self.backend.read_checkpoint()
            if text is not None:
                return parse_checkpoint(text, self.where)
        except StateFileError as exc:
            raise StateFileError(path, exc.problem, self._advise_restoring()) from exc
        copy = self._read_backup()
        if copy is not None and copy.resources:
            raise StateFileError(path, "there is no such file", self._advise_restoring())
        return Checkpoint(f"organization/{self.project.name}/{self.backend.stack}")

    def _read_backup(self) -> Checkpoint | None:
        """Returns the copy beside the checkpoint, None where there is none that can be used."""
        path = self.backend.backup_path
        try:
            text = state_files.read_text(path)
            return None if text is None else parse_checkpoint(text, str(path))
        except StateError:
            return None

    def _advise_restoring(self) -> str:
        """Returns what to do about a checkpoint that cannot be used."""
        path, backup = self.backend.checkpoint_path, self.backend.backup_path
        if self._read_backup() is not None:
            return (
                f"the state before it was last written is in {backup.name} beside it: restore it "
                f"with `cp {backup} {path}`, then see with `preview` what differs"
            )
        lacks = f"{backup} is no usable copy" if backup.exists() else "there is no copy beside it"
        return (
            f"{lacks}; restore it from a backup of yours, or, if nothing of this stack is "
            "deployed, remove it and run again"
        )

    def recover(self) -> None:
        """Fold what an interrupted command left in the journal; the lock must be held."""
        if self.backend.journal_path.exists():
            self.save(self.checkpoint)

    def current(self) -> Checkpoint:
        """The state as it is after the steps recorded so far."""
        with self._lock:
            if self._lines:
                self.checkpoint = fold(self.checkpoint, self._lines)
                self._lines = []
            return self.checkpoint

    def record(self, *lines: Line) -> None:
        """Make steps durable; on disk when this returns."""
        with self._lock:
            self._lines.extend(lines)
            if self._journal is None:
                path = self.backend.journal_path
                state_files.make_folder(path.parent)
                self._journal = Journal(path)
            journal = self._journal
        journal.append(*lines)

    def assume(self, *lines: Line) -> None:
        """Take steps into account without recording them, for commands that write nothing."""
        with self._lock:
            self._lines.extend(lines)

    def close(self) -> None:
        """Fold the journal into the checkpoint; nothing is written when nothing was recorded."""
        if self._journal is None:
            return
        self._journal.close()
        self._journal = None
        self.save(self.current())

    def save(self, checkpoint: Checkpoint) -> None:
        """Write the whole state; the journal ends here."""
        stamped = stamp_manifest(checkpoint)
        check_integrity(stamped, self.where)
        self.backend.write_checkpoint(render_checkpoint(stamped))
        state_files.remove(self.backend.journal_path)
        self.checkpoint = stamped

    def unseal(self, tree: Any) -> Any:
        """Values from state, with secrets decrypted; needs the passphrase only where there are."""
        return self._open_cipher().unseal(tree) if has_sealed(tree) else tree

    def inputs(self, entry: Resource) -> Any:
        """An entry's recorded inputs, with secrets decrypted; {} for none."""
        return self.unseal(entry.raw.get("inputs") or {})

    def outputs(self, entry: Resource) -> Any:
        """An entry's recorded outputs, with secrets decrypted; {} for none."""
        return self.unseal(entry.raw.get("outputs") or {})

    def seal(self, tree: Any) -> Any:
        """Values as state keeps them."""
        return self._open_cipher().seal(tree) if has_secret(tree) else tree

    def require_cipher(self, *, needed: bool) -> None:
        """StateError when secrets are to be written and there is no passphrase for them."""
        if needed:
            self._open_cipher()

    def _open_cipher(self) -> PassphraseCipher:
        with self._lock:
            if self._cipher is None:
                self._cipher = self._make_cipher()
            return self._cipher

    def _make_cipher(self) -> PassphraseCipher:
        passphrase = read_passphrase(self.project.root)
        if self.checkpoint.salt:
            return PassphraseCipher.open(passphrase, self.checkpoint.salt, self.where)
        where = str(settings_path(self.project, self.backend.stack))
        if salt := read_salt(self.project, self.backend.stack):
            return PassphraseCipher.open(passphrase, salt, where)
        return PassphraseCipher.create(passphrase, where)

    def keep_salt(self) -> None:
        """Record the salt of the cipher in use, in state and in the stack's settings."""
        with self._lock:
            if self._cipher is None:
                return
            salt = self._cipher.salt
            if not read_salt(self.project, self.backend.stack):
                write_salt(self.project, self.backend.stack, salt)
            if self.current().salt != salt:
                self.record({"salt": salt})


def set_line(resource: Resource) -> Line:
    """The resource as it now is."""
    return {"set": resource.raw}


def drop_line(resource: Resource) -> Line:
    """The resource is gone; one pending deletion is told from its successor by its id."""
    return {"drop": resource.key}


def begin_line(operation: str, resource: Mapping[str, Any]) -> Line:
    """An operation that is about to ask the server: pending until its `end_line`.

    `operation` is creating, updating, deleting or reading."""
    return {"begin": {"resource": resource, "type": operation}}


def end_line(urn: str) -> Line:
    """Nothing of the resource is under way any more."""
    return {"end": urn}
