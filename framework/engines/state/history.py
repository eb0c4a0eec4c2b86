"""The history and the backups of a stack, as the CLI's file backend keeps them.

Every operation that was confirmed adds three files, also if it failed or was interrupted:

    history/<project>/<stack>/<stack>-<ns>.history.json       for `pulumi stack history`
    history/<project>/<stack>/<stack>-<ns>.checkpoint.json    the state after it
    backups/<project>/<stack>/<stack>.<ns>.json               the same; `pulumi stack rm` keeps it
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from framework.core.changes import Result
from framework.core.errors import StateFileError
from framework.core.git import GitError, start_git
from framework.engines.state import files
from framework.engines.state.backend import FileBackend

_NO_BACKUPS = (
    "PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS",
    "PULUMI_DISABLE_CHECKPOINT_BACKUPS",
)
_GIT_TIMEOUT_S = 10.0


class UpdateHistory:
    """Adds one operation to the history of a stack.

    Used as a context manager that ends after the state is saved and before the lock is released.
    Nothing is written unless `begin` is called; without `end` the operation counts as failed.
    """

    def __init__(self, backend: FileBackend, root: Path) -> None:
        self._backend, self._root = backend, root
        self._info: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._write()
        except StateFileError:
            # The state is saved. A failure of the operation itself is more important than this one.
            if error is None:
                raise

    def begin(self, kind: str) -> None:
        """Starts an operation: `kind` is update, refresh or destroy."""
        message, environment = _read_git(self._root)
        self._info = {
            "kind": kind,
            "startTime": int(time.time()),
            "message": message,
            "environment": {"exec.agent": "modelcatalog/embedded", **environment},
            "config": {},
            "version": 0,
            "result": "failed",
        }

    def end(self, result: Result) -> Result:
        """Ends the operation with its result, which is returned."""
        if not self._info:
            return result
        counts = Counter(change.op.value for change in result.changes)
        self._info["resourceChanges"] = dict(sorted(counts.items()))
        if not result.failures:
            self._info["result"] = "succeeded"
        return result

    def _write(self) -> None:
        text = files.read_text(self._backend.checkpoint_path) if self._info else None
        if text is None:
            return
        info = {**self._info, "endTime": int(time.time())}
        # The CLI lists the files by name, so the time must be the only part that differs.
        entry = self._backend.history_folder / f"{self._backend.stack}-{time.time_ns()}"
        files.write_atomically(entry.with_name(f"{entry.name}.history.json"), json.dumps(info))
        files.write_atomically(entry.with_name(f"{entry.name}.checkpoint.json"), text)
        if not any(os.environ.get(name, "").lower() in ("1", "true") for name in _NO_BACKUPS):
            name = f"{self._backend.stack}.{time.time_ns()}.json"
            files.write_atomically(self._backend.backups_folder / name, text)


def _read_git(root: Path) -> tuple[str, Mapping[str, str]]:
    """Returns the title of the current commit, and what the CLI records of it; "" without Git."""
    commit = _run_git(root, "log", "-1", "--format=%H%n%an%n%ae%n%s").splitlines()
    if len(commit) != 4:
        return "", {}
    head, author, email, title = commit
    dirty = bool(_run_git(root, "status", "--porcelain"))
    return title, {
        "git.head": head,
        "git.author": author,
        "git.author.email": email,
        "git.dirty": str(dirty).lower(),
    }


def _run_git(root: Path, *arguments: str) -> str:
    """Returns the output of a git command, "" if it fails. An author's name may not be UTF-8."""
    try:
        done = start_git(root, *arguments, timeout_s=_GIT_TIMEOUT_S)
    except GitError:
        return ""
    text = os.fsencode(done.stdout).decode("utf-8", errors="replace")
    return text if done.returncode == 0 else ""
