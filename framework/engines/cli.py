"""The pulumi CLI as an engine: the operations of a stack, each a sequence around a CLI command.

The CLI decides what changes. Its events (`cli_events.py`) become the progress that both engines
report, and its change list is compared with the live objects (`cli_preview.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from hashlib import sha256
from typing import Any

from framework.core.changes import Op, Preview, Result
from framework.engines.base import (
    Confirm,
    OnProgress,
    RecordedObjects,
    RefreshedRecord,
    RefreshLocksError,
    Request,
    StateSummary,
    order_changes,
)
from framework.engines.cli_apply import CliApply
from framework.engines.cli_events import EventReader
from framework.engines.cli_opened_stack import OpenedStack, build_recorded, read_stack
from framework.engines.cli_preview import CliPreview, find_targets, preview_stack
from framework.engines.cli_refresh import find_other_changes, preview_refresh
from framework.engines.cli_settlement import (
    add_pending_problem,
    describe_unfinished,
    forget_old,
    is_unfinished,
    read_folder,
    settle_export,
    settle_folder,
    settle_in_memory,
    settle_remote,
)
from framework.engines.cli_stack import (
    CliStack,
    build_program,
    check_pending_creates,
    open_stack,
)
from framework.engines.clusters import (
    Connect,
    build_kubeconfig_path,
    connect_kubernetes,
    open_clusters,
)
from framework.engines.deletions import (
    CheckedDeletions,
    check_deletions,
    read_exported_state,
)
from framework.engines.embedded.engine import EmbeddedEngine
from framework.engines.interrupts import interrupt_on_sigterm
from framework.engines.live_objects import (
    build_refresh_change,
    compare_with_cluster,
    list_live,
    read_basis,
)
from framework.engines.problems import check_problems
from framework.engines.project import load_project
from framework.engines.pulumi_cli import PulumiCli
from framework.engines.record_aliases import with_record_aliases
from framework.engines.recorded import (
    build_deletion,
    check_protected,
    keep_identifier,
    summarize_resources,
)
from framework.engines.state.checkpoint import Checkpoint, read_stack_outputs
from framework.engines.urns import STACK_TYPE
from framework.engines.values import list_objects, redact_copies
from framework.kube.object_diff import compare_with_live
from framework.kube.provider import KubernetesProvider
from framework.kube.provider_kubeconfig import check_provider_kubeconfig

# Older versions lock the state for a refresh that is only a preview, and an `up` would fail.
_NO_LOCK_SINCE = "3.229.0"


class CliEngine:
    """Runs `pulumi` for every operation.

    The CLI decides what changes and writes it. The change list is the one of the embedded engine,
    found by the same code, which also finds fields that others added to an object.
    """

    name = "cli"

    def __init__(self, cli: PulumiCli, connect: Connect = connect_kubernetes) -> None:
        self._cli, self._connect = cli, connect
        self._stacks: dict[str, CliStack] = {}

    @interrupt_on_sigterm()
    def preview(self, request: Request) -> Preview:
        """Runs `pulumi preview`, with `--refresh` if needed, and compares with the live objects."""
        opened = read_stack(self._open(request), request)
        opened, messages = settle_in_memory(opened, self._connect)
        with self._connect_named(request) as provider:
            previewed = self._preview(opened, provider, messages)
            self._review(previewed)
            return previewed.preview

    @interrupt_on_sigterm()
    def up(self, request: Request, confirm: Confirm, on_progress: OnProgress) -> Result | None:
        """Runs `pulumi up`, with `--refresh` if needed, after a preview that is confirmed."""
        messages = settle_folder(request, self._connect)
        # `_open` comes before the lock: the CLI takes it itself to create a stack.
        with self._open(request).lock, self._connect_named(request) as provider:
            opened, warnings = self._read_settled(request)
            previewed = self._preview(opened, provider, messages + warnings)
            preview = previewed.preview
            check_problems(preview)
            self._review(previewed)
            if not preview.clean:
                if not confirm(preview):
                    return None
                # Before the first write: a run that is killed leaves objects on this cluster.
                opened.remember_cluster(opened.resources)
            opened = forget_old(previewed.opened, previewed.forgotten)
            if preview.clean:
                # The state also has options that a preview does not show, such as retainOnDelete.
                # They decide what a later deletion does, so they are recorded all the same.
                reader, target = opened.read_events(), opened.build_target(previewed.targets)
                opened.stack.run("up", reader, program=build_program(opened.request), **target)
                result = Result(preview.changes, reader.failures, messages=preview.messages)
            else:
                apply = CliApply(replace(previewed, opened=opened), provider, on_progress)
                result = apply.run()
            # Once more: before the first deployment, the state had no provider.
            resources = opened.record_cluster()
            result = replace(result, outputs=read_stack_outputs(resources))
            return opened.forget_replicas(resources, result)

    @interrupt_on_sigterm()
    def refresh(self, request: Request, confirm: Confirm, on_progress: OnProgress) -> Result | None:
        """Runs `pulumi refresh`, after a comparison with the live objects that is confirmed."""
        messages = settle_folder(request, self._connect, accepts_recreated=True)
        opened, warnings = self._read_settled(request, accepts_recreated=True)
        recorded = opened.recorded
        with open_clusters(request, recorded, self._connect, accepts_recreated=True) as clusters:
            compared = compare_with_cluster(
                recorded.objects, clusters, compare_with_live, listed=False
            )
        others = find_other_changes(opened, compared)
        changes = order_changes([*map(build_refresh_change, compared), *others])
        preview = Preview(changes, opened.outputs, messages + warnings)
        objects = list_objects(request.plan, recorded.objects, list_live(compared))
        preview = redact_copies(preview, objects)
        if preview.clean:
            opened.remember_cluster(opened.resources)
            return Result(preview.changes, outputs=preview.outputs, messages=preview.messages)
        # Refused before the CLI writes: `restore_inputs` imports the state, which is impossible
        # while a create is pending.
        check_pending_creates(opened.checkpoint.pending)
        if not confirm(preview):
            return None
        reader = opened.read_events()
        recreated = {item.recorded.urn for item in compared if item.replacement is not None}
        with opened.restoring_inputs(recreated):
            opened.stack.run("refresh", reader)
        result = reader.build_result(read_stack_outputs(opened.record_cluster()))
        return replace(result, changes=preview.changes, messages=preview.messages)

    @interrupt_on_sigterm()
    def destroy(self, request: Request, confirm: Confirm, on_progress: OnProgress) -> Result | None:
        """Runs `pulumi destroy`, after the recorded resources are shown and confirmed."""
        messages = settle_folder(request, self._connect)
        opened, warnings = self._read_settled(request)
        messages += warnings
        check_protected(opened.resources)
        components = opened.build_components()
        # A state lists a resource after those that it depends on, so dependents come first here.
        changes = tuple(build_deletion(found, components) for found in reversed(opened.resources))
        if not changes:
            return Result((), messages=messages)
        preview = Preview(changes, opened.outputs, messages)
        checked = self._check_deletions(opened, preview)
        check_problems(checked.preview)
        if not confirm(checked.preview):
            return None
        opened = forget_old(opened, checked.forgotten)
        reader = opened.read_events(on_progress, components=components)
        opened.stack.run("destroy", reader, continue_on_error=True)
        result = replace(reader.build_result({}), changes=checked.preview.changes)
        return opened.forget_replicas((), result)

    @interrupt_on_sigterm()
    def outputs(self, request: Request) -> Mapping[str, Any]:
        """Returns the recorded outputs, secrets redacted."""
        return self._open(request).read_outputs()

    @interrupt_on_sigterm()
    def summarize(self, request: Request) -> StateSummary:
        """Returns a summary of the recorded state."""
        return summarize_resources(self._open(request).export_checkpoint().resources)

    @interrupt_on_sigterm()
    def check_refresh(self, request: Request) -> Mapping[str, RefreshedRecord] | None:
        """Runs `pulumi refresh --preview-only --expect-no-changes`.

        Raises RefreshLocksError for a CLI that would lock the state for it.
        """
        # Imported here: only drift checks compare versions.
        from semver import VersionInfo

        if VersionInfo.parse(self._cli.version.removeprefix("v")) < _NO_LOCK_SINCE:
            raise RefreshLocksError(self._cli.version)
        return preview_refresh(self._open(request))

    @interrupt_on_sigterm()
    def read_revision(self, request: Request) -> str:
        """Returns the revision of the exported state; settles nothing."""
        if load_project(request.root).has_file_backend:
            return ""
        return _build_revision(self._open(request).export_checkpoint())

    @interrupt_on_sigterm()
    def recorded_objects(
        self, request: Request, *, accepts_recreated: bool = False
    ) -> RecordedObjects:
        """Returns the recorded objects, with those that an interrupted command created.

        The export lacks the latter, and `drift` would report them as foreign. So the embedded
        engine reads a state in a folder, and any other state is settled here; nothing is written.
        """
        backend, checkpoint = read_folder(request)
        connect = self._connect
        if backend is not None and checkpoint and is_unfinished(backend, checkpoint):
            embedded = EmbeddedEngine(connect)
            return embedded.recorded_objects(request, accepts_recreated=accepts_recreated)
        exported = self._open(request).export_checkpoint()
        checkpoint, messages = settle_export(
            exported, request, connect, accepts_recreated=accepts_recreated
        )
        recorded = build_recorded(checkpoint.resources, request)
        if backend is not None:
            return replace(recorded, messages=messages)
        messages = describe_unfinished(exported) + messages
        return replace(recorded, messages=messages, revision=_build_revision(exported))

    def _open(self, request: Request) -> CliStack:
        """Opens a stack once, because each time the CLI runs for a second."""
        name = request.stack.name
        if name not in self._stacks:
            self._stacks[name] = open_stack(self._cli, request)
        return self._stacks[name]

    def _preview(
        self,
        opened: OpenedStack,
        provider: KubernetesProvider,
        messages: Iterable[str],
    ) -> CliPreview:
        """Previews what `up` would do, and adds `messages` and the problems of deletions.

        Reviews nothing yet: `up` refuses problems first.
        """
        opened = _fit_plan(opened)
        previewed = preview_stack(opened, find_targets(opened), provider)
        merged = tuple(sorted({*previewed.preview.messages, *messages}))
        preview = replace(previewed.preview, messages=merged)
        checked = self._check_deletions(opened, preview, previewed.reader)
        return replace(previewed, preview=checked.preview, forgotten=checked.forgotten)

    def _check_deletions(
        self, opened: OpenedStack, preview: Preview, reader: EventReader | None = None
    ) -> CheckedDeletions:
        """Returns the preview with the problems of objects that it must not delete.

        The CLI deletes by name, whatever object has the name by then. `reader` has the former names
        of the resources; None for `destroy`, which deletes kept objects with their Namespace.
        """
        if all(change.op not in (Op.DELETE, Op.REPLACE) for change in preview.changes):
            return CheckedDeletions(preview)
        former_urns = reader.former_urns if reader is not None else {}
        with open_clusters(opened.request, opened.recorded, self._connect) as clusters:
            checked = check_deletions(
                preview,
                opened.resources,
                former_urns,
                read_exported_state,
                clusters.connect,
                refuses_lost=reader is not None,
                by_cli=True,
            )
        return add_pending_problem(checked, opened)

    def _review(self, previewed: CliPreview) -> None:
        """Passes a preview and what it was computed from to the request's `review`."""
        request, recorded = previewed.opened.request, previewed.opened.recorded
        if request.review is not None:
            with open_clusters(request, recorded, self._connect) as clusters:
                basis = read_basis(request, recorded, clusters, self._connect)
                request.review(previewed.preview, basis)

    def _read_settled(
        self, request: Request, *, accepts_recreated: bool = False
    ) -> tuple[OpenedStack, tuple[str, ...]]:
        """Reads a stack to write it, after `settle_folder`, and returns it with warnings."""
        opened = read_stack(self._open(request), request, accepts_recreated=accepts_recreated)
        self._check_remote_lock(opened)
        connect = self._connect
        return settle_remote(opened, connect, accepts_recreated=accepts_recreated)

    def _check_remote_lock(self, opened: OpenedStack) -> None:
        """Raises StateError if another command holds the stack of a remote backend.

        Only a command of the CLI that writes looks at the locks. So this refreshes the resource of
        the stack itself, which has no object in a cluster. Without it, `up` would treat what
        another `up` is writing as drift, and revert it.
        """
        roots = [found.urn for found in opened.resources if found.type == STACK_TYPE]
        if roots and not opened.stack.project.has_file_backend:
            opened.stack.refresh_only(roots)

    @contextmanager
    def _connect_named(self, request: Request) -> Iterator[KubernetesProvider]:
        """Yields the cluster that the environment names, as for all commands that deploy."""
        assert request.cluster is not None
        connection = self._connect(asdict(request.cluster), request.root)
        connection.provider.injectors = request.injectors
        connection.provider.uses_lists = not request.reads_one_by_one
        try:
            # After the connection, whose errors about the file are more precise.
            kubeconfig = build_kubeconfig_path(request.cluster.kubeconfig, request.root)
            check_provider_kubeconfig(kubeconfig, request.cluster.context)
            yield connection.provider
        finally:
            connection.close()


def _fit_plan(opened: OpenedStack) -> OpenedStack:
    """Returns the stack with a request whose plan fits the records."""
    providers = summarize_resources(opened.resources).providers
    request = keep_identifier(opened.request, providers)
    request = with_record_aliases(request, opened.stack.project.name, opened.resources)
    return replace(opened, request=request)


def _build_revision(exported: Checkpoint) -> str:
    """Builds a text that is equal for two exports of one state, unless it was written between."""
    content = [[resource.raw for resource in exported.resources], exported.pending]
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
