"""Rules of `drift.accept` and `drift.injectors`: what their patterns cover."""

from __future__ import annotations

from datetime import date

import pytest

from framework.core.drift_rules import AcceptRule, Injector, covers_path

ENV = "spec.template.spec.containers[model].env[DEBUG]"


@pytest.mark.parametrize(
    ("pattern", "path", "covered"),
    [
        ("", ENV, True),
        (ENV, ENV, True),
        ("containers[model].env[DEBUG]", ENV, True),
        ("containers[model]", ENV, True),
        ("containers[mode]", ENV, False),
        ("containers[*].env[*]", ENV, True),
        ("*.env[DEBU?]", ENV, True),
        ("spec.template.spec.container", ENV, False),
        ("metadata.labels", "metadata.labels.team", True),
        ('metadata.annotations["a.b/*"]', 'metadata.annotations["a.b/c"]', True),
        ("*", "", True),
        ("spec", "", False),
    ],
)
def test_path_pattern_covers_fields_and_what_is_below(
    pattern: str, path: str, covered: bool
) -> None:
    assert covers_path(pattern, path) is covered


def test_accept_rule_needs_every_pattern_and_holds_to_its_last_day() -> None:
    rule = AcceptRule("why", kind="Deploy*", model="churn", path="spec", until=date(2026, 12, 31))
    found = {"kind": "Deployment", "model": "churn", "object": "ml/churn", "path": "spec.replicas"}
    assert rule.covers(**found)
    assert not rule.covers(**{**found, "model": "intent"})
    assert not rule.covers(**{**found, "path": ""})
    assert AcceptRule("why", object="ml/*").covers(**found)
    assert not rule.has_expired(date(2026, 12, 31))
    assert rule.has_expired(date(2027, 1, 1))


def test_injector_covers_its_manager_and_path() -> None:
    injector = Injector(manager="istio-*", path="containers[istio-proxy]", kind="Deployment")
    path = "spec.template.spec.containers[istio-proxy].image"
    assert injector.covers(kind="Deployment", manager="istio-injector", path=path)
    assert not injector.covers(kind="Deployment", manager="", path=path)
    assert not injector.covers(kind="Service", manager="istio-injector", path=path)
