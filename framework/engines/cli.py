"""The pulumi CLI as an engine: runs it through the Automation API and reads its events.

The CLI decides what changes. This module translates its events into the change list and the
progress that both engines report. The Automation API's methods for stack settings look in the
project's root and ignore `stackConfigDir`, so none of them is used.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from framework.core.changes import (
    SHOWN_SEVERITIES,
    Change,
    Failure,
    FieldChange,
    Op,
    Preview,
    Progress,
    Result,
)
from framework.core.errors import EngineError, StateError, UnknownNameError
from framework.core.field_paths import FieldPath, get_at, name_path
from framework.core.redaction import REDACTED, redact_field
from framework.engines.base import (
    Confirm,
    OnProgress,
    Recorded,
    RecordedObjects,
    Request,
    order_changes,
)
from framework.engines.clusters import IdentityCheck, identify_cluster, open_cluster_record
from framework.engines.project import load_project
from framework.engines.pulumi_cli import PulumiCli
from framework.engines.recorded import Components, build_recorded_objects, summarize_resources
from framework.engines.state.backend import create_backend_folder
from framework.engines.state.checkpoint import Resource, check_deployment
from framework.engines.state.secrets import read_plaintext, unseal
from framework.engines.state.shapes import ShapeError
from framework.engines.urns import OBJECT_PREFIX, STACK_TYPE, parse_urn
from framework.engines.values import redact_sealed
from framework.kube.object_diff import compare_objects, read_item
from framework.kube.objects import FIELD_MANAGER, object_name, without_internal
from framework.kube.property_path import parse_path

# The CLI's default on two cores is 8, and the provider waits ten seconds after every Service.
_PARALLEL = 128
_PASSPHRASE = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")
_WRONG_PASSPHRASE = (
    "the passphrase does not fit this stack: its encryptionsalt, in Pulumi.<stack>.yaml beside the "
    "environments or in the state, was made with another one; set PULUMI_CONFIG_PASSPHRASE to that "
    "one, or, if the stack has no secrets, remove Pulumi.<stack>.yaml and run again"
)
_LAST_LINES = 12


class AutomationEngine:
    """Runs `pulumi` for every operation. Refreshes first, so that `up` reverts drift."""

    name = "cli"

    def __init__(self, cli: PulumiCli) -> None:
        self._cli = cli

    def preview(self, request: Request) -> Preview:
        """Runs `pulumi preview --refresh`."""
        stack, _ = self._open_checked(request)
        return self._preview(stack, self._find_targets(stack, request)).build_preview()

    def up(self, request: Request, confirm: Confirm, on_progress: OnProgress) -> Result | None:
        """Runs `pulumi up --refresh --continue-on-error`, after a preview that is confirmed."""
        stack, remember_cluster = self._open_checked(request)
        targets = self._find_targets(stack, request)
        previewed = self._preview(stack, targets)
        preview = previewed.build_preview()
        if preview.clean:
            # The state also has options that a preview does not show, such as retainOnDelete. They
            # decide what a later deletion does, so they are recorded even where nothing else is.
            _call(stack.up, self._read_events(), parallel=_PARALLEL, **targets)
            remember_cluster()
            return Result(preview.changes, outputs=self.outputs(request), messages=preview.messages)
        if not confirm(preview):
            return None
        # Before the first write: a run that is killed leaves objects on this cluster.
        remember_cluster()
        reader = self._read_events(on_progress, components=previewed.components)
        _call(
            stack.up,
            reader,
            parallel=_PARALLEL,
            refresh=True,
            continue_on_error=True,
            **targets,
        )
        # Once more, because before the first deployment no provider was recorded.
        remember_cluster()
        return reader.build_result(self.outputs(request))

    def refresh(self, request: Request, confirm: Confirm, on_progress: OnProgress) -> Result | None:
        """Runs `pulumi refresh`, after a preview that is confirmed."""
        stack, remember_cluster = self._open_checked(request, accepts_recreated=True)
        targets = self._find_targets(stack, request)
        reader = self._read_events(refreshing=True)
        _call(stack.preview_refresh, reader, parallel=_PARALLEL, **targets)
        preview = reader.build_preview()
        if preview.clean:
            return Result(preview.changes, outputs=self.outputs(request), messages=preview.messages)
        if not confirm(preview):
            return None
        reader = self._read_events(on_progress, refreshing=True, components=reader.components)
        _call(stack.refresh, reader, parallel=_PARALLEL, **targets)
        remember_cluster()
        return reader.build_result(self.outputs(request))

    def destroy(self, request: Request, confirm: Confirm, on_progress: OnProgress) -> Result | None:
        """Runs `pulumi destroy`, after a preview that is confirmed."""
        stack, _ = self._open_checked(request)
        targets = self._find_targets(stack, request)
        reader = self._read_events()
        _call(stack.preview_destroy, reader, parallel=_PARALLEL, **targets)
        preview = reader.build_preview()
        if preview.clean:
            return Result((), messages=preview.messages)
        if not confirm(preview):
            return None
        reader = self._read_events(on_progress, components=reader.components)
        _call(stack.destroy, reader, parallel=_PARALLEL, continue_on_error=True, **targets)
        return reader.build_result({})

    def outputs(self, request: Request) -> Mapping[str, Any]:
        """Returns the recorded outputs, secrets redacted."""
        outputs = _translate_errors(lambda: self._open(request).outputs())
        return {
            name: REDACTED if output.secret else output.value
            for name, output in sorted(outputs.items())
        }

    def recorded(self, request: Request) -> Recorded:
        """Returns a summary of the recorded state."""
        return summarize_resources(_export_resources(self._open(request)))

    def recorded_objects(self, request: Request) -> RecordedObjects:
        """Returns the recorded objects of `pulumi stack export --show-secrets`."""
        resources = [Resource(raw) for raw in _export_resources(self._open(request))]
        components = Components(request.components)
        components.add_recorded(resources)
        components.check_targets()
        return build_recorded_objects(
            resources, components, partial(unseal, open_value=read_plaintext)
        )

    def _open_checked(
        self, request: Request, *, accepts_recreated: bool = False
    ) -> tuple[Any, Callable[[], None]]:
        """Returns the stack, and a function that records the cluster that the environment names.

        ClusterError when that cluster is not the recorded one.
        """
        stack = self._open(request)
        if request.cluster is None:
            return stack, lambda: None
        recorded = summarize_resources(_export_resources(stack))
        check = IdentityCheck(
            request.stack,
            recorded.providers,
            open_cluster_record(request.root, request.stack),
            partial(identify_cluster, root=request.root),
            has_objects=recorded.objects > 0,
            accepts_recreated=accepts_recreated,
        )
        reached = identify_cluster(asdict(request.cluster), request.root)
        # Of several providers it is unknown which one the environment means.
        if len(recorded.providers) == 1:
            check.check(next(iter(recorded.providers)), reached)

        def remember_cluster() -> None:
            providers = recorded.providers
            providers = providers or summarize_resources(_export_resources(stack)).providers
            if len(providers) == 1:
                check.remember(next(iter(providers)), reached)

        return stack, remember_cluster

    def _open(self, request: Request) -> Any:
        """Returns the stack, with the program inline: it runs in this process.

        So no language host of Pulumi is needed, and the program gets the plan that is loaded.
        """
        from pulumi import automation

        def program() -> None:
            from framework.program import load_stack_plan, register_stack

            register_stack(request.plan or load_stack_plan(request.root, request.stack.name))

        environment = {
            "PATH": self._cli.search_path,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            # Older providers, such as the one that we build, do not know the provider's input
            # `enablePatchForce`.
            "PULUMI_K8S_ENABLE_PATCH_FORCE": "true",
        }
        if all(os.environ.get(name) is None for name in _PASSPHRASE):
            # The CLI wants a passphrase even for a stack without secrets. The empty one is valid.
            environment["PULUMI_CONFIG_PASSPHRASE"] = ""
        options = automation.LocalWorkspaceOptions(
            work_dir=str(request.root),
            env_vars=environment,
            pulumi_home=os.environ.get("PULUMI_HOME"),
            pulumi_command=_build_command(self._cli),
        )
        project = load_project(request.root)
        create_backend_folder(project)
        return _translate_errors(
            lambda: automation.create_or_select_stack(
                stack_name=request.stack.name,
                project_name=project.name,
                program=program,
                opts=options,
            )
        )

    def _read_events(
        self,
        on_progress: OnProgress | None = None,
        *,
        refreshing: bool = False,
        components: Components | None = None,
    ) -> EventReader:
        ignored = _BUILT_PROVIDER if self._cli.built else None
        return EventReader(
            on_progress, refreshing=refreshing, ignored=ignored, components=components
        )

    def _preview(self, stack: Any, targets: Mapping[str, Any]) -> EventReader:
        reader = self._read_events()
        _call(stack.preview, reader, parallel=_PARALLEL, refresh=True, **targets)
        return reader

    def _find_targets(self, stack: Any, request: Request) -> dict[str, Any]:
        """Returns the `target` option: the URNs of the components and of everything in them.

        A preview of the whole stack finds the URNs. `--target-dependents` is not used: it would
        add models that wait for this one in the same lane.
        """
        if request.components is None:
            return {}
        reader = self._read_events()
        _call(stack.preview, reader, parallel=_PARALLEL)
        known = reader.components.names
        for name in sorted(request.components - known):
            raise UnknownNameError("component", name, known)
        return {"target": reader.components.find_within(request.components)}


def _build_command(cli: PulumiCli) -> Any:
    """Returns the command of the Automation API.

    Its own constructor would run `pulumi version`, which `find_pulumi` has done.
    """
    from pulumi.automation import PulumiCommand
    from semver import VersionInfo

    command = PulumiCommand.__new__(PulumiCommand)
    command.command = str(cli.command)
    command.version = VersionInfo.parse(cli.version.removeprefix("v"))
    return command


def _export_resources(stack: Any) -> list[Mapping[str, Any]]:
    """Returns the resources of the exported state. StateError where their shape is wrong."""
    deployment = _translate_errors(stack.export_stack).deployment or {}
    try:
        check_deployment(deployment, "deployment")
    except ShapeError as exc:
        raise StateError(f"`pulumi stack export` cannot be read: {exc}") from exc
    return list(deployment.get("resources") or ())


def _call(operation: Callable[..., Any], reader: EventReader, **options: Any) -> None:
    """Runs an operation and passes its events to the reader.

    The CLI also fails when a resource failed. The reader then has the failures, and no error is
    raised. EngineError for any other failure.
    """
    try:
        _translate_errors(
            lambda: operation(on_event=lambda event: reader.read(event_to_json(event)), **options)
        )
    except EngineError:
        if not reader.failures:
            raise


def _translate_errors(action: Callable[[], Any]) -> Any:
    """Returns the result of an action. StateError or EngineError for errors of the CLI."""
    from pulumi.automation import errors

    try:
        return action()
    except errors.ConcurrentUpdateError as exc:
        raise StateError(
            f"the stack is locked by another command: {_last_lines(exc)}\n"
            "wait for it, or, if it is dead, run `pulumi cancel`"
        ) from exc
    except errors.CommandError as exc:
        if "incorrect passphrase" in str(exc):
            raise StateError(_WRONG_PASSPHRASE) from exc
        raise EngineError(f"pulumi failed: {_last_lines(exc)}") from exc


def _last_lines(exc: Exception) -> str:
    return "\n".join(str(exc).strip().splitlines()[-_LAST_LINES:])


# Reading events

_ROLLOUT_FAILED = 1
_OPS = {
    "create": Op.CREATE,
    "update": Op.UPDATE,
    "replace": Op.REPLACE,
    "create-replacement": Op.REPLACE,
    "delete": Op.DELETE,
    "same": Op.SAME,
}
# The provider that we build is found on PATH, and older than the SDK: both is as intended.
_BUILT_PROVIDER = re.compile(
    r"using pulumi-resource-kubernetes from \$PATH at .*"
    r"|resource plugin kubernetes is expected to have version .*"
)
# "update failed", the last message of the CLI, repeats its other events.
_FINAL_MESSAGE = re.compile(r"\w+ failed")


class EventReader:
    """Collects the events of one operation, given as the JSON of an event log.

    The changes are the steps of the operation. With `refreshing` they are the differences between
    recorded and live objects. Messages that match `ignored` are not shown.
    `components` are known from an earlier operation: a deletion reports a component only after
    the objects in it.
    """

    def __init__(
        self,
        on_progress: OnProgress | None = None,
        *,
        refreshing: bool = False,
        ignored: re.Pattern[str] | None = None,
        components: Components | None = None,
    ) -> None:
        self._on_progress, self._refreshing, self._ignored = on_progress, refreshing, ignored
        self.components = components or Components()
        self._changes: dict[str, Change] = {}
        self._errors: dict[str, list[str]] = {}
        self._failures: list[Failure] = []
        self._spans: dict[str, tuple[float, float]] = {}
        self._messages: list[tuple[str, str, str]] = []
        self.outputs: Mapping[str, Any] = {}

    def read(self, event: Mapping[str, Any]) -> None:
        """Takes one event; ignores those that are not about resources."""
        time = float(event.get("timestamp", 0))
        if step := event.get("resourcePreEvent"):
            self._read_start(step["metadata"], time)
        elif step := event.get("resOutputsEvent"):
            self._read_end(step["metadata"], time)
        elif step := event.get("resOpFailedEvent"):
            self._read_failure(step["metadata"], int(step.get("status", 0)), time)
        elif diagnostic := event.get("diagnosticEvent"):
            self._read_message(diagnostic)

    def _read_start(self, step: Mapping[str, Any], time: float) -> None:
        self._add_to_components(step)
        if self._refreshing or step["op"] not in _OPS:
            return
        change = self._build_change(step, _OPS[step["op"]], _read_fields(step))
        known = self._changes.get(change.urn)
        # A replacement comes in several steps, and one of them is a deletion.
        if known is None or known.op is not Op.REPLACE:
            self._changes[change.urn] = change
            self._report(change, "started", time)

    def _read_end(self, step: Mapping[str, Any], time: float) -> None:
        new = step.get("new") or {}
        if step["type"] == STACK_TYPE and step["op"] != "delete":
            self.outputs = redact_sealed(new.get("outputs") or {})
        if self._refreshing:
            self._changes[step["urn"]] = self._compare(step)
        change = self._changes.get(step["urn"])
        if change is not None:
            self._report(change, "done", time)

    def _compare(self, step: Mapping[str, Any]) -> Change:
        """Builds the change between the recorded and the live object of a refresh."""
        if step.get("new") is None or step["op"] == "delete":
            change = self._build_change(step, Op.DELETE, ())
            return replace(change, note="is gone from the cluster")
        if not step["type"].startswith(OBJECT_PREFIX):
            return self._build_change(step, Op.SAME, ())
        old, new = _read_object(step.get("old")), _read_object(step["new"])
        manager = str((step["new"].get("outputs") or {}).get(FIELD_MANAGER, ""))
        fields = compare_objects(old, new, written=new, manager=manager)
        inputs = (step.get("old") or {}).get("inputs") or {}
        # Replicas that the program does not send belong to an autoscaler.
        if "replicas" not in (inputs.get("spec") or {}):
            fields = tuple(field for field in fields if field.path != "spec.replicas")
        return self._build_change(step, Op.UPDATE if fields else Op.SAME, fields)

    def _read_failure(self, step: Mapping[str, Any], status: int, time: float) -> None:
        change = self._changes.get(step["urn"])
        change = change or self._build_change(step, _OPS.get(step["op"], Op.SAME))
        reason = "; ".join(self._errors.get(step["urn"], ())) or f"{step['op']} failed"
        # The provider reports a conflict of field managers with the status of a failed rollout.
        is_rollout = status == _ROLLOUT_FAILED and change.kind == "Deployment"
        is_conflict = "conflict" in reason
        self._failures.append(Failure(change, reason, rollout=is_rollout and not is_conflict))
        self._report(change, "failed", time, reason)

    def _read_message(self, diagnostic: Mapping[str, Any]) -> None:
        severity, urn = diagnostic.get("severity"), str(diagnostic.get("urn") or "")
        if severity not in SHOWN_SEVERITIES:
            return
        text = " ".join(str(diagnostic.get("message", "")).split())
        if self._ignored and self._ignored.fullmatch(text):
            return
        if severity == "error" and urn:
            self._errors.setdefault(urn, []).append(text)
        elif severity != "error" or not _FINAL_MESSAGE.fullmatch(text):
            self._messages.append((str(severity), urn, text))

    def _report(self, change: Change, state: str, time: float, message: str = "") -> None:
        if change.op is Op.SAME or self._on_progress is None:
            return
        if change.component:
            first, _ = self._spans.get(change.component, (time, time))
            self._spans[change.component] = (first, time)
        self._on_progress(Progress(change, state, message=message))

    def _add_to_components(self, step: Mapping[str, Any]) -> None:
        state = step.get("new") or step.get("old") or {}
        parent, is_component = str(state.get("parent", "")), not state.get("custom")
        self.components.add(step["urn"], parent, is_component=is_component)

    def _build_change(
        self, step: Mapping[str, Any], op: Op, fields: tuple[FieldChange, ...] = ()
    ) -> Change:
        self._add_to_components(step)
        state = step.get("new") or step.get("old") or {}
        metadata = (state.get("inputs") or {}).get("metadata") or {}
        return Change(
            urn=step["urn"],
            type=step["type"],
            name=parse_urn(step["urn"]).name,
            op=op,
            object=object_name(metadata) if step["type"].startswith(OBJECT_PREFIX) else "",
            component=self.components.find_nearest(step["urn"]),
            fields=fields,
        )

    @property
    def changes(self) -> tuple[Change, ...]:
        """The change list so far."""
        return order_changes(
            replace(change, component=self.components.find_nearest(change.urn))
            for change in self._changes.values()
        )

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The resources that failed, by URN."""
        return tuple(sorted(self._failures, key=lambda failure: failure.change.urn))

    @property
    def messages(self) -> tuple[str, ...]:
        """Warnings and errors, each once, except for those that are the reason of a failure."""
        failed = {failure.change.urn for failure in self._failures}
        errors = [
            ("error", urn, text)
            for urn, texts in self._errors.items()
            if urn not in failed
            for text in texts
        ]
        return tuple(
            sorted(
                {
                    f"{severity}: {self._describe(urn)}{text}"
                    for severity, urn, text in [*self._messages, *errors]
                }
            )
        )

    def _describe(self, urn: str) -> str:
        """Returns the beginning of a message about a resource: its model, kind and name.

        A message about the whole stack has no such beginning."""
        parts = parse_urn(urn) if urn else None
        if parts is None or parts.type == STACK_TYPE:
            return ""
        model = self.components.find_nearest(urn)
        if model and model == parts.name and not parts.type.startswith(OBJECT_PREFIX):
            return f"model {model}: "
        resource = f"{parts.type.rpartition(':')[2]} {parts.name}: "
        return f"model {model}, {resource}" if model else resource

    def build_preview(self) -> Preview:
        """Builds the preview. EngineError where a resource failed."""
        if self.failures:
            failures = "\n".join(
                f"{failure.change.urn}: {failure.reason}" for failure in self.failures
            )
            raise EngineError(
                f"{failures}\nNothing was changed; fix it, then run the same command again"
            )
        return Preview(self.changes, self.outputs, self.messages)

    def build_result(self, outputs: Mapping[str, Any]) -> Result:
        """Builds the result. A component's seconds are those from its first event to its last."""
        seconds = {name: last - first for name, (first, last) in sorted(self._spans.items())}
        return Result(self.changes, self.failures, outputs, seconds, self.messages)


