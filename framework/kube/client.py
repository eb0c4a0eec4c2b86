"""The verbs of a Kubernetes API server over plain dictionaries.

Kept apart from what is decided with them (provider.py, rollouts.py). Raw dictionaries, because a
typed model would drop fields it does not know; lightkube's own client is typed, so only its
connection is used. One client serves many threads.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import httpx2 as httpx
from lightkube.core.exceptions import ConfigError

from framework.errors import ClusterError
from framework.kube.api_error import ApiError, build_api_error
from framework.kube.connection import advise, open_connection, rejected_credentials, unreachable
from framework.kube.discovery import Discovery, Resource

Object = dict[str, Any]
Objects = list[Object]


APPLY_PATCH = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"
ATTEMPTS = 6
# The server asks to come back (flow control, a leader election); anything else is an answer.
BUSY = frozenset({429, 503})


class KubeClient:
    """A connection to one API server. Thread-safe; close it, or use it in a `with`."""

    def __init__(self, http: httpx.Client, advice: str) -> None:
        self._http, self._advice = http, advice
        self._discovery = Discovery(self._group_version)
        self._streams: set[socket.socket] = set()
        self._closed = threading.Event()

    @classmethod
    def connect(cls, kubeconfig: Path, context: str) -> Self:
        """Open the context's server and make sure that it answers."""
        client = cls(open_connection(kubeconfig, context), advise(kubeconfig))
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
        self._closed.set()
        for stream in tuple(self._streams):
            _shut(stream)
        self._http.close()

    @property
    def closed(self) -> bool:
        """True once `close` was called."""
        return self._closed.is_set()

    @property
    def server(self) -> str:
        """The address of the API server."""
        return str(self._http.base_url).rstrip("/")

    # --- what the server is

    def server_version(self) -> tuple[int, int]:
        """The server's version, such as (1, 37)."""
        answer = self._request("GET", "/version", "the server's version")
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
            answer: Object = self._request("GET", prefix, prefix)
        except ApiError as exc:
            if exc.status == 404:
                return None
            raise
        return answer

    # --- reading

    def get(self, api_version: str, kind: str, name: str, namespace: str = "") -> Object | None:
        """The object, or None when there is none."""
        path = self._path(api_version, kind, namespace, name)
        try:
            found: Object = self._request("GET", path, f"{kind} {_label(namespace, name)}")
            return found
        except ApiError as exc:
            if exc.status == 404:
                return None
            raise

    def list(
        self,
        api_version: str,
        kind: str,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
    ) -> Objects:
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
    ) -> tuple[Objects, str]:
        """As `list`, and the resourceVersion from which a watch goes on."""
        query = _query(labelSelector=labels, fieldSelector=fields)
        path = self._path(api_version, kind, namespace)
        answer = self._request("GET", path, f"list of {kind} in {namespace or 'all'}", query)
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
        version is too old: list anew.
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
        try:
            with self._stream(path, where, query, timeout_s) as lines:
                for line in lines:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        status = event["object"]
                        raise build_api_error(
                            where, status.get("code", 500), json.dumps(status).encode()
                        )
                    yield event["type"], event["object"]
        except (httpx.TransportError, RuntimeError) as exc:
            # Closing breaks the stream; that is how a watch is ended.
            if not self.closed:
                raise unreachable(self.server, exc, self._advice) from exc

    @contextmanager
    def _stream(
        self, path: str, where: str, query: Mapping[str, str], timeout_s: float
    ) -> Iterator[Iterator[str]]:
        timeout = httpx.Timeout(timeout_s + 15, connect=5, pool=60)
        with self._http.stream("GET", path, params=query, timeout=timeout) as response:
            if response.status_code >= 400:
                raise build_api_error(where, response.status_code, response.read())
            raw = response.extensions["network_stream"].get_extra_info("socket")
            self._streams.add(raw)
            try:
                if self.closed:
                    return
                yield response.iter_lines()
            finally:
                self._streams.discard(raw)

    # --- writing

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
        where = f"{obj['kind']} {_label(namespace, _name(obj))}"
        written: Object = self._request(verb, path, where, query, obj, media)
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
        where = f"{kind} {_label(namespace, name)}"
        patched: Object = self._request("PATCH", path, where, query, operations, JSON_PATCH)
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
            where = f"{kind} {_label(namespace, name)}"
            self._request("DELETE", path, where, None, body, "application/json")
        except ApiError as exc:
            if exc.status != 404:
                raise

    # --- requests

    def _path(self, api_version: str, kind: str, namespace: str, name: str = "") -> str:
        found = self.resource(api_version, kind)
        scope = f"/namespaces/{namespace}" if found.namespaced and namespace else ""
        return f"{found.prefix}{scope}/{found.plural}" + (f"/{name}" if name else "")

    def _request(
        self,
        verb: str,
        path: str,
        where: str,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        media: str = "",
    ) -> Any:
        content = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": media} if media else None
        response = self._send(verb, path, query, content, headers)
        if response.status_code >= 400:
            sent = body if isinstance(body, Mapping) else None
            raise build_api_error(where, response.status_code, response.content, sent)
        return json.loads(response.content)

    def _send(
        self,
        verb: str,
        path: str,
        query: Mapping[str, str] | None,
        content: bytes | None,
        headers: Mapping[str, str] | None,
    ) -> httpx.Response:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                response = self._http.request(
                    verb, path, params=query, content=content, headers=headers
                )
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError) as exc:
                # An idle connection the server closed as we used it. A repeated POST would meet
                # its own first try, so only the verbs that say the same twice are repeated.
                if attempt > 2 or verb == "POST" or self.closed:
                    raise unreachable(self.server, exc, self._advice) from exc
                continue
            except (httpx.TransportError, RuntimeError) as exc:
                raise unreachable(self.server, exc, self._advice) from exc
            except (ConfigError, OSError, ValueError, KeyError) as exc:
                # Of the credential plugin: it is run by the first request.
                raise rejected_credentials(self.server, exc) from exc
            if response.status_code not in BUSY or attempt == ATTEMPTS:
                return response
            time.sleep(min(float(response.headers.get("Retry-After") or 1), 5))
        raise AssertionError("unreachable: the last attempt returns or raises")


def _query(**params: str) -> dict[str, str]:
    return {name: value for name, value in params.items() if value}


def _digits(text: str) -> int:
    # Vendors append to the minor version: "33+".
    return int("".join(char for char in text if char.isdigit()) or 0)


def _name(obj: Mapping[str, Any]) -> str:
    return str(obj["metadata"].get("name", ""))


def _label(namespace: str, name: str) -> str:
    return f"{namespace}/{name}" if namespace else name


def _shut(stream: socket.socket) -> None:
    # Wakes the thread that reads from it; closing alone would leave it waiting.
    try:
        stream.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
