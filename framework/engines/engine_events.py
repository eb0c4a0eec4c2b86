"""Turns the pulumi CLI's engine events into our change list and progress.

Kept apart from the driver of the CLI because it is pure: recorded event logs are its tests, and no
CLI is needed to read them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from framework.core.changes import SHOWN_SEVERITIES, Change, Failure, FieldChange, Op, Progress
from framework.core.field_paths import FieldPath, get_at, name_path
from framework.engines.base import OnProgress
from framework.engines.marks import mask_sealed
from framework.engines.ordering import order_changes
from framework.engines.urns import OBJECT_PREFIX, STACK_TYPE, parse_urn
from framework.kube.object_diff import compare_objects, read_item
from framework.kube.objects import FIELD_MANAGER, object_name, without_internal
from framework.kube.property_path import parse_path

_PARTIAL_FAILURE = 1
_OPS = {
    "create": Op.CREATE,
    "update": Op.UPDATE,
    "replace": Op.REPLACE,
    "create-replacement": Op.REPLACE,
    "delete": Op.DELETE,
    "same": Op.SAME,
}
# The CLI's own last word on what its events have told already.
_CLOSING = re.compile(r"\w+ failed")


class EventReader:
    """Collects one operation's events, given as the JSON of an event log."""

    def __init__(self, on_progress: OnProgress | None = None, *, refreshing: bool = False) -> None:
        self._tell, self._refreshing = on_progress, refreshing
        self._parents: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._found: dict[str, Change] = {}
        self._said: dict[str, list[str]] = {}
        self._failures: list[Failure] = []
        self._spans: dict[str, tuple[float, float]] = {}
        self.outputs: Mapping[str, Any] = {}
        self._messages: list[str] = []

    def read(self, event: Mapping[str, Any]) -> None:
        """Take one event; those that say nothing about resources are left out."""
        time = float(event.get("timestamp", 0))
        if step := event.get("resourcePreEvent"):
            self._started(step["metadata"], time)
        elif step := event.get("resOutputsEvent"):
            self._ended(step["metadata"], time)
        elif step := event.get("resOpFailedEvent"):
            self._failed(step["metadata"], int(step.get("status", 0)), time)
        elif said := event.get("diagnosticEvent"):
            self._diagnosed(said)

    def _started(self, step: Mapping[str, Any], time: float) -> None:
        self._position(step)
        if not self._refreshing:
            self._announce(step, time)

    def _announce(self, step: Mapping[str, Any], time: float) -> None:
        if step["op"] not in _OPS:
            return
        change = self._change(step, _OPS[step["op"]], _fields(step))
        known = self._found.get(change.urn)
        # A replacement is told in several steps, one of them a deletion.
        if known is None or known.op is not Op.REPLACE:
            self._found[change.urn] = change
            self._progress(change, "started", time)

    def _ended(self, step: Mapping[str, Any], time: float) -> None:
        new = step.get("new") or {}
        if step["type"] == STACK_TYPE and step["op"] != "delete":
            self.outputs = mask_sealed(new.get("outputs") or {})
        if self._refreshing:
            self._found[step["urn"]] = self._look(step)
        change = self._found.get(step["urn"])
        if change is not None:
            self._progress(change, "done", time)

    def _look(self, step: Mapping[str, Any]) -> Change:
        """What refresh found of one resource."""
        if step.get("new") is None or step["op"] == "delete":
            gone = self._change(step, Op.DELETE, ())
            return replace(gone, note="is gone from the cluster")
        old = _masked(step.get("old"))
        new = _masked(step["new"])
        manager = str((step["new"].get("outputs") or {}).get(FIELD_MANAGER, ""))
        is_object = step["type"].startswith(OBJECT_PREFIX)
        fields = compare_objects(old, new, written=new, manager=manager) if is_object else ()
        kept = tuple(f for f in fields if not _is_unsent_replicas(f, step))
        return self._change(step, Op.UPDATE if kept else Op.SAME, kept)

    def _failed(self, step: Mapping[str, Any], status: int, time: float) -> None:
        change = self._found.get(step["urn"]) or self._change(step, _OPS.get(step["op"], Op.SAME))
        reason = "; ".join(self._said.get(step["urn"], ())) or f"{step['op']} failed"
        rolled = status == _PARTIAL_FAILURE and change.kind == "Deployment"
        conflict = "conflict" in reason
        self._failures.append(Failure(change, reason, rollout=rolled and not conflict))
        self._progress(change, "failed", time, reason)

    def _diagnosed(self, said: Mapping[str, Any]) -> None:
        severity, urn = said.get("severity"), str(said.get("urn") or "")
        if severity not in SHOWN_SEVERITIES:
            return
        text = " ".join(str(said.get("message", "")).split())
        if severity == "error" and urn:
            self._said.setdefault(urn, []).append(text)
        elif severity != "error" or not _CLOSING.fullmatch(text):
            self._messages.append(f"{severity}: {text}")

    def _progress(self, change: Change, state: str, time: float, message: str = "") -> None:
        if change.op is Op.SAME or self._tell is None:
            return
        if change.component:
            first, _ = self._spans.get(change.component, (time, time))
            self._spans[change.component] = (first, time)
        self._tell(Progress(change, state, message=message))

    def _position(self, step: Mapping[str, Any]) -> None:
        state = step.get("new") or step.get("old") or {}
        self._parents[step["urn"]] = str(state.get("parent", ""))
        if not state.get("custom") and step["type"] != STACK_TYPE:
            self._names[step["urn"]] = parse_urn(step["urn"]).name

    def _change(
        self, step: Mapping[str, Any], op: Op, fields: tuple[FieldChange, ...] = ()
    ) -> Change:
        self._position(step)
        return Change(
            urn=step["urn"],
            type=step["type"],
            name=parse_urn(step["urn"]).name,
            op=op,
            object=_object(step),
            component=self.component(step["urn"]),
            fields=fields,
        )

    def component(self, urn: str) -> str:
        """The nearest component's name; a component is in itself."""
        while urn and urn not in self._names:
            urn = self._parents.get(urn, "")
        return self._names.get(urn, "")

    def within(self, components: frozenset[str]) -> list[str]:
        """URNs of the components of these names and of everything below them."""
        return sorted(urn for urn in self._parents if self._ancestors(urn) & components)

    def _ancestors(self, urn: str) -> set[str]:
        names = set()
        while urn:
            if urn in self._names:
                names.add(self._names[urn])
            urn = self._parents.get(urn, "")
        return names

    @property
    def components(self) -> frozenset[str]:
        """Names of the components the events told of."""
        return frozenset(self._names.values())

    @property
    def changes(self) -> tuple[Change, ...]:
        """The change list, in the order of every change list."""
        return order_changes(self._found.values())

    @property
    def failures(self) -> tuple[Failure, ...]:
        """What failed, by URN."""
        return tuple(sorted(self._failures, key=lambda failure: failure.change.urn))

    @property
    def messages(self) -> tuple[str, ...]:
        """Warnings and errors, each once, save those that are the reason of a failure."""
        failed = {failure.change.urn for failure in self._failures}
        errors = [
            f"error: {text}"
            for urn, texts in self._said.items()
            if urn not in failed
            for text in texts
        ]
        return tuple(sorted({*self._messages, *errors}))

    @property
    def seconds(self) -> dict[str, float]:
        """The wall time of each component, from its first event to its last."""
        return {name: last - first for name, (first, last) in sorted(self._spans.items())}


