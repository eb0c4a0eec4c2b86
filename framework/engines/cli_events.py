"""Reads the events of the pulumi CLI: changes, failures, progress and messages of one operation.

The events come from the Automation API, or from an event log, whose JSON is the common form.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from framework.core.changes import (
    SHOWN_SEVERITIES,
    Change,
    Failure,
    FieldChange,
    Op,
    Progress,
    Result,
)
from framework.core.errors import EngineError
from framework.core.field_paths import FieldPath, get_at, name_path
from framework.core.redaction import find_secret_texts, redact_text
from framework.engines.base import OnProgress, order_changes
from framework.engines.recorded import Components
from framework.engines.urns import OBJECT_PREFIX, STACK_TYPE, parse_urn
from framework.engines.values import redact_sealed
from framework.kube.object_diff import read_item, redact_fields, redact_object
from framework.kube.objects import object_name
from framework.kube.property_path import parse_path

_ROLLOUT_FAILED = 1
_OPS = {
    "create": Op.CREATE,
    "update": Op.UPDATE,
    "replace": Op.REPLACE,
    "create-replacement": Op.REPLACE,
    "delete": Op.DELETE,
    "same": Op.SAME,
}
# Warnings about the provider that we build: it is on PATH and older than the SDK, both as intended.
BUILT_PROVIDER_MESSAGES = re.compile(
    r"using pulumi-resource-kubernetes from \$PATH at .*"
    r"|resource plugin kubernetes is expected to have version .*"
)
# Warnings of a rollout that is going on; they say nothing once the Deployment is ready, or once it
# is known why it is not.
_ROLLOUT_MESSAGE = re.compile(
    r".*\[(MinimumReplicasUnavailable|ProgressDeadlineExceeded|Pod [^\]]*)\]"
)
# What an earlier command left unfinished. The CLI repeats a pending update or deletion by itself,
# so its advice (the console of AWS, `pulumi refresh`) is wrong here unless a create is pending.
_PENDING_MESSAGE = re.compile(
    r"Attempting to deploy or update resources with \d+ pending operations "
)
_PENDING_CREATE = "interrupted while creating"
# The step that deletes the old object of a replacement.
_DELETE_REPLACED = "delete-replaced"
# "update failed", the last message of the CLI, repeats its other events.
_FINAL_MESSAGE = re.compile(r"\w+ failed")


class EventReader:
    """Collects the events of one operation, given as the JSON of an event log.

    The changes are the steps of the operation, without those of a refresh. Messages that match
    `ignored` are not shown. `components` are known from an earlier operation: a deletion reports a
    component only after the objects in it. Messages and reasons show no secret: neither those of
    `secrets`, nor what may be one in the inputs of a resource. `failed_steps` counts the failures
    of all commands that were read. `done` are the URNs of the changes that the CLI has made, and
    `recorded` those whose program inputs it has recorded since `begin_command`.
    """

    def __init__(
        self,
        on_progress: OnProgress | None = None,
        *,
        ignored: re.Pattern[str] | None = None,
        components: Components | None = None,
        secrets: Iterable[str] = (),
    ) -> None:
        self._on_progress, self._ignored = on_progress, ignored
        self._secrets = {*secrets}
        self.components = components or Components()
        self._changes: dict[str, Change] = {}
        self._errors: dict[str, list[str]] = {}
        # By URN: a resource that fails in both runs of one `up` is one failure.
        self._failures: dict[str, Failure] = {}
        self.failed_steps = 0
        self._explained: set[str] = set()
        self._spans: dict[str, tuple[float, float]] = {}
        self._messages: list[tuple[str, str, str]] = []
        self.done: set[str] = set()
        self.recorded: set[str] = set()
        self.outputs: Mapping[str, Any] = {}
        # The URN that each resource is recorded under, which `previousName` may change.
        self.former_urns: dict[str, str] = {}

    def begin_command(self) -> None:
        """Forgets what earlier commands have recorded."""
        self.recorded = set()

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

    def redact(self, text: str) -> str:
        """Returns a text of the CLI with the known secrets replaced.

        The server and the provider quote values of an object that they refuse.
        """
        return redact_text(text, self._secrets)

    def explain(self, reasons: Mapping[str, str]) -> None:
        """Gives rollouts that failed, by URN, better reasons than those of the CLI."""
        for urn, failure in self._failures.items():
            if failure.rollout and urn in reasons:
                self._failures[urn] = replace(failure, reason=reasons[urn])
                self._explained.add(urn)

    def _read_start(self, step: Mapping[str, Any], time: float) -> None:
        self._add_to_components(step)
        # Before anything else: later messages about this resource may quote these values.
        states = (step.get("old") or {}, step.get("new") or {})
        self._secrets |= find_secret_texts(state.get("inputs") or {} for state in states)
        # Shown as progress, since it may take long. The change list has only the replacement.
        if step["op"] == _DELETE_REPLACED:
            self._report(self._build_change(step, Op.DELETE), "started", time)
        if step["op"] not in _OPS:
            return
        if former := (step.get("old") or {}).get("urn"):
            self.former_urns[step["urn"]] = former
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
        if step["op"] == _DELETE_REPLACED:
            self._report(self._build_change(step, Op.DELETE), "done", time)
            return
        # A refresh also reports changes of an earlier command, which were reported already.
        change = self._changes.get(step["urn"]) if step["op"] in _OPS else None
        if change is not None:
            self.done.add(change.urn)
            self.recorded.add(change.urn)
            self._report(change, "done", time)

    def _read_failure(self, step: Mapping[str, Any], status: int, time: float) -> None:
        change = self._changes.get(step["urn"])
        change = change or self._build_change(step, _OPS.get(step["op"], Op.SAME))
        reason = "; ".join(self._errors.get(step["urn"], ())) or f"{step['op']} failed"
        reason = self.redact(reason)
        # The provider reports a conflict of field managers with the status of a failed rollout.
        is_rollout = status == _ROLLOUT_FAILED and change.kind == "Deployment"
        is_conflict = "conflict" in reason
        failure = Failure(change, reason, rollout=is_rollout and not is_conflict)
        self._failures[change.urn] = failure
        if failure.rollout:
            # It is written, and the CLI records it with the reason.
            self.recorded.add(change.urn)
        self.failed_steps += 1
        self._report(change, "failed", time, reason)

    def _read_message(self, diagnostic: Mapping[str, Any]) -> None:
        severity, urn = diagnostic.get("severity"), str(diagnostic.get("urn") or "")
        if severity not in SHOWN_SEVERITIES:
            return
        text = " ".join(str(diagnostic.get("message", "")).split())
        if self._ignored and self._ignored.fullmatch(text):
            return
        if severity == "error" and urn:
            texts = self._errors.setdefault(urn, [])
            texts += [] if text in texts else [text]
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
            replace(
                change,
                component=self.components.find_nearest(change.urn),
                fields=redact_fields(change.fields, self._secrets),
            )
            for change in self._changes.values()
        )

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The resources that failed, by URN."""
        return tuple(failure for _, failure in sorted(self._failures.items()))

    @property
    def refused(self) -> frozenset[str]:
        """The URNs of the resources that have an error."""
        return frozenset({*self._errors, *self._failures})

    @property
    def messages(self) -> tuple[str, ...]:
        """Warnings and errors, each once, except for those that are the reason of a failure."""
        errors = [
            ("error", urn, text)
            for urn, texts in self._errors.items()
            if urn not in self._failures
            for text in texts
        ]
        return tuple(
            sorted(
                {
                    f"{severity}: {self._describe(urn)}{self.redact(text)}"
                    for severity, urn, text in [*self._messages, *errors]
                    if not self._is_outdated(severity, urn, text)
                }
            )
        )

    def _is_outdated(self, severity: str, urn: str, text: str) -> bool:
        """Returns whether a warning is about a rollout that has ended well, or is explained.

        Or about an interrupted operation that the CLI repeats.
        """
        if severity == "warning" and _PENDING_MESSAGE.match(text):
            return _PENDING_CREATE not in text
        is_ready = urn in self.done and urn not in self._failures
        is_over = is_ready or urn in self._explained
        return severity == "warning" and is_over and bool(_ROLLOUT_MESSAGE.match(text))

    def _describe(self, urn: str) -> str:
        """Returns the beginning of a message about a resource: its model, kind and name.

        A message about the whole stack has no such beginning."""
        parts = parse_urn(urn) if urn else None
        if parts is None or parts.type == STACK_TYPE:
            return ""
        model = self.components.find_nearest(urn)
        if model and model == parts.name and not parts.type.startswith(OBJECT_PREFIX):
            return f"model {model}: "
        return f"model {model}, {parts.label}: " if model else f"{parts.label}: "

    def check(self) -> None:
        """Raises EngineError if a resource failed in a preview."""
        if self.failures:
            failures = "\n".join(
                f"{failure.change.urn}: {failure.reason}" for failure in self.failures
            )
            raise EngineError(
                f"{failures}\nNothing was changed; fix it, then run the same command again"
            )

    def build_result(self, outputs: Mapping[str, Any]) -> Result:
        """Builds the result. A component's seconds are those from its first event to its last."""
        seconds = {name: last - first for name, (first, last) in sorted(self._spans.items())}
        return Result(self.changes, self.failures, outputs, seconds, self.messages)


