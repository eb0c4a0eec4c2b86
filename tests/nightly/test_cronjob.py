"""The CronJob of the drift check: its account has the rights that the check needs, and no more."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from framework.cli import main as front
from framework.core.stack import Stack
from framework.kube.client import KubeClient
from framework.plan import PlanStore
from tests.conftest import MakeProject, Project
from tests.scenarios.conftest import kube
from tests.shipped import ROOT, SHIPPED
from tools.drift_rbac import build_rbac, guess_resource

__all__ = ["kube"]

Object = dict[str, Any]
_FOLDER = ROOT / "deploy/nightly"
# The authorizer of the API server reads roles from a cache.
_SECONDS = 20


def test_resources_are_guessed_as_kubernetes_does() -> None:
    expected = {
        "Ingress": "ingresses",
        "NetworkPolicy": "networkpolicies",
        "ServiceAccount": "serviceaccounts",
        "ScaledObject": "scaledobjects",
        "Gateway": "gateways",
        "Endpoints": "endpoints",
        "EnvoyProxy": "envoyproxies",
        "Mesh": "meshes",
    }
    assert {kind: guess_resource(kind) for kind in expected} == expected


def test_shipped_rules_are_those_of_prod() -> None:
    plan = PlanStore(SHIPPED).load_one(Stack.of("prod")).require()
    shipped = list(yaml.safe_load_all((_FOLDER / "rbac.yaml").read_text()))
    assert shipped == build_rbac(plan), "run: .venv/bin/python -m tools.drift_rbac prod"
    rules = [rule for obj in shipped for rule in obj.get("rules", ())]
    assert {verb for rule in rules for verb in rule["verbs"]} == {"get", "list"}
    assert not any("secrets" in rule["resources"] for rule in rules)


def test_cluster_scoped_custom_resource_is_read_by_its_name(
    make_project: Callable[..., Project],
) -> None:
    project = make_project("churn")
    project.append(
        "catalog/churn.yaml",
        "objects: {pool: {apiVersion: example.com/v1, kind: GpuPool, spec: {size: 1}}}\n",
    )
    environment = "environments/prod/environment.yaml"
    project.edit(environment, "policy:\n", "policy:\n  clusterScopedKinds: [GpuPool]\n")
    plan = PlanStore(project.root).load_one(Stack.of("prod")).require()
    rules = [
        (obj["kind"], rule["verbs"])
        for obj in build_rbac(plan)
        for rule in obj.get("rules", ())
        if "gpupools" in rule["resources"]
    ]
    assert rules == [("ClusterRole", ["get"])]


class Account:
    """The ServiceAccount of a CronJob, and a project whose kubeconfig has its token."""

    def __init__(self, kube: KubeClient, project: Project) -> None:
        self._kube, self._project = kube, project
        namespace = f"{project.namespace}-job"
        self._apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        plan = PlanStore(project.root).load_one(Stack.of("dev")).require()
        self.objects = build_rbac(plan, namespace)
        # Two tests at once must not share the ClusterRole.
        for obj in self.objects[1:]:
            obj["metadata"] = {**obj["metadata"], "name": f"{project.namespace}-drift"}
            if "roleRef" in obj:
                obj["roleRef"] = {**obj["roleRef"], "name": f"{project.namespace}-drift"}
        for obj in self.objects:
            self._apply(obj)
        self._use_token(namespace)

    def _apply(self, obj: Object) -> None:
        self._kube.apply(obj, manager="test", force=True, dry_run=False)

    def _use_token(self, namespace: str) -> None:
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/drift/token"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        answer = self._kube.connection.request("POST", path, "token", body=body)
        folder = self._project.root / ".cluster"
        config = yaml.safe_load((folder / "kubeconfig").read_text())
        folder.unlink()
        folder.mkdir()
        (folder / "token").write_text(answer["status"]["token"])
        for user in config["users"]:
            user["user"] = {"tokenFile": str(folder / "token")}
        (folder / "kubeconfig").write_text(yaml.safe_dump(config))

    def check(self, code: int) -> bool:
        """Returns whether the check exits with this code within a few seconds."""
        end = time.monotonic() + _SECONDS
        while front.main(["drift", "dev"]) != code:
            if time.monotonic() > end:
                return False
            time.sleep(0.2)
        return True

    def list_reduced(self) -> Iterator[tuple[str, int, Object]]:
        """Yields every role without one of its rights, with its place in `objects`."""
        for place, obj in enumerate(self.objects):
            for number, rule in enumerate(obj.get("rules", ())):
                for key in ("resourceNames", "resources"):
                    if key == "resources" and "resourceNames" in rule:
                        continue
                    for value in rule.get(key, ()):
                        reduced = deepcopy(obj)
                        reduced["rules"][number][key].remove(value)
                        if not reduced["rules"][number][key]:
                            del reduced["rules"][number]
                        yield value, place, reduced

    def put(self, obj: Object) -> None:
        """Replaces a role."""
        self._apply(obj)


@pytest.fixture
def account(
    make_live_project: MakeProject, kube: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Account]:
    """The account of a deployed project; verbs of this process run in it."""
    project = make_live_project("churn")
    project.succeed("up", "dev", "--yes")
    monkeypatch.setattr(front, "ROOT", project.root)
    yield Account(kube, project)
    for kind in ("ClusterRole", "ClusterRoleBinding"):
        kube.delete("rbac.authorization.k8s.io/v1", kind, f"{project.namespace}-drift")
    kube.delete("v1", "Namespace", f"{project.namespace}-job")


def _check_reduced(account: Account, only: frozenset[str] | None) -> None:
    assert account.check(0)
    for name, place, reduced in account.list_reduced():
        if only is None or name in only:
            account.put(reduced)
            assert account.check(1), f"the check works without {name}"
            account.put(account.objects[place])
            assert account.check(0)


@pytest.mark.cluster
def test_check_needs_some_of_its_rights(account: Account) -> None:
    _check_reduced(account, frozenset({"kube-system", "services", "deployments"}))


@pytest.mark.cluster
@pytest.mark.grid
def test_check_needs_each_of_its_rights(account: Account) -> None:
    _check_reduced(account, None)


@pytest.mark.cluster
def test_server_accepts_the_cronjob(kube: KubeClient, unique_name: str) -> None:
    kube.create(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": unique_name}}, manager="test"
    )
    for obj in yaml.safe_load_all((_FOLDER / "cronjob.yaml").read_text()):
        obj["metadata"]["namespace"] = unique_name
        kube.create(obj, manager="test", dry_run=True)
    kube.delete("v1", "Namespace", unique_name)


def test_cronjob_runs_the_check_in_the_image() -> None:
    config_map, _, cronjob = yaml.safe_load_all((_FOLDER / "cronjob.yaml").read_text())
    pod = cronjob["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    lines = (_FOLDER / "Containerfile").read_text().splitlines()
    (entry,) = [line.removeprefix("ENTRYPOINT ") for line in lines if "ENTRYPOINT" in line]
    assert json.loads(entry)[1:] == ["-m", "framework", "drift"]
    assert f"useradd --uid {pod['securityContext']['runAsUser']} " in "\n".join(lines)
    # Every path that the image takes from this repository exists.
    copied = [line.split()[2:-1] for line in lines if line.startswith("COPY")]
    assert all((ROOT / path).exists() for paths in copied for path in paths)
    # ~/.kube/config of the image's user.
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts["kubeconfig"] == "/app/.kube"
    assert "config" in config_map["data"]
    config = yaml.safe_load(config_map["data"]["config"])
    assert config["users"][0]["user"].keys() == {"tokenFile"}
    assert Path(container["args"][2]).is_relative_to(mounts["reports"])
