"""The pulumi CLI as an engine: runs it through the Automation API and reads its events.

The CLI decides what changes. Its events (`cli_events.py`) become the progress that both engines
report, and the change list is compared with the live objects (`live_plan.py`). The Automation
API's methods for stack settings look in the project's root and ignore `stackConfigDir`, so none of
them is used.
"""

from __future__ import annotations

import os
import re
import runpy
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, cast

from framework.core.changes import Change, Op, Preview, Result
from framework.core.errors import EngineError, StateError
from framework.core.kind_rules import KindRules
from framework.core.redaction import REDACTED
from framework.engines.base import (
    Confirm,
    OnProgress,
    Recorded,
    RecordedObjects,
    Request,
    order_changes,
)
from framework.engines.capacity import describe_kept_pods, find_capacity_waits, note_waits
from framework.engines.cli_events import BUILT_PROVIDER_MESSAGES, EventReader, event_to_json
from framework.engines.clusters import (
    IdentityCheck,
    connect_kubernetes,
    identify_cluster,
    open_cluster_record,
    open_clusters,
)
from framework.engines.embedded.engine import EmbeddedEngine
from framework.engines.embedded.progress import ProgressFeed
from framework.engines.interrupts import InterruptibleCommand, interrupt_on_sigterm
from framework.engines.live_objects import (
    build_refresh_change,
    compare_with_cluster,
    read_basis,
)
from framework.engines.live_plan import (
    LiveStep,
    PutBack,
    compare_plan,
    find_failed_needs,
    find_first_stage,
    keep_replicas,
    list_plan_changes,
)
from framework.engines.preflight import add_preflight
from framework.engines.problems import refuse_problems
from framework.engines.project import load_project
from framework.engines.pulumi_cli import PulumiCli, build_environment, keep_last_lines
from framework.engines.recorded import (
    Components,
    build_deletion,
    build_recorded_objects,
    refuse_protected,
    summarize_resources,
)
from framework.engines.state.backend import create_backend_folder, open_backend
from framework.engines.state.checkpoint import Resource, check_deployment
from framework.engines.state.secrets import read_plaintext, unseal
from framework.engines.state.shapes import ShapeError
from framework.engines.state.stack_state import StackState
from framework.engines.urns import STACK_TYPE, list_model_urns
from framework.kube.object_diff import compare_with_live
from framework.kube.provider import KubernetesProvider

# The CLI's default on two cores is 8, and the provider waits ten seconds after every Service.
_PARALLEL = 128
_WRONG_PASSPHRASE = (
    "the passphrase does not fit this stack: its encryptionsalt, in Pulumi.<stack>.yaml beside the "
    "environments or in the state, was made with another one; set PULUMI_CONFIG_PASSPHRASE to that "
    "one, or, if the stack has no secrets, remove Pulumi.<stack>.yaml and run again"
)
# The CLI's error for `--expect-no-changes`.
_CHANGES_PROPOSED = "no changes were expected"
# The line that the CLI prints for each lock of a backend without a server of its own.
_LOCK = re.compile(r"created by (?P<user>.+)@(?P<host>\S+) \(pid (?P<pid>\d+)\) at (?P<time>\S+)")
_CUT_ATTRIBUTES = (
    "pulumi cannot read the state: it was killed while it wrote <stack>.json.attrs beside the "
    "checkpoint, which is empty now; the next `make up` removes this file, or remove it yourself"
)


