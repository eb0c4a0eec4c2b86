"""Drives the pulumi CLI for one stack: runs its commands, and exports and imports its state.

The Automation API's methods for stack settings look in the project's root and ignore
`stackConfigDir`, so none of them is used.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

from framework.core.errors import EngineError, FrameworkError, StateError
from framework.core.passphrase import SET_PASSPHRASE
from framework.core.suggestions import list_names
from framework.engines.base import Request
from framework.engines.cli_events import EventReader, event_to_json
from framework.engines.cli_lock import StackLock
from framework.engines.interrupts import InterruptibleCommand
from framework.engines.project import Project, build_settings_path, load_project, read_salt
from framework.engines.pulumi_cli import PulumiCli, build_environment, keep_last_lines
from framework.engines.state.backend import create_backend_folder, open_backend
from framework.engines.state.checkpoint import (
    Checkpoint,
    ObjectIdentity,
    Resource,
    read_stack_outputs,
)
from framework.engines.state.journal import fold, set_line
from framework.engines.state.secrets import read_plaintext
from framework.engines.state.shapes import Deployment, ShapeError, check_shape
from framework.engines.state.stack_state import StackState
from framework.engines.urns import parse_urn
from framework.engines.values import fill_unknown, has_unknown

# The CLI's default on two cores is 8, and the provider waits ten seconds after every Service.
_PARALLEL = 128
# The line that the CLI prints for each lock of a backend without a server of its own.
_LOCK = re.compile(r"created by (?P<user>.+)@(?P<host>\S+) \(pid (?P<pid>\d+)\) at (?P<time>\S+)")


@dataclass(frozen=True)
class FailedUp:
    """Describes what to record after an `up` that failed or ended early.

    `reasons` say by URN why Deployments are not ready: the CLI itself takes a Deployment as ready
    once the minimum of its Pods is available, and the next `up` waits for it again.
    `outputs` are those of the Stack and the components before the command, by URN: the CLI records
    a placeholder for an output of a model that failed.
    `refreshed` are the resources before the command that a refresh has recorded and no step has
    written since, by `identify_resource`: the refresh records live values as inputs.
    """

    reasons: Mapping[str, str]
    outputs: Mapping[str, Any]
    refreshed: Mapping[ObjectIdentity | str, Resource] = field(default_factory=dict)


@dataclass(frozen=True)
class CliStack:
    """Runs the commands of the CLI for one stack, through the stack of the Automation API.

    Raises StateError or EngineError for the errors of the CLI. A command that writes takes the lock
    of the stack itself, so within `lock` it gets the lock for its duration.
    """

    cli: PulumiCli
    project: Project
    name: str
    automation: Any

    @cached_property
    def lock(self) -> StackLock:
        """The lock of the stack, which is free until it is entered."""
        return StackLock(self.project, self.name)

    def run(self, command: str, reader: EventReader, **options: Any) -> None:
        """Runs `up`, `refresh` or `destroy`, and passes its events to the reader.

        The CLI also fails when a resource failed. The reader then has the failures, and no error is
        raised. EngineError for any other failure.
        """
        with self.lock.released():
            if (failure := self._read(command, reader, **options)) is not None:
                raise failure

    def preview(self, reader: EventReader, **options: Any) -> EngineError | None:
        """Runs `preview`, which needs no lock, as `run` does; returns its error."""
        # The program of a command that the CLI ends early leaves coroutines that nobody awaits.
        warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
        return self._read("preview", reader, **options)

    def _read(self, command: str, reader: EventReader, **options: Any) -> EngineError | None:
        before = reader.failed_steps
        try:
            self.stream(command, lambda event: reader.read(event_to_json(event)), **options)
        except EngineError as exc:
            if reader.failed_steps == before:
                failure = EngineError(reader.redact(str(exc)))
                failure.__cause__ = exc.__cause__
                return failure
        return None

    def stream(self, command: str, on_event: Callable[[Any], None], **options: Any) -> None:
        """Runs a command, and passes each event to `on_event`."""
        operation = getattr(self.automation, command)
        self._translate(lambda: operation(on_event=on_event, parallel=_PARALLEL, **options))

    def refresh_only(self, urns: list[str]) -> None:
        """Refreshes only the resources with these URNs."""
        self._translate(lambda: self.automation.refresh(target=urns))

    def read_outputs(self) -> Mapping[str, Any]:
        """Returns the recorded outputs, secrets redacted."""
        return read_stack_outputs(self.export_checkpoint().resources)

    def export_checkpoint(self) -> Checkpoint:
        """Returns the exported state. StateError where its shape is wrong."""
        return read_export(self.export(), self.name)

    def restore_inputs(
        self, resources: Iterable[Resource], recreated: Collection[str] = ()
    ) -> None:
        """Gives each refreshed resource the inputs that it had before, which are in `resources`.

        A refresh of the CLI also records live values as inputs. Inputs are what the program
        declared last, and `drift` or the next refresh compares what is live with them: it would no
        longer find what this refresh has recorded.
        `recreated` are the URNs of objects that somebody else deleted and created again. The
        refresh reads by name and records the new objects as ours, and a later command would delete
        them, so these records are dropped.
        """
        before = {found.key: found for found in resources}
        exported = self.export()
        is_changed = _drop_records(exported, recreated)
        live = [Resource(raw) for raw in exported.deployment.get("resources") or ()]
        restored = [_with_inputs(found, before.get(found.key, found)) for found in live]
        if is_changed or any(new is not old for new, old in zip(restored, live, strict=True)):
            exported.deployment["resources"] = [found.raw for found in restored]
            self.import_back(exported)

    def forget(self, keys: Collection[str]) -> None:
        """Removes records, without an effect on their objects."""
        exported = self.export()
        if _drop_records(exported, keys):
            self.import_back(exported)
            self.lock.require()

    def record_failed(self, failed: FailedUp) -> str:
        """Records what a failed `up` leaves. Returns the reason if this is impossible, else ""."""
        try:
            self.lock.require()
            if not self._record_in_folder(failed):
                exported = self.export()
                exported.deployment["resources"] = [
                    with_failure(Resource(raw), failed).raw
                    for raw in exported.deployment.get("resources") or ()
                ]
                self.import_back(exported)
        except FrameworkError as exc:
            return _describe_unrecorded(failed, exc)
        return ""

    def _record_in_folder(self, failed: FailedUp) -> bool:
        """Records without the CLI, under the lock. Returns False if the CLI must be used.

        An import of the CLI would also drop the operations that an interrupted run left pending.
        """
        if not self.project.has_file_backend:
            return False
        try:
            state = StackState(self.project, open_backend(self.project, self.name))
        except StateError:
            # For example, a state whose secrets a cloud's key service encrypts.
            return False

        def convert(tree: Any) -> Any:
            return state.seal(read_plaintext(tree))

        changed = [
            changed
            for resource in state.get_current().live.values()
            if (changed := with_failure(resource, failed, convert)) is not resource
        ]
        if changed:
            state.record(*map(set_line, changed))
            state.close()
        return True

    def export(self) -> Any:
        """Returns the exported state, secrets in plain text."""
        return self._translate(self.automation.export_stack)

    def import_back(self, exported: Any) -> None:
        """Replaces the state by a changed export; the CLI encrypts the secrets again.

        StateError if another command holds the stack, or if a create is pending: the import would
        drop it, and its object would be lost.
        """
        deployment = exported.deployment
        check_pending_creates(deployment.get("pending_operations") or ())
        # Not the Automation API's `import_stack`: it writes the plain secrets to a file, which a
        # process that is killed leaves. Without `--file` the CLI reads its standard input.
        document = json.dumps({"version": exported.version, "deployment": deployment})
        arguments = ["stack", "import", "--stack", self.name]
        workspace = self.automation.workspace
        with self.lock.released():
            self._translate(
                lambda: workspace.pulumi_command.run(
                    arguments, workspace.work_dir, workspace.env_vars, input=document
                )
            )

    def _translate(self, action: Callable[[], Any]) -> Any:
        return _translate_errors(action, self.project, self.name)


def open_stack(cli: PulumiCli, request: Request) -> CliStack:
    """Opens the stack, or creates it, with the program inline: `__main__.py` runs in this process.

    So no language host of Pulumi is needed, and the program gets the plan that is loaded.
    """
    from pulumi import automation

    project = load_project(request.root)
    options = automation.LocalWorkspaceOptions(
        work_dir=str(request.root),
        env_vars=build_environment(cli),
        pulumi_home=os.environ.get("PULUMI_HOME"),
        # It has all of a PulumiCommand that the Automation API uses.
        pulumi_command=cast(Any, InterruptibleCommand(cli)),
    )
    create_backend_folder(project)
    _make_creatable(project, request.stack.name)
    stack = _translate_errors(
        lambda: automation.create_or_select_stack(
            stack_name=request.stack.name,
            project_name=project.name,
            program=build_program(request),
            opts=options,
        ),
        project,
        request.stack.name,
    )
    _disable_result_queries(stack)
    return CliStack(cli, project, request.stack.name, stack)


def _disable_result_queries(stack: Any) -> None:
    """Disables the commands that the Automation API runs after each `up`, `refresh` and `destroy`.

    After `up` there are three: two for the outputs, one for the history. The engine does not use
    their results, and each takes a second.
    """
    stack.outputs = dict
    stack.info = lambda show_secrets=True: "not read"


def _make_creatable(project: Project, stack: str) -> None:
    """Removes the locks of dead commands from a stack that does not exist yet.

    To create a stack, also for a preview, the CLI takes its lock, and it removes no lock itself. On
    a stack that exists, only commands that write remove them (`FileBackend.check_lock`).
    """
    if project.has_file_backend:
        backend = open_backend(project, stack)
        if not backend.checkpoint_path.exists():
            backend.remove_dead_locks()


def read_export(exported: Any, stack_name: str) -> Checkpoint:
    """Returns what is in an exported state. StateError where its shape is wrong."""
    deployment = exported.deployment or {}
    try:
        check_shape(deployment, Deployment, "deployment")
    except ShapeError as exc:
        raise StateError(f"`pulumi stack export` cannot be read: {exc}") from exc
    resources = tuple(map(Resource, deployment.get("resources") or ()))
    return Checkpoint(stack_name, resources, tuple(deployment.get("pending_operations") or ()))


def build_program(request: Request) -> Callable[[], None]:
    """Builds the inline program, which registers the request's plan."""
    path = load_project(request.root).program

    def program() -> None:
        from framework.engines.pulumi_sdk import leave_out_details

        leave_out_details()
        if request.plan is not None:
            from framework.program import give_plan

            give_plan(request.root, request.plan)
        runpy.run_path(str(path), run_name="__main__")

    return program


