"""The entries of metadata.managedFields: who wrote which fields, and what an update may take over.

Each entry is one manager with one operation (Apply or Update), and owns paths
(kube/owned_paths.py). Several entries may own the same path. Pure functions.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from framework.core.field_paths import MISSING, FieldPath, is_at_or_below
from framework.kube.owned_paths import (
    OwnedPath,
    build_fields,
    covers,
    find,
    find_path,
    is_within_field,
    parse_fields,
)

Entry = Mapping[str, Any]
# A manager that may own a path of our objects, because it is an injector, and the path.
Injected = tuple[str, OwnedPath]

# The Pulumi provider creates objects under these names. Its first update moves the ownership to a
# field manager of the resource's own.
CREATED_BY_CLI = "pulumi-kubernetes"
CLI_MANAGERS = frozenset({CREATED_BY_CLI, "pulumi-resource-kubernetes"})
# The controllers of Kubernetes itself. They write fields that no manifest has, such as the volume
# of a claim; whatever they add belongs to the object.
# k3s and kubelite (of MicroK8s) run all of them in one process.
CONTROLLERS = frozenset(
    {
        "k3s",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kubelet",
        "kubelite",
    }
)
_CLOUD_CONTROLLER = "cloud-controller-manager"
# A controller that has to clean up before an object is deleted adds a finalizer to it.
_FINALIZERS: OwnedPath = ("f:metadata", "f:finalizers")


def entries(obj: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the managedFields of an object; [] where there are none."""
    return list(obj.get("metadata", {}).get("managedFields") or ())


