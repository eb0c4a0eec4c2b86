"""Quotas: what a rollout adds at its end, at its peak and with its first Pod."""

from __future__ import annotations

from typing import Any

import pytest

from framework.core.changes import Severity
from framework.plan.quotas import (
    Rollout,
    add_defaults,
    find_missing_amounts,
    find_quota_problems,
)

Object = dict[str, Any]


def pod(cpu: str) -> Object:
    return {"containers": [{"name": "model", "resources": {"requests": {"cpu": cpu}}}]}


def rollout(**changed: Any) -> Rollout:
    fields: Object = {
        "component": "churn",
        "object": "Deployment ml/churn",
        "pod": pod("1"),
        "replicas": 4,
        "surge": 1,
        "unavailable": 0,
    }
    return Rollout(**(fields | changed))


def quota(hard: Object, used: Object, **spec: Any) -> Object:
    metadata = {"name": "compute", "namespace": "ml"}
    return {"metadata": metadata, "spec": {"hard": hard, **spec}, "status": {"used": used}}


@pytest.mark.parametrize(
    ("changed", "growth"),
    [
        ({}, (4000, 4000, 1000)),
        ({"before": pod("1"), "running": 4}, (0, 1000, 1000)),
        ({"before": pod("1"), "running": 4, "pod": pod("2")}, (4000, 5000, 2000)),
        ({"before": pod("2"), "running": 4}, (-4000, 1000, 1000)),
        ({"before": pod("1"), "running": 4, "unavailable": 1}, (0, 1000, 0)),
        ({"before": pod("1"), "running": 2, "rolls": False}, (2000, 2000, 1000)),
        ({"before": pod("1"), "running": 6, "rolls": False}, (-2000, -2000, -2000)),
    ],
    ids=["new", "same size", "larger", "smaller", "unavailable", "scaled up", "scaled down"],
)
def test_growth(changed: Object, growth: tuple[int, int, int]) -> None:
    assert rollout(**changed).compute_growth("requests.cpu") == growth


@pytest.mark.parametrize(
    ("hard", "used", "changed", "severity", "text"),
    [
        ("10", "0", {}, None, ""),
        ("3", "0", {}, Severity.ERROR, "(churn 4 Pods of 1) make 4, and 3 are allowed"),
        ("5", "4", {"before": pod("1"), "running": 4}, None, ""),
        ("4", "4", {"before": pod("1"), "running": 4}, Severity.ERROR, "churn) make 5, and 4 are"),
        (
            "4", "4", {"before": pod("1"), "running": 4, "unavailable": 1}, Severity.WARNING,
            "at its peak the rollout waits",
        ),
        (
            "4", "5", {"before": pod("1"), "running": 4, "unavailable": 1}, Severity.ERROR,
            "the first new Pod of churn, when 1 old Pod is gone) make 5, and 4 are allowed: the "
            "rollout hangs",
        ),
        ("4", "6", {"before": pod("1"), "running": 6, "rolls": False}, None, ""),
    ],
)  # fmt: skip
def test_problem_of_one_rollout(
    hard: str, used: str, changed: Object, severity: Severity | None, text: str
) -> None:
    found = quota({"requests.cpu": hard}, {"requests.cpu": used})
    problems = [*find_quota_problems([found], [rollout(**changed)], {})]
    assert [problem.severity for problem in problems] == ([severity] if severity else [])
    assert all(text in problem.message for problem in problems)


def test_all_models_count_together() -> None:
    found = quota({"pods": "5"}, {"pods": "0"})
    both = [rollout(), rollout(component="fraud")]
    (problem,) = find_quota_problems([found], both, {})
    assert "churn 4 Pods of 1, fraud 4 Pods of 1" in problem.message.replace(" and ", ", ")
    assert problem.component == ""


def test_new_objects_count() -> None:
    found = quota({"services": "2"}, {"services": "1"})
    (problem,) = find_quota_problems([found], [], {"services": 2})
    text = "1 used, 2 more (2 new) make 3, and 2 are allowed: not all can be created"
    assert text in problem.message