def _read_object(state: Mapping[str, Any] | None) -> dict[str, Any]:
    """Returns the object of a state, secrets redacted, without the provider's own fields."""
    return without_internal(redact_sealed(dict((state or {}).get("outputs") or {})))


def _read_fields(step: Mapping[str, Any]) -> tuple[FieldChange, ...]:
    """Returns the fields that the CLI reports as different, with the values it compared."""
    if not step.get("old") or not step.get("new"):
        return ()
    is_object = step["type"].startswith(OBJECT_PREFIX)
    old = redact_sealed(step["old"].get("outputs" if is_object else "inputs") or {})
    new = redact_sealed(step["new"].get("inputs") or {})
    paths = step.get("detailedDiff") or step.get("diffs") or ()
    return tuple(_build_field(path, old, new) for path in sorted(paths))


def _build_field(property_path: str, old: Any, new: Any) -> FieldChange:
    """Builds the change at one of Pulumi's property paths, which number the items of lists."""
    steps = parse_path(property_path)
    path, before, after = name_path(steps, old, new), get_at(old, steps), get_at(new, steps)
    if path.steps[-3:-2] == ("env",) and path.steps[-1] == "value":
        path = FieldPath(path.steps[:-1])
    before, after = (redact_field(path, read_item(path, value)) for value in (before, after))
    return FieldChange(str(path), before, after)


