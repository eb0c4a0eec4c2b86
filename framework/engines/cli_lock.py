"""The stack's lock during the CLI engine's `up`, and what is recorded under it.

`pulumi up` takes the lock itself and cannot inherit it. So the lock is given back just before each
run of the CLI, and taken again just after it: the engine waits for Pods and writes objects between
the runs, and no other command may start meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Self

from framework.core.errors import FrameworkError, StateError
from framework.engines.cli_stack import CliStack, FailedUp, describe_lost_inputs, with_failure
from framework.engines.project import Project
from framework.engines.state.backend import open_backend
from framework.engines.state.journal import set_line
from framework.engines.state.secrets import read_plaintext, unseal
from framework.engines.state.stack_state import StackState
from framework.engines.urns import parse_urn


class StackLock:
    """Holds the lock of a stack from `__enter__` to `__exit__`, except within `released`.

    The lock of a remote backend is the CLI's alone: nothing is held.
    """

    def __init__(self, project: Project, stack: str) -> None:
        self._project = project
        self._backend = open_backend(project, stack) if project.has_file_backend else None
        self._held = ExitStack()
        self._refusal: StateError | None = None

    def __enter__(self) -> Self:
        """Takes the lock. StateError if another command holds it."""
        if self._backend is not None:
            self._held.enter_context(self._backend.lock())
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._held.close()

    @contextmanager
    def released(self) -> Iterator[None]:
        """Gives the lock to the CLI for one command.

        If another command takes the lock just before the CLI does, the CLI fails. If it takes the
        lock just after, nothing is raised here, because the result of the CLI would be lost:
        `require` raises it before the next write.
        """
        self._held.close()
        try:
            yield
        finally:
            self._refusal = None
            try:
                self.__enter__()
            except StateError as exc:
                self._refusal = exc

    def require(self) -> None:
        """Raises StateError if another command has taken the stack since the last run."""
        if self._refusal is not None:
            raise self._refusal

    def record_failed(self, stack: CliStack, failed: FailedUp) -> str:
        """Records what a failed `up` leaves. Returns the reason if this is impossible, else ""."""
        try:
            self.require()
            if not self._record(failed):
                with self.released():
                    stack.record_failed(failed)
        except FrameworkError as exc:
            return _describe_unrecorded(failed, exc)
        return ""

    def _record(self, failed: FailedUp) -> bool:
        """Records without the CLI, whose import needs the lock. Returns False if it must be used.

        An import of the CLI would also drop the operations that an interrupted run left pending.
        """
        if self._backend is None:
            return False
        try:
            state = StackState(self._project, self._backend)
        except StateError:
            # For example, a state whose secrets a cloud's key service encrypts.
            return False

        def convert(tree: Any) -> Any:
            return state.seal(unseal(tree, read_plaintext))

        changed = [
            changed
            for resource in state.get_current().live.values()
            if (changed := with_failure(resource, failed, convert)) is not resource
        ]
        if changed:
            state.record(*map(set_line, changed))
            state.close()
        return True


def _describe_unrecorded(failed: FailedUp, exc: FrameworkError) -> str:
    texts = []
    if failed.reasons:
        names = ", ".join(sorted(parse_urn(urn).name for urn in failed.reasons))
        texts.append(
            f"it is not recorded that the rollout of {names} did not finish, so the next `up` "
            f"does not wait for it; see `status` for its Pods: {exc}"
        )
    if failed.refreshed:
        texts.append(describe_lost_inputs(exc))
    return "; ".join(texts) or (f"the outputs of the models that failed are not recorded: {exc}")