def _translate_errors(action: Callable[[], Any], project: Project, stack: str) -> Any:
    """Returns the result of an action. StateError or EngineError for errors of the CLI."""
    from pulumi.automation import errors

    try:
        return action()
    except errors.ConcurrentUpdateError as exc:
        raise StateError(_describe_lock(str(exc))) from exc
    except errors.CommandError as exc:
        # pulumi fails with this on empty attributes, which it leaves when it is killed.
        if "failed to load checkpoint: EOF" in str(exc):
            raise StateError(_describe_empty_attributes(project, stack)) from exc
        if "incorrect passphrase" in str(exc):
            raise StateError(_describe_wrong_passphrase(project, stack)) from exc
        raise EngineError(f"pulumi failed: {keep_last_lines(str(exc))}") from exc


def identify_resource(resource: Resource) -> ObjectIdentity | str:
    """Returns what identifies a resource before and after a command, which may change its URN.

    This is the URN if the resource is not of Kubernetes: the id of each password is "none".
    """
    return resource.object_key if resource.is_object else resource.urn


def with_failure(
    resource: Resource, failed: FailedUp, convert: Callable[[Any], Any] = lambda tree: tree
) -> Resource:
    """Returns a resource with what a failed `up` leaves, or the same one if that is nothing.

    `convert` returns values of an export in the form of the resource.
    """
    if resource.pending_delete:
        return resource
    if (before := failed.refreshed.get(identify_resource(resource))) is not None:
        resource = _with_inputs(resource, before, convert)
    if resource.urn in failed.reasons:
        resource = resource.with_fields(initErrors=[failed.reasons[resource.urn]])
    outputs = resource.raw.get("outputs") or {}
    if not resource.custom and has_unknown(outputs):
        former = convert(failed.outputs.get(resource.urn) or {})
        resource = resource.with_fields(outputs=fill_unknown(outputs, former))
    return resource


