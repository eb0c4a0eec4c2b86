"""Properties that the plan of every shipped model has in every shipped environment."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from framework.catalog import list_models
from framework.core.stack import Stack
from framework.files import list_environments
from framework.plan import ModelPlan, PlanStore, StackPlan
from tests.shipped import SHIPPED


@cache
def load(environment: str) -> StackPlan:
    return PlanStore(SHIPPED).load_one(Stack.of(environment)).require()


GRID = [
    pytest.param(environment, model, id=f"{environment}-{model}")
    for environment in list_environments(SHIPPED)
    for model in list_models(SHIPPED)
]


def find(environment: str, model: str) -> ModelPlan:
    plan = load(environment)
    if model in plan.disabled:
        pytest.skip(f"{model} does not run in {environment}")
    return next(found for found in plan.models if found.name == model)


def deployments(plan: ModelPlan) -> list[dict[str, Any]]:
    return [manifest.object for manifest in plan.manifests if manifest.kind == "Deployment"]


@pytest.mark.parametrize(("environment", "model"), GRID)
def test_names_are_unique_and_short(environment: str, model: str) -> None:
    names = [(m.kind, m.name) for m in find(environment, model).manifests]
    assert len(names) == len(set(names))
    assert max(len(name) for _, name in names) <= 63


@pytest.mark.parametrize(("environment", "model"), GRID)
def test_tracks_are_disjoint_and_the_service_selects_both(environment: str, model: str) -> None:
    plan = find(environment, model)
    selectors = [d["spec"]["selector"]["matchLabels"] for d in deployments(plan)]
    assert len({tuple(sorted(selector.items())) for selector in selectors}) == len(selectors)
    service = plan.find("Service")
    assert service is not None
    for deployment, selector in zip(deployments(plan), selectors, strict=True):
        labels = deployment["spec"]["template"]["metadata"]["labels"].items()
        assert selector.items() <= labels
        assert service.object["spec"]["selector"].items() <= labels


@pytest.mark.parametrize(("environment", "model"), GRID)
def test_pods_have_probes_and_a_graceful_stop(environment: str, model: str) -> None:
    for deployment in deployments(find(environment, model)):
        spec = deployment["spec"]["template"]["spec"]
        container = spec["containers"][0]
        startup = container["startupProbe"]
        assert startup["failureThreshold"] * startup["periodSeconds"] >= 100
        assert "readinessProbe" in container
        asleep = container["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert 0 < asleep < spec["terminationGracePeriodSeconds"]
        assert container["resources"]["limits"]["memory"]


@pytest.mark.parametrize(("environment", "model"), GRID)
def test_replicas_are_omitted_only_under_an_autoscaler(environment: str, model: str) -> None:
    plan = find(environment, model)
    stable = deployments(plan)[0]
    assert ("replicas" in stable["spec"]) == (plan.find("HorizontalPodAutoscaler") is None)


@pytest.mark.parametrize("environment", list_environments(SHIPPED))
def test_the_tutorials_example_runs_in_dev_with_its_own_budget(environment: str) -> None:
    strategy = deployments(find(environment, "sentiment"))[0]["spec"]["strategy"]["rollingUpdate"]
    tutorial = {"maxSurge": 1, "maxUnavailable": 1}
    assert (strategy == tutorial) == (environment == "dev")


def test_a_model_can_be_disabled_in_one_environment() -> None:
    assert load("dev").disabled == ("llama-chat",)
    assert load("prod").disabled == ()
