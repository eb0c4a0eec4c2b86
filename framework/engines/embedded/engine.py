"""The embedded engine: each operation as one sequence, from the lock to the saved state."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.core.changes import Op, Preview, Result
from framework.core.errors import EngineError
from framework.engines.base import (
    Confirm,
    Engine,
    OnProgress,
    RecordedObjects,
    Request,
    StateSummary,
    order_changes,
)
from framework.engines.clusters import (
    Clusters,
    Connect,
    IdentityCheck,
    connect_kubernetes,
    identify_cluster,
)
from framework.engines.deletions import check_deletions
from framework.engines.embedded.apply import ApplyRun
from framework.engines.embedded.deletion import Deletions
from framework.engines.embedded.planner import Planner
from framework.engines.embedded.preview import PreviewRun
from framework.engines.embedded.process import ProgramProcess
from framework.engines.embedded.progress import Messages, ProgressFeed
from framework.engines.embedded.records import build_refreshed, read_object_state
from framework.engines.embedded.registration import ProgramHandler, Registration
from framework.engines.embedded.settlement import restore_wanted, settle_pending
from framework.engines.interrupts import interrupt_on_sigterm
from framework.engines.kept_replicas import KeptReplicas
from framework.engines.live_objects import (
    build_refresh_change,
    compare_with_cluster,
    describe_unrefreshed,
    list_live,
    read_basis,
)
from framework.engines.preflight import add_preflight
from framework.engines.problems import check_problems
from framework.engines.project import Project, load_config, load_project
from framework.engines.record_aliases import with_record_aliases
from framework.engines.recorded import (
    Components,
    build_deletion,
    build_recorded_objects,
    check_protected,
    keep_identifier,
    summarize_resources,
)
from framework.engines.state.backend import open_backend
from framework.engines.state.checkpoint import Checkpoint, Resource
from framework.engines.state.history import UpdateHistory
from framework.engines.state.journal import drop_line, set_line
from framework.engines.state.secrets import write_plaintext
from framework.engines.state.stack_state import StackState
from framework.engines.values import (
    Secret,
    collect_message_secrets,
    list_objects,
    redact_copies,
    reveal,
)
from framework.kube.object_diff import compare_with_live

if TYPE_CHECKING:
    from framework.plan import StackPlan

_STOP_S = 10.0


class EmbeddedEngine(Engine):
    """Runs the project's program and applies it, without the pulumi CLI."""

    name = "embedded"

    def __init__(
        self,
        connect: Connect = connect_kubernetes,
        start_program: Callable[[Path], AbstractContextManager[ProgramProcess]] = ProgramProcess,
    ) -> None:
        """`start_program` returns a context that yields the program's process for a project's
        folder. The context decides whether the process ends with it."""
        self._connect, self._start_program = connect, start_program

    def preview(self, request: Request) -> Preview:
        """Returns what `up` would change. Takes no lock, like the CLI's preview."""
        with (
            self._start_program(request.root) as process,
            self._open(request, locked=False) as operation,
        ):
            run = operation.preview(process)
            for holder in operation.state.backend.find_holders():
                text = f"another command works on this stack, so this may change: {holder}"
                run.log("warning", text)
            preview = operation.build_preview(run)
            operation.review(preview)
            return preview

    def up(self, request: Request, confirm: Confirm, on_progress: OnProgress) -> Result | None:
        """Previews, confirms and applies; holds the lock from before the preview to the end."""
        with (
            self._start_program(request.root) as process,
            self._open(request, locked=True) as operation,
        ):
            run = operation.preview(process)
            preview = operation.build_preview(run)
            check_problems(preview)
            # A missing passphrase is an error before the question, not after half an apply.
            if run.has_secrets():
                operation.state.require_cipher()
            operation.review(preview)
            if not preview.clean and not confirm(preview):
                return None
            operation.history.begin("update")
            if preview.clean:
                result = operation.record_unchanged(run, preview)
            else:
                result = operation.apply(process, run, preview, on_progress)
            return operation.history.end(result)

    def refresh(self, request: Request, confirm: Confirm, on_progress: OnProgress) -> Result | None:
        """Updates the recorded state from the live objects. Accepts a recreated cluster."""
        with self._open(request, locked=True, accepts_recreated=True) as operation:
            state = operation.state
            operation.clusters.add_all_recorded()
            recorded = operation.build_recorded_objects()
            compared = compare_with_cluster(
                recorded.objects, operation.clusters, compare_with_live, listed=False
            )
            changes = {item.recorded.urn: build_refresh_change(item) for item in compared}
            messages = operation.messages + describe_unrefreshed(recorded)
            preview = Preview(order_changes(changes.values()), state.read_stack_outputs(), messages)
            objects = list_objects(request.plan, recorded.objects, list_live(compared))
            preview = redact_copies(preview, objects)
            if not preview.clean:
                if not confirm(preview):
                    return None
                operation.history.begin("refresh")
                resources = state.get_current().live
                for item in compared:
                    resource = resources[item.recorded.urn]
                    if item.live is None:
                        state.record(drop_line(resource))
                    elif changes[resource.urn].op is not Op.SAME:
                        state.record(set_line(build_refreshed(state, resource, item.live)))
            operation.clusters.remember()
            outputs = state.read_stack_outputs()
            result = Result(preview.changes, outputs=outputs, messages=preview.messages)
            return operation.history.end(result)

    def destroy(self, request: Request, confirm: Confirm, on_progress: OnProgress) -> Result | None:
        """Deletes the recorded resources, dependents first; an empty state remains."""
        with self._open(request, locked=True) as operation:
            resources = list(operation.state.get_current().resources)
            if not resources:
                return Result((), messages=operation.messages)
            check_protected(resources)
            changes = tuple(
                build_deletion(resource, operation.components) for resource in reversed(resources)
            )
            outputs = operation.state.read_stack_outputs()
            preview = Preview(changes, outputs, operation.messages)
            # A cluster that cannot be used is an error before the question and before the first
            # deletion, not a failure of each object.
            operation.clusters.add_all_recorded()
            for urn in sorted({found.provider_urn for found in resources if found.is_object}):
                operation.clusters.connect(urn)
            preview = operation.check_deletions(preview, refuses_lost=False)
            check_problems(preview)
            if not confirm(preview):
                return None
            feed = ProgressFeed(on_progress)
            operation.history.begin("destroy")
            messages = preview.messages + operation.delete(resources, feed)
            return operation.history.end(
                Result(preview.changes, feed.failures, seconds=feed.seconds, messages=messages)
            )

    def outputs(self, request: Request) -> Mapping[str, Any]:
        """Returns the recorded outputs, secrets redacted."""
        return _read_state(request).read_stack_outputs()

    def summarize(self, request: Request) -> StateSummary:
        """Returns a summary of the recorded state."""
        return summarize_resources(_read_state(request).get_current().resources)

    def recorded_objects(
        self, request: Request, *, accepts_recreated: bool = False
    ) -> RecordedObjects:
        """Returns the recorded objects, with those that an interrupted command created.

        Only the latter are looked up in the cluster.
        """
        with self._open(request, locked=False, accepts_recreated=accepts_recreated) as operation:
            return operation.build_recorded_objects()

    def export_settled(
        self, request: Request, known: Checkpoint | None = None
    ) -> tuple[Checkpoint | None, tuple[str, ...]]:
        """Returns the state as `recover` would leave it, in the form of an export of the CLI.

        Writes nothing. The state is None if it is equal to `known`. The second value are warnings
        in the form of `Preview.messages`.
        """
        with self._open(request, locked=False) as operation:
            state = operation.state
            checkpoint = state.get_current()
            if checkpoint == known:
                return None, operation.messages
            resources = tuple(
                resource.with_fields(
                    inputs=write_plaintext(state.read_inputs(resource)),
                    outputs=write_plaintext(state.read_outputs(resource)),
                )
                for resource in checkpoint.resources
            )
            return replace(checkpoint, resources=resources), operation.messages

    def recover(self, request: Request, *, accepts_recreated: bool = False) -> tuple[str, ...]:
        """Records what an interrupted command has done, for the CLI, which has no journal.

        Returns warnings in the form of `Preview.messages`.
        """
        with self._open(request, locked=True, accepts_recreated=accepts_recreated) as operation:
            return operation.messages

    @contextmanager
    def _open(
        self, request: Request, *, locked: bool, accepts_recreated: bool = False
    ) -> Iterator[Operation]:
        project = load_project(request.root.resolve())
        backend = open_backend(project, request.stack.name)
        history = UpdateHistory(backend, project.root)
        with ExitStack() as stack:
            if locked:
                # The order of an ExitStack is reversed at the end: the connections are closed
                # first, then the journal is folded into the checkpoint, then the history is
                # written, and only then the lock is released.
                stack.enter_context(interrupt_on_sigterm())
                stack.enter_context(backend.lock())
                stack.enter_context(history)
            state = StackState(project, backend, in_memory=not locked)
            if locked:
                state.recover()
                stack.callback(state.close)
            operation = Operation(
                request, project, state, self._connect, accepts_recreated, history
            )
            stack.callback(operation.clusters.close)
            yield operation