def _read_fields(step: Mapping[str, Any]) -> tuple[FieldChange, ...]:
    """Returns the fields that the CLI reports as different, with the values it compared."""
    if not step.get("old") or not step.get("new"):
        return ()
    is_object = step["type"].startswith(OBJECT_PREFIX)
    # As a whole: the path of a value does not tell all that makes it a secret.
    old, new = (
        redact_object(redact_sealed(side or {}))
        for side in (
            step["old"].get("outputs" if is_object else "inputs"),
            step["new"].get("inputs"),
        )
    )
    paths = step.get("detailedDiff") or step.get("diffs") or ()
    return tuple(_build_field(path, old, new) for path in sorted(paths))


def _build_field(property_path: str, old: Any, new: Any) -> FieldChange:
    """Builds the change at one of Pulumi's property paths, which number the items of lists."""
    steps = parse_path(property_path)
    path, before, after = name_path(steps, old, new), get_at(old, steps), get_at(new, steps)
    # As in the change list of the embedded engine: `env[DEBUG]`, not `env[DEBUG].value`.
    if path.steps[-3:-2] == ("env",) and path.steps[-1] == "value":
        path = FieldPath(path.steps[:-1])
    return FieldChange(str(path), read_item(path, before), read_item(path, after))


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
    names = ("urn", "parent", "custom", "inputs", "outputs")
    return {name: getattr(state, name, None) for name in names}