@dataclass(frozen=True)
class OpenedStack:
    """The Automation API's stack, and what is recorded of it.

    `remember_cluster` records the cluster that the environment names.
    """

    stack: Any
    resources: list[Resource]
    recorded: RecordedObjects
    remember_cluster: Callable[[], None]

    def build_components(self, request: Request) -> Components:
        """Builds the recorded components. UnknownNameError for a target that is none of them."""
        components = Components(request.components, self.resources, request.former_components)
        components.check_targets()
        return components

    def find_targets(self, request: Request) -> dict[str, Any]:
        """Returns the `target` option for a command that runs no program."""
        if request.components is None:
            return {}
        return {"target": self.build_components(request).list_targets()}

    def list_urns(self, urns: Iterable[str]) -> list[str]:
        """Returns URNs as the options `target` and `exclude` take them.

        With `--refresh` the CLI refuses a URN that is not recorded, unless it is a pattern. So the
        name of the stack, which all URNs have, becomes one that matches only itself.
        """
        recorded = {resource.urn for resource in self.resources}
        return [urn if urn in recorded else urn.replace("::", "*::", 1) for urn in sorted(urns)]

    def build_target(self, urns: Iterable[str] | None) -> dict[str, Any]:
        """Returns the `target` option; none for the whole stack."""
        return {} if urns is None else {"target": self.list_urns(urns)}


@dataclass(frozen=True)
class CliPreview:
    """A preview of the CLI, and the steps of its objects compared with the live ones.

    `waits` maps each Deployment that shrinks to those that must be available first, by URN.
    `targets` are the URNs that the command works on, None for the whole stack.
    """

    reader: EventReader
    preview: Preview
    steps: tuple[LiveStep, ...] = ()
    waits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    targets: frozenset[str] | None = None