def _with_inputs(
    resource: Resource, before: Resource, convert: Callable[[Any], Any] = lambda tree: tree
) -> Resource:
    """Returns a resource with the inputs that it had before, or the same one if it has them.

    Of an old object, which a replacement left behind, the outputs are restored as well: they have
    its UID, which shows whether somebody has recreated it. `convert` as for `with_failure`.
    """
    inputs, former = convert(before.raw.get("inputs")), before.raw.get("outputs") or {}
    outputs = resource.raw.get("outputs") or {}
    if resource.pending_delete:
        restored = convert(former)
    elif inputs != resource.raw.get("inputs") and "__inputs" in outputs:
        # The Kubernetes provider keeps a copy of the inputs here and compares with it.
        restored = {**outputs, "__inputs": convert(former.get("__inputs"))}
    else:
        restored = outputs
    if (inputs, restored) == (resource.raw.get("inputs"), outputs):
        return resource
    return resource.with_fields(inputs=inputs, outputs=restored)


def _drop_records(exported: Any, keys: Collection[str]) -> bool:
    """Removes the records with these keys, and the dependencies of other resources on them.

    Returns True if a record was removed.
    """
    if not keys:
        return False
    recorded = read_export(exported, "").resources
    kept = fold(Checkpoint("", recorded), [{"drop": key} for key in keys]).resources
    if len(kept) == len(recorded):
        return False
    exported.deployment["resources"] = [found.raw for found in kept]
    return True


