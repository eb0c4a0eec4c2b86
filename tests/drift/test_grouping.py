"""Findings grouped by cause, and ranked by what they endanger."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from framework.core.stack import Stack
from framework.drift.grouping import Danger, find_danger, group_findings
from framework.drift.report import ID_LENGTH, Finding, FindingKind, build_id
from tests.drift.sample_run import DEPLOYMENT, PROD, build_finding, build_report

SERVICE = "kubernetes:core/v1:Service"
CONTAINER = "spec.template.spec.containers[model]"


def set_env(model: str, time: str, manager: str = "kubectl-set", **more: Any) -> Finding:
    return build_finding(
        FindingKind.ADDED,
        DEPLOYMENT,
        f"ml/{model}",
        f"{CONTAINER}.env[DEBUG]",
        live="1",
        manager=manager,
        time=time,
        **more,
    )


def test_one_actor_on_a_thousand_objects_is_one_group() -> None:
    findings = [
        set_env(f"model-{i}", f"2026-11-22T17:{i // 60:02}:{i % 60:02}Z") for i in range(1000)
    ]
    random.Random(1).shuffle(findings)
    (group,) = group_findings(findings)
    assert len(group.objects) == len(group.models) == 1000
    assert group.change == f"{CONTAINER}.env[DEBUG] added"
    assert (group.first, group.last) == ("2026-11-22T17:00:00Z", "2026-11-22T17:16:39Z")


@pytest.mark.parametrize(
    ("other", "groups"),
    [
        pytest.param(set_env("b", "2026-11-22T17:44:59Z"), 1, id="same-window"),
        pytest.param(set_env("b", "2026-11-22T19:40:00+02:00"), 1, id="other-time-zone"),
        pytest.param(set_env("b", "2026-11-22T17:45:01Z"), 2, id="later"),
        pytest.param(set_env("b", ""), 2, id="unknown-time"),
        pytest.param(set_env("b", "2026-11-22T17:40:00Z", manager="k9s"), 2, id="other-manager"),
        pytest.param(
            replace(set_env("b", "2026-11-22T17:40:00Z"), kind=FindingKind.CHANGED, desired="0"),
            2,
            id="other-change",
        ),
    ],
)
def test_group_needs_the_same_manager_window_and_change(other: Finding, groups: int) -> None:
    assert len(group_findings([set_env("a", "2026-11-22T17:40:00Z"), other])) == groups


def test_fields_of_one_object_are_one_group_without_a_shared_change() -> None:
    findings = [
        build_finding(FindingKind.CHANGED, DEPLOYMENT, "ml/a", path, manager=manager)
        for path, manager in (("spec.replicas", "kubectl-scale"), ("spec.paused", "kubectl"))
    ]
    (group,) = group_findings(findings)
    assert not group.is_shared
    assert len(group.findings) == 2


def test_ports_of_services_are_one_group_whatever_their_numbers_are() -> None:
    findings = [
        build_finding(FindingKind.ADDED, SERVICE, f"ml/{name}", f"spec.ports[{port}]", live={})
        for name, port in (("a", 8080), ("b", 9000))
    ]
    (group,) = group_findings(findings)
    assert group.change == "spec.ports[...] added"


def test_groups_do_not_depend_on_the_order_of_findings() -> None:
    findings = list(build_report().findings)
    expected = group_findings(findings)
    for seed in range(20):
        random.Random(seed).shuffle(findings)
        assert group_findings(findings) == expected
    assert sorted(f.id for group in expected for f in group.findings) == sorted(
        finding.id for finding in findings
    )


def test_groups_are_ranked_by_danger_then_by_their_objects() -> None:
    groups = group_findings(build_report().findings)
    ranks = [list(Danger).index(group.danger) for group in groups]
    assert ranks == sorted(ranks)
    assert groups[-1].danger is Danger.LABEL


DANGERS = [
    (SERVICE, "spec.selector.app", FindingKind.CHANGED, Danger.SERVING),
    (SERVICE, "spec.ports[80].targetPort", FindingKind.CHANGED, Danger.SERVING),
    (SERVICE, "metadata.labels.team", FindingKind.CHANGED, Danger.LABEL),
    (SERVICE, "", FindingKind.RECREATED, Danger.SERVING),
    (DEPLOYMENT, "", FindingKind.MISSING, Danger.SERVING),
    (DEPLOYMENT, f"{CONTAINER}.image", FindingKind.CHANGED, Danger.SERVING),
    (DEPLOYMENT, f"{CONTAINER}.readinessProbe.periodSeconds", FindingKind.CHANGED, Danger.SERVING),
    (DEPLOYMENT, "spec.template.spec.containers[debug]", FindingKind.ADDED, Danger.SERVING),
    (DEPLOYMENT, "spec.template.metadata.labels.app", FindingKind.CHANGED, Danger.SERVING),
    (DEPLOYMENT, "spec.replicas", FindingKind.CHANGED, Danger.BUDGET),
    (DEPLOYMENT, "spec.strategy.rollingUpdate.maxSurge", FindingKind.CHANGED, Danger.BUDGET),
    (DEPLOYMENT, f"{CONTAINER}.env[DEBUG]", FindingKind.ADDED, Danger.SETTING),
    (DEPLOYMENT, f"{CONTAINER}.imagePullPolicy", FindingKind.CHANGED, Danger.SETTING),
    (DEPLOYMENT, "metadata.annotations.note", FindingKind.ADDED, Danger.LABEL),
    ("kubernetes:policy/v1:PodDisruptionBudget", "", FindingKind.MISSING, Danger.BUDGET),
    (
        "kubernetes:autoscaling/v2:HorizontalPodAutoscaler",
        "spec.maxReplicas",
        FindingKind.CHANGED,
        Danger.BUDGET,
    ),
    ("kubernetes:core/v1:ResourceQuota", "", FindingKind.FOREIGN, Danger.BUDGET),
    ("kubernetes:networking.k8s.io/v1:NetworkPolicy", "", FindingKind.FOREIGN, Danger.SERVING),
    ("kubernetes:core/v1:ConfigMap", "data.x", FindingKind.CHANGED, Danger.SETTING),
]


@pytest.mark.parametrize(
    ("type", "path", "kind", "danger"),
    [pytest.param(*row, id=f"{row[0].rpartition(':')[2]}-{row[1]}-{row[2]}") for row in DANGERS],
)
def test_danger_of_a_finding(type: str, path: str, kind: FindingKind, danger: Danger) -> None:
    assert find_danger(build_finding(kind, type, "ml/a", path, live=3)) is danger


def test_scaling_to_zero_endangers_serving() -> None:
    finding = build_finding(FindingKind.CHANGED, DEPLOYMENT, "ml/a", "spec.replicas", live=0)
    assert find_danger(finding) is Danger.SERVING


@pytest.mark.parametrize("touches", ["a", ""])
def test_foreign_workload_endangers_serving_if_it_touches_a_model(touches: str) -> None:
    finding = build_finding(FindingKind.FOREIGN, DEPLOYMENT, "ml/x", model=touches)
    assert find_danger(finding) is (Danger.SERVING if touches else Danger.SETTING)


def test_id_ignores_values_times_and_who() -> None:
    finding = set_env("a", "2026-11-22T17:40:00Z")
    other = replace(
        finding, live="2", manager="k9s", time="2026-11-25T00:00:00Z", urn="urn:x", note="again"
    )
    assert build_id(PROD, other) == build_id(PROD, finding)
    # Written out: a finding accepted by one version must be found by the next one.
    assert build_id(PROD, finding) == "a57533540dcb"


@pytest.mark.parametrize("kind", FindingKind)
def test_id_tells_kinds_objects_fields_and_stacks_apart(kind: FindingKind) -> None:
    finding = Finding(kind, DEPLOYMENT, "ml/a", path="spec.replicas")
    others = [
        *(replace(finding, kind=other) for other in FindingKind if other is not kind),
        replace(finding, type=SERVICE),
        replace(finding, object="ml/b"),
        # Without a separator that paths cannot contain, these two would be equal.
        replace(finding, object="ml", path="a/spec.replicas"),
    ]
    prints = {build_id(PROD, other) for other in others}
    prints.add(build_id(Stack("prod", "prod-us"), finding))
    assert len(prints) == len(others) + 1
    assert build_id(PROD, finding) not in prints


def test_ids_of_a_hundred_thousand_findings_are_distinct() -> None:
    prints = {
        build_id(PROD, Finding(FindingKind.CHANGED, DEPLOYMENT, f"ml/m{i}", path=path))
        for i in range(10_000)
        for path in ("a", "b", "c", "d", "e", "f", "g", "h", "i", "j")
    }
    assert len(prints) == 100_000
    assert {len(text) for text in prints} == {ID_LENGTH}
