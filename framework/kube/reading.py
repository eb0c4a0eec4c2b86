"""Reads the objects of one cluster, one by one or by lists that are kept for a moment."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from framework.core.errors import ClusterError, EngineError
from framework.kube.api_error import ApiError
from framework.kube.client import KindNotServedError, KubeClient
from framework.kube.objects import (
    Object,
    ObjectState,
    build_state,
    encode_string_data,
    field_manager,
    is_terminating,
    with_live,
    without_internal,
)
from framework.kube.ownership import (
    find_own_manager,
    has_recorded_labels,
    was_recreated_by_others,
)

DEFAULT_NAMESPACE = "default"
# A listed object is used for this long.
FRESH_S = 10.0
# A list of Secrets would fetch the values of others' Secrets as well.
NEVER_LISTED = frozenset({"Secret"})
# API versions of the kinds that a model can have, and of those that own, select, size or limit
# Pods.
NAMESPACED_KINDS = {
    "Service": "v1",
    "ServiceAccount": "v1",
    "ConfigMap": "v1",
    "PersistentVolumeClaim": "v1",
    "Pod": "v1",
    "ReplicationController": "v1",
    "ResourceQuota": "v1",
    "LimitRange": "v1",
    "PodDisruptionBudget": "policy/v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "Ingress": "networking.k8s.io/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "Deployment": "apps/v1",
    "StatefulSet": "apps/v1",
    "DaemonSet": "apps/v1",
    "ReplicaSet": "apps/v1",
    "Job": "batch/v1",
    "CronJob": "batch/v1",
    # The label names the Service that gets the endpoints.
    "EndpointSlice": "discovery.k8s.io/v1",
}

REPLICAS_FIELD = "spec.replicas"
_AUTOSCALER = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler"}
# apiVersion, kind and Namespace.
Scope = tuple[str, str, str]


@dataclass
class _Listing:
    """The objects of one scope. `lock` makes threads wait for a list call that is running."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    taken: float = float("-inf")
    objects: dict[str, Object] | None = None
    failure: ClusterError | None = None


class NamespaceState(Enum):
    """The state of a Namespace; the value is the reason why it accepts no new objects."""

    USABLE = ""
    MISSING = "does not exist yet"
    TERMINATING = "is being deleted"


