"""Models that may be down during an update, on a real control plane."""

from __future__ import annotations

import json
from typing import Any

import pytest

from framework.kube.client import KubeClient
from tests.conftest import MakeProject, Project
from tests.scenarios.recording import Record

pytestmark = pytest.mark.cluster
MODEL, OVERLAY = "catalog/churn.yaml", "environments/dev/models/churn.yaml"


def find_strategy(kube: KubeClient, project: Project) -> dict[str, Any]:
    live = kube.get("apps/v1", "Deployment", "churn", f"{project.namespace}-dev")
    assert live
    return dict(live["spec"]["strategy"])


def find_forecast(project: Project) -> dict[str, Any]:
    preview = json.loads(project.succeed("preview", "dev", "--json"))
    return dict(preview["forecasts"]["churn"])


def test_recreate_stops_every_pod_before_a_new_one_starts(
    make_quick_project: MakeProject, kube: KubeClient, record: Record, engine: str
) -> None:
    project = make_quick_project("churn")
    arguments = ("dev", "--engine", engine)
    passphrase = {"PULUMI_CONFIG_PASSPHRASE": "test"}
    project.succeed("up", *arguments, **passphrase)
    assert find_strategy(kube, project)["type"] == "RollingUpdate"

    # The switch alone replaces no Pods.
    project.write(OVERLAY, "rollout: {strategy: Recreate}\n")
    project.succeed("up", *arguments, **passphrase)
    assert find_strategy(kube, project) == {"type": "Recreate"}

    project.edit(MODEL, "1.6.1", "1.7.0")
    preview = " ".join(project.succeed("preview", *arguments, **passphrase).split())
    assert "2 replicas, Recreate: down for about" in preview
    with record(project) as recorder:
        project.succeed("up", *arguments, "--model", "churn", **passphrase)
    running: dict[str, str] = {}
    for event in recorder.events:
        if event.kind != "Pod":
            continue
        name = event.object["metadata"]["name"]
        running[name] = event.object["spec"]["containers"][0]["image"]
        if event.type == "DELETED":
            del running[name]
        assert len(set(running.values())) <= 1, "Pods of both versions exist"
    assert "Nothing to do" in project.succeed("up", *arguments, **passphrase)
    assert json.loads(project.succeed("drift", *arguments, "--json", **passphrase))["clean"]

    project.write(OVERLAY, "rollout: {strategy: RollingUpdate}\n")
    project.succeed("up", *arguments, **passphrase)
    assert find_strategy(kube, project)["type"] == "RollingUpdate"


def test_one_replica_is_replaced_without_a_surge(make_quick_project: MakeProject) -> None:
    project = make_quick_project("churn")
    project.write(OVERLAY, "replicas: 1\nrollout: {maxSurge: 0, maxUnavailable: 1}\n")
    project.succeed("up", "dev")
    project.edit(MODEL, "1.6.1", "1.7.0")
    forecast = find_forecast(project)
    assert (forecast["surge"], forecast["minimumAvailable"]) == (0, 0)
    assert forecast["downSeconds"] > 0
    assert "1.7.0  1/1" in project.succeed("up", "dev")


@pytest.mark.grid
def test_a_failed_recreate_says_that_nothing_serves(make_quick_project: MakeProject) -> None:
    project = make_quick_project("churn")
    project.write(OVERLAY, "replicas: 1\nrollout: {strategy: Recreate}\n")
    project.succeed("up", "dev")
    project.edit(MODEL, "1.6.1", "missing")
    run = project.run("up", "dev")
    assert run.returncode == 3, run.stdout + run.stderr
    assert "0 of 1 Pods serve" in " ".join((run.stdout + run.stderr).split())
    project.edit(MODEL, "missing", "1.6.1")
    assert "1.6.1  1/1" in project.succeed("up", "dev")
