"""Replicas outside the range of an autoscaler that somebody has deleted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from framework.drift.autoscaled import find_out_of_range
from framework.drift.fields import DesiredObjects
from framework.engines.base import RecordedObject
from framework.engines.live_objects import ComparedObject

_SPEC = {"minReplicas": 2, "maxReplicas": 4, "scaleTargetRef": {"kind": "Deployment", "name": "a"}}


def compared(kind: str, group: str, spec: dict[str, Any], *, is_live: bool) -> ComparedObject:
    outputs = {"kind": kind, "metadata": {"name": "a", "namespace": "ml"}, "spec": spec}
    recorded = RecordedObject(
        urn=f"urn:pulumi:dev::test::kubernetes:{group}:{kind}::a",
        type=f"kubernetes:{group}:{kind}",
        id="ml/a",
        component="a",
        provider_urn="",
        field_manager="",
        ignore_changes=(),
        inputs={},
        outputs=outputs,
    )
    live = SimpleNamespace(outputs=outputs) if is_live else None
    return cast(ComparedObject, SimpleNamespace(recorded=recorded, live=live))


@pytest.mark.parametrize(("replicas", "found"), [(0, [0]), (3, []), (9, [9])])
def test_replicas_outside_the_range_of_a_deleted_autoscaler_are_drift(
    replicas: int, found: list[int]
) -> None:
    autoscaler = compared("HorizontalPodAutoscaler", "autoscaling/v2", _SPEC, is_live=False)
    deployment = compared("Deployment", "apps/v1", {"replicas": replicas}, is_live=True)
    desired = DesiredObjects(None, frozenset())
    findings = find_out_of_range([autoscaler, deployment], desired)
    assert [finding.live for finding in findings] == found


@pytest.mark.parametrize(
    ("replicas", "fewest", "found"), [(0, 2, [0]), (0, 0, []), (3, 2, []), (9, 2, [9])]
)
def test_replicas_outside_the_range_of_an_external_autoscaler_are_drift(
    replicas: int, fewest: int, found: list[int]
) -> None:
    deployment = compared("Deployment", "apps/v1", {"replicas": replicas}, is_live=True)

    class Planned(DesiredObjects):
        def find_external_range(self, recorded: RecordedObject) -> tuple[int, int]:
            return fewest, 4

    findings = find_out_of_range([deployment], Planned(None, frozenset()))
    assert [finding.live for finding in findings] == found
