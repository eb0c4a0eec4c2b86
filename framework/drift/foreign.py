"""Foreign objects: what no stack owns, in the Namespaces of a stack.

An object that touches our Pods is reported wherever it is: it takes their traffic, limits them or
scales them. Any other object is reported only in a Namespace that the stack itself creates: a
Namespace that is shared with other teams has many objects that do not concern the stack.

A Pod of ours that somebody changed is reported here as well (`changed_pods.py`).
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from framework.core.drift_rules import Injector
from framework.core.errors import FrameworkError
from framework.drift.changed_pods import find_changed_pod
from framework.drift.fields import DesiredObjects
from framework.drift.listed_kinds import (
    CREATORS,
    describe_failures,
    list_objects,
    list_unread,
)
from framework.drift.report import Finding, FindingKind, Unread
from framework.drift.touching import VERTICAL_AUTOSCALER, StackPods, find_resized
from framework.engines.base import RecordedObject, RecordedObjects, Request
from framework.engines.clusters import Clusters
from framework.engines.recorded import RELEASE
from framework.kinds.kind import build_type_token
from framework.kinds.naming import NAME_LABEL, STACK_LABELS
from framework.kube.managed_fields import (
    direct_entries,
    find_last_writer,
)
from framework.kube.objects import (
    MADE_BY_KUBERNETES,
    Object,
    group_of,
    is_terminating,
    list_owners,
    object_name,
)
from framework.kube.ownership import OWN_PREFIX, belongs_to_release
from framework.kube.provider import KubernetesProvider
from framework.kube.reading import NAMESPACED_KINDS

_NAMESPACE = "kubernetes:core/v1:Namespace"
# A claim may be kept when its model is removed (`keep`).
_KEPT = frozenset({"PersistentVolumeClaim"})
_LOST = (
    "Pulumi created it, and this stack neither plans nor records it: it was restored from a "
    "backup, or its record was lost"
)
_AUTOSCALERS = frozenset({"HorizontalPodAutoscaler", "ScaledObject"})


@dataclass
class ForeignObjects:
    """The foreign objects of a stack. `problems` name the kinds that could not be listed."""

    findings: list[Finding] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    described: set[str] = field(default_factory=set)
    """The messages of errors that one of the problems stands for."""
    unread: list[Unread] = field(default_factory=list)
    undecided: list[Object] = field(default_factory=list)
    """Objects that Pulumi created and that are not recorded. Only the files would tell whether they
    are lost, and these have errors."""
    autoscalers: dict[tuple[str, str], Finding] = field(default_factory=dict)
    """Foreign autoscalers by the `namespace/name` and the kind of what they scale."""


def find_foreign(
    request: Request, recorded: RecordedObjects, clusters: Clusters, desired: DesiredObjects
) -> ForeignObjects:
    """Lists the objects that no stack owns, and our Pods that somebody changed; writes nothing.

    An object that Pulumi created is reported if it is neither desired nor recorded. Ignores what an
    injector of the request writes into a Pod.
    """
    found = ForeignObjects()
    stack = _OwnObjects(recorded, desired, request.injectors)
    # With their groups: a Service of Knative is not a Service of Kubernetes.
    recorded_kinds = {
        (_group_of(obj.inputs), str(obj.inputs["kind"])): str(obj.inputs["apiVersion"])
        for obj in recorded.own
        if "/" in obj.id and "apiVersion" in obj.inputs
    }
    for provider_urn, namespace in _list_namespaces(recorded.own):
        try:
            provider = clusters.connect(provider_urn).provider
        except FrameworkError as exc:
            # The API server stopped while the recorded objects were read, or after that.
            found.problems.append(str(exc))
            found.unread.append(Unread("", f"{namespace}/", is_foreign=True))
            continue
        objects, failed = list_objects(provider, recorded_kinds, namespace)
        found.unread += list_unread(failed, namespace)
        problems, described = describe_failures(failed, request.stack.environment)
        found.problems += problems
        found.described |= described
        owners = _Owners(provider, stack, namespace, objects)
        _find_in_namespace(found, stack, namespace, objects, failed.keys(), owners)
        found.problems += owners.problems
        found.unread += owners.unread
    return found


class _OwnObjects:
    """Tells which objects a stack records or plans; `models` maps the recorded ones to models."""

    def __init__(
        self,
        recorded: RecordedObjects,
        desired: DesiredObjects,
        injectors: Sequence[Injector],
    ) -> None:
        self.pods, self.injectors = StackPods(recorded.own), injectors
        known = {
            (_group_of(obj.inputs), obj.kind, obj.id): obj
            for obj in recorded.objects
            if "apiVersion" in obj.inputs
        }
        self.models = {key: obj.component for key, obj in known.items() if not obj.external}
        # Also objects that the program only reads: these are not reported as foreign.
        self._known = known.keys()
        # The objects of a Helm Release are not recorded themselves.
        self._releases = {obj.id for obj in recorded.objects if obj.type == RELEASE}
        self._pending_deletions = recorded.pending_deletions
        self.namespaces = {obj.id for obj in recorded.own if obj.type == _NAMESPACE}
        self._desired = desired
        self._planned = set(map(_identify, desired.objects))

    def has(self, obj: Object) -> bool:
        """Returns whether an object is recorded as one of the stack."""
        return _identify(obj) in self.models

    def owns(self, obj: Object) -> bool:
        """Returns whether an object is recorded, also as one that the program only reads, or
        belongs to a recorded Helm Release."""
        return _identify(obj) in self._known or belongs_to_release(obj, self._releases)

    def accounts_for(self, obj: Object) -> bool:
        """Returns True if an unrecorded object that Pulumi created is not reported.

        It is planned, is a claim, is the old object of a replacement, which the Pods may still
        need, or is in a Namespace that another stack may use.
        """
        return (
            obj["metadata"].get("namespace") not in self.namespaces
            or obj["kind"] in _KEPT
            or (build_type_token(obj), object_name(obj["metadata"])) in self._pending_deletions
            or _identify(obj) in self._planned
        )

    def has_errors_in_files_of(self, obj: Object) -> bool:
        """Returns True if the files that may describe an object could not be read."""
        labels = obj["metadata"].get("labels") or {}
        return not self._desired.is_known(str(labels.get(NAME_LABEL, "")))


class _Owners:
    """Finds the owners of objects that were not listed; `problems` name those it may not read.

    An operator makes objects in two steps, such as a RayService, its RayCluster and the Pods of
    that, and the kind in the middle is not listed. The lists are also not of one moment: the
    ReplicaSet of a new Pod may have been created after its own list.
    """

    def __init__(
        self,
        provider: KubernetesProvider,
        stack: _OwnObjects,
        namespace: str,
        objects: Sequence[Object],
    ) -> None:
        self._provider, self._stack, self._namespace = provider, stack, namespace
        self._uids = {str(obj["metadata"]["uid"]) for obj in objects}
        self._read: dict[str, Object | None] = {}
        self._listed_again: dict[tuple[str, str], dict[str, Object]] = {}
        self.problems: list[str] = []
        self.unread: list[Unread] = []

    def lead_to_known(self, obj: Object) -> bool:
        """Returns whether the owners above an object lead to one of the stack, or to a listed one.

        True as well if one of them may not be read: that is a problem, not a finding.
        """
        start, seen = obj, set[str]()
        while True:
            # Not all operators mark themselves as the controller.
            owner = min(list_owners(obj), key=lambda ref: not ref.get("controller"), default=None)
            if owner is None or owner["uid"] in seen:
                return False
            seen.add(str(owner["uid"]))
            if owner["uid"] in self._uids:
                return True
            try:
                found = self._find(owner)
            except FrameworkError as exc:
                if str(exc) not in self.problems:
                    self.problems.append(str(exc))
                name = object_name(start["metadata"])
                self.unread.append(Unread(str(start["kind"]), name, is_foreign=True))
                return True
            if found is None or self._stack.owns(found):
                return found is not None
            obj = found

    def _find(self, owner: Mapping[str, Any]) -> Object | None:
        """Returns the object of an owner reference; None if it is gone."""
        kind, version, uid = str(owner["kind"]), str(owner["apiVersion"]), str(owner["uid"])
        if NAMESPACED_KINDS.get(kind) == version:
            # A list, because the check needs no other right for these kinds.
            if (version, kind) not in self._listed_again:
                listed = self._provider.list_kind(
                    version, kind, self._namespace, metadata_only=True
                )
                by_uid = {str(obj["metadata"]["uid"]): obj for obj in listed}
                self._listed_again[version, kind] = by_uid
            return self._listed_again[version, kind].get(uid)
        if uid not in self._read:
            metadata = {"name": owner["name"], "namespace": self._namespace}
            wanted = {"apiVersion": version, "kind": kind, "metadata": metadata}
            live = self._provider.get_live(wanted)
            is_same = live is not None and live["metadata"]["uid"] == uid
            self._read[uid] = live if is_same else None
        return self._read[uid]


def _find_in_namespace(
    found: ForeignObjects,
    stack: _OwnObjects,
    namespace: str,
    objects: Sequence[Object],
    failed: Container[tuple[str, str]],
    above: _Owners,
) -> None:
    claims = _list_claim_prefixes(objects)
    by_uid = {str(obj["metadata"]["uid"]): obj for obj in objects}
    foreign_pods = _find_touching_pods(objects, by_uid, stack)
    resized = find_resized(objects)
    for obj in objects:
        kind, name = str(obj["kind"]), object_name(obj["metadata"])
        references = list_owners(obj)
        # Without the right to list ReplicaSets, the Pods of all Deployments would look foreign.
        if stack.owns(obj) or any(_identify_kind(owner) in failed for owner in references):
            continue
        # Somebody may have deleted a Pod because it was changed.
        if is_terminating(obj) or (kind, obj["metadata"]["name"]) in MADE_BY_KUBERNETES:
            continue
        if kind == "PersistentVolumeClaim" and _is_of_template(obj, claims):
            continue
        owners = {by_uid[ref["uid"]]["kind"] for ref in references if ref["uid"] in by_uid}
        if owners:
            # The owner is reported, if it is foreign.
            if kind == "Pod" and stack.has(top := _find_top(obj, by_uid)):
                _check_own_pod(found, stack, obj, top, resized, failed)
            elif owners & CREATORS.keys() and not any(
                kind in CREATORS.get(owner, ()) for owner in owners
            ):
                # Somebody made it for a workload that creates no such objects itself. For example,
                # a controller creates a PodDisruptionBudget for each Deployment that has none.
                model, effect = stack.pods.describe_touch(obj)
                if effect:
                    _add(found, obj, model, effect, "no stack owns it")
            continue
        is_of_pulumi = _is_of_a_stack(obj)
        if is_of_pulumi and stack.accounts_for(obj):
            continue
        if is_of_pulumi and stack.has_errors_in_files_of(obj):
            found.undecided.append(obj)
            found.unread.append(Unread(kind, name, is_foreign=True))
            continue
        model, effect = stack.pods.describe_touch(obj)
        if not effect:
            model, effect = foreign_pods.get(str(obj["metadata"]["uid"]), ("", ""))
        is_reported = effect or namespace in stack.namespaces
        if is_reported and not above.lead_to_known(obj):
            _add(found, obj, model, effect, _LOST if is_of_pulumi else "no stack owns it")


def _check_own_pod(
    found: ForeignObjects,
    stack: _OwnObjects,
    pod: Object,
    owner: Object,
    resized: Container[tuple[str, str]],
    failed: Container[tuple[str, str]],
) -> None:
    """Adds a finding if somebody changed a Pod of ours, except an autoscaler that may resize it."""
    may_resize = (owner["kind"], owner["metadata"]["name"]) in resized
    changed = find_changed_pod(pod, owner, stack.injectors, may_resize=may_resize)
    if changed and VERTICAL_AUTOSCALER in failed:
        changed = find_changed_pod(pod, owner, stack.injectors, may_resize=True)
        if not changed:
            # An autoscaler that could not be listed may have resized it, or a person.
            found.unread.append(Unread("Pod", object_name(pod["metadata"]), is_foreign=True))
    found.findings += [replace(f, model=stack.models[_identify(owner)]) for f in changed]


def _list_claim_prefixes(objects: Iterable[Object]) -> tuple[str, ...]:
    """Returns the beginnings of the names of claims that StatefulSets create: `data-queue-`."""
    return tuple(
        f"{template['metadata']['name']}-{obj['metadata']['name']}-"
        for obj in objects
        if obj["kind"] == "StatefulSet"
        for template in (obj.get("spec") or {}).get("volumeClaimTemplates") or ()
    )


def _is_of_template(claim: Object, prefixes: Iterable[str]) -> bool:
    # Without an owner reference: Kubernetes keeps the claims of a StatefulSet that is deleted.
    name = str(claim["metadata"]["name"])
    return any(
        name.startswith(prefix) and name.removeprefix(prefix).isdigit() for prefix in prefixes
    )


def _identify_kind(obj: Mapping[str, Any]) -> tuple[str, str]:
    return _group_of(obj), str(obj["kind"])


def _identify(obj: Mapping[str, Any]) -> tuple[str, str, str]:
    return *_identify_kind(obj), object_name(obj["metadata"])


def _find_top(obj: Object, by_uid: Mapping[str, Object]) -> Object:
    """Returns the listed object at the top of the owners: of a Pod, its Deployment."""
    seen = set[str]()
    while (uid := str(obj["metadata"]["uid"])) not in seen:
        seen.add(uid)
        obj = next((by_uid[o["uid"]] for o in list_owners(obj) if o["uid"] in by_uid), obj)
    return obj


def _find_touching_pods(
    objects: Sequence[Object], by_uid: Mapping[str, Object], stack: _OwnObjects
) -> dict[str, tuple[str, str]]:
    """Returns what the Pods of each foreign owner touch, by the owner's UID.

    Only the metadata of a Job is listed, and it does not have the labels of its Pods.
    """
    found: dict[str, tuple[str, str]] = {}
    for obj in objects:
        if obj["kind"] != "Pod" or is_terminating(obj):
            continue
        top = _find_top(obj, by_uid)
        # Nearly all Pods are ours, and to compare each with all Services takes seconds.
        if top is obj or stack.has(top):
            continue
        model, effect = stack.pods.describe_touch(obj)
        if effect:
            found[str(top["metadata"]["uid"])] = (model, f"one of its Pods {effect}")
    return found


def _group_of(obj: Mapping[str, Any]) -> str:
    return group_of(str(obj["apiVersion"]))


def _list_namespaces(recorded: Sequence[RecordedObject]) -> list[tuple[str, str]]:
    """Returns the provider's URN and the name of each Namespace of the stack, sorted."""
    found = {
        # The stack may have recorded only its Namespace yet.
        (obj.provider_urn, obj.id if obj.type == _NAMESPACE else obj.id.rpartition("/")[0])
        for obj in recorded
    }
    return sorted(pair for pair in found if pair[1])


