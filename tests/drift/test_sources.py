"""The setting behind a finding is the one that a person would change."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from framework.core.diagnostics import Position
from framework.core.stack import Stack
from framework.drift.report import Finding, FindingKind
from framework.drift.sources import add_sources
from framework.engines.base import Request
from framework.plan import PlanStore
from framework.reports import positions
from tests.shipped import SHIPPED

PROD = Stack.of("prod")
SOURCES = {
    # The repository of the image is set by a profile, which other models have, too.
    "spec.template.spec.containers[model].image": "catalog/churn.yaml: image:",
    "spec.strategy.rollingUpdate.maxSurge": "catalog/_defaults.yaml: maxSurge:",
    # The keys `http` of `ports` and `artifact` of `volumes`, which no value of a setting changes.
    "spec.template.spec.containers[model].ports[8080].name": (
        "catalog/_profiles/mlserver.yaml: ports:"
    ),
    "spec.template.spec.volumes[artifact].name": "catalog/_profiles/s3-artifact.yaml: artifact:",
    # The name of a model is the name of its file, and has no line.
    'metadata.labels["app.kubernetes.io/name"]': "catalog/churn.yaml",
    "spec.noSuchField": "catalog/churn.yaml",
    # A whole object.
    "": "catalog/churn.yaml",
}


def read_line(position: Position) -> str:
    """Returns the file and the text of a line; the file alone if the position has no line."""
    if not position.line:
        return position.path
    lines = (SHIPPED / position.path).read_text().splitlines()
    return f"{position.path}: {lines[position.line - 1].strip()}"


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
        found, wanted = read_line(finding.source), SOURCES[finding.path]
        # Without a line, the whole text is the file.
        assert found.startswith(wanted) if ":" in wanted else found == wanted, finding.path


def find_sources(models: Iterable[str], path: str) -> dict[str, str]:
    deployment = "kubernetes:apps/v1:Deployment"
    findings = [
        Finding(FindingKind.CHANGED, deployment, f"ml-prod/{name}", model=name, path=path)
        for name in models
    ]
    plan = PlanStore(SHIPPED).load_one(PROD).require()
    found = add_sources(findings, Request(SHIPPED, PROD), plan)
    return {finding.model: str(finding.source) for finding in found}


def test_source_does_not_depend_on_the_number_of_other_findings() -> None:
    models = ["churn", "fraud", "intent", "llama-chat", "ranker", "sentiment"]
    together = find_sources(models, "spec.minReadySeconds")
    for name in ("ranker", "sentiment"):
        assert find_sources([name], "spec.minReadySeconds") == {name: together[name]}
    assert together["ranker"].startswith("environments/prod/environment.yaml:")
    assert all(":" in source for source in together.values()), "every model has this setting"


def test_source_is_the_same_where_only_the_settings_of_other_models_are_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    models = [model.name for model in PlanStore(SHIPPED).load_one(PROD).require().models][:7]
    path = "spec.template.spec.containers[model].image"
    complete = find_sources(models, path)
    monkeypatch.setattr(positions, "_MAX_FULLY_TRIED", 3)
    fast = find_sources(models, path)
    for name, source in fast.items():
        # A setting that none of the first models has is not found, and then there is no line.
        assert source in (complete[name], f"catalog/{name}.yaml"), name
    assert sum(":" in source for source in fast.values()) > 3


def test_setting_that_does_not_change_the_field_is_no_source(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(positions, "_MAX_FULLY_TRIED", 0)
    models = [model.name for model in PlanStore(SHIPPED).load_one(PROD).require().models]
    assert not any(":" in source for source in find_sources(models, "spec.replicas").values())