class Operation:
    """One operation on one stack: its state and connections, and steps that several methods of the
    engine share."""

    def __init__(
        self,
        request: Request,
        project: Project,
        state: StackState,
        connect: Connect,
        accepts_recreated: bool,
        history: UpdateHistory,
    ) -> None:
        self._project, self.state = project, state
        self.history = history
        self._connect = connect
        resources = state.get_current().resources
        providers = {
            resource.urn: reveal(state.read_inputs(resource))
            for resource in resources
            if resource.is_provider
        }
        self._request = request = keep_identifier(request, providers)
        identity = IdentityCheck(
            request.stack,
            providers,
            state.backend,
            partial(identify_cluster, root=project.root, connect=connect),
            # What an interrupted command was about to create may exist, too.
            has_objects=any(resource.is_object for resource in resources)
            or bool(state.get_current().pending),
            accepts_recreated=accepts_recreated,
        )
        self.clusters = Clusters(
            project.root,
            connect,
            providers,
            request.cluster,
            identity,
            request.injectors,
            uses_lists=not request.reads_one_by_one,
        )
        # Pending creates are looked up with connections of their own: the program may name
        # another way to the same cluster, and the first inputs of a provider count.
        recorded_clusters = Clusters(project.root, connect, providers, request.cluster, identity)
        self._warnings = self._settle_pending(recorded_clusters)
        if request.plan and (lines := restore_wanted(state.get_current(), request.plan)):
            state.record(*lines)
        # The records to remove before the first deletion, see `CheckedDeletions`.
        self._forgotten: tuple[Resource, ...] = ()
        resources = state.get_current().resources
        self._request = request = with_record_aliases(request, project.name, resources)
        self.components = Components(request.components, resources, request.former_components)
        self.planner = Planner(
            state, self.clusters, self.components, adopts=request.adopts, forced=request.forced
        )
        self._config = load_config(project, request.stack.name)

    def _settle_pending(self, clusters: Clusters) -> tuple[str, ...]:
        """Settles the operations that an interrupted command left pending, and returns warnings."""
        if not self.state.get_current().pending:
            return ()
        if self.state.in_memory and self.state.backend.find_holders():
            # Another command is running: what it creates is pending, and it will record it.
            return ()
        clusters.add_all_recorded()
        try:
            settlement = settle_pending(self.state, clusters)
        finally:
            clusters.close()
        if settlement.lines:
            self.state.record(*settlement.lines)
        return settlement.warnings

    @property
    def messages(self) -> tuple[str, ...]:
        """The warnings about interrupted commands, for operations that run no program."""
        return tuple(sorted(f"warning: {warning}" for warning in self._warnings))

    def build_recorded_objects(self) -> RecordedObjects:
        """Builds the recorded objects that the operation works on."""
        return build_recorded_objects(
            self.state.get_current().resources, self.components, self.state.unseal, self.messages
        )

    def preview(self, process: ProgramProcess) -> PreviewRun:
        """Runs the program in preview. EngineError, ClusterError."""
        run = PreviewRun(self.state, self.planner, self.clusters)
        plan, components = self._request.plan, self._request.components
        if plan is not None and components is not None:
            # Each registration costs some milliseconds, and the other models do not change.
            plan = plan.narrowed_to(components)
        try:
            self._run(process, run, dry_run=True, plan=plan)
        except EngineError:
            # A refused resource may have made the program fail: its reason comes first.
            run.check()
            raise
        self.clusters.add_all_recorded()
        for warning in self._warnings:
            run.log("warning", warning)
        return run

    def build_preview(self, run: PreviewRun) -> Preview:
        """Builds the preview of a run, with what the program logged and what the objects lack."""
        registered = [step.registration for step in run.steps.values()]
        preview = replace(run.finish(), messages=self._redact(run.messages, registered))
        preview = self.check_deletions(preview, refuses_lost=True, kept=run.kept)
        objects = [r.provider for r in registered if r.is_object]
        plan = self._request.plan
        if plan is None or not objects:
            return preview
        reader = self.planner.connect(objects[0])
        return add_preflight(preview, plan, reader, self._request.components)

    def check_deletions(
        self, preview: Preview, *, refuses_lost: bool, kept: Collection[str] = ()
    ) -> Preview:
        """Returns the preview with the problems of resources that it must not delete.

        `refuses_lost` and `kept` are those of `check_deletions`.
        """
        resources = self.state.get_current().resources
        former_urns = {new: former for former, new in self.planner.renames.items()}
        read_state = partial(read_object_state, self.state)
        checked = check_deletions(
            preview,
            resources,
            former_urns,
            read_state,
            self.clusters.connect,
            refuses_lost=refuses_lost,
            by_cli=False,
            kept=kept,
        )
        self._forgotten = checked.forgotten
        return checked.preview

    def forget_old(self) -> None:
        """Removes the records of old objects that stay. Call it once the preview is confirmed."""
        if self._forgotten:
            self.state.record(*map(drop_line, self._forgotten))

    def review(self, preview: Preview) -> None:
        """Passes a preview and what it was computed from to the request's `review`."""
        if self._request.review is not None:
            recorded = self.build_recorded_objects()
            basis = read_basis(self._request, recorded, self.clusters, self._connect)
            self._request.review(preview, basis)

    def _run(
        self,
        process: ProgramProcess,
        handler: ProgramHandler,
        *,
        dry_run: bool,
        plan: StackPlan | None = None,
    ) -> None:
        # Imported here: only commands that run the program need Pulumi and gRPC.
        from framework.engines.embedded.monitor import run_program

        name = self._request.stack.name
        run_program(process, self._project, name, self._config, handler, dry_run=dry_run, plan=plan)

    def _redact(self, messages: Messages, registered: Iterable[Registration]) -> tuple[str, ...]:
        """Returns the messages without the secrets of the configuration and of registrations."""
        if not messages:
            return ()
        config = [Secret(self._config.values[key]) for key in sorted(self._config.secret_keys)]
        inputs = [registration.inputs for registration in registered]
        return messages.redacted(collect_message_secrets(*config, *inputs))

    def record_unchanged(self, run: PreviewRun, preview: Preview) -> Result:
        """Records what changes although no object does."""
        self.forget_old()
        run.record_unchanged()
        self.clusters.remember()
        messages = preview.messages + self.forget_replicas()
        outputs = self.state.read_stack_outputs()
        return Result(preview.changes, outputs=outputs, messages=messages)

    def apply(
        self, process: ProgramProcess, run: PreviewRun, preview: Preview, on_progress: OnProgress
    ) -> Result:
        """Runs the program again and carries out what was previewed."""
        feed = ProgressFeed(on_progress)
        # Before the first write: a run that is killed leaves objects on this cluster.
        self.clusters.remember()
        self.forget_old()
        if self.planner.renames:
            self.state.record({"rename": dict(self.planner.renames)})
        apply = ApplyRun(self.state, self.planner, run, feed)
        try:
            apply.delete_autoscalers(preview)
            self._run(process, apply, dry_run=False)
            result = apply.finish(preview)
            if not result.failures:
                run.end_pending()
            messages = self._redact(apply.messages, apply.registered)
            messages += self.forget_replicas(has_failed=bool(result.failures))
            return replace(result, messages=messages)
        except BaseException:
            # Steps in progress may still end, and their results are recorded. Without the wait, an
            # object that was just created would be looked for in the cluster by the next command.
            apply.stop.set()
            apply.wait_idle(_STOP_S)
            raise
        finally:
            self.clusters.remember()
            self.state.keep_salt()

    def forget_replicas(self, *, has_failed: bool = False) -> tuple[str, ...]:
        """Forgets the kept replicas that are no longer needed; returns warnings."""
        kept, resources = KeptReplicas(self.state.backend), self.state.get_current().resources
        return kept.end_command(self._request, resources, has_failed=has_failed)

    def delete(self, resources: list[Resource], feed: ProgressFeed) -> tuple[str, ...]:
        """Deletes resources, and returns warnings."""
        self.forget_old()
        forgotten = {resource.key for resource in self._forgotten}
        to_delete = [resource for resource in resources if resource.key not in forgotten]
        Deletions(self.state, self.planner, feed, threading.Event()).run(to_delete)
        return self.forget_replicas(has_failed=bool(feed.failures))


def _read_state(request: Request) -> StackState:
    project = load_project(request.root)
    return StackState(project, open_backend(project, request.stack.name))