def _object(step: Mapping[str, Any]) -> str:
    if not step["type"].startswith(OBJECT_PREFIX):
        return ""
    state = step.get("new") or step.get("old") or {}
    return object_name((state.get("inputs") or {}).get("metadata") or {})


def _fields(step: Mapping[str, Any]) -> tuple[FieldChange, ...]:
    """The fields of an update: what the CLI calls different, with the values it compared."""
    if not step.get("old") or not step.get("new"):
        return ()
    is_object = step["type"].startswith(OBJECT_PREFIX)
    old = mask_sealed(step["old"].get("outputs" if is_object else "inputs") or {})
    new = mask_sealed(step["new"].get("inputs") or {})
    paths = step.get("detailedDiff") or step.get("diffs") or ()
    return tuple(_field(path, old, new) for path in sorted(paths))


def _field(property_path: str, old: Any, new: Any) -> FieldChange:
    """Builds the change at one of Pulumi's property paths, which number the items of lists."""
    steps = parse_path(property_path)
    path, before, after = name_path(steps, old, new), get_at(old, steps), get_at(new, steps)
    if path.steps[-3:-2] == ("env",) and path.steps[-1] == "value":
        path = FieldPath(path.steps[:-1])
    return FieldChange(str(path), read_item(path, before), read_item(path, after))


def _is_unsent_replicas(field: FieldChange, step: Mapping[str, Any]) -> bool:
    sent = (((step.get("old") or {}).get("inputs") or {}).get("spec")) or {}
    return field.path == "spec.replicas" and "replicas" not in sent


def _masked(state: Mapping[str, Any] | None) -> dict[str, Any]:
    """The object of a state, without what is secret or the provider's own."""
    return without_internal(mask_sealed(dict((state or {}).get("outputs") or {})))
