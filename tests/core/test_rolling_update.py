"""The arithmetic of rolling updates, held to the controller's rules and to a naive simulation."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.core.field_paths import FieldPath
from framework.core.rolling_update import (
    Update,
    find_budget_diagnostics,
    resolve_amount,
    resolve_budget,
    resolve_canary_size,
    worst_case_seconds,
)

AMOUNTS = st.one_of(st.integers(0, 60), st.integers(0, 100).map(lambda number: f"{number}%"))


def make_update(**changed: object) -> Update:
    usual = {
        "replicas": 3,
        "max_surge": 1,
        "max_unavailable": 0,
        "startup_seconds": 60,
        "min_ready_seconds": 5,
        "progress_deadline_seconds": 600,
    }
    return Update(**{**usual, **changed})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "expected"),
    [
        pytest.param(2, 1, 1, (1, 1), id="the tutorial"),
        pytest.param(10, "25%", "25%", (3, 2), id="surge rounds up, unavailable down"),
        pytest.param(100, "7%", "7%", (7, 7), id="no floats: 7 % of 100 is 7"),
        pytest.param(3, "0%", "25%", (0, 1), id="rounds to zero and zero: one unavailable"),
        pytest.param(3, 0, 5, (0, 3), id="no more unavailable than there are"),
        pytest.param(0, "25%", "25%", (0, 0), id="nothing to update"),
    ],
)
def test_budget_resolves_like_the_deployment_controller(
    replicas: int, surge: int | str, unavailable: int | str, expected: tuple[int, int]
) -> None:
    budget = resolve_budget(replicas, surge, unavailable)
    assert (budget.surge, budget.unavailable) == expected


@given(percent=st.integers(0, 100), replicas=st.integers(0, 10_000))
def test_percentages_equal_exact_fractions(percent: int, replicas: int) -> None:
    exact = Fraction(percent * replicas, 100)
    assert resolve_amount(f"{percent}%", replicas, round_up=True) == math.ceil(exact)
    assert resolve_amount(f"{percent}%", replicas, round_up=False) == math.floor(exact)


@given(replicas=st.integers(1, 500), surge=AMOUNTS, unavailable=AMOUNTS)
def test_waves_equal_a_simulated_update(
    replicas: int, surge: int | str, unavailable: int | str
) -> None:
    budget = resolve_budget(replicas, surge, unavailable)
    old, waves = replicas, 0
    while old > 0:
        old -= budget.surge + budget.unavailable
        waves += 1
    assert budget.waves == waves
    assert budget.minimum_available + budget.unavailable == replicas


def test_worst_case_is_all_waves_plus_deadline_and_slack() -> None:
    seconds = worst_case_seconds(
        resolve_budget(4, 1, 0),
        startup_seconds=100,
        min_ready_seconds=15,
        progress_deadline_seconds=600,
    )
    assert seconds == 4 * 115 + 600 + 60


@pytest.mark.parametrize(
    ("size", "replicas", "pods"),
    [("10%", 6, 1), ("25%", 10, 3), (2, 6, 2), ("0%", 6, 1), (0, 6, 1)],
)
def test_canary_size_rounds_up_to_at_least_one(size: int | str, replicas: int, pods: int) -> None:
    assert resolve_canary_size(size, replicas) == pods


@pytest.mark.parametrize(
    ("changed", "setting", "numbers"),
    [
        pytest.param(
            {"max_surge": 0}, "rollout.maxUnavailable", "maxSurge is 0", id="literal zero and zero"
        ),
        pytest.param(
            {"max_surge": "0%", "max_unavailable": "0%"},
            "rollout.maxUnavailable",
            "maxSurge is 0%",
            id="zero percent twice",
        ),
        pytest.param(
            {"replicas": 1, "max_unavailable": 1},
            "rollout.maxUnavailable",
            "1 unavailable",
            id="the only replica would be unavailable",
        ),
        pytest.param(
            {"replicas": 1, "max_surge": "0%", "max_unavailable": "25%"},
            "rollout.maxUnavailable",
            "1 unavailable",
            id="a percentage that rounds to zero and zero, on one replica",
        ),
        pytest.param(
            {"startup_seconds": 600},
            "rollout.progressDeadlineSeconds",
            "expected more than 605",
            id="deadline shorter than a start",
        ),
        pytest.param(
            {"replicas": 8, "max_unavailable": 1, "autoscaler_min_replicas": 1},
            "autoscaling.minReplicas",
            "autoscaling.minReplicas is 1",
            id="no Pod would be available at the autoscaler minimum",
        ),
        pytest.param(
            {"disruption_min_available": "70%"},
            "disruptionBudget.minAvailable",
            "keeps 3 of 3 replicas",
            id="a disruption budget rounds up",
        ),
    ],
)
def test_budget_that_cannot_work_is_reported_with_its_numbers(
    changed: dict[str, object], setting: str, numbers: str
) -> None:
    [found] = find_budget_diagnostics(make_update(**changed))
    assert str(FieldPath(found.path)) == setting
    assert numbers in f"{setting} {found.message}"


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"replicas": 2, "max_unavailable": 1},
        {"replicas": 0},
        {"replicas": 4, "max_surge": "0%", "max_unavailable": "25%"},
        {"disruption_min_available": 2},
        {"replicas": 1, "max_unavailable": 1, "serves_alone": False},
    ],
    ids=str,
)
def test_budget_that_works_has_no_diagnostic(changed: dict[str, object]) -> None:
    assert find_budget_diagnostics(make_update(**changed)) == []
