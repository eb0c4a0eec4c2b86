"""Objects that others created are taken over: without a restart, and for both engines."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import pytest
import yaml

from framework.kube.client import KubeClient
from framework.kube.managed_fields import direct_entries
from tests.conftest import MakeProject, Project
from tests.scenarios.recording import Record

pytestmark = pytest.mark.cluster
Object = dict[str, Any]
CHURN = "catalog/churn.yaml"


def create_by_hand(
    project: Project,
    kube: KubeClient,
    *,
    manager: str = "kubectl-create",
    kinds: tuple[str, ...] = (),
    metadata: Mapping[str, Any] | None = None,
    spec: Mapping[str, Any] | None = None,
) -> None:
    """Creates the Namespace, and the objects that the plan has in it, as another manager.

    `metadata` and `spec` are laid over those of the Deployments. `kinds` limits the objects.
    """
    labels = {"name": f"{project.namespace}-dev", "labels": {"team": "nlp"}}
    kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": labels}, manager=manager)
    for document in yaml.safe_load_all(project.succeed("render", "dev")):
        if document["kind"] == "Namespace" or (kinds and document["kind"] not in kinds):
            continue
        made = deepcopy(document)
        if made["kind"] == "Deployment":
            made["metadata"] = {**made["metadata"], **(metadata or {})}
            made["spec"] = {**made["spec"], **(spec or {})}
        kube.create(made, manager=manager)


def wait_until_serving(kube: KubeClient, project: Project) -> None:
    for _ in range(300):
        found = kube.list_objects("apps/v1", "Deployment", f"{project.namespace}-dev")
        if all(d["status"].get("readyReplicas") == d["spec"]["replicas"] for d in found):
            return
        time.sleep(0.2)
    raise AssertionError("the Deployment does not become ready")


def unwrapped(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.pulumi_cli
def test_equal_pods_are_adopted_without_a_restart(
    make_quick_project: MakeProject, kube: KubeClient, record: Record
) -> None:
    project = make_quick_project("churn")
    by_hand = {"annotations": {"by": "hand"}}
    # Without its ServiceAccount no Pod of the Deployment could be created.
    kinds = ("Deployment", "ServiceAccount")
    create_by_hand(project, kube, kinds=kinds, metadata=by_hand)
    wait_until_serving(kube, project)
    refused = project.run("up", "dev", "--yes")
    assert refused.returncode == 1
    assert "to take over: make adopt ENV=dev MODEL=churn" in refused.stdout

    asked = project.run("adopt", "dev", "--model", "churn")
    assert asked.returncode == 1
    assert "metadata.annotations.by removed (was hand)" in unwrapped(asked.stdout)
    with record(project) as recorder:
        before = len(recorder.events)
        project.succeed("adopt", "dev", "--model", "churn", "--yes")
    events = [event for event in recorder.events[before:] if event.type != "MODIFIED"]
    assert [event.kind for event in events if event.kind != "Deployment"] == []
    assert min(recorder.serving("churn")[before:]) == 2

    for engine in ("embedded", "cli"):
        document = json.loads(project.succeed("preview", "dev", "--json", "--engine", engine))
        assert document["clean"], document["changes"]
    again = project.succeed("adopt", "dev", "--model", "churn", "--yes")
    assert "exists in the cluster as an object of others" in unwrapped(again)
    deployment = kube.get("apps/v1", "Deployment", "churn", f"{project.namespace}-dev")
    assert deployment is not None
    assert len(direct_entries(deployment)) == 1


@pytest.mark.grid
@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"manager": "helm"}, "Helm manages it: its next upgrade changes it back"),
        (
            {"metadata": {"annotations": {"meta.helm.sh/release-name": "ranker"}}},
            "Helm release ranker manages it",
        ),
        (
            {"metadata": {"annotations": {"argocd.argoproj.io/tracking-id": "app:apps/x"}}},
            "Argo CD application app manages it",
        ),
        ({"manager": "pulumi-kubernetes-12345678"}, "another Pulumi stack manages it"),
        (
            {
                "metadata": {
                    "ownerReferences": [
                        {"apiVersion": "example.com/v1", "kind": "Model", "name": "m", "uid": "1"}
                    ]
                }
            },
            "Model m manages it",
        ),
    ],
    ids=["helm", "helm release", "argo", "pulumi", "owner"],
)
def test_other_tools_need_force(
    make_quick_project: MakeProject, kube: KubeClient, changed: Object, reason: str
) -> None:
    project = make_quick_project("churn")
    create_by_hand(project, kube, kinds=("Deployment", "ServiceAccount"), **changed)
    refused = project.run("adopt", "dev", "--model", "churn", "--yes")
    assert refused.returncode == 1
    assert reason in unwrapped(refused.stdout)
    assert "FORCE=1" in refused.stdout
    if "ownerReferences" in changed.get("metadata", {}):
        # The garbage collector deletes an object whose owner does not exist.
        return
    done = project.succeed("adopt", "dev", "--model", "churn", "--yes", "--force")
    assert reason.partition(" manages")[0] in unwrapped(done)
    assert json.loads(project.succeed("preview", "dev", "--json"))["clean"]


@pytest.mark.grid
def test_another_selector_is_refused(make_quick_project: MakeProject, kube: KubeClient) -> None:
    project = make_quick_project("churn")
    labels = {"app": "churn"}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "model", "image": "x"}]},
    }
    spec = {"selector": {"matchLabels": labels}, "template": template}
    create_by_hand(project, kube, kinds=("Deployment",), spec=spec)
    refused = project.run("adopt", "dev", "--model", "churn", "--yes", "--force")
    shown = unwrapped(refused.stdout)
    assert refused.returncode == 1
    assert "cannot be taken over, because this cannot change in place: spec.selector" in shown
    assert "nothing was changed" in shown


@pytest.mark.grid
def test_different_pods_roll_within_the_budget(
    make_quick_project: MakeProject, kube: KubeClient, record: Record
) -> None:
    project = make_quick_project("churn")
    create_by_hand(project, kube)
    wait_until_serving(kube, project)
    project.edit(CHURN, "1.6.1", "1.7.0")
    with record(project) as recorder:
        shown = project.succeed("adopt", "dev", "--yes")
    assert "mlserver:1.6.1 -> mlserver:1.7.0" in shown
    assert recorder.find_violations() == []
    assert json.loads(project.succeed("preview", "dev", "--json"))["clean"]


@pytest.mark.grid
def test_replicas_of_an_autoscaler_stay(
    make_quick_project: MakeProject, kube: KubeClient, record: Record
) -> None:
    project = make_quick_project("fraud")
    create_by_hand(project, kube, spec={"replicas": 6})
    wait_until_serving(kube, project)
    with record(project) as recorder:
        before = len(recorder.events)
        project.succeed("adopt", "dev", "--yes")
    assert min(recorder.wanted("fraud")[before:]) == 6
    assert json.loads(project.succeed("preview", "dev", "--json"))["clean"]
