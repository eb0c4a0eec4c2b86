"""The local cluster: a real Kubernetes control plane on this machine, with simulated nodes.

etcd, kube-apiserver, kube-controller-manager and kube-scheduler are the real ones, built from the
modules that `tools/` pins; kwok stands in for the kubelets, so no container ever runs. Kept apart
from the engines, which see nothing of it but a kubeconfig.
"""

from __future__ import annotations

from framework.cluster.layout import FOLDER
from framework.cluster.local import LocalCluster
from framework.cluster.report import (
    START_ADVICE,
    ClusterProgress,
    ClusterStatus,
    ComponentStatus,
    OnProgress,
)

__all__ = [
    "FOLDER",
    "START_ADVICE",
    "ClusterProgress",
    "ClusterStatus",
    "ComponentStatus",
    "LocalCluster",
    "OnProgress",
]