class AutomationEngine:
    """Runs `pulumi` for every operation.

    The CLI decides what changes and writes it. The change list is the one of the embedded engine,
    found by the same code, which also sees fields that others added to an object.
    """

    name = "cli"

    def __init__(self, cli: PulumiCli, rules: Iterable[KindRules] = ()) -> None:
        """`rules` are those of the kinds that the program registers."""
        self._cli, self._rules = cli, tuple(rules)

    def preview(self, request: Request) -> Preview:
        """Runs `pulumi preview --refresh`, and compares with the live objects."""
        opened = self._open_checked(request)
        targets = self._find_targets(opened, request)
        with self._connect(request) as provider:
            preview = self._preview(opened, request, targets, provider).preview
            _review(request, opened, preview)
            return preview

    @interrupt_on_sigterm()
    def up(self, request: Request, confirm: Confirm, on_progress: OnProgress) -> Result | None:
        """Runs `pulumi up --refresh --continue-on-error`, after a preview that is confirmed."""
        self._settle(request)
        # Before the lock is taken: the CLI takes it itself to create a stack.
        stack = self._open(request)
        with _hold_lock(request) as held, self._connect(request) as provider:
            opened = self._open_checked(request, stack)
            self._refuse_others(request, opened)
            targets = self._find_targets(opened, request)
            previewed = self._preview(opened, request, targets, provider)
            preview = previewed.preview
            refuse_problems(preview)
            _review(request, opened, preview)
            if preview.clean:
                held.close()
                # The state also has options that a preview does not show, such as retainOnDelete.
                # They decide what a later deletion does, so they are recorded all the same.
                reader, target = self._read_events(opened), opened.build_target(targets)
                _call(opened.stack.up, reader, parallel=_PARALLEL, **target)
                opened.remember_cluster()
                outputs = _read_outputs(opened.stack)
                return Result(preview.changes, reader.failures, outputs, messages=preview.messages)
            if not confirm(preview):
                return None
            # Before the first write: a run that is killed leaves objects on this cluster.
            opened.remember_cluster()
            feed = ProgressFeed(on_progress)
            reader = self._read_events(opened, on_progress, components=previewed.reader.components)
            put_back = PutBack(provider, feed) if provider is not None else None
            # The CLI compares the program with the recorded inputs. A refresh records what others
            # changed, but not always as an input, and the CLI leaves the rest. So this is put back
            # before the CLI runs.
            if put_back is not None:
                waits = previewed.waits
                put_back.run([step for step in previewed.steps if step.change.urn not in waits])
            if provider is not None and request.plan is not None:
                plan = keep_replicas(request.plan, previewed.steps, provider)
                request = replace(request, plan=plan)
            held.close()
            self._apply(opened, previewed, request, put_back, feed, reader)
        # Once more, because before the first deployment no provider was recorded.
        opened.remember_cluster()
        result = reader.build_result(_read_outputs(opened.stack))
        return replace(
            result,
            changes=preview.changes,
            failures=(*feed.failures, *result.failures),
            seconds={**feed.seconds, **result.seconds},
        )

    def _apply(
        self,
        opened: OpenedStack,
        previewed: CliPreview,
        request: Request,
        put_back: PutBack | None,
        feed: ProgressFeed,
        reader: EventReader,
    ) -> None:
        """Runs the CLI, once where no Deployment waits for another one (`capacity.py`).

        By itself the CLI changes both tracks of a model at once. So a first run is for the
        Deployments that others wait for, with what they need, and the last run for everything. If
        the first run failed for a model, the last one leaves this model out.
        """
        waits, targets = previewed.waits, previewed.targets
        # With it the CLI would delete a replaced Deployment although its successor failed.
        is_replaced = any(
            change.kind == "Deployment" and change.op is Op.REPLACE
            for change in previewed.preview.changes
        )
        options = {
            "parallel": _PARALLEL,
            "refresh": True,
            "continue_on_error": not is_replaced,
            "program": _build_program(request),
        }
        if not waits:
            _call(opened.stack.up, reader, **options, **opened.build_target(targets))
            return
        first = find_first_stage(previewed.steps, previewed.preview.changes, waits)
        if targets is not None:
            first &= targets
        _call(opened.stack.up, reader, **options, **opened.build_target(first))
        failed = [failure.change for failure in reader.failures + feed.failures]
        causes = find_failed_needs(previewed.steps, failed, waits)
        waiting = [step for step in previewed.steps if step.change.urn in waits]
        kept = [step.change for step in waiting if step.change.urn in causes]
        for change in kept:
            feed.report(change, "skipped", describe_kept_pods(causes[change.urn]))
        if put_back is not None:
            put_back.run([step for step in waiting if step.change.urn not in causes])
        # With what is recorded under a former name: those Pods serve until the new ones do.
        models = {change.component for change in kept}
        former = replace(request, components=frozenset(models)).former_components
        left_out = frozenset(reader.components.find_within(former | models))
        if targets is None:
            excluded = {"exclude": opened.list_urns(left_out)} if left_out else {}
            _call(opened.stack.up, reader, **options, **excluded)
        elif targets - left_out:
            _call(opened.stack.up, reader, **options, **opened.build_target(targets - left_out))

    @interrupt_on_sigterm()
    def refresh(self, request: Request, confirm: Confirm, on_progress: OnProgress) -> Result | None:
        """Runs `pulumi refresh`, after a comparison with the live objects that is confirmed."""
        self._settle(request)
        opened = self._open_checked(request, accepts_recreated=True)
        targets = opened.find_targets(request)
        recorded = opened.recorded
        with open_clusters(request, recorded, accepts_recreated=True) as clusters:
            compared = compare_with_cluster(
                recorded.objects, clusters, compare_with_live, listed=False
            )
        changes = order_changes(map(build_refresh_change, compared))
        preview = Preview(changes, _read_outputs(opened.stack))
        if preview.clean:
            return Result(preview.changes, outputs=preview.outputs)
        if not confirm(preview):
            return None
        reader = self._read_events(opened)
        _call(opened.stack.refresh, reader, parallel=_PARALLEL, **targets)
        _restore_inputs(opened)
        opened.remember_cluster()
        result = reader.build_result(_read_outputs(opened.stack))
        return replace(result, changes=preview.changes)

    @interrupt_on_sigterm()
    def destroy(self, request: Request, confirm: Confirm, on_progress: OnProgress) -> Result | None:
        """Runs `pulumi destroy`, after the recorded resources are shown and confirmed."""
        self._settle(request)
        opened = self._open_checked(request)
        components = opened.build_components(request)
        resources = [found for found in opened.resources if components.is_target(found.urn)]
        refuse_protected(resources)
        changes = tuple(build_deletion(found, components) for found in reversed(resources))
        if not changes:
            return Result(())
        if not confirm(Preview(changes, _read_outputs(opened.stack))):
            return None
        reader = self._read_events(opened, on_progress, components=components)
        options = {"parallel": _PARALLEL, "continue_on_error": True}
        _call(opened.stack.destroy, reader, **options, **opened.find_targets(request))
        return replace(reader.build_result({}), changes=changes)

    def outputs(self, request: Request) -> Mapping[str, Any]:
        """Returns the recorded outputs, secrets redacted."""
        return _read_outputs(self._open(request))

    def recorded(self, request: Request) -> Recorded:
        """Returns a summary of the recorded state."""
        return summarize_resources(_export_resources(self._open(request)))

    def check_refresh(self, request: Request) -> frozenset[str] | None:
        """Runs `pulumi refresh --preview-only --expect-no-changes`."""
        opened = self._open_checked(request)
        changed: set[str] = set()

        def read(event: Any) -> None:
            step = event_to_json(event).get("resOutputsEvent") or {}
            metadata = step.get("metadata") or {}
            if metadata.get("op", "same") not in ("same", "refresh"):
                changed.add(str(metadata["urn"]))

        options = {"parallel": _PARALLEL, "expect_no_changes": True, **opened.find_targets(request)}
        try:
            _translate_errors(lambda: opened.stack.preview_refresh(on_event=read, **options))
        except EngineError as exc:
            if not changed or _CHANGES_PROPOSED not in str(exc):
                raise
        return frozenset(changed)

    def recorded_objects(self, request: Request) -> RecordedObjects:
        """Returns the recorded objects of `pulumi stack export --show-secrets`."""
        resources = [Resource(raw) for raw in _export_resources(self._open(request))]
        return _build_recorded(resources, request.components, check_targets=True)

    def _settle(self, request: Request) -> None:
        """Prepares a command that writes: does what the CLI itself does not do.

        Removes the locks of commands that have ended, names the command that holds the stack, and
        records what an interrupted command has done: the CLI does not read the journal, and would
        try to create an object that exists.
        """
        project = load_project(request.root)
        if not project.has_file_backend:
            return
        backend = open_backend(project, request.stack.name)
        backend.refuse_others()
        try:
            state = StackState(project, backend)
        except StateError:
            # The embedded engine has written no journal beside a state that it cannot read.
            return
        checkpoint = state.checkpoint
        replaced = any(resource.pending_delete for resource in checkpoint.resources)
        unfinished = backend.journal_path.exists() or checkpoint.pending or replaced
        if unfinished or backend.find_leftovers():
            EmbeddedEngine(partial(connect_kubernetes, rules=self._rules)).recover(request)

    def _refuse_others(self, request: Request, opened: OpenedStack) -> None:
        """Raises StateError if another command holds the stack of a remote backend.

        Only a command of the CLI that writes looks at the locks. So this refreshes the resource of
        the stack itself, which has no object in a cluster. Without it, `up` would treat what
        another `up` is writing as drift, and revert it.
        """
        roots = [found.urn for found in opened.resources if found.type == STACK_TYPE]
        if roots and not load_project(request.root).has_file_backend:
            _translate_errors(lambda: opened.stack.refresh(target=roots))

    @contextmanager
    def _connect(self, request: Request) -> Iterator[KubernetesProvider | None]:
        """Yields the cluster that the environment names; None if the request names none."""
        if request.cluster is None or request.plan is None:
            yield None
            return
        connection = connect_kubernetes(asdict(request.cluster), request.root, self._rules)
        connection.provider.injectors = request.injectors
        try:
            yield connection.provider
        finally:
            connection.close()

    def _open_checked(
        self, request: Request, stack: Any = None, *, accepts_recreated: bool = False
    ) -> OpenedStack:
        """Opens the stack, unless `stack` is given, and reads it.

        ClusterError if the environment names another cluster than recorded.
        """
        stack = stack or self._open(request)
        exported = _export_resources(stack)
        resources = [Resource(raw) for raw in exported]
        recorded = _build_recorded(resources, request.components)
        if request.cluster is None:
            return OpenedStack(stack, resources, recorded, lambda: None)
        summary = summarize_resources(exported)
        check = IdentityCheck(
            request.stack,
            summary.providers,
            open_cluster_record(request.root, request.stack),
            partial(identify_cluster, root=request.root),
            has_objects=summary.objects > 0,
            accepts_recreated=accepts_recreated,
        )
        reached = identify_cluster(asdict(request.cluster), request.root)
        # Of several providers it is unknown which one the environment means.
        if len(summary.providers) == 1:
            check.check(next(iter(summary.providers)), reached)

        def remember_cluster() -> None:
            providers = summary.providers
            providers = providers or summarize_resources(_export_resources(stack)).providers
            if len(providers) == 1:
                check.remember(next(iter(providers)), reached)

        return OpenedStack(stack, resources, recorded, remember_cluster)

    def _open(self, request: Request) -> Any:
        """Returns the stack, with the program inline: `__main__.py` runs in this process.

        So no language host of Pulumi is needed, and the program gets the plan that is loaded.
        """
        from pulumi import automation

        project = load_project(request.root)
        options = automation.LocalWorkspaceOptions(
            work_dir=str(request.root),
            env_vars=build_environment(self._cli),
            pulumi_home=os.environ.get("PULUMI_HOME"),
            # It has all of a PulumiCommand that the Automation API uses.
            pulumi_command=cast(Any, InterruptibleCommand(self._cli)),
        )
        create_backend_folder(project)
        return _translate_errors(
            lambda: automation.create_or_select_stack(
                stack_name=request.stack.name,
                project_name=project.name,
                program=_build_program(request),
                opts=options,
            )
        )

    def _read_events(
        self,
        opened: OpenedStack,
        on_progress: OnProgress | None = None,
        *,
        components: Components | None = None,
    ) -> EventReader:
        ignored = BUILT_PROVIDER_MESSAGES if self._cli.built else None
        secrets = {text for found in opened.recorded.objects for text in found.secrets}
        return EventReader(on_progress, ignored=ignored, components=components, secrets=secrets)

    def _preview(
        self,
        opened: OpenedStack,
        request: Request,
        targets: frozenset[str] | None,
        provider: KubernetesProvider | None,
    ) -> CliPreview:
        reader = self._read_events(opened)
        target = opened.build_target(targets)
        failure = _try(opened.stack.preview, reader, parallel=_PARALLEL, refresh=True, **target)
        is_complete = failure is None and not reader.failures
        if provider is None or request.plan is None:
            if failure is not None:
                raise failure
            preview = _add_pending_deletions(reader.build_preview(), opened, request)
            return CliPreview(reader, preview, targets=targets)
        # The CLI ends a preview soon after the server refused an object.
        listed = reader.changes
        listed = listed if is_complete else self._complete_changes(opened, request, reader)
        steps = self._compare(opened, request, reader, provider, listed, is_complete)
        problems = tuple(sorted(step.problem for step in steps if step.problem))
        if not problems:
            # What the CLI alone refuses.
            reader.build_preview()
            if failure is not None:
                raise failure
        components = Components(request.components, opened.resources, request.former_components)
        shown = {step.change.urn: step.change for step in steps}
        live = {found.urn: found for found in opened.resources if not found.pending_delete}
        changes = [
            build_deletion(live[change.urn], components)
            if change.op is Op.DELETE and change.urn in live
            else shown.get(change.urn, change)
            for change in listed
        ]
        # The order of a model's Deployments depends on its own alone, as in the embedded engine.
        waits = find_capacity_waits(change for change in changes if change.urn in shown)
        changes = [note_waits(change, waits) for change in changes]
        # The errors of the CLI are the same refusals once more.
        messages = [text for text in reader.messages if is_complete or text.startswith("warning")]
        preview = Preview(order_changes(changes), reader.outputs, tuple(messages), problems)
        preview = _add_pending_deletions(preview, opened, request)
        preview = add_preflight(preview, request.plan, provider)
        return CliPreview(reader, preview, tuple(steps), waits, targets)

    def _compare(
        self,
        opened: OpenedStack,
        request: Request,
        reader: EventReader,
        provider: KubernetesProvider,
        listed: Iterable[Change],
        is_complete: bool,
    ) -> list[LiveStep]:
        """Compares the objects that the command works on with the live ones."""
        assert request.plan is not None
        objects = {found.urn: found for found in opened.recorded.objects}
        recorded = {
            change.urn: objects[former]
            for change in listed
            if (former := reader.former_urns.get(change.urn, change.urn)) in objects
        }
        compared = [
            change
            for change in listed
            if request.components is None or change.component in request.components
        ]
        return compare_plan(request.plan, compared, recorded, provider, cli_decides=is_complete)

    def _complete_changes(
        self, opened: OpenedStack, request: Request, reader: EventReader
    ) -> tuple[Change, ...]:
        """Returns the change list of a preview that the CLI ended early, with all objects.

        Objects that are recorded and not in the plan are deletions.
        """
        assert request.plan is not None
        project = load_project(request.root).name
        live = {found.urn: found for found in opened.resources if not found.pending_delete}
        components = Components(request.components, opened.resources, request.former_components)
        planned = [
            change
            for change in list_plan_changes(request.plan, request.stack.name, project, live)
            if change.op is Op.SAME
            or request.components is None
            or change.component in request.components
        ]
        urns = {change.urn for change in planned}
        deletions = [
            build_deletion(found, components)
            for found in live.values()
            if found.is_object and found.urn not in urns and components.is_target(found.urn)
        ]
        others = [change for change in reader.changes if not change.object]
        return (*others, *planned, *deletions)

    def _find_targets(self, opened: OpenedStack, request: Request) -> frozenset[str] | None:
        """Returns the URNs of the components and of everything in them; None for the whole stack.

        Both those of the plan and the recorded ones, which the program may no longer have.
        `--target-dependents` is not used: it would add models that wait for this one in the same
        lane.
        """
        if request.components is None:
            return None
        components = Components(request.components, opened.resources, request.former_components)
        if request.plan is not None:
            for urn, parent in list_model_urns(request.plan, load_project(request.root).name):
                components.add(urn, parent, is_component=not parent)
        components.check_targets()
        return frozenset(components.list_targets())


