"""The words of a policy lead to the field that it refuses, so that the report names its line."""

from __future__ import annotations

from typing import Any

import pytest

from framework.core.field_paths import FieldPath
from framework.reports.refusals import find_described

POLICY = "ValidatingAdmissionPolicy 'p' with binding 'p' denied request: "
WEBHOOK = 'admission webhook "guard.example.com" denied the request: '
MODEL: dict[str, Any] = {
    "name": "model",
    "image": "ghcr.io/acme/server:v1",
    "resources": {"limits": {"memory": "16Gi"}, "requests": {"cpu": "1", "memory": "16Gi"}},
}
FETCH = {"name": "fetch", "image": "ghcr.io/acme/fetch:v2"}
OBJECT = {
    "kind": "Deployment",
    "metadata": {"name": "a", "labels": {"tier": "bronze", "app": "a"}},
    "spec": {
        "replicas": 9,
        "template": {"spec": {"containers": [MODEL], "initContainers": [FETCH]}},
    },
}
CONTAINER = "spec.template.spec.containers[model]"


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (f"{POLICY}label tier must be gold, not bronze", "metadata.labels.tier"),
        (f"{WEBHOOK}labels: tier is not known.", "metadata.labels.tier"),
        (f"{POLICY}no more than 5 replicas", "spec.replicas"),
        (f"{WEBHOOK}image comes from no allowed registry", f"{CONTAINER}.image"),
        (
            f"{WEBHOOK}image ghcr.io/acme/fetch:v2 is not signed",
            "spec.template.spec.initContainers[fetch].image",
        ),
        (f"{POLICY}Memory limit above 8Gi", f"{CONTAINER}.resources.limits.memory"),
        (f"{POLICY}cpu requests must be below 1", f"{CONTAINER}.resources.requests.cpu"),
        (f"{POLICY}set limits", f"{CONTAINER}.resources.limits"),
        (f"{POLICY}not on a Friday", None),
        ("spec.replicas: Invalid value: -1: no label and no image", None),
    ],
)
def test_words_of_a_policy_lead_to_the_field(message: str, field: str | None) -> None:
    found = next(find_described(f"Deployment ns/a: {message} (HTTP 422 Invalid)", OBJECT), None)
    assert found == (FieldPath.parse(field) if field else None)
