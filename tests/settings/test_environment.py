"""Settings of an environment: Kubernetes versions, and a minimum above the maximum."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from framework.cluster.binaries import load_binaries
from framework.settings.drift import Drift
from framework.settings.environment import NEWEST_MINOR, OLDEST_MINOR, Cluster, Policy

TOOLS = Path(__file__).resolve().parents[2] / "tools"


def test_newest_version_is_that_of_the_local_cluster() -> None:
    assert load_binaries(TOOLS).label.startswith(f"v1.{NEWEST_MINOR}.")


@pytest.mark.parametrize("minor", [OLDEST_MINOR, 33, NEWEST_MINOR])
def test_known_version_is_accepted(minor: int) -> None:
    cluster = Cluster.model_validate({"kubernetesVersion": f"1.{minor}"})
    assert cluster.minor_version == minor


@pytest.mark.parametrize(
    "version", [f"1.{OLDEST_MINOR - 1}", f"1.{NEWEST_MINOR + 1}", "1.9999", "1.3", "1.33.1", "2.33"]
)
def test_unknown_version_is_refused_with_the_allowed_ones(version: str) -> None:
    with pytest.raises(ValidationError, match=f'from "1.{OLDEST_MINOR}" to "1.{NEWEST_MINOR}"'):
        Cluster.model_validate({"kubernetesVersion": version})


def test_min_replicas_may_equal_but_not_exceed_max_replicas() -> None:
    assert Policy.model_validate({"minReplicas": 2, "maxReplicas": 2}).max_replicas == 2
    with pytest.raises(ValidationError, match="is 3; expected at most maxReplicas, which is 2"):
        Policy.model_validate({"minReplicas": 3, "maxReplicas": 2})


@pytest.mark.parametrize(
    "rule",
    [
        {"accept": [{"reason": "x", "until": "2026-12-31"}]},
        {"injectors": [{"kind": "Deployment"}]},
    ],
)
def test_drift_rule_for_everything_is_refused(rule: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="covers everything; expected at least"):
        Drift.model_validate(rule)


def test_drift_rule_needs_a_reason_and_a_real_date() -> None:
    rule = {"kind": "Service", "until": "2026-02-30"}
    with pytest.raises(ValidationError, match=r"(?s)reason.*2026-12-31"):
        Drift.model_validate({"accept": [rule]})