@contextmanager
def _hold_lock(request: Request) -> Iterator[ExitStack]:
    """Holds the stack's lock until the end, or until the yielded context is closed.

    `pulumi up` takes the lock itself and cannot inherit it, so it is given back just before. A
    command that takes the stack in that moment makes `pulumi up` fail, unless that command has
    ended by then.
    The lock of a remote backend is the CLI's alone: nothing is held before `pulumi up`.
    """
    project = load_project(request.root)
    with ExitStack() as held:
        if project.has_file_backend:
            held.enter_context(open_backend(project, request.stack.name).lock())
        yield held


def _build_program(request: Request) -> Callable[[], None]:
    """Builds the inline program, which registers the request's plan."""
    path = load_project(request.root).program

    def program() -> None:
        if request.plan is not None:
            from framework.program import give_plan

            give_plan(request.root, request.plan)
        runpy.run_path(str(path), run_name="__main__")

    return program


def _add_pending_deletions(preview: Preview, opened: OpenedStack, request: Request) -> Preview:
    """Adds the old objects of earlier replacements, which the CLI deletes and does not list.

    Those that the plan has again are left out: only their old record is dropped (`_settle`).
    """
    manifests = request.plan.manifests if request.plan else ()
    wanted = {(manifest.type_token, manifest.id) for manifest in manifests}
    components = Components(request.components, opened.resources, request.former_components)
    deletions = [
        build_deletion(found, components)
        for found in opened.resources
        if found.pending_delete
        and components.is_target(found.urn)
        and (found.type, found.id) not in wanted
    ]
    return replace(preview, changes=order_changes([*preview.changes, *deletions]))


