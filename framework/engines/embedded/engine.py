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

from framework.changes import Change, Op, Preview, Result
from framework.engines.base import Confirm, OnProgress, Request
from framework.engines.embedded.applying import ApplyRun
from framework.engines.embedded.backend import open_backend
from framework.engines.embedded.clusters import (
    Clusters,
    Connect,
    IdentityCheck,
    connect_kubernetes,
)
from framework.engines.embedded.deletion import Deletions
from framework.engines.embedded.feed import ProgressFeed
from framework.engines.embedded.lineage import Lineage
from framework.engines.embedded.live import Look, found_changes, look_at_objects, refreshed
from framework.engines.embedded.monitor import ProgramHandler
from framework.engines.embedded.planner import Planner
from framework.engines.embedded.previewing import (
    PreviewRun,
    deletion,
    recorded_outputs,
)
from framework.engines.embedded.program_process import ProgramProcess
from framework.engines.embedded.program_run import run_program
from framework.engines.embedded.project import Project, StackConfig, load_config, load_project
from framework.engines.embedded.state import StackState, drop_line, end_line, set_line
from framework.engines.embedded.urns import STACK_TYPE
from framework.engines.embedded.values import reveal
from framework.errors import EngineError

_STOP_S = 10.0


class EmbeddedEngine:
    """Runs the project's program and applies it, without the pulumi CLI."""

    name = "embedded"

    def __init__(
        self, connect: Connect = connect_kubernetes, process: ProgramProcess | None = None
    ) -> None:
        """`process` is one that was started already, for the first operation to use."""
        self._connect, self._process = connect, process
        self.messages: list[str] = []

    def preview(self, request: Request) -> Preview:
        """What `up` would change; writes nothing and takes no lock, as the CLI's does."""
        with self._start(request) as process, self._open(request, locked=False) as work:
            run = work.preview(process)
            self.messages = [*run.messages, *process.lines]
            return run.finish()

    def up(self, request: Request, confirm: Confirm, on_progress: OnProgress) -> Result | None:
        """Preview, confirm, apply; the lock is held all the while."""
        with self._start(request) as process, self._open(request, locked=True) as work:
            run = work.preview(process)
            self.messages = [*run.messages, *process.lines]
            preview = run.finish()
            if preview.clean:
                work.state.require_cipher(needed=run.has_secrets())
                work.keep(run)
                work.remember_clusters()
                return Result(preview.changes, outputs=recorded_outputs(work.state))
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
            return Preview(found_changes(looks), recorded_outputs(work.state))

    def destroy(self, request: Request, confirm: Confirm, on_progress: OnProgress) -> Result | None:
        """Delete what is recorded, dependents first; the empty state stays."""
        with self._open(request, locked=True) as work:
            work.lineage.check_wanted()
            entries = [e for e in work.state.current().resources if work.lineage.is_target(e.urn)]
            _refuse_protected([e.urn for e in entries if e.protect])
            changes = tuple(deletion(entry, work.lineage) for entry in reversed(entries))
            preview = Preview(changes, recorded_outputs(work.state))
            if not changes:
                return Result(())
            if not confirm(preview):
                return None
            feed = ProgressFeed(on_progress)
            work.delete(entries, feed)
            return Result(changes, feed.failures, seconds=feed.seconds)

    def outputs(self, request: Request) -> Mapping[str, Any]:
        """The recorded outputs, secrets masked."""
        return recorded_outputs(_read_state(request))

    def components(self, request: Request) -> frozenset[str]:
        """Names of the recorded components."""
        resources = _read_state(request).current().resources
        return frozenset(r.name for r in resources if not r.custom and r.type != STACK_TYPE)

    def _start(self, request: Request) -> ProgramProcess:
        process, self._process = self._process, None
        return process or ProgramProcess(request.root)

    @contextmanager
    def _open(
        self, request: Request, *, locked: bool, any_cluster: bool = False
    ) -> Iterator[_Work]:
        project = load_project(request.root.resolve())
        backend = open_backend(project, request.stack)
        with ExitStack() as stack:
            if locked:
                stack.enter_context(_terminable())
                stack.enter_context(backend.lock())
            state = StackState(project, backend)
            if locked:
                state.recover()
                stack.callback(state.close)
            work = _Work(request, project, state, self._connect, any_cluster)
            stack.callback(work.clusters.close)
            yield work


