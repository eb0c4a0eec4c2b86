"""A replacement that is killed between its deletion and its creation, on a real cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from framework.cluster.local import LocalCluster
from framework.kube.client import KubeClient
from tests.conftest import MakeProject, Project
from tests.faults.killing import CLI, EMBEDDED, RunUntil, run_cli, run_embedded
from tests.faults.proxy import FaultProxy, lead_through

pytestmark = [pytest.mark.cluster, pytest.mark.grid]


@pytest.fixture(params=[EMBEDDED, pytest.param(CLI, marks=pytest.mark.pulumi_cli)])
def engine(request: pytest.FixtureRequest) -> str:
    """The engine that is killed, and that finishes."""
    return str(request.param)


@pytest.fixture
def project(make_quick_project: MakeProject) -> Project:
    return make_quick_project("churn")


@pytest.fixture
def run(project: Project, local_cluster: LocalCluster, engine: str) -> Iterator[RunUntil]:
    if engine == EMBEDDED:
        yield run_embedded(project)
        return
    proxy = FaultProxy(local_cluster.kubeconfig)
    lead_through(project, proxy)
    yield run_cli(project, proxy)
    proxy.stop()


def replace_by_hand(kube: KubeClient, project: Project) -> None:
    """Recreates the Deployment with another selector and 8 replicas, so that `up` replaces it."""
    namespace = f"{project.namespace}-dev"
    live = kube.get("apps/v1", "Deployment", "churn", namespace)
    assert live
    spec, metadata = live["spec"], live["metadata"]
    extra = {"by": "hand"}
    spec["selector"]["matchLabels"] |= extra
    spec["template"]["metadata"]["labels"] |= extra
    kept = {key: metadata.get(key) or {} for key in ("labels", "annotations")}
    kept |= {"name": "churn", "namespace": namespace}
    kube.delete("apps/v1", "Deployment", "churn", namespace)
    wait_until(lambda: kube.get("apps/v1", "Deployment", "churn", namespace) is None)
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": kept}
    kube.create({**body, "spec": {**spec, "replicas": 8}}, manager="kubectl")
    # Nothing is deleted that is not the recorded object.
    project.succeed("refresh", "dev", "--yes", "--engine", EMBEDDED)


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(100):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("not within 10 s")


def test_replicas_survive_kills_between_deletion_and_creation(
    project: Project, run: RunUntil, kube: KubeClient, engine: str
) -> None:
    """An autoscaler has scaled to 8 Pods, and its minimum is 2."""
    namespace = f"{project.namespace}-dev"
    project.append("catalog/churn.yaml", "autoscaling: {minReplicas: 2, maxReplicas: 9, cpu: 80}\n")
    project.succeed("up", "dev", "--yes", "--engine", EMBEDDED)

    replace_by_hand(kube, project)
    points, _ = run(0, "up")
    deleted = next(
        number
        for number, point in enumerate(points, start=1)
        if point.startswith("after DELETE") and "/deployments/churn" in point
    )
    replace_by_hand(kube, project)
    # The second kill is before the new Deployment is written.
    for point in (deleted, 1):
        reached, killed = run(point, "up")
        assert killed, reached
        wait_until(lambda: kube.get("apps/v1", "Deployment", "churn", namespace) is None)
    project.succeed("up", "dev", "--yes", "--engine", engine)
    live = kube.get("apps/v1", "Deployment", "churn", namespace)
    assert live
    assert live["spec"]["replicas"] == 8
    assert "by" not in live["spec"]["selector"]["matchLabels"]
    assert not list((project.root / ".state").rglob("replicas/*/*.json"))