def _review(request: Request, opened: OpenedStack, preview: Preview) -> None:
    """Passes a preview and what it was computed from to the request's `review`."""
    if request.review is not None:
        with open_clusters(request, opened.recorded) as clusters:
            request.review(preview, read_basis(request, opened.recorded, clusters))


def _build_recorded(
    resources: list[Resource], targets: frozenset[str] | None, *, check_targets: bool = False
) -> RecordedObjects:
    components = Components(targets, resources)
    if check_targets:
        components.check_targets()
    return build_recorded_objects(resources, components, partial(unseal, open_value=read_plaintext))


def _read_outputs(stack: Any) -> Mapping[str, Any]:
    """Returns the recorded outputs, secrets redacted."""
    outputs = _translate_errors(stack.outputs)
    return {
        name: REDACTED if output.secret else output.value
        for name, output in sorted(outputs.items())
    }


def _export_resources(stack: Any) -> list[Mapping[str, Any]]:
    """Returns the resources of the exported state. StateError where their shape is wrong."""
    deployment = _translate_errors(stack.export_stack).deployment or {}
    try:
        check_deployment(deployment, "deployment")
    except ShapeError as exc:
        raise StateError(f"`pulumi stack export` cannot be read: {exc}") from exc
    return list(deployment.get("resources") or ())