# The Automation API's events as the JSON of an event log


def event_to_json(event: Any) -> dict[str, Any]:
    """Returns an event of the Automation API in the form of an event log."""
    document: dict[str, Any] = {"timestamp": event.timestamp}
    for name, part in (
        ("resourcePreEvent", event.resource_pre_event),
        ("resOutputsEvent", event.res_outputs_event),
        ("resOpFailedEvent", event.res_op_failed_event),
    ):
        if part is not None:
            metadata = _metadata_to_json(part.metadata)
            document[name] = {"metadata": metadata, "status": getattr(part, "status", 0)}
    if (diagnostic := event.diagnostic_event) is not None:
        document["diagnosticEvent"] = {
            "severity": diagnostic.severity,
            "message": diagnostic.message,
            "urn": diagnostic.urn,
        }
    return document


def _metadata_to_json(metadata: Any) -> dict[str, Any]:
    return {
        "op": metadata.op.value,
        "urn": metadata.urn,
        "type": metadata.type,
        "old": _state_to_json(metadata.old),
        "new": _state_to_json(metadata.new),
        "diffs": metadata.diffs,
        "detailedDiff": metadata.detailed_diff,
    }


def _state_to_json(state: Any) -> dict[str, Any] | None:
    if state is None:
        return None
    names = ("parent", "custom", "inputs", "outputs")
    return {name: getattr(state, name, None) for name in names}
