"""Builds the patch of an update, and changes the owners of fields before it is applied.

Each step is needed because of one property of server-side apply:
- The server removes a field only when its last owner stops sending it. A field that kubectl added
  would stay, so `take_over` first makes our field manager its owner.
- If the only owner of `replicas` stops sending it, the server resets it to 1. So before an
  autoscaler takes over, `hand_over_replicas` gives the field a second owner.
- A forced apply takes fields from their owners. So ignored fields (ignoreChanges) that another
  manager owns are not sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from framework.core.drift_rules import Injector
from framework.core.field_paths import MISSING, FieldPath, is_at_or_below, name_path
from framework.kube.api_error import ApiError
from framework.kube.client import KubeClient
from framework.kube.managed_fields import (
    CLI_MANAGERS,
    CREATED_BY_CLI,
    Injected,
    entries,
    field_paths,
    handover_manager,
    is_own,
    may_take_over,
    owner_entries,
    rename_manager,
    take_over_entries,
    unowned_paths,
)
from framework.kube.objects import Object
from framework.kube.owned_paths import (
    OwnedPath,
    describe_path,
    find,
    find_path,
    without,
)
from framework.kube.property_path import drop_at, find_paths

REPLICAS: OwnedPath = ("f:spec", "f:replicas")
PAUSED: OwnedPath = ("f:spec", "f:paused")
# Immutable fields, with all below them, by kind. Our manifest may lack some: the class and the
# volume of a claim were chosen by its creator, or by an admission plugin.
_IMMUTABLE: dict[str, OwnedPath] = {"PersistentVolumeClaim": ("f:spec",)}
SCALED = frozenset({"Deployment", "StatefulSet", "ReplicaSet"})
TRIES = 5


@dataclass(frozen=True)
class Patch:
    """An update of one object as `manager`.

    `sent` is the object to apply. `unowned` are the live fields that the update removes although
    `manager` does not own them yet. `kept` are the ignored fields, which stay with their owners.
    `injected` are the fields that stay with an injector.
    """

    manager: str
    sent: Object
    unowned: frozenset[OwnedPath]
    kept: frozenset[OwnedPath]
    injected: frozenset[Injected] = frozenset()


def build_patch(
    live: Object,
    before: Object,
    wanted: Object,
    manager: str,
    ignore_changes: Sequence[str],
    injectors: Sequence[Injector] = (),
) -> Patch:
    """Builds the patch that brings `live` to `wanted`.

    `before` are the inputs as last sent; at the ignored paths `wanted` has the values of `before`.
    An ignored field of another manager is not sent: the forced apply would take it from its owner.
    What `injectors` may add stays with its owner as well, and so does what the server never removes
    from an object of this kind.
    """
    sent = deepcopy(wanted) if ignore_changes else wanted
    injected = _find_injected(live, manager, wanted, injectors)
    kept = set[OwnedPath]()
    for steps in find_paths((live, wanted), ignore_changes):
        path = name_path(steps, wanted)
        kept |= set(_foreign_paths(live, manager, path))
        if any(find_path(frozenset({owned}), path) for owned in kept):
            drop_at(sent, steps)
    # After the ignored fields, because `spec.paused` may be one of them.
    sent = resumed(live, sent, kept | {path for _, path in injected})
    kept |= _find_immutable(live, manager, sent)
    unowned = unowned_paths(live, manager, sent, before, kept, injected)
    return Patch(manager, sent, unowned, frozenset(kept), injected)


def _find_injected(
    live: Object, manager: str, wanted: Object, injectors: Sequence[Injector]
) -> frozenset[Injected]:
    """Returns what injectors own, without the list items that somebody else changed.

    It is unknown what the injector had written there, and a container cannot be left without an
    image. So such an item is removed as a whole, and the injector adds it again.
    """
    if not injectors:
        return frozenset()
    injected, others = set[Injected](), set[OwnedPath]()
    for entry in entries(live):
        name, is_ours = str(entry["manager"]), is_own(entry, manager)
        if not is_ours and not may_take_over(entry, manager):
            continue
        for path in field_paths(entry):
            if not is_ours and is_injected(injectors, live["kind"], name, describe_path(path)):
                injected.add((name, path))
            elif is_ours or name not in CLI_MANAGERS | {manager}:
                others.add(path)
    paths = {path for _, path in injected}
    items = {path for path in paths if path[-1][:2] == "k:" and find(wanted, path) is MISSING}
    changed = set[OwnedPath]()
    for other in others - paths:
        around = [item for item in items if is_at_or_below(other, item)]
        changed |= {max(around, key=len)} if around else set()
    return frozenset(
        (name, path)
        for name, path in injected
        if not any(is_at_or_below(path, item) for item in changed)
    )


def _find_immutable(live: Object, manager: str, sent: Object) -> frozenset[OwnedPath]:
    """Returns what others own, `sent` lacks, and the server would refuse to remove."""
    top = _IMMUTABLE.get(live["kind"])
    if top is None:
        return frozenset()
    return frozenset(
        path
        for entry in entries(live)
        if not is_own(entry, manager)
        for path in field_paths(entry)
        if is_at_or_below(path, top) and find(sent, path) is MISSING
    )


def is_injected(injectors: Iterable[Injector], kind: str, manager: str, path: str) -> bool:
    """Returns True if an injector may add the field at `path` to objects of this kind."""
    return any(injector.covers(kind=kind, manager=manager, path=path) for injector in injectors)


def _foreign_paths(live: Object, manager: str, path: FieldPath) -> Iterable[OwnedPath]:
    for entry in entries(live):
        if entry["manager"] == manager or entry["manager"] in CLI_MANAGERS:
            continue
        owned = find_path(field_paths(entry), path)
        if owned is not None:
            yield owned


def resumed(live: Object, sent: Object, kept: Iterable[OwnedPath] = ()) -> Object:
    """Returns the object to send, with `paused: false` if somebody else paused the Deployment.

    A field that is not sent keeps its value, and a paused Deployment never rolls out.
    """
    paused = live["kind"] == "Deployment" and live["spec"].get("paused")
    if not paused or "paused" in sent.get("spec", {}) or PAUSED in kept:
        return sent
    return {**sent, "spec": {**sent.get("spec", {}), "paused": False}}


def _resets_replicas(live: Object, patch: Patch) -> bool:
    """Returns True if applying the patch would reset `replicas` to 1.

    This happens if the patch no longer sends the field and nobody else owns it: every owner is the
    manager itself, or an entry that `take_over` takes over.
    """
    if live["kind"] not in SCALED or find(patch.sent, REPLICAS) is not MISSING:
        return False
    owners = owner_entries(live, REPLICAS)
    # An autoscaler writes `replicas` through the subresource `scale`. Its entry is neither ours nor
    # taken over, so once it has written the field, nothing is reset.
    return bool(owners) and all(
        is_own(entry, patch.manager)
        or (
            may_take_over(entry, patch.manager)
            and REPLICAS not in patch.kept
            and (entry["manager"], REPLICAS) not in patch.injected
        )
        for entry in owners
    )


def hand_over_replicas(client: KubeClient, live: Object, patch: Patch) -> Object:
    """Gives `replicas` a second owner if applying the patch would reset it.

    https://kubernetes.io/docs/reference/using-api/server-side-apply/#transferring-ownership
    The second owner keeps the present value until somebody takes the field over: the autoscaler
    with its first change, or our next forced apply that sends the field. Returns the object
    afterwards.
    """
    if not _resets_replicas(live, patch):
        return live
    replicas = live["spec"]["replicas"]
    return set_replicas(client, live, replicas, handover_manager(patch.manager))


def set_replicas(client: KubeClient, live: Object, replicas: int, manager: str) -> Object:
    """Applies `replicas` alone as `manager`; returns the object afterwards."""
    # Nothing else is sent: every field of an apply becomes a field of its manager.
    metadata = {k: v for k, v in live["metadata"].items() if k in ("name", "namespace")}
    share = {
        "apiVersion": live["apiVersion"],
        "kind": live["kind"],
        "metadata": metadata,
        "spec": {"replicas": replicas},
    }
    return client.apply(share, manager=manager, force=True, dry_run=False)


def take_over(client: KubeClient, live: Object, patch: Patch) -> None:
    """Makes `patch.manager` the owner of the fields that other people and the CLI's create own.

    Only then can the next apply remove them. Nothing is done if the object no longer exists.
    """
    manager, api_version = patch.manager, live["apiVersion"]
    _rewrite_owners(
        client,
        live,
        manager,
        # Where managedFields were emptied, only `live` has an owner (kube/lost_owners.py).
        lambda managed: take_over_entries(
            managed or entries(live), manager, api_version, patch.kept, patch.injected
        ),
    )


def release(client: KubeClient, live: Object, manager: str) -> None:
    """Gives what `manager` applied to the CLI, whose next update takes it over."""

    def rename(managed: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
        if not any(is_own(entry, manager) for entry in managed):
            return None
        return rename_manager(managed, manager, CREATED_BY_CLI)

    _rewrite_owners(client, live, manager, rename)


def _rewrite_owners(
    client: KubeClient,
    live: Object,
    manager: str,
    rewrite: Callable[[list[dict[str, Any]]], list[dict[str, Any]] | None],
) -> None:
    """Replaces managedFields by what `rewrite` returns for them; None changes nothing.

    The resourceVersion guards the write: managedFields is computed from one version of the object,
    and must not undo a later change of a controller. After a conflict the object is read again.
    """
    api_version, kind, metadata = live["apiVersion"], live["kind"], live["metadata"]
    name, namespace = metadata["name"], metadata.get("namespace", "")
    current: Object | None = live
    for attempt in range(1, TRIES + 1):
        if current is None:
            return
        managed = rewrite(entries(current))
        if managed is None:
            return
        version = current["metadata"]["resourceVersion"]
        # A JSON patch can replace managedFields as a whole; an apply cannot send the field at all.
        # `add` replaces, too, and does not fail if the field is missing.
        operations = [
            {"op": "add", "path": "/metadata/managedFields", "value": managed},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
        ]
        try:
            client.json_patch(
                api_version,
                kind,
                name,
                namespace,
                operations=operations,
                manager=manager,
            )
            return
        except ApiError as exc:
            if exc.status != 409 or attempt == TRIES:
                raise
        current = client.get(api_version, kind, name, namespace)


def predict(client: KubeClient, live: Object, patch: Patch) -> Object:
    """Returns the object as it would be after the patch; writes nothing.

    A dry run of the apply alone is wrong in two points, because `hand_over_replicas` and
    `take_over` have not run before it. For example, the live Deployment has 6 replicas, which ours
    owns, and a variable EXTRA, which kubectl owns. The patch sends neither. The update would keep
    the 6 replicas and remove EXTRA; the dry run alone would return 1 replica and keep EXTRA. So

    1. the apply is tried with the present replicas in it, if it would reset them;
    2. the fields that it could not remove are cut out of its result;
    3. a second dry run lets the server fill in defaults in their place.
    """
    sent, unowned = patch.sent, patch.unowned
    if _resets_replicas(live, patch):
        sent = {**sent, "spec": {**sent.get("spec", {}), "replicas": live["spec"]["replicas"]}}
        unowned -= {REPLICAS}
    applied = client.apply(sent, manager=patch.manager, force=True, dry_run=True)
    if not unowned:
        return applied
    return _fill_defaults(client, without(applied, unowned), patch.manager)


def _fill_defaults(client: KubeClient, cleaned: Object, manager: str) -> Object:
    """Returns the object with the server's defaults, from a dry run of replacing it."""
    # Controllers change the object all the time. This is a dry run, so any version will do.
    cleaned["metadata"].pop("resourceVersion", None)
    try:
        return client.replace(cleaned, manager=manager, dry_run=True)
    except ApiError as exc:
        # A custom resource cannot be replaced without its version. It has few defaults.
        # An immutable field is a real refusal: the apply would meet it as well.
        if exc.status not in (409, 422) or exc.immutable_fields:
            raise
        return cleaned
