"""The few questions the local cluster asks its own API server, over HTTP with the admin's key.

Kept apart as the only place here that knows HTTP. It uses neither the user's kubeconfig nor the
machine's proxy settings, and is no Kubernetes client for anyone else: the standard library's is
enough for it, and spares a `start` of a running cluster the import of a larger one.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterable, Mapping
from http.client import HTTPException, HTTPSConnection
from types import TracebackType
from typing import Any

from framework.cluster.layout import Layout
from framework.cluster.nodes import build_nodes, is_current
from framework.cluster.ports import LOOPBACK
from framework.core.errors import LocalClusterError

_APPLY = "fieldManager=modelcatalog-cluster&force=true"
_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"


class LoopbackClient:
    """Speaks as the administrator with one component; close it by leaving its `with`."""

    def __init__(self, layout: Layout, port: int, timeout: float = 10.0) -> None:
        context = ssl.create_default_context(cafile=layout.certificate("ca"))
        context.load_cert_chain(layout.certificate("admin"), layout.key("admin"))
        self._connection = HTTPSConnection(LOOPBACK, port, timeout=timeout, context=context)

    def __enter__(self) -> LoopbackClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def answers(self, path: str) -> bool:
        """Whether a GET of `path` yields 200."""
        try:
            return self._send("GET", path, None)[0] == 200
        except (OSError, HTTPException):
            return False

    def request(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The answer's JSON; LocalClusterError where there is none or it is a refusal."""
        try:
            status, text = self._send(method, path, body)
        except (OSError, HTTPException) as exc:
            raise _failure(method, path, str(exc) or type(exc).__name__) from exc
        if status >= 300:
            raise _failure(method, path, f"{status} {text.decode(errors='replace')[:300]}")
        return dict(json.loads(text))

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/apply-patch+yaml", "Accept": "application/json"}
        try:
            self._connection.request(method, path, json.dumps(body) if body else None, headers)
            response = self._connection.getresponse()
            return response.status, response.read()
        except (OSError, HTTPException):
            # Half an exchange would spoil the next one; a closed connection is opened anew.
            self._connection.close()
            raise


class ApiServer(LoopbackClient):
    """The API server's part in bringing the cluster up: nodes and their leases."""

    def __enter__(self) -> ApiServer:
        return self

    def list_nodes(self) -> list[dict[str, Any]]:
        """Every node, simulated or not."""
        return list(self.request("GET", "/api/v1/nodes")["items"])

    def outdated_nodes(self) -> list[dict[str, Any]]:
        """The simulated nodes that are not there yet, or not as they should be."""
        live = {node["metadata"]["name"]: node for node in self.list_nodes()}
        return [
            node
            for node in build_nodes()
            if (found := live.get(node["metadata"]["name"])) is None or not is_current(found, node)
        ]

    def apply_node(self, node: Mapping[str, Any]) -> None:
        """Create the node, or make it what it should be."""
        # The API server takes `status` at the birth of a node, and at its own address later.
        path = f"/api/v1/nodes/{node['metadata']['name']}"
        for address in (path, f"{path}/status"):
            self.request("PATCH", f"{address}?{_APPLY}", node)

    def has_leases(self, nodes: Iterable[Mapping[str, Any]]) -> bool:
        """Whether kwok has taken every one of these nodes in hand."""
        held = {lease["metadata"]["name"] for lease in self.request("GET", _LEASES)["items"]}
        return all(node["metadata"]["name"] in held for node in nodes)

    def release_leases(self) -> None:
        """Delete the nodes' leases.

        A kwok that has just started takes a node over only once its predecessor's lease has run
        out: forty seconds in which no Pod would become ready.
        """
        self.request("DELETE", _LEASES)


def _failure(method: str, path: str, reason: str) -> LocalClusterError:
    return LocalClusterError(
        f"local cluster: {method} {path} failed: {reason}; run `make cluster-down` and "
        "`make cluster-up`; logs/kube-apiserver.log in its directory tells more"
    )
