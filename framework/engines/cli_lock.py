"""The stack's lock while the CLI engine works on it.

`pulumi up` takes the lock itself and cannot inherit it. So the lock is given back just before each
command of the CLI, and taken again just after it: the engine waits for Pods and writes objects
between them, and no other command may start meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Self

from framework.core.errors import StateError
from framework.engines.project import Project
from framework.engines.state.backend import open_backend


class StackLock:
    """Holds the lock of a stack from `__enter__` to `__exit__`, except within `released`.

    The lock of a remote backend is the CLI's alone: nothing is held.
    """

    def __init__(self, project: Project, stack: str) -> None:
        self._backend = open_backend(project, stack) if project.has_file_backend else None
        self._held = ExitStack()
        self._is_entered = False
        self._refusal: StateError | None = None

    def __enter__(self) -> Self:
        """Takes the lock. StateError if another command holds it."""
        self._refusal = None
        self._take()
        self._is_entered = True
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._is_entered = False
        self._held.close()

    def _take(self) -> None:
        if self._backend is not None:
            self._held.enter_context(self._backend.lock())

    @contextmanager
    def released(self) -> Iterator[None]:
        """Gives the lock to the CLI for one command, if it is held. Raises as `require`.

        If another command takes the lock just before the CLI does, the CLI fails. If it takes the
        lock just after, nothing is raised here, because the result of the CLI would be lost:
        `require` raises it before the next write.
        """
        if not self._is_entered:
            yield
            return
        self.require()
        self._held.close()
        try:
            yield
        finally:
            try:
                self._take()
            except StateError as exc:
                self._refusal = exc

    def require(self) -> None:
        """Raises StateError if another command has taken the stack since the last run."""
        if self._refusal is not None:
            raise self._refusal
