"""What one update sends, and what has to be settled about ownership before it.

Kept apart from the provider because each step here answers one trap of server-side apply: fields
are removed only by their owner, a sole owner that stops sending `replicas` resets it, and a field
another controller owns must not be fought over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from framework.core.errors import ClusterError
from framework.core.field_paths import MISSING, FieldPath, name_path
from framework.kube import ownership
from framework.kube.api_error import ApiError
from framework.kube.client import KubeClient, Object
from framework.kube.object_name import object_name
from framework.kube.object_state import ObjectState
from framework.kube.ownership import OwnedPath
from framework.kube.property_path import drop_at, expand_path, parse_path

REPLICAS: OwnedPath = ("f:spec", "f:replicas")
PAUSED: OwnedPath = ("f:spec", "f:paused")
SCALED = frozenset({"Deployment", "StatefulSet", "ReplicaSet"})
TRIES = 5


class AlreadyExistsError(ClusterError):
    """An object of this name is there, and this stack did not make it; it is never touched."""

    def __init__(self, live: Mapping[str, Any]) -> None:
        self.kind, self.name = live["kind"], object_name(live["metadata"])
        self.managers = ownership.writers(live)
        made_by = ", ".join(self.managers) or "an unknown manager"
        advice = "delete it if nobody needs it, or give the one here another name"
        self.pulumi = any(name.startswith(ownership.OWN_PREFIX) for name in self.managers)
        if self.pulumi:
            advice = "another Pulumi stack owns it: use another namespace, or another name here"
        super().__init__(
            f"{self.kind} {self.name}: is already there and not this stack's (made by {made_by}); "
            f"{advice}"
        )


class RecordedNameTakenError(AlreadyExistsError):
    """Another object stands under a recorded name, without the labels that were recorded."""


def claim(live: Object, manager: str) -> None:
    """AlreadyExistsError for an object that `manager` never wrote; its own is taken over."""
    if not ownership.has_manager(live, manager):
        raise AlreadyExistsError(live)


def is_strangers(live: Object, state: ObjectState, manager: str) -> bool:
    """True where another object stands under the recorded name, and not by our own hand."""
    recorded = state.outputs.get("metadata", {}).get("uid", "")
    return (
        bool(recorded)
        and live["metadata"]["uid"] != recorded
        and not ownership.has_manager(live, manager)
    )


def carries_labels(live: Object, state: ObjectState) -> bool:
    """True for an object that has all labels of the recorded inputs, which tell whose it is."""
    recorded = (state.inputs.get("metadata") or {}).get("labels") or {}
    labels = live["metadata"].get("labels") or {}
    return bool(recorded) and all(labels.get(name) == value for name, value in recorded.items())


def is_made_again(live: Object, state: ObjectState, manager: str) -> bool:
    """True for an object with our labels that somebody made under the recorded name since, as
    `kubectl replace --force` does. RecordedNameTakenError for one without them."""
    if not is_strangers(live, state, manager):
        return False
    if not carries_labels(live, state):
        raise RecordedNameTakenError(live)
    return True


def describe_maker(live: Mapping[str, Any]) -> str:
    """Says that an object was made again, and by whom."""
    return f"was made again by {', '.join(ownership.writers(live)) or 'an unknown manager'}"


@dataclass(frozen=True)
class Patch:
    """What an update applies as `manager`. `unowned` are the live fields that go with it although
    `manager` never owned them; `kept` are left to whoever owns them."""

    manager: str
    sent: Object
    unowned: frozenset[OwnedPath]
    kept: frozenset[OwnedPath]


def build_patch(
    live: Object, before: Object, wanted: Object, manager: str, ignore_changes: Sequence[str]
) -> Patch:
    """The patch that brings `live` to `wanted`, whose ignored fields are already settled."""
    sent = deepcopy(wanted) if ignore_changes else wanted
    kept = set[OwnedPath]()
    for text in ignore_changes:
        for steps in sorted(expand_path((live, wanted), parse_path(text)), key=str, reverse=True):
            named = name_path(steps, wanted)
            kept |= set(_foreign_paths(live, manager, named))
            if any(ownership.find_path(frozenset({p}), named) for p in kept):
                drop_at(sent, steps)
    sent = resumed(live, sent, kept)
    unowned = ownership.unowned_paths(live, manager, sent, before, kept)
    return Patch(manager, sent, unowned, frozenset(kept))


def resumed(live: Object, sent: Object, kept: Iterable[OwnedPath] = ()) -> Object:
    """What is sent, with the pause taken back that someone else put on a Deployment.

    A field that is not sent stays with its owner, and a paused Deployment rolls nothing.
    """
    paused = live["kind"] == "Deployment" and live["spec"].get("paused")
    if not paused or "paused" in sent.get("spec", {}) or PAUSED in kept:
        return sent
    return {**sent, "spec": {**sent.get("spec", {}), "paused": False}}


def _foreign_paths(live: Object, manager: str, named: FieldPath) -> Iterable[OwnedPath]:
    for entry in ownership.entries(live):
        if entry["manager"] == manager or entry["manager"] in ownership.CLI_MANAGERS:
            continue
        found = ownership.find_path(ownership.field_paths(entry), named)
        if found is not None:
            yield found


def _keeps_replicas(live: Object, patch: Patch) -> bool:
    """True when `replicas` would fall back to one: only we own it, and it is no longer sent."""
    if live["kind"] not in SCALED or ownership.find(patch.sent, REPLICAS) is not MISSING:
        return False
    owners = ownership.owner_entries(live, REPLICAS)
    return bool(owners) and all(
        ownership.is_own(entry, patch.manager)
        or (ownership.is_mergeable(entry, patch.manager) and REPLICAS not in patch.kept)
        for entry in owners
    )


def hand_over_replicas(client: KubeClient, live: Object, patch: Patch) -> Object:
    """Give `replicas` a second owner, where applying the patch would reset it.

    An autoscaler takes the field over with its first change, and so do we with the next forced
    apply that sends it. Returns the object as it is then.
    """
    if not _keeps_replicas(live, patch):
        return live
    share = {**_named(live), "spec": {"replicas": live["spec"]["replicas"]}}
    return client.apply(share, manager=f"{patch.manager}-handover", force=True, dry_run=False)


def _named(live: Object) -> Object:
    metadata = {k: v for k, v in live["metadata"].items() if k in ("name", "namespace")}
    return {"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": metadata}


def take_over(client: KubeClient, live: Object, patch: Patch) -> None:
    """Fold what kubectl and the CLI's create own into our entry, so that our apply may remove it.

    Guarded by resourceVersion: read again and repeated when the object changed meanwhile.
    """
    metadata = live["metadata"]
    name, namespace = metadata["name"], metadata.get("namespace", "")
    current: Object | None = live
    for attempt in range(1, TRIES + 1):
        if current is None:
            return
        version = current["metadata"]["resourceVersion"]
        entries = ownership.merged(
            ownership.entries(current), patch.manager, live["apiVersion"], patch.kept
        )
        if entries is None:
            return
        operations = [
            {"op": "replace", "path": "/metadata/managedFields", "value": entries},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
        ]
        try:
            client.json_patch(
                live["apiVersion"],
                live["kind"],
                name,
                namespace,
                operations=operations,
                manager=patch.manager,
            )
            return
        except ApiError as exc:
            if exc.status != 409 or attempt == TRIES:
                raise
        current = client.get(live["apiVersion"], live["kind"], name, namespace)


def predict(client: KubeClient, live: Object, patch: Patch) -> Object:
    """The object as the server would make it of the patch; nothing is written.

    One dry run, and a second one only where unowned fields go: without a field its default may
    come.
    """
    sent, unowned = patch.sent, patch.unowned
    if _keeps_replicas(live, patch):
        sent = {**sent, "spec": {**sent.get("spec", {}), "replicas": live["spec"]["replicas"]}}
        unowned -= {REPLICAS}
    predicted = client.apply(sent, manager=patch.manager, force=True, dry_run=True)
    if not unowned:
        return predicted
    cleaned = ownership.without(predicted, unowned)
    # Controllers write status all the while, and nothing is written here: no version to guard.
    cleaned["metadata"].pop("resourceVersion", None)
    try:
        return client.replace(cleaned, manager=patch.manager, dry_run=True)
    except ApiError as exc:
        # Custom resources want a version; they have few defaults to lose.
        if exc.status not in (409, 422):
            raise
        return cleaned
