"""The setting behind a finding is the one that a person would change."""

from __future__ import annotations

from framework.core.stack import Stack
from framework.drift.report import Finding, FindingKind
from framework.drift.sources import add_sources
from framework.engines.base import Request
from framework.plan import PlanStore
from tests.shipped import SHIPPED

PROD = Stack.of("prod")
SOURCES = {
    # The repository of the image is set by a profile, which other models have, too.
    "spec.template.spec.containers[model].image": "catalog/churn.yaml: image:",
    "spec.strategy.rollingUpdate.maxSurge": "catalog/_defaults.yaml: maxSurge:",
    # The name of a model is the name of its file, and has no line.
    'metadata.labels["app.kubernetes.io/name"]': "catalog/churn.yaml: ",
    "spec.noSuchField": "catalog/churn.yaml: ",
    # A whole object.
    "": "catalog/churn.yaml: ",
}


def test_source_is_the_most_specific_line_of_the_setting() -> None:
    deployment = "kubernetes:apps/v1:Deployment"
    findings = [
        Finding(FindingKind.CHANGED, deployment, "ml-prod/churn", model="churn", path=path)
        for path in SOURCES
    ]
    plan = PlanStore(SHIPPED).load_one(PROD).require()
    # In one call, since an explanation takes a second, and serves all fields in that part.
    for finding in add_sources(findings, Request(SHIPPED, PROD), plan):
        assert finding.source is not None
        lines = (SHIPPED / finding.source.path).read_text().splitlines()
        found = f"{finding.source.path}: {lines[finding.source.line - 1].strip()}"
        assert found.startswith(SOURCES[finding.path]), finding.path
