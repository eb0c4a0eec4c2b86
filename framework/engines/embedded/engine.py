"""The embedded engine: every operation of a stack, from lock to saved state.

Each operation reads as one sequence here; what its steps mean is in the modules it calls.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, NoReturn

from framework.core.changes import Op, Preview, Result
from framework.core.errors import EngineError
from framework.engines.base import Confirm, OnProgress, Recorded, Request
from framework.engines.embedded.backend import open_backend
from framework.engines.embedded.clusters import (
    Connect,
    connect_kubernetes,
)
from framework.engines.embedded.feed import ProgressFeed
from framework.engines.embedded.live import found_changes, refreshed
from framework.engines.embedded.operation import Operation
from framework.engines.embedded.previewing import (
    build_deletion,
    recorded_outputs,
)
from framework.engines.embedded.program_process import ProgramProcess
from framework.engines.embedded.project import load_project
from framework.engines.embedded.state import StackState, drop_line, set_line
from framework.engines.recorded import read_recorded


class EmbeddedEngine:
    """Runs the project's program and applies it, without the pulumi CLI."""

    name = "embedded"

    def __init__(
        self, connect: Connect = connect_kubernetes, process: ProgramProcess | None = None
    ) -> None:
        """`process` is one that was started already, for the first operation to use."""
        self._connect, self._process = connect, process

    def preview(self, request: Request) -> Preview:
        """What `up` would change; writes nothing and takes no lock, as the CLI's does."""
        with self._start(request) as process, self._open(request, locked=False) as work:
            run = work.preview(process)
            for holder in work.state.backend.holders():
                said = f"another command is at work on this stack, so this changes: {holder}"
                run.log("warning", said)
            return work.tell(run, run.finish())

    def up(self, request: Request, confirm: Confirm, on_progress: OnProgress) -> Result | None:
        """Preview, confirm, apply; the lock is held all the while."""
        with self._start(request) as process, self._open(request, locked=True) as work:
            run = work.preview(process)
            preview = work.tell(run, run.finish())
            if preview.clean:
                work.state.require_cipher(needed=run.has_secrets())
                work.keep(run)
                work.remember_clusters()
                outputs = recorded_outputs(work.state)
                return Result(preview.changes, outputs=outputs, messages=preview.messages)
            work.state.require_cipher(needed=run.has_secrets())
            if not confirm(preview):
                return None
            return work.apply(process, run, preview, on_progress)

    def refresh(self, request: Request, confirm: Confirm, on_progress: OnProgress) -> Result | None:
        """Bring the recorded state to the cluster; a cluster made anew is accepted here."""
        with self._open(request, locked=True, any_cluster=True) as work:
            looks = work.look()
            preview = Preview(found_changes(looks), recorded_outputs(work.state))
            if not preview.clean:
                if not confirm(preview):
                    return None
                for look in looks:
                    if look.change.op is not Op.SAME:
                        gone = look.live is None
                        entry = look.entry if gone else refreshed(work.state, look)
                        work.state.record(drop_line(entry) if gone else set_line(entry))
            work.remember_clusters()
            return Result(preview.changes, outputs=recorded_outputs(work.state))

    def drift(self, request: Request) -> Preview:
        """Live objects against recorded state; writes nothing."""
        with self._open(request, locked=False) as work:
            looks = work.look()
            return Preview(found_changes(looks), recorded_outputs(work.state), work.messages)

    def destroy(self, request: Request, confirm: Confirm, on_progress: OnProgress) -> Result | None:
        """Delete what is recorded, dependents first; the empty state stays."""
        with self._open(request, locked=True) as work:
            work.components.check_wanted()
            entries = [
                e for e in work.state.current().resources if work.components.is_target(e.urn)
            ]
            _refuse_protected([e.urn for e in entries if e.protect])
            changes = tuple(build_deletion(entry, work.components) for entry in reversed(entries))
            preview = Preview(changes, recorded_outputs(work.state), work.messages)
            if not changes:
                return Result((), messages=work.messages)
            work.check_clusters()
            if not confirm(preview):
                return None
            feed = ProgressFeed(on_progress)
            work.delete(entries, feed)
            return Result(changes, feed.failures, seconds=feed.seconds, messages=preview.messages)

    def outputs(self, request: Request) -> Mapping[str, Any]:
        """The recorded outputs, secrets masked."""
        return recorded_outputs(_read_state(request))

    def recorded(self, request: Request) -> Recorded:
        """What is recorded of the stack."""
        return read_recorded(resource.raw for resource in _read_state(request).current().resources)

    def _start(self, request: Request) -> ProgramProcess:
        process, self._process = self._process, None
        return process or ProgramProcess(request.root)

    @contextmanager
    def _open(
        self, request: Request, *, locked: bool, any_cluster: bool = False
    ) -> Iterator[Operation]:
        project = load_project(request.root.resolve())
        backend = open_backend(project, request.stack.name)
        with ExitStack() as stack:
            if locked:
                stack.enter_context(_terminable())
                stack.enter_context(backend.lock())
            state = StackState(project, backend)
            if locked:
                state.recover()
                stack.callback(state.close)
            work = Operation(request, project, state, self._connect, any_cluster, locked=locked)
            stack.callback(work.clusters.close)
            yield work


def _read_state(request: Request) -> StackState:
    project = load_project(request.root)
    return StackState(project, open_backend(project, request.stack.name))


def _refuse_protected(urns: list[str]) -> None:
    if urns:
        listed = "\n".join(f"protected: {urn}" for urn in sorted(urns))
        raise EngineError(
            f"{listed}\nNothing was deleted; to go on, take protect off in the program, "
            "run `up`, then destroy"
        )


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends an operation as Ctrl-C does; only the main thread may say so."""

    def interrupt(number: int, frame: object) -> NoReturn:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        with contextlib.suppress(TypeError):
            signal.signal(signal.SIGTERM, before)