class ObjectReader:
    """Reads the objects of one cluster. Thread-safe; made for one operation.

    A preview looks at hundreds of objects, so `find_listed` lists all objects of a kind and
    Namespace in one call, and uses the list for ten seconds. Before a write, `get_live` reads the
    one object as it is now.
    """

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        # The engine sets it to False where a command works on a few objects: to read those one by
        # one is cheaper than a list of thousands.
        self.uses_lists = True
        self._lock = threading.Lock()
        self._listings: dict[Scope, _Listing] = {}

    @property
    def client(self) -> KubeClient:
        """The client of the cluster, for calls that concern no object of a stack."""
        return self._client

    def find_listed(self, wanted: Mapping[str, Any]) -> Object | None:
        """Returns the live object of this name, at most ten seconds old; None when there is none.

        An object that is being deleted is returned as well.
        """
        if not self.uses_lists or wanted["kind"] in NEVER_LISTED:
            return self.get_live(wanted)
        listed = self._find_listing(_scope(wanted))
        if listed is None:
            return self.get_live(wanted)
        return listed.get(wanted["metadata"]["name"])

    def _find_listing(self, scope: Scope) -> dict[str, Object] | None:
        with self._lock:
            listing = self._listings.setdefault(scope, _Listing())
        with listing.lock:
            if time.monotonic() - listing.taken > FRESH_S:
                # Only threads that need the same scope wait here; `_lock` is free in the meantime.
                listing.objects, listing.failure = self._try_list(scope)
                listing.taken = time.monotonic()
            if listing.failure is not None:
                # Also for the threads that waited here: each would wait another minute.
                raise listing.failure
            return listing.objects

    def list_kind(
        self, api_version: str, kind: str, namespace: str, *, metadata_only: bool
    ) -> list[Object]:
        """Returns every object of a kind in a Namespace; [] for a kind that is not served.

        With `metadata_only`, only their metadata. Complete objects may be ten seconds old. Raises
        ApiError where the user may not list them.
        """
        if not metadata_only and kind not in NEVER_LISTED:
            listed = self._find_listing((api_version, kind, namespace))
            if listed is not None:
                return list(listed.values())
        try:
            return self._client.list_metadata(api_version, kind, namespace)
        except KindNotServedError:
            return []

    def find_served_version(self, group: str, kind: str) -> str:
        """Returns the apiVersion in which the server has a kind; "" if it does not have it."""
        return self._client.find_served_version(group, kind)

    def list_namespaced_kinds(self) -> tuple[dict[tuple[str, str], str], list[str]]:
        """Returns the kinds that are deleted with their Namespace, see the client."""
        return self._client.list_namespaced_kinds()

    def _try_list(self, scope: Scope) -> tuple[dict[str, Object] | None, ClusterError | None]:
        try:
            return self._list(scope), None
        except ApiError:
            # The server has sent a response, so the next thread may try again.
            raise
        except ClusterError as exc:
            return None, exc

    def _list(self, scope: Scope) -> dict[str, Object] | None:
        """Returns the objects of a scope by name; None where the user may get but not list."""
        try:
            items = self._client.list_objects(*scope)
        except KindNotServedError:
            return {}
        except ApiError as exc:
            if exc.status == 403:
                return None
            raise
        return {item["metadata"]["name"]: item for item in items}

    def get_live(self, wanted: Mapping[str, Any]) -> Object | None:
        """Returns the live object of this name as it is now; None when there is none."""
        metadata = wanted["metadata"]
        namespace = metadata.get("namespace", "")
        try:
            return self._client.get(
                wanted["apiVersion"], wanted["kind"], metadata["name"], namespace
            )
        except KindNotServedError:
            return None

    def forget(self, written: Mapping[str, Any]) -> None:
        """Drops the list that an object is in. Call it when the object was written."""
        with self._lock:
            self._listings.pop(_scope(written), None)

    def find_terminating_namespace(self, wanted: Mapping[str, Any]) -> str:
        """Returns the name of the object's Namespace if that is being deleted, else ""."""
        is_going = self.find_namespace_state(wanted) is NamespaceState.TERMINATING
        return str(wanted["metadata"]["namespace"]) if is_going else ""

    def find_namespace_state(self, wanted: Mapping[str, Any]) -> NamespaceState:
        """Returns the state of the Namespace of an object; USABLE for an object without one."""
        name = wanted["metadata"].get("namespace", "")
        if not name:
            return NamespaceState.USABLE
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        try:
            live = self.find_listed(namespace)
        except ApiError as exc:
            # A user who may not read Namespaces gets the server's own refusal of the write.
            if exc.status == 403:
                return NamespaceState.USABLE
            raise
        if live is None:
            return NamespaceState.MISSING
        return NamespaceState.TERMINATING if is_terminating(live) else NamespaceState.USABLE

    def is_terminating_with_namespace(self, live: Object) -> bool:
        """Returns True for an object that is being deleted, by itself or with its Namespace."""
        return is_terminating(live) or bool(self.find_terminating_namespace(live))

    def read(self, state: ObjectState, *, listed: bool = False) -> ObjectState | None:
        """Returns the state with the object as it is now; None when it is gone.

        With `listed` the object may be ten seconds old, and it needs no call of its own. An object
        that somebody else recreated counts as ours if it has the recorded labels, else as gone.
        """
        live = self._find_live(state, listed=listed)
        if live is None:
            return None
        manager = field_manager("", state, state.inputs)
        # Without its labels it may be an object of another team that only has the same name.
        if was_recreated_by_others(live, state, manager) and not has_recorded_labels(live, state):
            return None
        return with_live(state, live)

    def find_replacement(self, state: ObjectState, *, listed: bool = False) -> Object | None:
        """Returns the object of others that has the name of a recorded one, for which `read` is
        None; None if there is none, or if it is being deleted."""
        live = self._find_live(state, listed=listed)
        return None if live is None or is_terminating(live) else live

    def find_recreated(self, state: ObjectState, *, listed: bool = False) -> Object | None:
        """Returns the object that somebody else created under the name of a recorded one.

        None if there is none, or if it is being deleted. Its labels do not matter: the caller is
        about to delete the recorded object, and this is another one.
        """
        live = self._find_live(state, listed=listed)
        if live is None or is_terminating(live):
            return None
        manager = field_manager("", state, state.inputs)
        return live if was_recreated_by_others(live, state, manager) else None

    def _find_live(self, state: ObjectState, *, listed: bool) -> Object | None:
        wanted = self._build_recorded(state)
        return self.find_listed(wanted) if listed else self.get_live(wanted)

    def find_own(self, urn: str, inputs: Object) -> ObjectState | None:
        """Returns the object that an interrupted `create` has created; None if there is none.

        An object that is being deleted counts as gone. Raises AlreadyExistsError for an object that
        this stack does not manage.
        """
        wanted = self._build_sent(inputs, urn)
        live = self.get_live(wanted)
        if live is None or is_terminating(live):
            return None
        manager = find_own_manager(live, wanted, field_manager(urn, None, wanted))
        return build_state(live, wanted, manager)

    def _build_recorded(self, state: ObjectState) -> Object:
        """Builds the object that a recorded state was sent as, with the name that it has.

        The CLI creates objects with metadata.generateName, whose inputs have no name. EngineError.
        """
        metadata = state.inputs.get("metadata") or {}
        if metadata.get("name") or not metadata.get("generateName"):
            return self._build_sent(state.inputs, state.id)
        named = {**metadata, "name": state.id.rpartition("/")[2]}
        return self._build_sent({**state.inputs, "metadata": named}, state.id)

    def _build_sent(self, inputs: Mapping[str, Any], where: str) -> Object:
        """Builds the object that create, update and diff send, from a resource's inputs.

        The inputs are not changed. The state records this object, in the same form as the CLI.
        `where` names the resource in errors. Raises EngineError for inputs without apiVersion, kind
        or name.
        """
        obj: Object = without_internal(inputs)
        for key in ("apiVersion", "kind"):
            if not obj.get(key):
                raise EngineError(f"{where}: its inputs have no {key}; every object needs one")
        obj["metadata"] = metadata = dict(obj.get("metadata") or {})
        if not metadata.get("name"):
            raise EngineError(
                f"{where}: {obj['kind']} has no metadata.name; the embedded engine generates no "
                "names, so give it one"
            )
        if self._is_namespaced(obj):
            metadata["namespace"] = metadata.get("namespace") or DEFAULT_NAMESPACE
        else:
            metadata.pop("namespace", None)
        is_secret = obj["kind"] == "Secret" and obj["apiVersion"] == "v1"
        return encode_string_data(obj) if is_secret else obj

    def _is_namespaced(self, obj: Object) -> bool:
        try:
            return self._client.served_kind(obj["apiVersion"], obj["kind"]).namespaced
        except KindNotServedError:
            return bool(obj["metadata"].get("namespace"))

    def is_switched_off(self, live: Object, ignore_changes: Sequence[str]) -> bool:
        """Returns True for a Deployment with 0 replicas that its autoscaler leaves at 0.

        An autoscaler leaves an object with 0 replicas alone, so nobody would ever put them back.
        This also holds for an autoscaler that `up` has yet to create: the catalog had no replicas
        before, or somebody has deleted the autoscaler. Only one with minReplicas 0 scales up again.
        """
        if REPLICAS_FIELD not in ignore_changes or live["spec"].get("replicas") != 0:
            return False
        # Our autoscaler has the name of the Deployment.
        names = {key: live["metadata"].get(key) for key in ("name", "namespace")}
        autoscaler = self.find_listed({**_AUTOSCALER, "metadata": names})
        return autoscaler is None or autoscaler["spec"].get("minReplicas") != 0


def _scope(obj: Mapping[str, Any]) -> Scope:
    return (obj["apiVersion"], obj["kind"], obj["metadata"].get("namespace", ""))
