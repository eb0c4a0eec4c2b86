"""The verbs of a Kubernetes API server over plain dictionaries.

Plain dictionaries, because a typed model would drop the fields that it does not know. lightkube's
own client is typed, so only its connection is used.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from framework.core.errors import ClusterError
from framework.kube.api_error import ApiError, build_api_error
from framework.kube.connection import ApiConnection
from framework.kube.objects import Object, group_of, is_terminating, object_name

APPLY_PATCH = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"
# Seconds before each repetition of a write that came at the same time as another one.
CONFLICT_PAUSES = (0.1, 0.3, 1.0)
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
# All kinds in one answer. A server behind the API server that does not answer is only marked in it.
DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
# Objects in one answer of a list.
PAGE = 500


class KindNotServedError(ClusterError):
    """The server does not serve this kind: its CustomResourceDefinition is missing."""

    def __init__(self, api_version: str, kind: str, served: list[str]) -> None:
        self.api_version, self.kind, self.served = api_version, kind, served
        kinds = ", ".join(served) or "nothing: the server does not serve it at all"
        super().__init__(
            f"{api_version} {kind}: the server does not serve this kind; "
            f"{api_version} has: {kinds}; "
            "install its CustomResourceDefinition or use another apiVersion"
        )


@dataclass(frozen=True)
class ServedKind:
    """The path of a kind on the server: `prefix` `/apis/apps/v1`, `plural` `deployments`."""

    prefix: str
    plural: str
    namespaced: bool


class KubeClient:
    """A client of one API server. Thread-safe; close it, or use it in a `with` statement."""

    def __init__(self, connection: ApiConnection) -> None:
        self.connection = connection
        self._served: dict[str, dict[str, ServedKind]] = {}
        self._groups: dict[str, list[str]] | None = None
        self._version: tuple[int, int] | None = None
        self._lock = threading.Lock()

    @classmethod
    def connect(cls, kubeconfig: Path, context: str, *, advice: str = "") -> Self:
        """Connects to the context's server and checks that it responds.

        `advice` is the next step where the file is missing or the server does not answer; "" gives
        general advice. Raises ClusterError.
        """
        client = cls(ApiConnection.open(kubeconfig, context, advice))
        try:
            client.server_version()
        except BaseException:
            client.close()
            raise
        return client

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends every watch and connection; a second call does nothing."""
        self.connection.close()

    @property
    def closed(self) -> bool:
        """True once `close` was called."""
        return self.connection.closed

    @property
    def server(self) -> str:
        """The address of the API server."""
        return self.connection.server

    def server_version(self) -> tuple[int, int]:
        """Returns the server's version, such as (1, 37). It is read once."""
        if self._version is None:
            answer = self.connection.request("GET", "/version", "the server's version")
            self._version = _digits(answer["major"]), _digits(answer["minor"])
        return self._version

    def cluster_uid(self) -> str:
        """Returns the UID of the kube-system Namespace, which no two clusters share."""
        try:
            namespace = self.get("v1", "Namespace", "kube-system")
        except ApiError as exc:
            if exc.status != 403:
                raise
            raise ClusterError(
                f"{exc}; the UID of this Namespace identifies the cluster, so that no stack is "
                "applied to another one by mistake; ask for a ClusterRole that allows `get` of "
                "`namespaces` with resourceNames [kube-system]"
            ) from exc
        if namespace is None:
            raise ClusterError(f"{self.server}: has no Namespace kube-system; is it a cluster?")
        return str(namespace["metadata"]["uid"])

    def served_kind(self, api_version: str, kind: str) -> ServedKind:
        """Returns the path of a kind on the server. Raises KindNotServedError.

        Each group version is read once. It is read again only when a kind is missing from it,
        because its CustomResourceDefinition may have been installed since.
        """
        served = self._served.get(api_version, {}).get(kind)
        if served is not None:
            return served
        with self._lock:
            # Asked again inside the lock: another thread may have read the group version while this
            # one waited.
            if kind not in self._served.get(api_version, {}):
                self._served[api_version] = self._discover(api_version)
            kinds = self._served[api_version]
        if kind not in kinds:
            raise KindNotServedError(api_version, kind, sorted(kinds))
        return kinds[kind]

    def find_served_version(self, group: str, kind: str) -> str:
        """Returns the first apiVersion in which the server serves a kind, "" if it serves none.

        The version that the server prefers is tried first.
        """
        with self._lock:
            if self._groups is None:
                self._groups = self._discover_groups()
            versions = self._groups.get(group, ())
        for api_version in versions:
            try:
                self.served_kind(api_version, kind)
            except KindNotServedError:
                continue
            return api_version
        return ""

    def _discover_groups(self) -> dict[str, list[str]]:
        """Returns the apiVersions of each API group, the preferred one first."""
        found = {}
        for group in self.connection.request("GET", "/apis", "/apis")["groups"]:
            preferred = group["preferredVersion"]["groupVersion"]
            others = [version["groupVersion"] for version in group["versions"]]
            others = [version for version in others if version != preferred]
            found[group["name"]] = [preferred, *others]
        return found

    def _discover(self, api_version: str) -> dict[str, ServedKind]:
        prefix = _prefix(api_version)
        try:
            answer = self.connection.request("GET", prefix, prefix)
        except ApiError as exc:
            if exc.status == 404:
                return {}
            raise
        # A subresource has a name with a slash, such as deployments/scale.
        return {
            item["kind"]: ServedKind(prefix, item["name"], item["namespaced"])
            for item in answer["resources"] or ()
            if "/" not in item["name"]
        }

    def list_namespaced_kinds(self) -> tuple[dict[tuple[str, str], str], list[str]]:
        """Returns the apiVersion of each kind that is deleted with a Namespace, by group and kind.

        Its objects can be listed and deleted. The apiVersion is the one that the server prefers.
        The second value are the apiVersions whose kinds are unknown, because the server behind the
        API server does not answer. ApiError for a server older than Kubernetes 1.30.
        """
        kinds: dict[tuple[str, str], str] = {}
        unknown = []
        for api_version, version in self._discover_all():
            if version.get("freshness") == "Stale":
                unknown.append(api_version)
                continue
            served = {}
            # A server of metrics has no resources while nobody uses a metric.
            for item in version.get("resources") or ():
                kind = str((item.get("responseKind") or {}).get("kind") or "")
                is_namespaced = item["scope"] == "Namespaced"
                served[kind] = ServedKind(_prefix(api_version), item["resource"], is_namespaced)
                if kind and is_namespaced and {"list", "delete"} <= {*(item["verbs"] or ())}:
                    kinds.setdefault((group_of(api_version), kind), api_version)
            with self._lock:
                self._served[api_version] = served
        return kinds, unknown

    def _discover_all(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yields each apiVersion with its entry in the discovery, the preferred ones first."""
        for path in ("/api", "/apis"):
            answer = self.connection.request("GET", path, path, accept=DISCOVERY)
            if "items" not in answer:
                # From a proxy that does not pass `Accept` on.
                raise ApiError(path, 406, "NotAcceptable", "the answer does not have the kinds")
            for group in answer["items"]:
                name = group["metadata"].get("name", "")
                for version in group.get("versions") or ():
                    yield f"{name}/{version['version']}" if name else version["version"], version

    def get(self, api_version: str, kind: str, name: str, namespace: str = "") -> Object | None:
        """Returns the object, or None when there is none."""
        path = self._path(api_version, kind, namespace, name)
        try:
            obj: Object = self.connection.request("GET", path, _where(kind, namespace, name))
            return obj
        except ApiError as exc:
            if exc.status == 404:
                return None
            raise

    def list_objects(
        self,
        api_version: str,
        kind: str,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
    ) -> list[Object]:
        """Returns every object of a kind with its apiVersion and kind; "" is all Namespaces."""
        query = _query(labelSelector=labels, fieldSelector=fields)
        return self._list_pages(api_version, kind, namespace, query)[0]

    def list_with_version(
        self, api_version: str, kind: str, namespace: str = ""
    ) -> tuple[list[Object], str]:
        """Lists as `list_objects` does, and returns the resourceVersion a watch continues from."""
        return self._list_pages(api_version, kind, namespace, {})

    def list_metadata(self, api_version: str, kind: str, namespace: str = "") -> list[Object]:
        """Returns only the metadata of every object of a kind: never a Secret's data."""
        return self._list_pages(api_version, kind, namespace, {}, METADATA_LIST)[0]

    def _list_pages(
        self, api_version: str, kind: str, namespace: str, query: dict[str, str], accept: str = ""
    ) -> tuple[list[Object], str]:
        path = self._path(api_version, kind, namespace)
        where = f"list of {kind} in {namespace or 'all'}"
        items: list[Object] = []
        page = {"limit": str(PAGE), **query}
        while True:
            try:
                answer = self.connection.request("GET", path, where, page, accept=accept)
            except ApiError as exc:
                # All pages show the same moment, which the server keeps for some minutes only.
                # So the list is read again, in one answer.
                if exc.status != 410 or "continue" not in page:
                    raise
                items, page = [], query
                continue
            # The items of a list have no apiVersion and kind; in a list of metadata they have those
            # of PartialObjectMetadata.
            items += [
                {**item, "apiVersion": api_version, "kind": kind} for item in answer["items"] or ()
            ]
            rest = str(answer["metadata"].get("continue") or "")
            if not rest:
                return items, str(answer["metadata"].get("resourceVersion", ""))
            page = {**page, "continue": rest}

    def list_names(self, api_version: str, kind: str, namespace: str = "") -> frozenset[str]:
        """Returns the names of all objects of a kind, without those that are being deleted."""
        items = self.list_metadata(api_version, kind, namespace)
        return frozenset(item["metadata"]["name"] for item in items if not is_terminating(item))

    def watch(
        self,
        api_version: str,
        kind: str,
        namespace: str = "",
        *,
        timeout_s: float = 60,
        resource_version: str = "",
    ) -> Iterator[tuple[str, Object]]:
        """Yields (ADDED | MODIFIED | DELETED | BOOKMARK, object) until `timeout_s` or `close`.

        Without `resource_version` the existing objects come first, as ADDED. Raises ApiError 410 if
        that version is too old, ClusterError if the stream breaks. The caller then lists again.
        """
        query = _query(
            watch="true",
            allowWatchBookmarks="true",
            timeoutSeconds=str(max(1, round(timeout_s))),
            resourceVersion=resource_version,
        )
        path = self._path(api_version, kind, namespace)
        where = f"watch of {kind} in {namespace or 'all'}"
        with closing(self.connection.stream(path, where, query, timeout_s)) as lines:
            for line in lines:
                event, item = _parse_event(line, where)
                # The response has the status 200 already, so the server sends a later error as an
                # event.
                if event == "ERROR":
                    raise build_api_error(where, item.get("code", 500), json.dumps(item).encode())
                yield event, item

    def apply(self, obj: Mapping[str, Any], *, manager: str, force: bool, dry_run: bool) -> Object:
        """Applies on the server with strict field validation; returns the object afterwards."""
        query = _query(
            fieldManager=manager,
            force="true" if force else "false",
            fieldValidation="Strict",
            dryRun="All" if dry_run else "",
        )
        return self._write("PATCH", obj, APPLY_PATCH, query, obj["metadata"]["name"])

    def create(self, obj: Mapping[str, Any], *, manager: str, dry_run: bool = False) -> Object:
        """Sends a POST. Raises ApiError 409 AlreadyExists when the name is taken."""
        query = _query(
            fieldManager=manager, fieldValidation="Strict", dryRun="All" if dry_run else ""
        )
        return self._write("POST", obj, "application/json", query)

    def replace(self, obj: Mapping[str, Any], *, manager: str, dry_run: bool = False) -> Object:
        """Sends a PUT. Raises ApiError 409 where the object's resourceVersion is not current."""
        query = _query(fieldManager=manager, dryRun="All" if dry_run else "")
        return self._write("PUT", obj, "application/json", query, obj["metadata"]["name"])

    def _write(
        self,
        verb: str,
        obj: Mapping[str, Any],
        media: str,
        query: Mapping[str, str],
        name: str = "",
    ) -> Object:
        """Sends an object; repeats the request if somebody else writes at the same time."""
        namespace = obj["metadata"].get("namespace", "")
        path = self._path(obj["apiVersion"], obj["kind"], namespace, name)
        where = f"{obj['kind']} {object_name(obj['metadata'])}"
        pauses = iter(CONFLICT_PAUSES)
        while True:
            try:
                written: Object = self.connection.request(verb, path, where, query, obj, media)
                return written
            except ApiError as exc:
                pause = next(pauses, None)
                if pause is None or not exc.is_concurrent_write:
                    raise
                time.sleep(pause)

    def json_patch(
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: str = "",
        *,
        operations: Sequence[Mapping[str, Any]],
        manager: str,
    ) -> Object:
        """Applies RFC 6902 operations, all or none; returns the object afterwards."""
        path = self._path(api_version, kind, namespace, name)
        query = _query(fieldManager=manager)
        where = _where(kind, namespace, name)
        patched: Object = self.connection.request(
            "PATCH", path, where, query, operations, JSON_PATCH
        )
        return patched

    def delete(
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: str = "",
        *,
        uid: str = "",
        propagation: str = "Foreground",
    ) -> None:
        """Requests the deletion of an object, and returns before it is gone.

        A missing object is not an error. With `uid`, another object of the same name is not deleted
        (ApiError 409). With Foreground, the object stays until everything that it owns is gone, its
        Pods included.
        """
        path = self._path(api_version, kind, namespace, name)
        body: Object = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": propagation,
        }
        if uid:
            body["preconditions"] = {"uid": uid}
        try:
            where = _where(kind, namespace, name)
            self.connection.request("DELETE", path, where, None, body, "application/json")
        except ApiError as exc:
            if exc.status != 404:
                raise

    def _path(self, api_version: str, kind: str, namespace: str, name: str = "") -> str:
        served = self.served_kind(api_version, kind)
        scope = f"/namespaces/{namespace}" if served.namespaced and namespace else ""
        return f"{served.prefix}{scope}/{served.plural}" + (f"/{name}" if name else "")


def _prefix(api_version: str) -> str:
    # The core group has no name and a path of its own: `/api/v1`, but `/apis/apps/v1`.
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def _parse_event(line: str, where: str) -> tuple[str, Object]:
    try:
        event = json.loads(line)
        return str(event["type"]), dict(event["object"])
    except (ValueError, TypeError, KeyError) as exc:
        # The connection broke in the middle of a line.
        raise ClusterError(f"{where}: an event is incomplete; list the objects again") from exc


def _query(**params: str) -> dict[str, str]:
    return {name: value for name, value in params.items() if value}


def _digits(text: str) -> int:
    # Vendors append to the minor version: "33+".
    return int("".join(char for char in text if char.isdigit()) or 0)


def _where(kind: str, namespace: str, name: str) -> str:
    return f"{kind} {object_name({'namespace': namespace, 'name': name})}"
