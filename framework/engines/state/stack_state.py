"""The state of one stack while a command works on it: checkpoint, journal and secrets together."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

from framework.core.errors import StateError, StateFileError
from framework.core.passphrase import PASSPHRASE, has_passphrase, read_passphrase
from framework.engines.project import (
    Project,
    build_settings_path,
    read_salt,
    write_salt,
)
from framework.engines.state import files
from framework.engines.state.backend import FileBackend
from framework.engines.state.checkpoint import (
    Checkpoint,
    Resource,
    check_integrity,
    parse_checkpoint,
    read_stack_outputs,
    render_checkpoint,
    stamp_manifest,
)
from framework.engines.state.journal import Journal, Line, fold, parse_journal
from framework.engines.state.secrets import PassphraseCipher
from framework.engines.values import has_sealed, has_secret


class ReadableState(Protocol):
    """The part of a state that the settlement of pending operations needs."""

    def get_current(self) -> Checkpoint:
        """Returns the state."""

    def read_inputs(self, resource: Resource) -> Any:
        """Returns the recorded inputs with secrets decrypted; {} for none."""

    def read_outputs(self, resource: Resource) -> Any:
        """Returns the recorded outputs with secrets decrypted; {} for none."""

    def seal(self, tree: Any) -> Any:
        """Returns values in the form of the state, with secrets sealed."""


class StackState:
    """A stack's recorded state. Safe for use from any number of threads."""

    def __init__(self, project: Project, backend: FileBackend, *, in_memory: bool = False) -> None:
        """Reads the checkpoint and the journal. StateFileError where either is damaged.

        With `in_memory`, as without the lock, what is recorded is not written.
        """
        self.project, self.backend, self.in_memory = project, backend, in_memory
        self._lock = threading.RLock()
        self._cipher: PassphraseCipher | None = None
        self._cipher_error: StateError | None = None
        self._journal: Journal | None = None
        self._lines: list[Line] = []
        self.checkpoint = self._read()
        self._recorded_salt = self.checkpoint.salt

    # Reading

    def _read(self) -> Checkpoint:
        path = self.backend.checkpoint_path
        try:
            text, journal = self.backend.read_state()
            checkpoint = None if text is None else parse_checkpoint(text, str(path))
        except StateFileError as exc:
            if str(exc.path) == str(self.backend.journal_path):
                raise
            raise StateFileError(path, exc.problem, self._advise_restoring()) from exc
        if checkpoint is None:
            # Without a checkpoint the stack is new, unless the copy beside it has resources. A copy
            # without resources is left by `pulumi stack rm`, which renames the checkpoint to it.
            copy = self._read_backup()
            if copy is not None and copy.resources:
                raise StateFileError(path, "the file does not exist", self._advise_restoring())
            checkpoint = Checkpoint(f"organization/{self.project.name}/{self.backend.stack}")
        return fold(checkpoint, parse_journal(journal, self.backend.journal_path))

    def _read_backup(self) -> Checkpoint | None:
        """Returns the copy beside the checkpoint, None where there is none that can be used."""
        path = self.backend.backup_path
        try:
            text = files.read_text(path)
            return None if text is None else parse_checkpoint(text, str(path))
        except StateError:
            return None

    def _advise_restoring(self) -> str:
        path, backup = self.backend.checkpoint_path, self.backend.backup_path
        if self._read_backup() is not None:
            return (
                f"the state before it was last written is in {backup.name} beside it: restore it "
                f"with `cp {backup} {path}`, then see with `preview` what differs"
            )
        lacks = f"{backup} cannot be used" if backup.exists() else "there is no copy beside it"
        return (
            f"{lacks}; restore it from your own backup, or, if nothing of this stack is "
            "deployed, remove it and run again"
        )

    def get_current(self) -> Checkpoint:
        """Returns the state after the steps recorded so far."""
        with self._lock:
            # Folded lazily: hundreds of steps are recorded without anybody reading the state in
            # between.
            if self._lines:
                self.checkpoint = fold(self.checkpoint, self._lines)
                self._lines = []
            return self.checkpoint

    def read_inputs(self, resource: Resource) -> Any:
        """Returns the recorded inputs with secrets decrypted; {} for none."""
        return self.unseal(resource.raw.get("inputs") or {})

    def read_outputs(self, resource: Resource) -> Any:
        """Returns the recorded outputs with secrets decrypted; {} for none."""
        return self.unseal(resource.raw.get("outputs") or {})

    def read_stack_outputs(self) -> Mapping[str, Any]:
        """Returns the outputs of the stack, secrets redacted; needs no passphrase."""
        return read_stack_outputs(self.get_current().resources)

    # Recording

    def recover(self) -> None:
        """Folds the journal of an interrupted command into the checkpoint. Needs the lock."""
        if self.backend.journal_path.exists():
            self.save(self.checkpoint)

    def record(self, *lines: Line) -> None:
        """Appends steps to the journal; they are on disk when this returns."""
        with self._lock:
            self._lines.extend(lines)
            if self.in_memory:
                return
            if self._journal is None:
                path = self.backend.journal_path
                files.make_folder(path.parent)
                self._journal = Journal(path)
            journal = self._journal
            if self._cipher is not None and self._cipher.salt != self._recorded_salt:
                # Before any line with encrypted values is on disk: if this process is killed, no
                # other place has the salt, and nobody could read these values again.
                self._recorded_salt = self._cipher.salt
                salt_line = {"salt": self._recorded_salt}
                self._lines.insert(len(self._lines) - len(lines), salt_line)
                journal.append(salt_line)
        journal.append(*lines)

    def close(self) -> None:
        """Folds the journal into the checkpoint. Writes nothing if nothing was recorded."""
        if self._journal is None:
            return
        self._journal.close()
        self._journal = None
        self.save(self.get_current())

    def save(self, checkpoint: Checkpoint) -> None:
        """Writes the whole state, then removes the journal.

        In this order: a crash in between leaves a journal whose lines are in the checkpoint
        already, and folding them a second time changes nothing.
        """
        stamped = stamp_manifest(checkpoint)
        check_integrity(stamped, str(self.backend.checkpoint_path))
        self.backend.write_checkpoint(render_checkpoint(stamped))
        files.remove(self.backend.journal_path)
        self.checkpoint = stamped

    # Secrets

    def unseal(self, tree: Any) -> Any:
        """Returns values from state with secrets decrypted.

        The passphrase is needed only where there are secrets.
        """
        return self._open_cipher().unseal(tree) if has_sealed(tree) else tree

    def seal(self, tree: Any) -> Any:
        """Returns values in the form of the state, with secrets encrypted."""
        return self._open_cipher().seal(tree) if has_secret(tree) else tree

    def require_cipher(self) -> None:
        """Raises StateError when there is no passphrase to encrypt secrets with."""
        self._open_cipher()
        if not has_passphrase():
            raise StateError(
                "this stack has secrets, which are encrypted with the empty passphrase, as by "
                f"ENGINE=cli where none is given; next: run again with {PASSPHRASE}= (empty)"
            )

    def _open_cipher(self) -> PassphraseCipher:
        with self._lock:
            # Not tried again for each secret: to derive a key takes a quarter of a second.
            if self._cipher_error is not None:
                raise self._cipher_error
            if self._cipher is None:
                try:
                    self._cipher = self._build_cipher()
                except StateError as exc:
                    self._cipher_error = exc
                    raise
            return self._cipher

    def _build_cipher(self) -> PassphraseCipher:
        if salt := self.checkpoint.salt:
            path = str(self.backend.checkpoint_path)
            if not has_passphrase():
                # The CLI engine encrypts with the empty passphrase where none is given.
                with suppress(StateError):
                    return PassphraseCipher.open("", salt, path)
            return PassphraseCipher.open(read_passphrase(self.project.root), salt, path)
        passphrase = read_passphrase(self.project.root)
        path = str(build_settings_path(self.project, self.backend.stack))
        if salt := read_salt(self.project, self.backend.stack):
            return PassphraseCipher.open(passphrase, salt, path)
        return PassphraseCipher.create(passphrase, path)

    def keep_salt(self) -> None:
        """Records the salt of the current cipher, in the state and in the stack's settings."""
        with self._lock:
            if self._cipher is None:
                return
            salt = self._cipher.salt
            # The CLI reads the salt from the stack's settings and would make a new one.
            if not read_salt(self.project, self.backend.stack):
                write_salt(self.project, self.backend.stack, salt)
            if self._recorded_salt != salt:
                self.record()