def describe_lost_inputs(reason: object) -> str:
    """Returns the message that a refresh left live values as inputs in the state."""
    return (
        "the state has live values in place of what the files declare, because it could not be "
        "written after the refresh, so `drift` does not show them; next: `up`, which records "
        f"what the files declare: {reason}"
    )


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


def check_pending_creates(operations: Iterable[Mapping[str, Any]]) -> None:
    """Raises StateError if a create is pending, because then no state can be imported."""
    if reason := describe_pending_creates(operations):
        raise StateError(reason)


def describe_pending_creates(operations: Iterable[Mapping[str, Any]]) -> str:
    """Returns what the user must do about pending creates; "" if none is pending.

    All are named, also those whose object is known to exist: the import drops each of them.
    """
    pending = [Resource(found["resource"]) for found in operations if found["type"] == "creating"]
    if not pending:
        return ""
    names = list_names([f"{created.kind} {created.name}" for created in pending])
    return (
        f"an earlier command was interrupted while it created {names}, and it is unknown "
        "whether these exist; next: look for each one, and delete it if the files no longer have "
        "it; if they have it, `up` records it. Delete a Helm Release, and what is not of "
        "Kubernetes, in any case, or record it with `pulumi import`. Then drop the pending "
        "operations with `pulumi stack export | pulumi stack import`"
    )


def _describe_wrong_passphrase(project: Project, stack: str) -> str:
    problem = "the passphrase is wrong for this stack: the encryptionsalt"
    remedy = f"{SET_PASSPHRASE} to that one"
    if not read_salt(project, stack):
        return f"stack {stack}: {problem} in its state belongs to another passphrase; {remedy}"
    return (
        f"{build_settings_path(project, stack)}: {problem} in this file, or the one in the state, "
        f"belongs to another passphrase; {remedy}, or, if the stack has no secrets, remove this "
        "file and run again"
    )


def _describe_empty_attributes(project: Project, stack: str) -> str:
    path = f"{stack}.json.attrs in {project.describe_backend()}"
    if project.has_file_backend:
        path = f"{open_backend(project, stack).checkpoint_path}.attrs"
    return (
        f"{path}: pulumi cannot read the state, because it was killed while it wrote this file, "
        "which is empty now; remove the file, or run `make up`, which removes it"
    )


def _describe_lock(text: str) -> str:
    """Returns who holds the stack and since when, in the words of the file backend."""
    holders = [
        f"{found['user']} (pid {found['pid']} on {found['host']}, since {found['time']})"
        for found in _LOCK.finditer(" ".join(text.split()))
    ]
    holder = " and ".join(holders) or f"another command: {keep_last_lines(text)}"
    return (
        f"the stack is locked by {holder}; wait for it, or, if it no longer runs, remove the lock "
        "with `pulumi cancel` and run again"
    )