def _is_of_a_stack(obj: Object) -> bool:
    """Returns whether a stack created an object: this one, or another one in its Namespace."""
    labels = obj["metadata"].get("labels") or {}
    is_ours = all(labels.get(name) == value for name, value in STACK_LABELS.items())
    # A copy of one of our objects has our labels, too, but neither engine wrote it.
    managers = (str(entry["manager"]) for entry in direct_entries(obj))
    return is_ours and any(name.startswith(OWN_PREFIX) for name in managers)


def _add(found: ForeignObjects, obj: Object, model: str, effect: str, why: str) -> None:
    metadata = obj["metadata"]
    manager, time = find_last_writer(obj)
    owners = [f"{owner['kind']} {owner['name']}" for owner in list_owners(obj)]
    owned = f"; its owner is {', '.join(owners)}" if owners else ""
    finding = Finding(
        kind=FindingKind.FOREIGN,
        type=build_type_token(obj),
        object=object_name(metadata),
        model=model,
        manager=manager,
        time=time or str(metadata.get("creationTimestamp") or ""),
        touches_several=bool(effect) and not model,
        note=f"{effect}; {why}{owned}" if effect else f"{why}{owned}",
    )
    found.findings.append(finding)
    if obj["kind"] in _AUTOSCALERS and (target := find_scale_target(obj)):
        found.autoscalers[target] = finding


def find_scale_target(autoscaler: Mapping[str, Any]) -> tuple[str, str] | None:
    """Returns the kind and `namespace/name` of what an autoscaler scales; None if unknown."""
    target = (autoscaler.get("spec") or {}).get("scaleTargetRef") or {}
    if not target.get("name"):
        return None
    namespace = autoscaler["metadata"].get("namespace", "")
    kind = str(target.get("kind") or "Deployment")
    return kind, object_name({**target, "namespace": namespace})


def name_autoscalers(
    findings: Iterable[Finding], autoscalers: Mapping[tuple[str, str], Finding]
) -> Iterator[Finding]:
    """Yields the findings; replicas that a foreign autoscaler writes name who made that one.

    managedFields names kube-controller-manager for every autoscaler.
    """
    for finding in findings:
        scaler = autoscalers.get((finding.object_kind, finding.object))
        if finding.path != "spec.replicas" or scaler is None:
            yield finding
            continue
        note = f"{scaler.label}, which no stack owns, scales it"
        yield replace(finding, manager=scaler.manager, time=scaler.time, note=note)
