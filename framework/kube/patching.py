"""Sends an update, and settles the ownership of fields before it.

Each step here is for one property of server-side apply:
- A field goes when its last owner stops sending it, and only then. What kubectl wrote would stay,
  so `take_over` makes it ours first.
- An applier that alone owns `replicas` and stops sending it resets it to 1. So before an autoscaler
  takes over, `hand_over_replicas` gives the field a second owner.
- A forced apply takes fields from their owners. Fields under ignoreChanges are therefore not sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass

from framework.core.field_paths import MISSING, FieldPath, name_path
from framework.kube import ownership
from framework.kube.api_error import ApiError
from framework.kube.client import KubeClient
from framework.kube.objects import Object
from framework.kube.ownership import OwnedPath
from framework.kube.property_path import drop_at, expand_path, parse_path

REPLICAS: OwnedPath = ("f:spec", "f:replicas")
PAUSED: OwnedPath = ("f:spec", "f:paused")
SCALED = frozenset({"Deployment", "StatefulSet", "ReplicaSet"})
TRIES = 5


@dataclass(frozen=True)
class Patch:
    """An update of one object as `manager`.

    `unowned` are the live fields that it removes although `manager` does not own them yet. `kept`
    are the ignored fields, which stay with their owners.
    """

    manager: str
    sent: Object
    unowned: frozenset[OwnedPath]
    kept: frozenset[OwnedPath]


def build_patch(
    live: Object, before: Object, wanted: Object, manager: str, ignore_changes: Sequence[str]
) -> Patch:
    """Builds the patch that brings `live` to `wanted`.

    `before` are the inputs as last sent. `wanted` has their values at the ignored paths. An ignored
    field that another manager owns is not sent, or the forced apply would take it away from there.
    """
    sent = deepcopy(wanted) if ignore_changes else wanted
    kept = set[OwnedPath]()
    for text in ignore_changes:
        # Higher indexes first, since dropping an item moves those behind it.
        for steps in sorted(expand_path((live, wanted), parse_path(text)), key=str, reverse=True):
            path = name_path(steps, wanted)
            kept |= set(_foreign_paths(live, manager, path))
            if any(ownership.find_path(frozenset({owned}), path) for owned in kept):
                drop_at(sent, steps)
    sent = resumed(live, sent, kept)
    unowned = ownership.unowned_paths(live, manager, sent, before, kept)
    return Patch(manager, sent, unowned, frozenset(kept))


def _foreign_paths(live: Object, manager: str, path: FieldPath) -> Iterable[OwnedPath]:
    for entry in ownership.entries(live):
        if entry["manager"] == manager or entry["manager"] in ownership.CLI_MANAGERS:
            continue
        owned = ownership.find_path(ownership.field_paths(entry), path)
        if owned is not None:
            yield owned


def resumed(live: Object, sent: Object, kept: Iterable[OwnedPath] = ()) -> Object:
    """Returns what is sent, with `paused: false` where somebody else paused the Deployment.

    A field that is not sent keeps its value, and a paused Deployment never rolls out.
    """
    paused = live["kind"] == "Deployment" and live["spec"].get("paused")
    if not paused or "paused" in sent.get("spec", {}) or PAUSED in kept:
        return sent
    return {**sent, "spec": {**sent.get("spec", {}), "paused": False}}


def _resets_replicas(live: Object, patch: Patch) -> bool:
    """Returns True where applying the patch would reset `replicas` to 1.

    That is where the patch no longer sends the field and its owners are all ours: the manager
    itself, or entries that `take_over` folds into it.
    """
    if live["kind"] not in SCALED or ownership.find(patch.sent, REPLICAS) is not MISSING:
        return False
    owners = ownership.owner_entries(live, REPLICAS)
    return bool(owners) and all(
        ownership.is_own(entry, patch.manager)
        or (ownership.is_mergeable(entry, patch.manager) and REPLICAS not in patch.kept)
        for entry in owners
    )


def hand_over_replicas(client: KubeClient, live: Object, patch: Patch) -> Object:
    """Gives `replicas` a second owner where applying the patch would reset it.

    https://kubernetes.io/docs/reference/using-api/server-side-apply/#transferring-ownership
    The second owner keeps the present value until the autoscaler's first change, or our next
    forced apply that sends the field, takes it over. Returns the object afterwards.
    """
    if not _resets_replicas(live, patch):
        return live
    metadata = {k: v for k, v in live["metadata"].items() if k in ("name", "namespace")}
    share = {
        "apiVersion": live["apiVersion"],
        "kind": live["kind"],
        "metadata": metadata,
        "spec": {"replicas": live["spec"]["replicas"]},
    }
    return client.apply(share, manager=f"{patch.manager}-handover", force=True, dry_run=False)


def take_over(client: KubeClient, live: Object, patch: Patch) -> None:
    """Makes what kubectl and the CLI's create own ours, so that the apply after it may remove it.

    The resourceVersion guards the write: the entries are computed from one version of the object,
    and would undo what a controller has changed in them since. After a conflict the object is read
    again. One that is gone by then needs nothing.
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
    """Returns the object as the patch would make it; writes nothing.

    A dry run of the apply shows all but two effects. `take_over` and `hand_over_replicas` have not
    happened, so fields that they let go are still there, and replicas would be reset. The replicas
    are sent here, and the fields are taken out in a second dry run: in place of a field that went,
    the server may fill in a default.
    """
    sent, unowned = patch.sent, patch.unowned
    if _resets_replicas(live, patch):
        sent = {**sent, "spec": {**sent.get("spec", {}), "replicas": live["spec"]["replicas"]}}
        unowned -= {REPLICAS}
    predicted = client.apply(sent, manager=patch.manager, force=True, dry_run=True)
    if not unowned:
        return predicted
    cleaned = ownership.without(predicted, unowned)
    # Controllers update the status all the time. Nothing is written, so no version is guarded.
    cleaned["metadata"].pop("resourceVersion", None)
    try:
        return client.replace(cleaned, manager=patch.manager, dry_run=True)
    except ApiError as exc:
        # A custom resource cannot be replaced without its version. It has few defaults.
        if exc.status not in (409, 422):
            raise
        return cleaned
