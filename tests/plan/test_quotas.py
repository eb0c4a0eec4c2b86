"""Quotas: what a rollout adds at its end, at its peak and with its first Pod."""

from __future__ import annotations

from typing import Any

import pytest

from framework.core.changes import Severity
from framework.plan.quotas import Rollout, find_quota_problems

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