@pytest.mark.parametrize(
    ("scope", "priority", "counts"),
    [
        ({"scopes": ["Terminating"]}, "", False),
        ({"scopes": ["NotTerminating"]}, "", True),
        ({"scopes": ["BestEffort"]}, "", False),
        ({"scopes": ["NotBestEffort"]}, "", True),
        ("gold", "gold", True),
        ("gold", "silver", False),
    ],
)
def test_scopes(scope: Any, priority: str, counts: bool) -> None:
    if isinstance(scope, str):
        term = {"scopeName": "PriorityClass", "operator": "In", "values": [scope]}
        scope = {"scopeSelector": {"matchExpressions": [term]}}
    found = quota({"pods": "1"}, {"pods": "0"}, **scope)
    changed = rollout(pod={**pod("1"), "priorityClassName": priority})
    assert bool([*find_quota_problems([found], [changed], {})]) is counts


def test_pod_that_asks_only_for_a_gpu_is_best_effort() -> None:
    gpu = {"containers": [{"name": "model", "resources": {"limits": {"nvidia.com/gpu": "1"}}}]}
    found = quota({"pods": "1"}, {"pods": "0"}, scopes=["BestEffort"])
    assert [*find_quota_problems([found], [rollout(pod=gpu)], {})]


def limited(**limits: str) -> Object:
    return {"containers": [{"name": "model", "resources": {"limits": limits}}]}


@pytest.mark.parametrize(
    ("hard", "changed", "message"),
    [
        ("limits.cpu", {}, "ResourceQuota ml/compute: container model has no limits.cpu"),
        ("limits.cpu", {"pod": limited(cpu="1")}, ""),
        ("requests.cpu", {"pod": limited(cpu="1")}, ""),
        ("memory", {}, "container model has no requests.memory: the server refuses its Pods"),
        ("cpu", {}, ""),
        # Only cpu and memory are required of every container.
        ("requests.ephemeral-storage", {}, ""),
        ("requests.nvidia.com/gpu", {}, ""),
        ("pods", {}, ""),
        ("limits.memory", {"before": pod("1"), "running": 4, "rolls": False}, ""),
        (
            "limits.memory",
            {"before": pod("1"), "running": 2, "rolls": False},
            "container model has no limits.memory",
        ),
        (
            "requests.cpu",
            {"pod": {**pod("1"), "initContainers": [{"name": "fetch"}]}},
            "container fetch has no requests.cpu",
        ),
        ("requests.memory", {"pod": {**pod("1"), "resources": {"limits": {"memory": "1Gi"}}}}, ""),
    ],
)
def test_quota_requires_an_amount_of_each_container(
    hard: str, changed: Object, message: str
) -> None:
    problems = [*find_missing_amounts([quota({hard: "99"}, {})], [rollout(**changed)])]
    assert [problem.severity for problem in problems] == ([Severity.ERROR] if message else [])
    assert all(message in problem.message for problem in problems)


def test_all_missing_amounts_of_a_model_are_one_problem() -> None:
    quotas = [
        quota({"limits.cpu": "9", "limits.memory": "9Gi"}, {}),
        quota({"limits.cpu": "9"}, {}),
    ]
    (problem,) = find_missing_amounts(quotas, [rollout()])
    assert problem.message.startswith(
        "ResourceQuota ml/compute: container model has no limits.cpu, limits.memory: "
    )
    assert problem.fields == ("spec.template.spec.containers[model].resources.limits",)
    assert problem.next_step.startswith("set limits.cpu, limits.memory, or add a LimitRange")


def test_quota_of_another_scope_requires_nothing() -> None:
    scoped = quota({"limits.cpu": "9"}, {}, scopes=["Terminating"])
    assert [*find_missing_amounts([scoped], [rollout()])] == []


def test_limit_range_adds_amounts_and_counts() -> None:
    item = {
        "type": "Container",
        "default": {"cpu": "2", "memory": "1Gi"},
        "defaultRequest": {"cpu": "2", "memory": "1Gi"},
    }
    ranges = [{"spec": {"limits": [{"type": "Pod", "max": {"cpu": "9"}}, item]}}]
    filled = rollout(pod=add_defaults(pod("1"), ranges))
    hard = {"limits.cpu": "9", "requests.cpu": "9", "limits.memory": "3Gi"}
    found = quota(hard, {})
    assert [*find_missing_amounts([found], [filled])] == []
    (problem,) = find_quota_problems([found], [filled], {})
    assert "limits.memory: 0Gi used, 4Gi more" in problem.message