def direct_entries(obj: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the entries without those of subresources (status, scale)."""
    return [entry for entry in entries(obj) if not entry.get("subresource")]


def field_paths(entry: Entry) -> frozenset[OwnedPath]:
    """Returns every path that an entry owns."""
    return parse_fields(entry.get("fieldsV1") or {})


# Managers


def is_own(entry: Entry, manager: str) -> bool:
    """Returns True for the server-side apply entry of `manager`."""
    return (
        entry["manager"] == manager
        and entry["operation"] == "Apply"
        and not entry.get("subresource")
    )


def is_controller(manager: str) -> bool:
    """Returns True for a controller of Kubernetes, or of the cloud."""
    return manager in CONTROLLERS or manager.endswith(_CLOUD_CONTROLLER)


def handover_manager(manager: str) -> str:
    """Returns the name under which `manager` keeps `replicas` until an autoscaler writes them."""
    return f"{manager}-handover"


def may_take_over(entry: Entry, manager: str) -> bool:
    """Returns True if an update by `manager` takes over what this entry owns.

    That is so for everybody who writes to our objects: kubectl, the CLI's create, k9s, any other
    tool. Entries of a subresource are not taken over, since autoscalers write replicas through
    `scale`. Neither are those of Kubernetes' controllers, nor the Apply entry of `manager`, which
    is its own already. What injectors may add is left to them by its path, see `Patch.injected`.
    """
    if entry.get("subresource") or is_controller(str(entry["manager"])):
        return False
    return not is_own(entry, manager) and entry["manager"] != handover_manager(manager)


def has_manager(obj: Mapping[str, Any], manager: str) -> bool:
    """Returns True if `manager` wrote the object and still owns a field of it."""
    return any(entry["manager"] == manager for entry in entries(obj))


def writers(obj: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the managers that wrote the object, sorted, without those that wrote only its
    subresources (status, scale)."""
    return tuple(sorted({entry["manager"] for entry in direct_entries(obj)}))


def find_last_writer(obj: Mapping[str, Any]) -> tuple[str, str]:
    """Returns the manager that wrote the object last, and the time.

    Controllers count only if nobody else wrote it. Both are "" where managedFields do not tell.
    """
    direct = direct_entries(obj)
    people = [entry for entry in direct if not is_controller(str(entry["manager"]))] or direct
    last = max(people, key=lambda entry: str(entry.get("time", "")), default=None)
    return (str(last["manager"]), str(last.get("time", ""))) if last else ("", "")


def owner_entries(obj: Mapping[str, Any], path: OwnedPath) -> list[dict[str, Any]]:
    """Returns the entries that own a path or something below it."""
    return [entry for entry in entries(obj) if covers(field_paths(entry), path)]


def owner_of(obj: Mapping[str, Any], path: FieldPath) -> Entry | None:
    """Returns the entry that wrote the field last, also through a subresource; None for nobody."""
    owners = [e for e in entries(obj) if find_path(field_paths(e), path) is not None]
    # Times are RFC 3339 in UTC and have one length, so they can be compared as text. An entry
    # without a time counts as the oldest.
    return max(owners, key=lambda e: str(e.get("time", "")), default=None)


def find_foreign_parts(
    obj: Mapping[str, Any],
    path: FieldPath,
    manager: str,
    may_write: Callable[[str, OwnedPath], bool],
) -> dict[OwnedPath, Entry] | None:
    """Returns the parts of a field that allowed managers do not own, with the newest owners.

    Allowed are managers for which `may_write` is True, with an owned path. The newest writer of the
    whole field does not show who wrote the others: an injector that writes an annotation is newer
    than the person who changed the image of the injected container. For example, for
    `containers[proxy]`

        mesh          Update  containers[proxy], containers[proxy].name
        kubectl-edit  Update  containers[proxy].image            gives  containers[proxy].image

    Returns {} if `may_write` covers all of it. Returns None if no part is owned separately, or none
    by an allowed manager: the field is then one unit. Entries of the CLI's create, and of webhooks
    in the requests of `manager`, are ignored.
    """
    allowed, foreign = set[OwnedPath](), dict[OwnedPath, Entry]()
    for entry in entries(obj):
        name = str(entry["manager"])
        if name in CLI_MANAGERS or (name == manager and not is_own(entry, manager)):
            continue
        for owned in field_paths(entry):
            if not is_within_field(owned, path):
                continue
            if may_write(name, owned):
                allowed.add(owned)
            elif owned not in foreign or str(foreign[owned].get("time", "")) < str(
                entry.get("time", "")
            ):
                foreign[owned] = entry
    if not allowed:
        return None
    # If an allowed manager owns the field as well, both have set it to the same value.
    parts = {
        owned
        for owned in foreign
        if not any(other == owned or is_at_or_below(other, owned) for other in allowed)
    }
    # Somebody else added the list item itself, and the allowed manager only changed it.
    whole = {owned for owned in foreign.keys() - allowed if len(owned) == len(path.steps)}
    tops = whole or {
        owned
        for owned in parts
        if not any(other != owned and is_at_or_below(owned, other) for other in parts)
    }
    return {owned: foreign[owned] for owned in sorted(tops)}


def find_undeclared(
    obj: Mapping[str, Any], manager: str, inputs: Mapping[str, Any]
) -> frozenset[OwnedPath]:
    """Returns the live fields in the Apply entry of `manager` that the inputs do not set.

    An update that failed may have taken them over from the person who added them. The CLI does not
    record some inputs that are 0 or empty; the server leaves the same ones out of the object.
    """
    return frozenset(
        path
        for entry in entries(obj)
        if is_own(entry, manager) and entry.get("apiVersion") == obj.get("apiVersion")
        for path in field_paths(entry)
        if find(inputs, path) is MISSING and find(obj, path) not in (MISSING, None)
    )


# Taking over

# When an applier stops sending a field, server-side apply removes the field only if nobody else
# owns it. So a variable that was added with `kubectl set env` would stay for ever. An update
# therefore makes itself the owner first (`take_over_entries`), and the apply after it, which does
# not send the variable, removes it. A preview writes nothing, so it has to compute what that apply
# will remove (`unowned_paths`). Both split each entry in the same way, with
# `_find_paths_to_take_over`.


def _find_paths_to_take_over(
    entry: Entry,
    manager: str,
    api_version: str,
    kept: Sequence[OwnedPath],
    injected: Collection[Injected],
) -> frozenset[OwnedPath]:
    """Returns the paths of an entry that an update by `manager` takes over.

    Paths at or below `kept` stay with their owners, and `injected` ones with their managers. So do
    all paths of another apiVersion, since they may not exist in this one.
    """
    if not may_take_over(entry, manager) or entry.get("apiVersion") != api_version:
        return frozenset()
    # The finalizers of people are taken over, those of controllers are not.
    stays = (*kept,) if entry["manager"].startswith("kubectl") else (*kept, _FINALIZERS)
    return frozenset(
        path
        for path in field_paths(entry)
        if (entry["manager"], path) not in injected
        and not any(is_at_or_below(path, k) for k in stays)
    )


def take_over_entries(
    managed: Sequence[Entry],
    manager: str,
    api_version: str,
    kept: Iterable[OwnedPath] = (),
    injected: Collection[Injected] = (),
) -> list[dict[str, Any]] | None:
    """Returns managedFields with every path that can be taken over in the Apply entry of `manager`.

    Returns None if there is nothing to take over. For example, of

        ours         Apply   spec.replicas
        kubectl-set  Update  containers[model].env[EXTRA]
        injector     Update  containers[proxy]

    the first two become one, and the third stays as it is:

        ours         Apply   spec.replicas, containers[model].env[EXTRA]
        injector     Update  containers[proxy]
    """
    kept = tuple(kept)
    taken = set[OwnedPath]()
    result: list[dict[str, Any]] = []
    for entry in managed:
        moves = _find_paths_to_take_over(entry, manager, api_version, kept, injected)
        taken |= moves
        stays = field_paths(entry) - moves
        if not moves:
            result.append(dict(entry))
        elif stays:
            result.append({**entry, "fieldsV1": build_fields(stays)})
    if not taken:
        return None
    own = next((entry for entry in result if is_own(entry, manager)), None)
    if own is None:
        own = _build_apply_entry(managed, manager, api_version)
        result.append(own)
    # The other entries were copied above, so `managed` itself stays as the server sent it.
    own["fieldsV1"] = build_fields(field_paths(own) | taken)
    return result


def rename_manager(managed: Sequence[Entry], old: str, new: str) -> list[dict[str, Any]]:
    """Returns managedFields with what `old` applied in the Update entry of `new`."""
    result: list[dict[str, Any]] = []
    taken: dict[str, set[OwnedPath]] = {}
    for entry in managed:
        is_new = entry["manager"] == new and entry["operation"] == "Update"
        if is_own(entry, old) or (is_new and not entry.get("subresource")):
            taken.setdefault(entry["apiVersion"], set()).update(field_paths(entry))
        else:
            result.append(dict(entry))
    for api_version, paths in taken.items():
        entry = _build_apply_entry(managed, new, api_version)
        fields = build_fields(paths)
        result.append({**entry, "operation": "Update", "fieldsV1": fields})
    return result


def _build_apply_entry(managed: Sequence[Entry], manager: str, api_version: str) -> dict[str, Any]:
    entry = {
        "manager": manager,
        "operation": "Apply",
        "apiVersion": api_version,
        "fieldsType": "FieldsV1",
        "fieldsV1": {},
    }
    # The fields were written at the time of the newest entry at the latest, so this entry does not
    # look newer than it is: `owner_of` takes the newest one for the last writer.
    times = [other["time"] for other in managed if other.get("time")]
    return {**entry, "time": max(times)} if times else entry


def unowned_paths(
    obj: Mapping[str, Any],
    manager: str,
    sent: Mapping[str, Any],
    recorded: Mapping[str, Any],
    kept: Iterable[OwnedPath] = (),
    injected: Collection[Injected] = (),
) -> frozenset[OwnedPath]:
    """Returns the live paths that an update removes although `manager` does not own them yet.

    They are the paths that the update takes over and that `sent` lacks. Paths of the CLI's create
    are removed only if they are in the `recorded` inputs: a create also owns the server's defaults,
    and those must stay. A path is not removed while another manager owns it, or something below it.
    For example, if `sent` has neither variable:

        kubectl-set  Update  env[EXTRA], env[SHARED]
        injector     Update  env[SHARED]                gives  env[EXTRA]
    """
    kept = tuple(kept)
    candidates, others = set[OwnedPath](), set[OwnedPath]()
    for entry in entries(obj):
        if is_own(entry, manager):
            # The server itself removes these when they are not sent, in a dry run as well.
            continue
        taken = _find_paths_to_take_over(entry, manager, obj["apiVersion"], kept, injected)
        others |= field_paths(entry) - taken
        if entry["manager"] not in CLI_MANAGERS | {manager}:
            candidates |= taken
        else:
            # For example, the CLI created a Deployment without `terminationGracePeriodSeconds`. The
            # server's default of 30 is in the entry of that create as well, and must not be removed
            # as a stale field.
            candidates |= {path for path in taken if find(recorded, path) is not MISSING}
    return frozenset(
        path
        for path in candidates
        if find(sent, path) is MISSING and not any(is_at_or_below(other, path) for other in others)
    )
