"""The verdict of `pulumi refresh` beside that of the check, and why both differ."""

from __future__ import annotations

from framework.core.stack import Stack
from framework.drift.refresh import build_refresh_verdict
from framework.drift.report import DriftReport, Finding, FindingKind, RefreshVerdict
from framework.engines.base import RecordedObject
from framework.output.drift import describe_refresh

_TYPE = "kubernetes:apps/v1:Deployment"


def find(urn: str, kind: FindingKind = FindingKind.CHANGED, **fields: object) -> Finding:
    found = {"path": "spec.x", "desired": 1, "recorded": 1, "live": 2, **fields}
    return Finding(kind, _TYPE, f"ml/{urn}", urn=urn, **found)  # type: ignore[arg-type]


def build(
    *findings: Finding, changed: tuple[str, ...] = (), accepted: tuple[Finding, ...] = ()
) -> RefreshVerdict:
    urns = {finding.urn for finding in (*findings, *accepted)} | set(changed)
    recorded = [
        RecordedObject(urn, _TYPE, f"ml/{urn}", "m", "p", "f", (), {}, {}) for urn in sorted(urns)
    ]
    report = DriftReport(Stack.of("prod"), findings, accepted=accepted)
    return build_refresh_verdict(report, frozenset(changed), recorded)


def test_equal_verdicts_need_no_reason() -> None:
    both_clean = build()
    assert (both_clean.clean, both_clean.reasons) == (True, ())
    both_drift = build(find("a"), changed=("a",))
    assert (both_drift.objects, both_drift.compared) == (("Deployment ml/a",), 1)
    assert both_drift.reasons == ()


def test_what_pulumi_does_not_see_is_explained() -> None:
    verdict = build(
        find("a", FindingKind.ADDED),
        find("b", FindingKind.ADDED),
        find("c", FindingKind.FOREIGN, path=""),
        find("d", recorded=2),
        find("e", path="spec.replicas"),
        find("f"),
    )
    assert verdict.clean
    reasons = dict(verdict.reasons)
    assert len(reasons) == 5
    words = {" ".join(names): reason for reason, names in reasons.items()}
    assert "others added fields" in words["Deployment ml/a Deployment ml/b"]
    assert "no stack owns it" in words["Deployment ml/c"]
    assert "the state has the live value already" in words["Deployment ml/d"]
    assert "autoscaler" in words["Deployment ml/e"]


def test_what_only_pulumi_counts_is_explained() -> None:
    verdict = build(changed=("a", "b"), accepted=(find("b"),))
    words = {" ".join(names): reason for reason, names in verdict.reasons}
    assert "a declared injector" in words["Deployment ml/a"]
    assert "drift.accept" in words["Deployment ml/b"]
    assert next(describe_refresh(verdict)) == (
        "refresh --preview-only: 2 objects differ; this check: none"
    )


def test_long_lists_are_cut() -> None:
    findings = [find(f"a{number}", FindingKind.ADDED) for number in range(9)]
    lines = list(describe_refresh(build(*findings)))
    assert lines[0] == "refresh --preview-only: no object differs; this check: 9"
    assert "and 6 more: others added fields" in lines[1]
