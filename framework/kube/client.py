"""The verbs of a Kubernetes API server over plain dictionaries.

Kept apart from what is decided with them (provider.py, rollouts.py). Raw dictionaries, because a
typed model would drop fields it does not know; lightkube's own client is typed, so only its
connection is used. One client serves many threads.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Self

from framework.core.errors import ClusterError
from framework.kube.api_error import ApiError, build_api_error
from framework.kube.connection import advise_server, open_connection
from framework.kube.discovery import Discovery, Resource
from framework.kube.object_name import object_name
from framework.kube.transport import Transport

Object = dict[str, Any]

APPLY_PATCH = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"


class KubeClient:
    """A connection to one API server. Thread-safe; close it, or use it in a `with`."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self._discovery = Discovery(self._group_version)

    @classmethod
    def connect(cls, kubeconfig: Path, context: str, *, advice: str = "") -> Self:
        """Open the context's server and make sure that it answers.

        `advice` is what to do when it does not, or when there is no such file; "" is the general
        advice for a cluster of somebody else's.
        """
        http = open_connection(kubeconfig, context, advice)
        client = cls(Transport(http, advice or advise_server(kubeconfig, context)))
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
        """End every watch and connection; a second call does nothing."""
        self.transport.close()

    @property
    def closed(self) -> bool:
        """True once `close` was called."""
        return self.transport.closed

    @property
    def server(self) -> str:
        """The address of the API server."""
        return self.transport.server

    def server_version(self) -> tuple[int, int]:
        """The server's version, such as (1, 37)."""
        answer = self.transport.request("GET", "/version", "the server's version")
        return _digits(answer["major"]), _digits(answer["minor"])

    def cluster_uid(self) -> str:
        """The UID of the kube-system Namespace: it differs once a cluster was made anew."""
        found = self.get("v1", "Namespace", "kube-system")
        if found is None:
            raise ClusterError(f"{self.server}: has no Namespace kube-system; is it a cluster?")
        return str(found["metadata"]["uid"])

    def resource(self, api_version: str, kind: str) -> Resource:
        """How the server serves a kind; KindNotServedError when it does not."""
        return self._discovery.resource(api_version, kind)

    def _group_version(self, prefix: str) -> Object | None:
        try:
            answer: Object = self.transport.request("GET", prefix, prefix)
        except ApiError as exc:
            if exc.status == 404:
                return None
            raise
        return answer

    def get(self, api_version: str, kind: str, name: str, namespace: str = "") -> Object | None:
        """The object, or None when there is none."""
        path = self._path(api_version, kind, namespace, name)
        try:
            found: Object = self.transport.request("GET", path, _where(kind, namespace, name))
            return found
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
        """Every object of a kind, each with its apiVersion and kind; "" is all namespaces."""
        return self.list_at(api_version, kind, namespace, labels=labels, fields=fields)[0]

    def list_at(
        self,
        api_version: str,
        kind: str,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
    ) -> tuple[list[Object], str]:
        """As `list_objects`, and the resourceVersion from which a watch goes on."""
        query = _query(labelSelector=labels, fieldSelector=fields)
        path = self._path(api_version, kind, namespace)
        answer = self.transport.request(
            "GET", path, f"list of {kind} in {namespace or 'all'}", query
        )
        items = [{"apiVersion": api_version, "kind": kind, **item} for item in answer["items"]]
        return items, str(answer["metadata"].get("resourceVersion", ""))

    def watch(
        self,
        api_version: str,
        kind: str,
        namespace: str = "",
        *,
        labels: str = "",
        timeout_s: float = 60,
        resource_version: str = "",
    ) -> Iterator[tuple[str, Object]]:
        """Events as (ADDED|MODIFIED|DELETED|BOOKMARK, object) until `timeout_s` or `close`.

        Without `resource_version` what exists comes first, as ADDED. ApiError 410 when that
        version is too old, ClusterError when the stream breaks: list again.
        """
        query = _query(
            labelSelector=labels,
            watch="true",
            allowWatchBookmarks="true",
            timeoutSeconds=str(max(1, round(timeout_s))),
            resourceVersion=resource_version,
        )
        path = self._path(api_version, kind, namespace)
        where = f"watch of {kind} in {namespace or 'all'}"
        with closing(self.transport.stream(path, where, query, timeout_s)) as lines:
            for line in lines:
                kind_of_event, item = _parse_event(line, where)
                if kind_of_event == "ERROR":
                    raise build_api_error(where, item.get("code", 500), json.dumps(item).encode())
                yield kind_of_event, item

    def apply(self, obj: Mapping[str, Any], *, manager: str, force: bool, dry_run: bool) -> Object:
        """Server-side apply with strict field validation; returns the object as it is then."""
        query = _query(
            fieldManager=manager,
            force="true" if force else "false",
            fieldValidation="Strict",
            dryRun="All" if dry_run else "",
        )
        return self._write("PATCH", obj, APPLY_PATCH, query, _name(obj))

    def create(self, obj: Mapping[str, Any], *, manager: str, dry_run: bool = False) -> Object:
        """POST; ApiError 409 AlreadyExists when the name is taken."""
        query = _query(
            fieldManager=manager, fieldValidation="Strict", dryRun="All" if dry_run else ""
        )
        return self._write("POST", obj, "application/json", query, "")

    def replace(self, obj: Mapping[str, Any], *, manager: str, dry_run: bool = False) -> Object:
        """PUT; with a resourceVersion in the object, 409 when it has changed since."""
        query = _query(fieldManager=manager, dryRun="All" if dry_run else "")
        return self._write("PUT", obj, "application/json", query, _name(obj))

    def _write(
        self, verb: str, obj: Mapping[str, Any], media: str, query: Mapping[str, str], name: str
    ) -> Object:
        namespace = obj["metadata"].get("namespace", "")
        path = self._path(obj["apiVersion"], obj["kind"], namespace, name)
        where = f"{obj['kind']} {object_name(obj['metadata'])}"
        written: Object = self.transport.request(verb, path, where, query, obj, media)
        return written

    def json_patch(
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: str = "",
        *,
        operations: Sequence[Mapping[str, Any]],
        manager: str,
        dry_run: bool = False,
    ) -> Object:
        """RFC 6902 operations, all or none."""
        path = self._path(api_version, kind, namespace, name)
        query = _query(fieldManager=manager, dryRun="All" if dry_run else "")
        where = _where(kind, namespace, name)
        patched: Object = self.transport.request(
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
        """Ask for deletion; what is already gone is fine. Returns before the object is gone.

        With `uid` an object made anew under the same name is left alone (ApiError 409).
        Foreground: the object stays until what it owns, its Pods included, is gone.
        """
        path = self._path(api_version, kind, namespace, name)
        body: Object = {"apiVersion": "v1", "kind": "DeleteOptions"}
        body["propagationPolicy"] = propagation
        if uid:
            body["preconditions"] = {"uid": uid}
        try:
            where = _where(kind, namespace, name)
            self.transport.request("DELETE", path, where, None, body, "application/json")
        except ApiError as exc:
            if exc.status != 404:
                raise

    def _path(self, api_version: str, kind: str, namespace: str, name: str = "") -> str:
        found = self.resource(api_version, kind)
        scope = f"/namespaces/{namespace}" if found.namespaced and namespace else ""
        return f"{found.prefix}{scope}/{found.plural}" + (f"/{name}" if name else "")


def _parse_event(line: str, where: str) -> tuple[str, Object]:
    try:
        event = json.loads(line)
        return str(event["type"]), dict(event["object"])
    except (ValueError, TypeError, KeyError) as exc:
        # The connection was cut in the middle of a line.
        raise ClusterError(f"{where}: an event is not complete; list the objects again") from exc


def _query(**params: str) -> dict[str, str]:
    return {name: value for name, value in params.items() if value}


def _digits(text: str) -> int:
    # Vendors append to the minor version: "33+".
    return int("".join(char for char in text if char.isdigit()) or 0)


def _name(obj: Mapping[str, Any]) -> str:
    return str(obj["metadata"].get("name", ""))


def _where(kind: str, namespace: str, name: str) -> str:
    return f"{kind} {object_name({'namespace': namespace, 'name': name})}"
