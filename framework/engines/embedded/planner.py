"""Decides what happens to each registered resource: its step.

The preview plans every registration. The apply plans again those whose inputs were not known then.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from framework.core.changes import Change, FieldChange, Op, Problem
from framework.core.errors import ClusterError, EngineError
from framework.engines.clusters import CALLS_AT_ONCE, Clusters
from framework.engines.embedded.former_urns import build_former_urns
from framework.engines.embedded.records import build_provider_inputs, read_object_state
from framework.engines.embedded.registration import Registration
from framework.engines.problems import build_kept_problem, build_refusal, is_refusal
from framework.engines.recorded import Components
from framework.engines.state.checkpoint import Resource
from framework.engines.state.stack_state import StackState
from framework.engines.urns import STACK_TYPE, build_urn, parse_urn, split_provider_reference
from framework.engines.values import (
    collect_message_secrets,
    collect_secret_texts,
    has_unknown,
    redact_secrets,
    reveal,
)
from framework.kube.object_diff import redact_fields
from framework.kube.objects import object_name
from framework.kube.ownership import AlreadyExistsError
from framework.kube.prediction import ObjectDiff
from framework.kube.provider import KubernetesProvider

UNFINISHED = "its last rollout did not finish"


@dataclass(frozen=True)
class Step:
    """The planned change of one resource.

    If `target` is False, the program is answered from the state and nothing changes. `known` is
    False while some input is unknown. `predicted` is the object that the server returned in a dry
    run. `live` is the live object, {} for none. `adopts` is True if the object of others
    is taken over. `problem` is the reason why the whole command is refused.
    """

    urn: str
    registration: Registration
    old: Resource | None
    change: Change
    target: bool = True
    delete_first: bool = False
    inputs: Mapping[str, Any] = field(default_factory=dict, repr=False)
    predicted: Mapping[str, Any] = field(default_factory=dict, repr=False)
    live: Mapping[str, Any] = field(default_factory=dict, repr=False)
    known: bool = True
    adopts: bool = False
    problem: Problem | None = None

    @property
    def provider_urn(self) -> str:
        """The URN of the provider of an object, "" for none."""
        return split_provider_reference(self.registration.provider)[0]


class Planner:
    """Plans registrations against the state. Safe for use from any number of threads."""

    def __init__(
        self,
        state: StackState,
        clusters: Clusters,
        components: Components,
        *,
        adopts: bool = False,
        forced: bool = False,
    ) -> None:
        """`adopts` and `forced` are those of the Request."""
        self._state, self._clusters = state, clusters
        self._adopts, self._forced = adopts, forced
        self.components = components
        self._live = state.get_current().live
        self._lock = threading.Lock()
        # Limits the calls to API servers at one time. Waits for rollouts do not hold a slot.
        self.slots = threading.BoundedSemaphore(CALLS_AT_ONCE)
        self.renames: dict[str, str] = {}
        # URNs that the program has registered, and the former URNs of those that were renamed.
        self._registered: set[str] = set()
        # URNs that are not recorded and that the command does not create.
        self._absent: set[str] = set()

    def plan(self, registration: Registration) -> Step:
        """Plans the step of a registration. EngineError, ClusterError."""
        backend = self._state.backend
        urn = build_urn(
            backend.stack,
            backend.project,
            registration.parent,
            registration.type,
            registration.name,
        )
        with self._lock:
            # Pulumi has the same rule: the URN is the identity of a resource, and the state has one
            # record for each.
            if urn in self._registered:
                raise EngineError(f"{urn} is registered twice; give one a different name")
            self._registered.add(urn)
            # In the same lock: two resources with one alias must not both inherit the record.
            old = self._find_old(urn, registration)
        self.components.add(urn, registration.parent, is_component=not registration.custom)
        # With MODEL, the provider and the Namespace are not targets, but the models need them: so
        # the recorded provider is added, and what is not recorded is noted as absent.
        target = registration.is_stack or self.components.is_target(urn)
        if self._adopts and old is None and not self.components.find_containing(urn):
            # The first adoption of a stack: the model needs the provider and the Namespace.
            target = True
        if not target and old is None:
            self._absent.add(urn)
        elif not target and old is not None and old.is_provider:
            self._clusters.add_recorded(urn, reveal(self._state.read_inputs(old)))
        change = Change(
            urn=urn,
            type=registration.type,
            name=registration.name,
            op=Op.CREATE if old is None and target else Op.SAME,
            object=_find_object_name(registration, old),
            component=self.components.find_nearest(urn),
        )
        return self._decide(Step(urn, registration, old, change, target))

    def plan_again(self, step: Step, registration: Registration) -> Step:
        """Plans a step again, now that its inputs are known. EngineError, ClusterError."""
        name = _find_object_name(registration, step.old)
        change = replace(step.change, object=name, note="")
        return self._decide(replace(step, registration=registration, change=change, known=True))

    def complete_outputs(self, urn: str, outputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Adds the recorded outputs of the components that the command does not work on.

        An output of the Stack that is a mapping, such as `images`, has an entry for each
        Deployment. The entries of Deployments that the command does not work on stay as recorded.
        Only Deployments count: the Service of one model may have the name of another model.
        """
        recorded = self._live.get(urn)
        if recorded is None or self.components.is_whole or recorded.type != STACK_TYPE:
            return outputs
        targets = {
            resource.id.rpartition("/")[2]
            for resource in self._live.values()
            if resource.kind == "Deployment" and self.components.is_target(resource.urn)
        }
        completed = dict(outputs)
        for name, before in self._state.read_outputs(recorded).items():
            now = outputs.get(name)
            if isinstance(before, Mapping) and isinstance(now, Mapping):
                kept = {key: value for key, value in before.items() if key not in targets}
                completed[name] = dict(sorted({**kept, **now}.items()))
        return completed

    def connect(self, reference: str) -> KubernetesProvider:
        """Returns the provider, connected to its cluster, of a provider reference."""
        return self._clusters.connect(split_provider_reference(reference)[0]).provider

    def _decide(self, step: Step) -> Step:
        if not step.target:
            return step
        self._check_present(step.registration)
        if step.registration.is_provider:
            return self._plan_provider(step)
        if step.registration.is_object:
            return self._plan_object(step)
        return step

    def _find_old(self, urn: str, registration: Registration) -> Resource | None:
        """Returns the recorded resource, by its URN or by a former one, which is then renamed."""
        if urn in self._live:
            return self._live[urn]
        # The parent is registered before its children, so its renaming is known by now.
        former_parents = [old for old, new in self.renames.items() if new == registration.parent]
        for former in build_former_urns(urn, registration, former_parents):
            if former in self._live and former not in self._registered:
                self.renames[former] = urn
                self._registered.add(former)
                return self._live[former].renamed(self.renames)
        return None

    def _check_present(self, registration: Registration) -> None:
        provider = split_provider_reference(registration.provider)[0]
        needs = (provider, *registration.needs)
        missing = sorted(parse_urn(urn).name for urn in needs if urn in self._absent)
        if missing:
            raise EngineError(
                f'{registration.type} "{registration.name}" needs {", ".join(missing)}, which does '
                "not exist yet and is left out by MODEL; "
                f"next: `make up ENV={self._state.backend.stack}` once, without MODEL"
            )

    def _plan_provider(self, step: Step) -> Step:
        inputs = build_provider_inputs(step.registration)
        self._clusters.add(step.urn, reveal(inputs))
        if step.old is None:
            return step
        recorded = self._state.read_inputs(step.old)
        fields = tuple(
            FieldChange(name, redact_secrets(recorded.get(name)), redact_secrets(inputs.get(name)))
            for name in sorted({*recorded, *inputs})
            if recorded.get(name) != inputs.get(name)
        )
        op = Op.UPDATE if fields else Op.SAME
        return replace(step, change=replace(step.change, op=op, fields=fields))

    def _plan_object(self, step: Step) -> Step:
        registration = step.registration
        if step.old is not None and step.old.external:
            # The program has only read it, with `get`, so it is still an object of others.
            name = _find_object_name(registration, None)
            step = replace(step, old=None, change=replace(step.change, op=Op.CREATE, object=name))
        if has_unknown(registration.inputs):
            op = Op.CREATE if step.old is None else Op.UPDATE
            note = "not validated by the server: some values are known only after other changes"
            return replace(step, change=replace(step.change, op=op, note=note), known=False)
        inputs = reveal(registration.inputs)
        old = read_object_state(self._state, step.old) if step.old else None
        provider = self.connect(registration.provider)
        try:
            with self.slots:
                diff = provider.diff(step.urn, old, inputs, registration.ignore_changes)
        except ClusterError as exc:
            if self._adopts and isinstance(exc, AlreadyExistsError):
                return self._plan_adoption(step, inputs, provider)
            if not is_refusal(exc):
                raise
            # The program continues, so that the preview shows every refused object.
            return _build_refused(step, inputs, Op.CREATE if step.old is None else Op.UPDATE, exc)
        return self._add_diff(step, inputs, diff)

    def _plan_adoption(
        self, step: Step, inputs: dict[str, Any], provider: KubernetesProvider
    ) -> Step:
        """Plans to take over an object that others created."""
        ignored = step.registration.ignore_changes
        try:
            with self.slots:
                diff = provider.diff_adopted(step.urn, inputs, ignored, forced=self._forced)
        except ClusterError as exc:
            if not is_refusal(exc):
                raise
            return _build_refused(step, inputs, Op.UPDATE, exc)
        return replace(self._add_diff(step, inputs, diff), adopts=diff.takes_over)

    def _add_diff(self, step: Step, inputs: Mapping[str, Any], diff: ObjectDiff) -> Step:
        diff = note_unfinished(diff, step.old.init_errors if step.old else ())
        recorded = self._state.read_inputs(step.old) if step.old else {}
        # Secrets of both: the old value of a secret must not be printed either.
        secrets = collect_secret_texts(recorded, step.registration.inputs)
        fields = redact_fields(diff.fields, secrets)
        change = replace(
            step.change, op=diff.op, fields=fields, note=diff.note, takes_over=diff.takes_over
        )
        delete_first = diff.delete_first or step.registration.delete_before_replace
        is_kept = step.registration.retain_on_delete or bool(step.old and step.old.retain_on_delete)
        is_deleted = diff.op is Op.REPLACE and delete_first
        return replace(
            step,
            change=change,
            inputs=inputs,
            predicted=diff.predicted,
            live=diff.live,
            delete_first=delete_first,
            problem=build_kept_problem(change) if is_kept and is_deleted else None,
        )


def note_unfinished(diff: ObjectDiff, init_errors: Collection[str]) -> ObjectDiff:
    """Returns an update for an object that is as wanted, but was not ready when it was recorded.

    Its last rollout failed or was interrupted. As an update it is waited for again, so that `up`
    does not report success for Pods that never became ready.
    """
    if diff.op is Op.SAME and init_errors:
        return replace(diff, op=Op.UPDATE, note=UNFINISHED)
    return diff


def _find_object_name(registration: Registration, old: Resource | None) -> str:
    """Returns `namespace/name` or `name` of an object in its cluster; "" for other resources."""
    if not registration.is_object:
        return ""
    metadata = reveal(registration.inputs).get("metadata") or {}
    if not isinstance(metadata.get("name"), str) or has_unknown(metadata):
        return old.id if old else ""
    return object_name(metadata)


def _build_refused(step: Step, inputs: Mapping[str, Any], op: Op, exc: ClusterError) -> Step:
    """Returns the step of an object that the server refuses, or that others own."""
    change = replace(step.change, op=op)
    problem = build_refusal(exc, change, collect_message_secrets(step.registration.inputs))
    return replace(step, change=change, inputs=inputs, problem=problem)
