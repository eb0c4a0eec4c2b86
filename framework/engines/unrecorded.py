"""Finds the objects of others that are deleted with their Namespace.

These are not recorded, or only because the program reads them with `get`.

The deletion of a Namespace deletes objects of every kind in it. So the kinds are those that the
server has, and not those of a table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from framework.core.errors import EngineError
from framework.core.suggestions import list_names
from framework.engines.clusters import CALLS_AT_ONCE, Connection
from framework.engines.recorded import RELEASE
from framework.engines.state.checkpoint import Resource, identify_object
from framework.kinds.kind import build_type_token
from framework.kube.api_error import ApiError
from framework.kube.objects import (
    MADE_BY_KUBERNETES,
    Object,
    group_of,
    is_terminating,
    list_owners,
    object_name,
)
from framework.kube.ownership import belongs_to_release
from framework.kube.provider import KubernetesProvider
from framework.kube.reading import NAMESPACED_KINDS

# Connects to the cluster of the provider with this URN.
ConnectProvider = Callable[[str], Connection]
CLAIM = "PersistentVolumeClaim"
# Kubernetes makes the objects of these kinds: for its own use, or from other objects.
_KINDS_OF_KUBERNETES = frozenset(
    {
        ("", "Endpoints"),
        ("", "Event"),
        ("apps", "ControllerRevision"),
        ("certificates.k8s.io", "PodCertificateRequest"),
        ("coordination.k8s.io", "Lease"),
        ("coordination.k8s.io", "LeaseCandidate"),
        ("discovery.k8s.io", "EndpointSlice"),
        ("events.k8s.io", "Event"),
        ("storage.k8s.io", "CSIStorageCapacity"),
    }
)


# The group and the kind.
_Kind = tuple[str, str]


@dataclass(frozen=True)
class _Contents:
    """The metadata of the objects in a Namespace, and the kinds that were read or could not be.

    `unknown` names kinds that the server does not tell.
    """

    objects: tuple[Object, ...]
    read_kinds: frozenset[_Kind]
    unread_kinds: frozenset[_Kind]
    unknown: tuple[str, ...]


_UNREAD = _Contents((), frozenset(), frozenset(), ("all kinds",))


@dataclass(frozen=True)
class Unrecorded:
    """The objects of others that are deleted with a Namespace.

    `claims` maps the name of each claim to what a user deletes to be rid of it. `warning` names the
    others, and what could not be read; "" for nothing.
    """

    claims: Mapping[str, str]
    warning: str


def find_unrecorded(
    namespace: Resource, resources: Sequence[Resource], connect: ConnectProvider
) -> Unrecorded:
    """Finds the objects of others in a Namespace. `resources` are the recorded ones."""
    connection = try_connect(namespace, connect)
    contents = _read_contents(connection.provider, namespace.id) if connection else _UNREAD
    recorded = _RecordedObjects(namespace, resources, connect)
    objects = _list_unrecorded(contents.objects, recorded)
    claims = {
        f"{CLAIM} {object_name(obj['metadata'])}": _describe_deletable(list_owners(obj))
        for obj in objects
        # The claim of an ephemeral volume has no data that would outlive the Pod.
        if obj["kind"] == CLAIM and not any(o["kind"] == "Pod" for o in list_owners(obj))
    }
    names = sorted(_name_others(objects, contents, recorded))
    return Unrecorded(claims, _describe_others(namespace.id, names, contents))


def try_connect(resource: Resource, connect: ConnectProvider) -> Connection | None:
    """Connects to the cluster of an object; None if only the CLI can use its provider.

    For example, a provider with an inline kubeconfig. ClusterError.
    """
    try:
        return connect(resource.provider_urn)
    except EngineError:
        return None


def is_inside(resource: Resource, namespace: Resource, connect: ConnectProvider) -> bool:
    """Returns whether an object is in a Namespace. Two providers may be of one cluster."""
    is_named = resource.is_object and resource.id.rpartition("/")[0] == namespace.id
    return is_named and _is_on_same_cluster(resource, namespace, connect)


def _is_on_same_cluster(resource: Resource, namespace: Resource, connect: ConnectProvider) -> bool:
    if resource.provider_urn == namespace.provider_urn:
        return True
    here, there = try_connect(namespace, connect), try_connect(resource, connect)
    if here is None:
        return True
    return here.uid == there.uid if there else _has_recorded_object(here.provider, resource)


def _has_recorded_object(provider: KubernetesProvider, resource: Resource) -> bool:
    """Returns whether a cluster has this very object, with the recorded UID.

    True if that cannot be read, as for a Helm Release, which has no UID.
    """
    inputs, outputs = resource.raw.get("inputs") or {}, resource.raw.get("outputs") or {}
    if "apiVersion" not in inputs:
        return True
    namespace, _, name = resource.id.rpartition("/")
    try:
        live = provider.find_listed({**inputs, "metadata": {"name": name, "namespace": namespace}})
    except ApiError as exc:
        if exc.concerns_all_objects:
            raise
        return True
    recorded_uid = (outputs.get("metadata") or {}).get("uid")
    return live is not None and live["metadata"]["uid"] == recorded_uid


class _RecordedObjects:
    """The recorded objects in a Namespace, and the recorded Helm Releases of its cluster.

    Without what the program only reads, with `get`: these are objects of others.
    """

    def __init__(
        self, namespace: Resource, resources: Sequence[Resource], connect: ConnectProvider
    ) -> None:
        self._provider_urn = namespace.provider_urn
        self._keys = {
            found.object_key._replace(provider_urn=self._provider_urn)
            for found in resources
            if not found.external and is_inside(found, namespace, connect)
        }
        self._releases = {
            found.id
            for found in resources
            if found.type == RELEASE
            and not found.external
            and _is_on_same_cluster(found, namespace, connect)
        }

    def has(self, obj: Mapping[str, Any]) -> bool:
        """Returns whether an object is recorded."""
        name = object_name(obj["metadata"])
        return identify_object(build_type_token(obj), name, self._provider_urn) in self._keys

    def installs(self, obj: Object) -> bool:
        """Returns whether an object belongs to a recorded Helm Release."""
        return belongs_to_release(obj, self._releases)


def _read_contents(provider: KubernetesProvider, namespace: str) -> _Contents:
    """Lists what is in a Namespace. ClusterError if the server does not serve requests."""
    try:
        kinds, unknown = provider.list_namespaced_kinds()
    except ApiError as exc:
        if exc.concerns_all_objects:
            raise
        # A server older than Kubernetes 1.30.
        versions = {**NAMESPACED_KINDS, "Secret": "v1"}
        kinds = {(group_of(version), kind): version for kind, version in versions.items()}
        unknown = ["all other kinds"]

    def list_kind(key: _Kind) -> list[Object] | None:
        try:
            return provider.list_kind(kinds[key], key[1], namespace, metadata_only=True)
        except ApiError as exc:
            # A user without the right to list a kind may still delete the Namespace.
            if exc.concerns_all_objects:
                raise
            return None

    keys = sorted(kinds.keys() - _KINDS_OF_KUBERNETES)
    with ThreadPoolExecutor(CALLS_AT_ONCE, thread_name_prefix="contents") as pool:
        found = dict(zip(keys, pool.map(list_kind, keys), strict=True))
    return _Contents(
        tuple(obj for objects in found.values() for obj in objects or ()),
        frozenset(key for key, objects in found.items() if objects is not None),
        frozenset(key for key, objects in found.items() if objects is None),
        tuple(unknown),
    )


def _list_unrecorded(objects: Sequence[Object], recorded: _RecordedObjects) -> list[Object]:
    """Returns the objects that are not ours and not being deleted already."""
    # By UID, since some objects are listed in several API groups.
    found = {str(obj["metadata"]["uid"]): obj for obj in objects}
    for obj in objects:
        if recorded.has(obj) or is_terminating(obj):
            found.pop(str(obj["metadata"]["uid"]), None)
    return list(found.values())


def _name_others(
    objects: Iterable[Object], contents: _Contents, recorded: _RecordedObjects
) -> set[str]:
    """Returns the names of objects that are no claims, and that others made.

    An object is left out if the kind of an owner is listed: the owner is recorded, belongs to a
    recorded Helm Release, or is named itself. An owner of a kind that could not be listed is named
    in place of all that it owns.
    """
    names = set()
    for obj in objects:
        name = str(obj["metadata"]["name"])
        is_builtin = (obj["kind"], name) in MADE_BY_KUBERNETES
        if obj["kind"] == CLAIM or is_builtin or recorded.installs(obj):
            continue
        owners = {
            (group_of(found["apiVersion"]), found["kind"]): found for found in list_owners(obj)
        }
        if not contents.read_kinds.isdisjoint(owners):
            continue
        named: Mapping[str, Any] = {**obj, "name": name}
        named = next((owners[key] for key in owners if key in contents.unread_kinds), named)
        metadata = {"name": named["name"], "namespace": obj["metadata"]["namespace"]}
        if not recorded.has({**named, "metadata": metadata}):
            names.add(f"{named['kind']} {named['name']}")
    return names


def _describe_others(namespace: str, names: Sequence[str], contents: _Contents) -> str:
    """Returns the warning about the objects of others in a Namespace; "" if there are none."""
    unread = [*sorted(kind for _, kind in contents.unread_kinds), *contents.unknown]
    if not names and not unread:
        return ""
    what = (
        f"objects that this stack does not manage: {list_names(names)}"
        if names
        else "all that is in it"
    )
    rest = f"; could not be listed: {list_names(unread)}" if unread else ""
    return (
        f"warning: Namespace {namespace} is deleted with {what}{rest}; next: move those that "
        "somebody needs to another Namespace"
    )


def _describe_deletable(owners: Iterable[Mapping[str, Any]]) -> str:
    """Describes what a user deletes to be rid of a claim: its controller would create it again."""
    for owner in owners:
        if owner.get("controller"):
            return f"{owner['kind']} {owner['name']}, which owns the claim"
    return "the claim"
