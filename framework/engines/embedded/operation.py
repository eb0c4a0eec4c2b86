"""One operation on one stack, opened: its parts, and the steps the engine's sequences are made of.

Kept apart from the engine, whose methods say in which order, and under which lock, they are taken.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import replace

from framework.core.changes import Change, Preview, Result
from framework.core.errors import EngineError
from framework.engines.base import OnProgress, Request
from framework.engines.embedded.applying import ApplyRun
from framework.engines.embedded.checkpoint import Resource
from framework.engines.embedded.clusters import Clusters, Connect
from framework.engines.embedded.components import Components
from framework.engines.embedded.deletion import Deletions
from framework.engines.embedded.feed import ProgressFeed
from framework.engines.embedded.interrupted import settle_pending
from framework.engines.embedded.live import Look, look_at_objects
from framework.engines.embedded.messages import Messages
from framework.engines.embedded.monitor import ProgramHandler
from framework.engines.embedded.planner import Planner
from framework.engines.embedded.previewing import PreviewRun, build_deletion
from framework.engines.embedded.program_process import ProgramProcess
from framework.engines.embedded.program_run import run_program
from framework.engines.embedded.project import Project, StackConfig, load_config
from framework.engines.embedded.registration import Registration
from framework.engines.embedded.state import StackState, drop_line, end_line, set_line
from framework.engines.embedded.values import Secret, reveal, secret_texts
from framework.engines.identity import IdentityCheck

_STOP_S = 10.0


class Operation:
    """One operation on one stack, opened."""

    def __init__(
        self,
        request: Request,
        project: Project,
        state: StackState,
        connect: Connect,
        any_cluster: bool,
        *,
        locked: bool,
    ) -> None:
        self.request, self.project, self.state = request, project, state
        resources = state.current().resources
        recorded = {e.urn: reveal(state.inputs(e)) for e in resources if e.is_provider}
        self.clusters = Clusters(project.root, connect, recorded, request.cluster)
        identity = IdentityCheck(
            request.stack,
            recorded,
            state.backend,
            self.clusters.identify,
            # What an interrupted run was creating may be there, too.
            has_objects=any(e.is_object for e in resources) or bool(state.current().pending),
            accepts_made_again=any_cluster,
        )
        self.clusters.protect(identity)
        # By connections of its own: the program may say another way to the same cluster.
        clusters = Clusters(project.root, connect, recorded, request.cluster)
        clusters.protect(identity)
        self.warnings = self._settle_pending(clusters, locked=locked)
        resources = state.current().resources
        self.components = Components(resources, request.components)
        self.planner = Planner(state, self.clusters, self.components)
        self._config: StackConfig = load_config(project, request.stack.name)
        self._resources = resources

    def _settle_pending(self, clusters: Clusters, *, locked: bool) -> tuple[str, ...]:
        """Settle what an interrupted command left pending; without the lock nothing is written."""
        if not self.state.current().pending:
            return ()
        if not locked and self.state.backend.holders():
            # Another command is at work: what it creates is pending, and is its own to record.
            return ()
        clusters.add_all_recorded()
        try:
            settled = settle_pending(self.state, clusters)
        finally:
            clusters.close()
        if settled.lines and locked:
            self.state.record(*settled.lines)
        else:
            self.state.assume(*settled.lines)
        return settled.warnings

    def preview(self, process: ProgramProcess) -> PreviewRun:
        """Run the program in preview."""
        run = PreviewRun(self.state, self.planner, self.clusters)
        try:
            self._run(process, run, dry_run=True)
        except EngineError:
            # What was refused explains what the program then stumbled over.
            run.check()
            raise
        self.clusters.add_all_recorded()
        for warning in self.warnings:
            run.log("warning", warning)
        return run

    @property
    def messages(self) -> tuple[str, ...]:
        """The warnings as a preview without a program run shows them."""
        return tuple(sorted(f"warning: {warning}" for warning in self.warnings))

    def _run(self, process: ProgramProcess, handler: ProgramHandler, *, dry_run: bool) -> None:
        run_program(
            process, self.project, self.request.stack.name, self._config, handler, dry_run=dry_run
        )

    def look(self) -> list[Look]:
        """The recorded objects as the cluster has them."""
        self.components.check_wanted()
        self.clusters.add_all_recorded()
        return look_at_objects(self.state, self.planner)

    def tell(self, run: PreviewRun, preview: Preview) -> Preview:
        """The preview with what the program logged; its secrets are known only now."""
        registered = [step.registration for step in run.steps.values()]
        return replace(preview, messages=self._shown(run.messages, registered))

    def _shown(self, messages: Messages, registered: Iterable[Registration]) -> tuple[str, ...]:
        """The messages without any secret of the configuration or of what was registered."""
        if not messages:
            return ()
        config = [Secret(self._config.values[key]) for key in sorted(self._config.secret_keys)]
        return messages.told(secret_texts(*config, *(each.inputs for each in registered)))

    def keep(self, run: PreviewRun) -> None:
        """Record what changed of unchanged resources: options, outputs, names."""
        if self.planner.renames:
            self.state.record({"rename": dict(self.planner.renames)})
        if entries := run.kept():
            self.state.record(*map(set_line, entries))
            self.state.keep_salt()
        again = [entry for entry in run.leftovers() if run.is_wanted_again(entry)]
        if again:
            self.state.record(*map(drop_line, again))
        self._settle(run)

    def apply(
        self, process: ProgramProcess, run: PreviewRun, preview: Preview, on_progress: OnProgress
    ) -> Result:
        """Run the program again and carry out what was previewed."""
        feed = ProgressFeed(on_progress)
        # Before the first write: a run that is killed leaves objects on this cluster.
        self.remember_clusters()
        if self.planner.renames:
            self.state.record({"rename": dict(self.planner.renames)})
        apply = ApplyRun(self.state, self.planner, run, feed)
        try:
            self._run(process, apply, dry_run=False)
            result = apply.finish(preview)
            messages = self._shown(apply.messages, apply.registered)
            result = replace(result, messages=messages)
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

    def check_clusters(self) -> None:
        """Connect to every recorded cluster that has objects, so that one that cannot be used is
        told once, before anything is asked or deleted. ClusterError, EngineError."""
        self.clusters.add_all_recorded()
        for urn in sorted({entry.provider_urn for entry in self._resources if entry.is_object}):
            self.clusters.connection(urn)

    def delete(self, entries: list[Resource], feed: ProgressFeed) -> None:
        """Delete entries, to be stopped by an interrupt."""
        self.clusters.add_all_recorded()
        stop = threading.Event()

        def describe(entry: Resource) -> Change:
            return build_deletion(entry, self.components)

        try:
            Deletions(self.state, self.planner, feed, stop).run(entries, describe)
        except BaseException:
            stop.set()
            raise

    def remember_clusters(self) -> None:
        """Record which clusters were met, so that another one is recognised."""
        self.clusters.remember()