def _restore_inputs(opened: OpenedStack) -> None:
    """Gives each refreshed object the inputs that it had before.

    A refresh of the CLI also records live values as inputs. Inputs are what the program declared
    last, and drift compares the cluster with them: it would go blind to what the refresh recorded.
    """
    objects = [found for found in opened.resources if found.is_object and not found.pending_delete]
    before = {found.urn: found.raw for found in objects}
    exported = _translate_errors(opened.stack.export_stack)
    changed = False
    for raw in exported.deployment.get("resources") or ():
        declared = before.get(raw["urn"])
        if declared is None or raw.get("delete") or raw.get("inputs") == declared.get("inputs"):
            continue
        changed = True
        raw["inputs"] = declared.get("inputs")
        if "__inputs" in (raw.get("outputs") or {}):
            raw["outputs"]["__inputs"] = (declared.get("outputs") or {}).get("__inputs")
    if changed:
        _translate_errors(lambda: opened.stack.import_stack(exported))


def _call(operation: Callable[..., Any], reader: EventReader, **options: Any) -> None:
    """Runs an operation and passes its events to the reader.

    The CLI also fails when a resource failed. The reader then has the failures, and no error is
    raised. EngineError for any other failure.
    """
    try:
        _translate_errors(
            lambda: operation(on_event=lambda event: reader.read(event_to_json(event)), **options)
        )
    except EngineError as exc:
        if not reader.failures:
            raise EngineError(reader.redact(str(exc))) from exc.__cause__


