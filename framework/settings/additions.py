"""Lists the fields that every model gets without a setting, and the setting that removes each.

The reference page lists it. A test renders a model of three lines and finds nothing else in it.
"""

from __future__ import annotations

from typing import NamedTuple


class Addition(NamedTuple):
    """Fields that a model gets. `fields` are paths below the kind; `without` is the setting that
    removes them, or that gives them the default of Kubernetes."""

    fields: tuple[str, ...]
    meaning: str
    without: str


_POD = "Deployment.spec.template.spec"
_CONTAINER = f"{_POD}.containers[model]"

ADDITIONS = (
    Addition(
        ("Service",),
        "A Service with every port.",
        "service: {enabled: false}",
    ),
    Addition(
        ("ServiceAccount",),
        "A ServiceAccount of its own, so that permissions are those of one model.",
        "serviceAccount: {name: default}",
    ),
    Addition(
        (f"{_POD}.automountServiceAccountToken",),
        "No token for the Kubernetes API: a model server needs none.",
        "serviceAccount: {automountToken: true}",
    ),
    Addition(
        (f"{_POD}.securityContext", f"{_CONTAINER}.securityContext"),
        "The Pod Security Standard `restricted`.",
        "security: {standard: none}",
    ),
    Addition(
        (f"{_POD}.topologySpreadConstraints",),
        "Pods spread over zones and nodes where possible, counted for each version separately.",
        "scheduling: {spread: false}",
    ),
    Addition(
        (f"{_CONTAINER}.lifecycle",),
        "A preStop sleep: a Pod still serves while it is removed from the Service.",
        "preStopSeconds: 0",
    ),
    Addition(
        (f"{_CONTAINER}.startupProbe",),
        "A startup probe, a copy of the readiness probe that lasts `startupSeconds`.",
        "probes: {startup: false}",
    ),
    Addition(
        ("Deployment.spec.strategy.rollingUpdate.maxUnavailable",),
        "0: an update stops no Pod before a new one is available. Kubernetes: 25%.",
        "rollout: {maxUnavailable: 25%}",
    ),
    Addition(
        ("Deployment.spec.revisionHistoryLimit",),
        "5 old ReplicaSets. Kubernetes: 10.",
        "rollout: {revisionHistoryLimit: 10}",
    ),
    Addition(
        (f"{_CONTAINER}.imagePullPolicy",),
        "`IfNotPresent`. Kubernetes: `Always` for the tag `latest`.",
        "image: {pullPolicy: Always}",
    ),
)
