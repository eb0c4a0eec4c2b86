"""Lists the fields that every model gets without a setting, and the setting that removes each.

The reference page lists it. A test renders a model of three lines and finds nothing else in it.
"""

from __future__ import annotations

from typing import NamedTuple


class AddedFields(NamedTuple):
    """Fields that a model gets. `fields` are paths below the kind; `without` is the setting that
    removes them, or that gives them the default of Kubernetes."""

    fields: tuple[str, ...]
    meaning: str
    without: str


_POD = "Deployment.spec.template.spec"
_CONTAINER = f"{_POD}.containers[model]"

ADDITIONS = (
    AddedFields(
        ("Service",),
        "A Service with every port.",
        "service: {enabled: false}",
    ),
    AddedFields(
        ("ServiceAccount",),
        "A ServiceAccount of its own, so that permissions are those of one model.",
        "serviceAccount: {name: default}",
    ),
    AddedFields(
        (f"{_POD}.automountServiceAccountToken",),
        "No token for the Kubernetes API: a model server needs none.",
        "serviceAccount: {automountToken: true}",
    ),
    AddedFields(
        (f"{_POD}.securityContext", f"{_CONTAINER}.securityContext"),
        "The Pod Security Standard `restricted`.",
        "security: {standard: none}",
    ),
    AddedFields(
        (f"{_POD}.topologySpreadConstraints",),
        "Pods spread over zones and nodes where possible, counted for each version separately.",
        "scheduling: {spread: false}",
    ),
    AddedFields(
        (f"{_CONTAINER}.lifecycle",),
        "A preStop sleep: a Pod still serves while it is removed from the Service.",
        "preStopSeconds: 0",
    ),
    AddedFields(
        (f"{_CONTAINER}.startupProbe",),
        "A startup probe, a copy of the readiness probe that lasts `startupSeconds`.",
        "probes: {startup: false}",
    ),
    AddedFields(
        (f"{_CONTAINER}.readinessProbe.timeoutSeconds",),
        "2 seconds for each try of a probe. Kubernetes: 1.",
        "probes: {readiness: {timeoutSeconds: 1}}",
    ),
    AddedFields(
        ("Deployment.spec.strategy.rollingUpdate.maxUnavailable",),
        "0: an update stops no Pod before a new one is available. Kubernetes: 25%.",
        "rollout: {maxUnavailable: 25%}",
    ),
    AddedFields(
        ("Deployment.spec.revisionHistoryLimit",),
        "5 old ReplicaSets. Kubernetes: 10.",
        "rollout: {revisionHistoryLimit: 10}",
    ),
    AddedFields(
        (f"{_CONTAINER}.imagePullPolicy",),
        "`IfNotPresent`. Kubernetes: `Always` for the tag `latest`.",
        "image: {pullPolicy: Always}",
    ),
)