class _Work:
    """One operation on one stack, opened."""

    def __init__(
        self,
        request: Request,
        project: Project,
        state: StackState,
        connect: Connect,
        any_cluster: bool,
    ) -> None:
        self.request, self.project, self.state = request, project, state
        resources = state.current().resources
        self.lineage = Lineage(resources, request.components)
        has_objects = any(entry.is_object for entry in resources)
        self._identity = IdentityCheck(
            state.backend,
            has_objects=has_objects and not any_cluster,
            several=sum(entry.is_provider for entry in resources) > 1,
        )
        self.clusters = Clusters(project.root, connect, self._identity)
        self.planner = Planner(state, self.clusters, self.lineage)
        self._config: StackConfig = load_config(project, request.stack)
        self._resources = resources

    def preview(self, process: ProgramProcess) -> PreviewRun:
        """Run the program in preview."""
        run = PreviewRun(self.state, self.planner, self.clusters)
        try:
            self._run(process, run, dry_run=True)
        except EngineError:
            # What was refused explains what the program then stumbled over.
            run.check()
            raise
        self._know_recorded_providers()
        return run

    def _run(self, process: ProgramProcess, handler: ProgramHandler, *, dry_run: bool) -> None:
        run_program(
            process, self.project, self.request.stack, self._config, handler, dry_run=dry_run
        )

    def look(self) -> list[Look]:
        """The recorded objects as the cluster has them."""
        self.lineage.check_wanted()
        self._know_recorded_providers()
        return look_at_objects(self.state, self.planner)

    def _know_recorded_providers(self) -> None:
        """Providers that left the program still have objects to delete."""
        for entry in self._resources:
            if entry.is_provider:
                inputs = self.state.unseal(entry.raw.get("inputs") or {})
                self.clusters.add(entry.urn, reveal(inputs))

    def keep(self, run: PreviewRun) -> None:
        """Record what changed of unchanged resources: options, outputs, names."""
        if self.planner.renames:
            self.state.record({"rename": dict(self.planner.renames)})
        if entries := run.kept():
            self.state.record(*map(set_line, entries))
            self.state.keep_salt()
        self._settle(run)

    def apply(
        self, process: ProgramProcess, run: PreviewRun, preview: Preview, on_progress: OnProgress
    ) -> Result:
        """Run the program again and carry out what was previewed."""
        feed = ProgressFeed(on_progress)
        if self.planner.renames:
            self.state.record({"rename": dict(self.planner.renames)})
        apply = ApplyRun(self.state, self.planner, run, feed)
        try:
            self._run(process, apply, dry_run=False)
            result = apply.finish(preview)
            if not result.failures:
                self._settle(run)
            return result
        except BaseException:
            apply.stop.set()
            apply.wait_idle(_STOP_S)
            raise
        finally:
            self.remember_clusters()
            self.state.keep_salt()

    def _settle(self, run: PreviewRun) -> None:
        """What an earlier run left pending is settled once its resource is as it should be."""
        settled = [
            operation["resource"]["urn"]
            for operation in self.state.current().pending
            if operation["resource"]["urn"] in run.steps
        ]
        if settled:
            self.state.record(*map(end_line, settled))

    def delete(self, entries: list[Any], feed: ProgressFeed) -> None:
        """Delete entries, to be stopped by an interrupt."""
        self._know_recorded_providers()
        stop = threading.Event()

        def describe(entry: Any) -> Change:
            return deletion(entry, self.lineage)

        try:
            Deletions(self.state, self.planner, feed, stop).run(entries, describe)
        except BaseException:
            stop.set()
            raise

    def remember_clusters(self) -> None:
        for connection in self.clusters.opened():
            self._identity.remember(connection)


def _read_state(request: Request) -> StackState:
    project = load_project(request.root)
    return StackState(project, open_backend(project, request.stack))


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
