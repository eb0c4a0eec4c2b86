"""Changes of live objects, as people make them with kubectl."""

from __future__ import annotations

from framework.kube.client import KubeClient
from tests.conftest import Project


def scale_by_hand(kube: KubeClient, project: Project, replicas: int) -> None:
    """Sets the replicas of the Deployment churn in dev."""
    metadata = {"name": "churn", "namespace": f"{project.namespace}-dev"}
    scaled = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata}
    kube.apply(
        {**scaled, "spec": {"replicas": replicas}}, manager="kubectl", force=True, dry_run=False
    )
