"""A rich drift check for the tests of its reports: every kind of finding, and hostile texts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from framework.core.diagnostics import Position
from framework.core.drift_rules import AcceptRule
from framework.core.stack import Stack
from framework.drift.history import History
from framework.drift.report import DriftReport, Finding, FindingKind, build_id
from framework.drift.run import DriftRun, FailedStack

CHECKED = datetime(2026, 11, 23, 3, 0, 12, tzinfo=UTC)
PROD = Stack("prod", "prod")
US = Stack("prod", "prod-us")
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
MODELS = ("churn", "fraud", "intent", "ranker", "reranker")
HOSTILE = '<script>alert("1")</script>|`x`\n\x1b[31mred\x1b[0m @team [a](http://b) \u202eevil'
RULE = AcceptRule(
    reason="load test until the new cache is there",
    kind="HorizontalPodAutoscaler",
    until=date(2026, 12, 31),
    position=Position("environments/prod/environment.yaml", 31, 7),
)


def build_finding(
    kind: FindingKind, type: str, object: str, path: str = "", **more: Any
) -> Finding:
    """Returns a finding with its fingerprint; the model is the name of the object."""
    model = more.pop("model", object.rpartition("/")[2])
    urn = "" if kind is FindingKind.FOREIGN else f"urn:pulumi:prod::modelcatalog::{type}::{model}"
    finding = Finding(kind, type, object, urn=urn, model=model, path=path, **more)
    return replace(finding, id=build_id(PROD, finding))


def _list_findings() -> Iterator[Finding]:
    for second, model in enumerate(MODELS):
        yield build_finding(
            FindingKind.ADDED,
            DEPLOYMENT,
            f"ml-prod/{model}",
            "spec.template.spec.containers[model].env[DEBUG]",
            live="1",
            manager="kubectl-set",
            time=f"2026-11-22T17:40:0{second}Z",
            source=Position(f"catalog/{model}.yaml", 6, 3) if second else None,
        )
    yield build_finding(
        FindingKind.CHANGED,
        DEPLOYMENT,
        "ml-prod/sentiment",
        "spec.replicas",
        desired=6,
        recorded=5,
        live=9,
        manager="kubectl-scale",
        time="2026-11-22T17:41:00Z",
        source=Position("environments/prod/models/sentiment.yaml", 1, 11),
    )
    yield build_finding(
        FindingKind.CHANGED,
        DEPLOYMENT,
        "ml-prod/sentiment",
        "spec.template.spec.containers[model].image",
        desired="docker.io/seldonio/mlserver:1.6.1",
        recorded="docker.io/seldonio/mlserver:1.6.1",
        live="docker.io/seldonio/mlserver:1.7.0",
        manager="kubectl-edit",
        time="2026-11-22T18:03:00Z",
        source=Position("catalog/sentiment.yaml", 6, 9),
    )
    yield build_finding(
        FindingKind.FOREIGN,
        "kubernetes:core/v1:Service",
        "ml-prod/tmp-debug",
        model="sentiment",
        manager="kubectl-create",
        time="2026-11-21T09:00:00Z",
        note="selects Pods of sentiment; no stack owns it",
    )
    yield build_finding(
        FindingKind.MISSING,
        "kubernetes:policy/v1:PodDisruptionBudget",
        "ml-prod/llama-chat",
        note="is gone",
    )
    yield build_finding(
        FindingKind.RECREATED,
        "kubernetes:core/v1:Service",
        "ml-prod/whisper",
        manager="kubectl-replace",
        time="2026-11-22T20:00:00Z",
        note="was recreated by kubectl-replace",
    )
    yield build_finding(
        FindingKind.CHANGED,
        "kubernetes:core/v1:ConfigMap",
        "ml-prod/whisper-config-1a2b3c",
        'data["server.ini"]',
        model="whisper",
        desired="threads = 4\npassword = [secret]\nmode = fast\n",
        recorded="threads = 4\npassword = [secret]\nmode = fast\n",
        live="threads = 16\npassword = [secret]\nmode = fast\n",
        manager="kubectl-edit",
        time="2026-11-22T20:10:00Z",
    )
    yield build_finding(
        FindingKind.ADDED,
        DEPLOYMENT,
        "ml-prod/llama-chat",
        f'metadata.annotations["example.com/{HOSTILE[:20]}"]',
        live=HOSTILE,
        manager=f"kubectl|{HOSTILE[:8]}",
        time="2026-11-22T21:00:00Z",
    )


def build_report() -> DriftReport:
    """Returns the report of one stack with everything that a report can have."""
    accepted = build_finding(
        FindingKind.CHANGED,
        "kubernetes:autoscaling/v2:HorizontalPodAutoscaler",
        "ml-prod/ranker",
        "spec.maxReplicas",
        desired=8,
        recorded=8,
        live=20,
        manager="kubectl-patch",
        time="2026-11-20T10:00:00Z",
        source=Position("catalog/ranker.yaml", 9, 30),
    )
    return DriftReport(
        PROD,
        tuple(_list_findings()),
        accepted=(replace(accepted, accepted_by=RULE),),
        pending=("image-moderation", "product-tagger"),
        deletions=("Deployment ml-prod/product-tagger", "Service ml-prod/product-tagger"),
        objects=54,
        models=13,
        checked=CHECKED,
        warnings=("warning: an earlier `up` was interrupted; run `make up ENV=prod` again",),
    )


def build_run() -> DriftRun:
    """Returns the check of an environment with one stack."""
    return DriftRun("prod", CHECKED, (build_report(),), seconds=2.1)


def build_failed_run() -> DriftRun:
    """Returns the check of two stacks, of which one was checked in part and one not at all."""
    problem = "networkpolicies.networking.k8s.io is forbidden for ServiceAccount drift"
    report = replace(build_report(), problems=(problem,))
    failed = FailedStack(US, "the cluster eks-us does not answer: connection refused")
    return DriftRun("prod", CHECKED, (report,), (failed,), seconds=32.5)


def build_clean_run() -> DriftRun:
    """Returns a check without findings."""
    report = DriftReport(PROD, (), objects=54, models=13, checked=CHECKED)
    return DriftRun("prod", CHECKED, (report,), seconds=2.1)


def build_history(nights: int = 12) -> History:
    """Returns the history of the nights before the check, whose findings grew."""
    history = History()
    findings = build_report().findings
    for night in range(nights, 0, -1):
        checked = CHECKED - timedelta(days=night)
        count = max(0, len(findings) - 3 - night) + (2 if night == 5 else 0)
        gone = build_finding(
            FindingKind.CHANGED, DEPLOYMENT, "ml-prod/fraud", "spec.paused", live=True
        )
        found = (*findings[:count], *([gone] if night == 1 else []))
        report = DriftReport(PROD, found, objects=54, models=13, checked=checked)
        history = history.add(DriftRun("prod", checked, (report,), seconds=2.0))
    return history


def build_large_run(models: int = 100, fields: int = 5) -> DriftRun:
    """Returns a check of many models, each with findings of its own."""
    findings = [
        build_finding(
            FindingKind.CHANGED,
            DEPLOYMENT,
            f"ml-prod/model-{model:04}",
            f"spec.template.spec.containers[model].env[VARIABLE_{model}_{field}]",
            desired=f"value {model} {field}",
            recorded=f"value {model} {field}",
            live=f"another value {model} {field}",
            manager=f"kubectl-edit-{field}",
            time="2026-11-22T17:40:00Z",
            source=Position(f"catalog/model-{model:04}.yaml", field + 5, 3),
        )
        for model in range(models)
        for field in range(fields)
    ]
    report = DriftReport(PROD, tuple(findings), objects=models, models=models, checked=CHECKED)
    return DriftRun("prod", CHECKED, (report,), seconds=2.1)