def _try(operation: Callable[..., Any], reader: EventReader, **options: Any) -> EngineError | None:
    """Runs an operation as `_call` does, and returns its error in place of raising it."""
    try:
        _call(operation, reader, **options)
    except EngineError as exc:
        return exc
    return None


def _translate_errors(action: Callable[[], Any]) -> Any:
    """Returns the result of an action. StateError or EngineError for errors of the CLI."""
    from pulumi.automation import errors

    try:
        return action()
    except errors.ConcurrentUpdateError as exc:
        raise StateError(_describe_lock(str(exc))) from exc
    except errors.CommandError as exc:
        if "failed to load checkpoint: EOF" in str(exc):
            raise StateError(_CUT_ATTRIBUTES) from exc
        if "incorrect passphrase" in str(exc):
            raise StateError(_WRONG_PASSPHRASE) from exc
        raise EngineError(f"pulumi failed: {keep_last_lines(str(exc))}") from exc


def _describe_lock(text: str) -> str:
    """Returns who holds the stack and since when, in the words of the file backend."""
    holders = [
        f"{found['user']} (pid {found['pid']} on {found['host']}, since {found['time']})"
        for found in _LOCK.finditer(" ".join(text.split()))
    ]
    holder = " and ".join(holders) or f"another command: {keep_last_lines(text)}"
    return (
        f"the stack is locked by {holder}; wait for it, or, if it is dead, remove the lock with "
        "`pulumi cancel` and run again"
    )
