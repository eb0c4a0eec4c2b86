"""The local cluster: a real Kubernetes control plane on this machine, with simulated nodes.

etcd, kube-apiserver, kube-controller-manager and kube-scheduler are the upstream programs, built
from the Go modules that `tools/` pins. kwok takes the place of the kubelets, so no container runs.
The rest of the framework uses the cluster through its kubeconfig, like any other cluster.

Import `LocalCluster` from `framework.cluster.local`. Importing this package alone is cheap.
"""

from __future__ import annotations

from framework.cluster.report import (
    ClusterStatus,
    ComponentStatus,
)

FOLDER = ".cluster"
"""The cluster's directory below a project's root."""
START_ADVICE = "start the local cluster with `make cluster-up`"

__all__ = [
    "FOLDER",
    "START_ADVICE",
    "ClusterStatus",
    "ComponentStatus",
]
