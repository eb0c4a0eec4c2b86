"""A deletion that waits for a finalizer shows the Pod, and Ctrl-C is not a failure."""

from __future__ import annotations

import signal
import subprocess

import pytest

from framework.kube.client import KubeClient
from tests.conftest import MakeProject
from tests.scenarios.following import run_and_react

pytestmark = pytest.mark.cluster
HOLD = "example.com/hold"


def set_finalizers(kube: KubeClient, namespace: str, pod: str, finalizers: list[str]) -> None:
    operation = {"op": "add", "path": "/metadata/finalizers", "value": finalizers}
    kube.json_patch("v1", "Pod", pod, namespace, operations=[operation], manager="tests")


def interrupt(run: subprocess.Popen[str]) -> None:
    run.send_signal(signal.SIGINT)


@pytest.mark.grid
def test_held_deletion_shows_the_pod_and_an_interrupt_is_not_a_failure(
    make_quick_project: MakeProject, kube: KubeClient
) -> None:
    project = make_quick_project("churn", "fraud")
    project.succeed("up", "dev")
    namespace = f"{project.namespace}-dev"
    labels = "app.kubernetes.io/name=churn"
    name = kube.list_objects("v1", "Pod", namespace, labels=labels)[0]["metadata"]["name"]
    set_finalizers(kube, namespace, name, [HOLD])
    for path in (*project.root.glob("*/churn.yaml"), *project.root.glob("*/*/*/churn.yaml")):
        path.unlink()

    message, code = run_and_react(project, f"Pod {name}", interrupt, "up", "dev", "--yes")
    assert f"waiting for: Pod {name} stays in Terminating (finalizer {HOLD})" in message
    assert code != 0
    assert "failed" not in message
    assert f"the cluster continues deleting: {namespace}/churn" in " ".join(message.split())

    set_finalizers(kube, namespace, name, [])
    project.succeed("up", "dev", "--yes")
    assert kube.list_objects("v1", "Pod", namespace, labels=labels) == []
