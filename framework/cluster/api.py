"""Requests to the local cluster's own API server, and the simulated nodes that are created there.

Uses the standard library's HTTP client and the administrator's certificate, so that neither the
user's kubeconfig nor the proxy settings of the machine have any influence.
"""

from __future__ import annotations

import hashlib
import json
import ssl
from collections.abc import Iterable, Mapping
from http.client import HTTPException, HTTPSConnection
from typing import Any, Self

from framework.cluster.layout import LOOPBACK, Layout
from framework.core.errors import LocalClusterError

# The label of the nodes that this module creates.
SIMULATED = "modelcatalog/simulated"
# The annotation with a digest of the manifest. If the digest of a node differs, another version of
# this file has created it.
TEMPLATE = "modelcatalog/template"
_APPLY = "fieldManager=modelcatalog-cluster&force=true"
_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
_NOT_READY_TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_ZONES = ("local-a", "local-b", "local-c")
# Enough for a generated catalog of a thousand models, and a few GPUs.
_CPU_NODES, _GPU_NODES = 6, 2
_CPU_NODE = {"cpu": "256", "memory": "1Ti", "ephemeral-storage": "4Ti", "pods": "2000"}
_GPU_NODE = {**_CPU_NODE, "cpu": "128", "pods": "500", "nvidia.com/gpu": "16"}
_GPU_LABELS = {"nvidia.com/gpu.product": "NVIDIA-L4", "nvidia.com/gpu.present": "true"}
# Real GPU nodes carry this taint, too.
_GPU_TAINT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}


class LoopbackClient:
    """An HTTPS connection to one component with the administrator's certificate."""

    def __init__(self, layout: Layout, port: int, timeout: float = 10.0) -> None:
        context = ssl.create_default_context(cafile=layout.certificate("ca"))
        context.load_cert_chain(layout.certificate("admin"), layout.key("admin"))
        self._connection = HTTPSConnection(LOOPBACK, port, timeout=timeout, context=context)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def is_ok(self, path: str) -> bool:
        """Returns True if a GET of `path` yields 200."""
        try:
            return self._send("GET", path, None)[0] == 200
        except (OSError, HTTPException):
            return False

    def request(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Returns the JSON of the response; raises LocalClusterError if the request fails."""
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
            # The connection cannot be used again, because the request or its response is not
            # complete. After close(), http.client reconnects at the next request.
            self._connection.close()
            raise


class ApiServer(LoopbackClient):
    """The requests to the API server that create and inspect the simulated nodes."""

    def list_nodes(self) -> list[dict[str, Any]]:
        """Returns every node, also those that the user has added."""
        return list(self.request("GET", "/api/v1/nodes")["items"])

    def find_outdated_nodes(self) -> list[dict[str, Any]]:
        """Returns the manifests of the nodes that are missing or differ from their manifest."""
        live = {node["metadata"]["name"]: node for node in self.list_nodes()}
        return [
            node
            for node in build_nodes()
            if node["metadata"]["name"] not in live
            or not is_current(live[node["metadata"]["name"]], node)
        ]

    def apply_node(self, node: Mapping[str, Any]) -> None:
        """Creates or updates a node."""
        # The API server accepts `status` when the node is created. Later it can only be changed
        # through the subresource.
        path = f"/api/v1/nodes/{node['metadata']['name']}"
        for resource in (path, f"{path}/status"):
            self.request("PATCH", f"{resource}?{_APPLY}", node)

    def has_leases(self, nodes: Iterable[Mapping[str, Any]]) -> bool:
        """Returns True if kwok holds the lease of each of these nodes."""
        held = {lease["metadata"]["name"] for lease in self.request("GET", _LEASES)["items"]}
        return all(node["metadata"]["name"] in held for node in nodes)

    def release_leases(self) -> None:
        """Deletes the leases of the nodes.

        A restarted kwok would otherwise wait 40 s, until the leases of its predecessor expire. No
        Pod becomes ready during that time.
        """
        self.request("DELETE", _LEASES)


def build_nodes() -> tuple[dict[str, Any], ...]:
    """Returns the manifests of all simulated nodes, sorted by name."""
    cpu = [_build_node(f"cpu-{n}", n, "simulated-cpu", _CPU_NODE) for n in range(1, _CPU_NODES + 1)]
    gpu = [
        _build_node(f"gpu-{n}", n, "simulated-gpu-l4", _GPU_NODE, _GPU_LABELS, [_GPU_TAINT])
        for n in range(1, _GPU_NODES + 1)
    ]
    return (*cpu, *gpu)


def is_current(live: Mapping[str, Any], desired: Mapping[str, Any]) -> bool:
    """Returns True if the live node was created from the desired manifest."""
    annotations = live["metadata"].get("annotations", {})
    return bool(annotations.get(TEMPLATE) == desired["metadata"]["annotations"][TEMPLATE])


def is_schedulable(node: Mapping[str, Any]) -> bool:
    """Returns True if the node is Ready and the controller has removed its not-ready taints.

    A node that the user has cordoned counts as schedulable.
    """
    conditions = node.get("status", {}).get("conditions", [])
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    taints = node.get("spec", {}).get("taints", [])
    return ready and not any(taint["key"] in _NOT_READY_TAINTS for taint in taints)


def is_simulated(node: Mapping[str, Any]) -> bool:
    """Returns True for a node of this module, False for one that the user has added."""
    return bool(node["metadata"].get("labels", {}).get(SIMULATED) == "true")


def _build_node(
    name: str,
    number: int,
    instance_type: str,
    resources: Mapping[str, str],
    labels: Mapping[str, str] | None = None,
    taints: list[dict[str, str]] | None = None,
) -> dict[str, Any]:
    node: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                # kwok manages the nodes that have this label.
                "type": "kwok",
                SIMULATED: "true",
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "node.kubernetes.io/instance-type": instance_type,
                "topology.kubernetes.io/region": "local",
                "topology.kubernetes.io/zone": _ZONES[(number - 1) % len(_ZONES)],
                **(labels or {}),
            },
        },
        "spec": {"taints": taints} if taints else {},
        "status": {"capacity": dict(resources), "allocatable": dict(resources)},
    }
    digest = hashlib.sha256(json.dumps(node, sort_keys=True).encode()).hexdigest()[:12]
    node["metadata"]["annotations"] = {TEMPLATE: digest}
    return node


def _failure(method: str, path: str, reason: str) -> LocalClusterError:
    return LocalClusterError(
        f"local cluster: {method} {path} failed: {reason}; run `make cluster-down` and "
        "`make cluster-up`; for more, see logs/kube-apiserver.log in the cluster's directory"
    )
