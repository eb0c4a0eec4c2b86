"""The simulated nodes: what they advertise, as Kubernetes objects.

Kept apart because their number and size are what a catalog meets here: enough for a generated one
of a thousand models, and a few GPUs behind the taint that real GPU nodes carry.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

SIMULATED = "modelcatalog/simulated"
# Tells a node that was made from another version of this module.
TEMPLATE = "modelcatalog/template"
_NOT_READY_TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_ZONES = ("local-a", "local-b", "local-c")
_CPU_NODES, _GPU_NODES = 6, 2
_CPU_NODE = {"cpu": "256", "memory": "1Ti", "ephemeral-storage": "4Ti", "pods": "2000"}
_GPU_NODE = {**_CPU_NODE, "cpu": "128", "pods": "500", "nvidia.com/gpu": "16"}
_GPU_LABELS = {"nvidia.com/gpu.product": "NVIDIA-L4", "nvidia.com/gpu.present": "true"}
_GPU_TAINT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}


def build_nodes() -> tuple[dict[str, Any], ...]:
    """Every node, in the order of their names."""
    cpu = (_build_node(f"cpu-{n}", n, "simulated-cpu", _CPU_NODE) for n in range(1, _CPU_NODES + 1))
    gpu = (_build_gpu_node(n) for n in range(1, _GPU_NODES + 1))
    return (*cpu, *gpu)


def is_current(live: Mapping[str, Any], desired: Mapping[str, Any]) -> bool:
    """Whether the live node was made from the same template as the desired one."""
    annotations = live["metadata"].get("annotations", {})
    return bool(annotations.get(TEMPLATE) == desired["metadata"]["annotations"][TEMPLATE])


def is_schedulable(node: Mapping[str, Any]) -> bool:
    """Whether it is Ready and the controller has noticed; a cordoned node is no less."""
    conditions = node.get("status", {}).get("conditions", [])
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    taints = node.get("spec", {}).get("taints", [])
    return ready and not any(taint["key"] in _NOT_READY_TAINTS for taint in taints)


def is_simulated(node: Mapping[str, Any]) -> bool:
    """Whether it is one of ours, and not one that the user has added."""
    return bool(node["metadata"].get("labels", {}).get(SIMULATED) == "true")


def _build_gpu_node(number: int) -> dict[str, Any]:
    node = _build_node(f"gpu-{number}", number, "simulated-gpu-l4", _GPU_NODE, _GPU_LABELS)
    return _with_template({**node, "spec": {"taints": [_GPU_TAINT]}})


def _build_node(
    name: str,
    number: int,
    instance_type: str,
    resources: Mapping[str, str],
    labels: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    metadata = {
        "name": name,
        "labels": {
            # The label by which kwok knows its own.
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
    }
    status = {"capacity": dict(resources), "allocatable": dict(resources)}
    return _with_template(
        {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "status": status}
    )


def _with_template(node: dict[str, Any]) -> dict[str, Any]:
    bare = {**node, "metadata": {**node["metadata"], "annotations": {}}}
    digest = hashlib.sha256(json.dumps(bare, sort_keys=True).encode()).hexdigest()[:12]
    return {**bare, "metadata": {**bare["metadata"], "annotations": {TEMPLATE: digest}}}
