"""Deletions that something holds: the run says what, and Ctrl-C is not a failure."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from framework.kube.client import KubeClient
from tests.conftest import Project
from tests.scenarios.following import run_and_react

pytestmark = pytest.mark.cluster
MakeProject = Callable[..., Project]
HOLD = "example.com/hold"


@pytest.fixture
def kube(kubeconfig: Path) -> Iterator[KubeClient]:
    with KubeClient.connect(kubeconfig, "local") as client:
        yield client


def set_finalizers(kube: KubeClient, namespace: str, pod: str, finalizers: list[str]) -> None:
    operation = {"op": "add", "path": "/metadata/finalizers", "value": finalizers}
    kube.json_patch("v1", "Pod", pod, namespace, operations=[operation], manager="tests")


def interrupt(run: subprocess.Popen[str]) -> None:
    run.send_signal(signal.SIGINT)


def test_pod_that_holds_a_deletion_is_named_and_an_interrupt_is_no_failure(
    make_live_project: MakeProject, kube: KubeClient
) -> None:
    project = make_live_project("churn", "fraud")
    run = project.run("up", "dev")
    assert run.returncode == 0, run.stdout + run.stderr
    namespace = f"{project.namespace}-dev"
    labels = "app.kubernetes.io/name=churn"
    name = kube.list_objects("v1", "Pod", namespace, labels=labels)[0]["metadata"]["name"]
    set_finalizers(kube, namespace, name, [HOLD])
    for path in (*project.root.glob("*/churn.yaml"), *project.root.glob("*/*/*/churn.yaml")):
        path.unlink()

    said, code = run_and_react(project, f"Pod {name}", interrupt, "up", "dev", "--yes")
    assert f"held by: Pod {name} stays in Terminating (finalizer {HOLD})" in said
    assert code != 0
    assert "failed" not in said
    assert f"the cluster continues deleting: {namespace}/churn" in " ".join(said.split())

    set_finalizers(kube, namespace, name, [])
    run = project.run("up", "dev", "--yes")
    assert run.returncode == 0, run.stdout + run.stderr
    assert kube.list_objects("v1", "Pod", namespace, labels=labels) == []
