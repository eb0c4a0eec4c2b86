"""Live objects of this stack that the state does not have: after its loss, or in another clone."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from framework.kube.client import KubeClient
from tests.conftest import MakeProject, Project
from tests.scenarios.by_hand import scale_by_hand

pytestmark = pytest.mark.cluster
CONTAINER = "/spec/template/spec/containers/0"


def change_by_hand(kube: KubeClient, project: Project, *operations: dict[str, Any]) -> None:
    """Patches the Deployment churn, as `kubectl set image` and `kubectl set env` do."""
    namespace = f"{project.namespace}-dev"
    kube.json_patch(
        "apps/v1",
        "Deployment",
        "churn",
        namespace,
        operations=list(operations),
        manager="kubectl-set",
    )


def set_image(tag: str) -> dict[str, Any]:
    image = f"docker.io/seldonio/mlserver:{tag}"
    return {"op": "replace", "path": f"{CONTAINER}/image", "value": image}


def test_what_a_takeover_changes_is_shown_and_done_as_reviewed(
    make_quick_project: MakeProject, kube: KubeClient, engine: str
) -> None:
    project = make_quick_project("churn")
    chosen = ("--engine", engine)
    project.succeed("up", "dev", *chosen)
    shutil.rmtree(project.root / ".state")
    unchanged = project.succeed("preview", "dev", *chosen)
    assert "already exists and is managed by this stack: taken over" in " ".join(unchanged.split())
    assert "~" not in unchanged

    added = {"name": "DB_PASSWORD", "value": "hunter2"}
    variable = {"op": "add", "path": f"{CONTAINER}/env/-", "value": added}
    change_by_hand(kube, project, set_image("1.6.9"), variable)
    scale_by_hand(kube, project, 5)
    shown = project.succeed("preview", "dev", *chosen, "--plan", "plan.json")
    lines = " ".join(shown.split())
    assert "~ churn Deployment takes over: needs YES=1" in lines
    assert "containers[model].image mlserver:1.6.9 -> mlserver:1.6.1" in lines
    assert "spec.replicas 5 -> 2" in lines
    assert "env[DB_PASSWORD]" in lines
    assert "hunter2" not in lines
    (planned,) = (
        change
        for change in json.loads((project.root / "plan.json").read_text())["changes"]
        if change["op"] == "update"
    )
    assert planned["takesOver"]
    assert len(planned["fields"]) == 3

    unattended = project.run("up", "dev", *chosen)
    assert unattended.returncode == 1
    assert "needs YES=1" in " ".join(unattended.stderr.split())
    change_by_hand(kube, project, set_image("1.6.8"))
    refused = project.run("up", "dev", "--plan", "plan.json", *chosen)
    assert refused.returncode == 1
    assert "/churn: the live object changed in the cluster" in " ".join(refused.stderr.split())

    change_by_hand(kube, project, set_image("1.6.9"))
    project.succeed("up", "dev", "--plan", "plan.json", *chosen)
    live = kube.get("apps/v1", "Deployment", "churn", f"{project.namespace}-dev")
    assert live is not None
    container = live["spec"]["template"]["spec"]["containers"][0]
    assert container["image"].endswith(":1.6.1")
    assert "DB_PASSWORD" not in {item["name"] for item in container["env"]}
    assert live["spec"]["replicas"] == 2
    for each in ("embedded", "cli") if engine == "cli" else ("embedded",):
        document = json.loads(project.succeed("preview", "dev", "--json", "--engine", each))
        assert document["clean"], document["changes"]
