"""Three catalogs, and what a stack of each leaves in the cluster and in the state.

The step from one to the next creates, updates, replaces and deletes objects, and rolls out
Deployments. So a command that is killed during a step may be killed during any of these.
"""

from __future__ import annotations

import json
import re
from typing import Any

from framework.kube.client import KubeClient
from framework.kube.object_diff import SERVER_METADATA
from tests.conftest import Project

Object = dict[str, Any]
NAMES = ("old", "new", "last")
_PLAIN = "owner: team-growth\nprofiles: [mlserver, s3-artifact, cpu-small]\nreplicas: 1\n"
_CONFIG = "config: {mountPath: /etc/app, files: {app.properties: 'level = %s'}}\n"
# A headless Service replaces the one with an address: the old one is deleted first. A ConfigMap
# with other content has another name: the old one is deleted last.
_CATALOGS: dict[str, dict[str, str]] = {
    "old": {
        "churn": f"{_PLAIN}image: {{tag: '1.6.1'}}\n",
        "intent": f"{_PLAIN}image: {{tag: '1.6.1'}}\n{_CONFIG % 'warn'}",
        "legacy": f"{_PLAIN}image: {{tag: '1.6.1'}}\n",
    },
    "new": {
        "churn": f"{_PLAIN}image: {{tag: '1.7.0'}}\nenv: {{EXTRA: '1'}}\n",
        "intent": f"{_PLAIN}image: {{tag: '1.6.1'}}\n{_CONFIG % 'info'}",
        "fresh": f"{_PLAIN}image: {{tag: '1.6.1'}}\n{_CONFIG % 'warn'}",
    },
    "last": {
        "churn": f"{_PLAIN}image: {{tag: '1.7.0'}}\nservice: {{headless: true}}\n",
        "fresh": f"{_PLAIN}image: {{tag: '1.7.0'}}\n",
    },
}
_KINDS = (
    ("v1", "ConfigMap"),
    ("v1", "Service"),
    ("v1", "ServiceAccount"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "ReplicaSet"),
    ("policy/v1", "PodDisruptionBudget"),
)
_OF_NAMESPACE = {"kube-root-ca.crt", "default"}
_CHOSEN_BY_SERVER = {"clusterIP", "clusterIPs", "nodePort", "healthCheckNodePort"}


def write_catalog(project: Project, name: str) -> None:
    """Makes the models of the project those of one catalog."""
    for pattern in ("catalog/[!_]*.yaml", "environments/*/models/*.yaml"):
        for file in project.root.glob(pattern):
            file.unlink()
    for model, text in _CATALOGS[name].items():
        project.write(f"catalog/{model}.yaml", text)


def list_live(kube: KubeClient, project: Project) -> dict[str, Object]:
    """Returns the objects of the stack's Namespace by kind and name.

    ReplicaSets count only if they have Pods: a second rollout would show as a second one.
    """
    namespace = f"{project.namespace}-dev"
    return {
        f"{kind} {item['metadata']['name']}": item
        for api_version, kind in _KINDS
        for item in kube.list_objects(api_version, kind, namespace)
        if item["metadata"]["name"] not in _OF_NAMESPACE
        and (kind != "ReplicaSet" or item["spec"]["replicas"])
    }


def read_latest(project: Project) -> Object:
    """Returns `checkpoint.latest` of the state."""
    path = project.root / ".state/.pulumi/stacks/modelcatalog/dev.json"
    return parse_latest(path.read_text())


def parse_latest(text: str) -> Object:
    """Returns `checkpoint.latest` of the text of a checkpoint."""
    latest: Object = json.loads(text)["checkpoint"]["latest"]
    return latest


def observe(
    kube: KubeClient, project: Project, *, inputs: bool = True, latest: Object | None = None
) -> Object:
    """Returns what must be equal after an undisturbed run and after a repeated one.

    Without `inputs` those of the state are left out: each engine has a form of its own. Fails if
    the state and the cluster do not fit: another UID, a pending operation, an unfinished rollout,
    an old record of a replacement. `latest` is the state if it is not in the project's folder.
    """
    live, latest = list_live(kube, project), latest or read_latest(project)
    assert "pending_operations" not in latest
    uids = {item["metadata"]["uid"] for item in live.values()}
    for resource in latest.get("resources") or ():
        assert not resource.get("initErrors"), resource["urn"]
        assert not resource.get("delete"), resource["urn"]
        metadata = (resource.get("outputs") or {}).get("metadata") or {}
        assert metadata.get("uid") in uids or "/" not in resource.get("id", ""), resource["urn"]
    journal = project.root / ".state/.pulumi/stacks/modelcatalog/dev.json.journal"
    assert not journal.exists()
    leftovers = [path.name for path in (project.root / ".state").rglob("*.tmp")]
    assert not leftovers
    assert not list((project.root / ".state").glob("**/locks/**/*.json"))
    return {
        "live": {key: _normalize(item) for key, item in live.items()},
        "state": {
            resource["urn"]: _read_recorded(resource, inputs)
            for resource in latest.get("resources") or ()
        },
    }


def _read_recorded(resource: Object, inputs: bool) -> Object:
    recorded = {
        "id": resource["id"] if "/" in resource.get("id", "") else "",
        "parent": resource.get("parent"),
        "dependencies": sorted(resource.get("dependencies") or ()),
        "protect": bool(resource.get("protect")),
        "retainOnDelete": bool(resource.get("retainOnDelete")),
    }
    if inputs:
        recorded["inputs"] = {**resource.get("inputs", {}), "__internal": None}
    return recorded


def _normalize(item: Object) -> Object:
    if item["kind"] == "ReplicaSet":
        return {"replicas": item["spec"]["replicas"]}
    metadata = {k: v for k, v in item["metadata"].items() if k not in SERVER_METADATA}
    annotations = metadata.get("annotations") or {}
    annotations.pop("deployment.kubernetes.io/revision", None)
    managers = sorted(
        {
            # The CLI creates under one name, and updates under another one with random digits.
            re.sub(r"^pulumi-kubernetes(-\w+)?$", "ours", entry["manager"])
            for entry in item["metadata"]["managedFields"]
            if not entry.get("subresource")
        }
    )
    spec = {k: v for k, v in (item.get("spec") or {}).items() if k not in _CHOSEN_BY_SERVER}
    return {
        "metadata": {**metadata, "annotations": annotations},
        "spec": spec,
        "data": item.get("data"),
        "managers": managers,
    }
