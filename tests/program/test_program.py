"""The program under Pulumi's own mocks: types, names, parents, options, outputs."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from framework.core.stack import Stack
from framework.plan import PlanStore
from framework.plan.rendered import find_model_image
from tests.shipped import SHIPPED

# Pulumi's settings live as long as the process, so a program runs in one of its own.
PROGRAM = """
import json, sys
from pathlib import Path
from framework.core.stack import Stack
import pulumi
from pulumi.runtime import mocks, stack, settings
registered = []
class Recorder(mocks.MockMonitor):
    def RegisterResource(self, request):
        registered.append({
            "type": request.type, "name": request.name, "parent": request.parent,
            "version": request.version, "protect": request.protect,
            "ignore": list(request.ignoreChanges), "create": request.customTimeouts.create,
            "dependencies": list(request.dependencies), "provider": request.provider,
        })
        return super().RegisterResource(request)
class Mocks(mocks.Mocks):
    def new_resource(self, args):
        return f"{args.name}-id", dict(args.inputs)
    def call(self, args):
        return {}
given = Mocks()
mocks.set_mocks(given, "modelcatalog", sys.argv[1], monitor=Recorder(given))
from framework.plan import PlanStore
from framework.plan.rendered import find_model_image
from framework.program import register_stack
@pulumi.runtime.test
def run():
    register_stack(PlanStore(Path.cwd()).load_one(Stack.of(sys.argv[1])).require())
run()
print(json.dumps(registered))
"""


def register(environment: str) -> list[dict[str, Any]]:
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, environment],
        cwd=SHIPPED,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    registered: list[dict[str, Any]] = json.loads(run.stdout)
    return registered


@pytest.fixture(scope="module", params=["dev", "staging", "prod"])
def environment(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def registered(environment: str) -> list[dict[str, Any]]:
    return register(environment)


def test_every_manifest_is_registered_once(
    environment: str, registered: list[dict[str, Any]]
) -> None:
    plan = PlanStore(SHIPPED).load_one(Stack.of(environment)).require()
    found = [(r["type"], r["name"]) for r in registered if r["type"].startswith("kubernetes:")]
    assert sorted(found) == sorted((m.type_token, m.logical_name) for m in plan.manifests)


def test_objects_of_a_model_are_children_of_its_component(
    registered: list[dict[str, Any]],
) -> None:
    for resource in registered:
        if resource["type"] == "kubernetes:apps/v1:Deployment":
            model = resource["name"].removesuffix("-canary")
            assert resource["parent"].endswith(f"modelcatalog:index:Model::{model}")


def test_every_object_has_a_provider_and_a_version(registered: list[dict[str, Any]]) -> None:
    for resource in registered:
        if resource["type"].startswith("kubernetes:"):
            assert "pulumi:providers:kubernetes::cluster::" in resource["provider"]
            assert resource["version"] == "4.34.2"


def test_protect_is_set_on_provider_and_namespace_only(
    environment: str, registered: list[dict[str, Any]]
) -> None:
    protected = {r["type"].rpartition(":")[2] for r in registered if r["protect"]}
    assert protected == ({"kubernetes", "Namespace"} if environment == "prod" else set())


def test_autoscaled_deployment_ignores_its_replicas(registered: list[dict[str, Any]]) -> None:
    ignoring = {r["name"] for r in registered if r["ignore"]}
    assert ignoring == {"fraud"}


def test_timeouts_of_deployments_equal_the_forecast(
    environment: str, registered: list[dict[str, Any]]
) -> None:
    plan = PlanStore(SHIPPED).load_one(Stack.of(environment)).require()
    seconds = {t.deployment: f"{t.seconds}s" for model in plan.models for t in model.tracks}
    found = {
        r["name"]: r["create"] for r in registered if r["type"] == "kubernetes:apps/v1:Deployment"
    }
    assert found == seconds


@pytest.mark.parametrize(
    ("names", "image"),
    [(("model",), "model:1"), (("istio-proxy", "model"), "model:1"), (("web", "x"), "web:1")],
)
def test_image_is_that_of_the_container_of_the_model(names: tuple[str, ...], image: str) -> None:
    containers = [{"name": name, "image": f"{name}:1"} for name in names]
    assert find_model_image({"template": {"spec": {"containers": containers}}}) == image
