"""References of manifests: what must exist, what is optional, and what an operator brings."""

from __future__ import annotations

from typing import Any

import pytest

from framework.core.changes import Severity
from framework.plan import Manifest
from framework.plan.references import list_provided, list_references

Object = dict[str, Any]


def deployment(pod: Object, kind: str = "Deployment") -> Manifest:
    pod = {"containers": [{"name": "model", "image": "x"}], **pod}
    metadata = {"name": "churn", "namespace": "ml"}
    spec = {"template": {"spec": pod}}
    obj = {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": spec}
    return Manifest("churn", obj)


def named(manifest: Manifest) -> list[str]:
    return [
        f"{r.kind} {r.name}" + (f" {r.key}" if r.key else "") for r in list_references(manifest)
    ]


def container(**fields: Any) -> Object:
    return {"containers": [{"name": "model", "image": "x", **fields}]}


ROOT = "kube-root-ca.crt"
KEY = {"name": "hub", "key": "token"}


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        (
            container(env=[{"name": "T", "valueFrom": {"secretKeyRef": KEY}}]),
            ["Secret hub", "Secret hub token"],
        ),
        (
            container(
                env=[{"name": "T", "valueFrom": {"secretKeyRef": {**KEY, "optional": True}}}]
            ),
            [],
        ),
        (container(envFrom=[{"configMapRef": {"name": "c"}}]), ["ConfigMap c"]),
        (
            container(
                env=[
                    {"name": name, "valueFrom": {"configMapKeyRef": {"name": ROOT, "key": name}}}
                    for name in ("ca.crt", "other")
                ]
            ),
            [f"ConfigMap {ROOT} other"],
        ),
        (
            {"volumes": [{"name": "v", "csi": {"nodePublishSecretRef": {"name": "s"}}}]},
            ["Secret s"],
        ),
        ({"volumes": [{"name": "v", "secret": {"secretName": "s"}}]}, ["Secret s"]),
        (
            {"volumes": [{"name": "v", "configMap": {"name": "c", "items": [{"key": "k"}]}}]},
            ["ConfigMap c", "ConfigMap c k"],
        ),
        (
            {"volumes": [{"name": "v", "projected": {"sources": [{"secret": {"name": "s"}}]}}]},
            ["Secret s"],
        ),
        (
            {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "p"}}]},
            ["PersistentVolumeClaim p"],
        ),
        (
            {
                "volumes": [
                    {
                        "name": "v",
                        "ephemeral": {
                            "volumeClaimTemplate": {"spec": {"storageClassName": "fast"}}
                        },
                    }
                ]
            },
            ["StorageClass fast"],
        ),
        ({"serviceAccountName": "default"}, []),
        (
            {"serviceAccountName": "a", "priorityClassName": "p"},
            ["ServiceAccount a", "PriorityClass p"],
        ),
        ({"priorityClassName": "system-node-critical"}, []),
        ({"runtimeClassName": "gvisor"}, ["RuntimeClass gvisor"]),
        ({"imagePullSecrets": [{"name": "pull"}]}, ["Secret pull"]),
    ],
)
def test_references_of_a_pod(pod: Object, expected: list[str]) -> None:
    assert named(deployment(pod)) == expected
    # Pods of other kinds count as well.
    assert named(deployment(pod, "Job")) == expected


def test_field_of_a_reference_names_items() -> None:
    pod = container(env=[{"name": "T", "valueFrom": {"secretKeyRef": KEY}}])
    fields = [reference.field for reference in list_references(deployment(pod))]
    start = "spec.template.spec.containers[model].env[T].valueFrom.secretKeyRef"
    assert fields == [f"{start}.name", f"{start}.key"]


def test_a_missing_pull_secret_is_a_warning() -> None:
    (reference,) = list_references(deployment({"imagePullSecrets": [{"name": "pull"}]}))
    assert reference.severity is Severity.WARNING


def ingress(annotations: Object) -> Manifest:
    metadata = {"name": "churn", "namespace": "ml", "annotations": annotations}
    spec = {"ingressClassName": "nginx", "tls": [{"secretName": "cert"}]}
    obj = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": metadata,
        "spec": spec,
    }
    return Manifest("churn", obj)


def test_a_certificate_of_cert_manager_comes_later() -> None:
    assert named(ingress({})) == ["IngressClass nginx", "Secret cert"]
    assert named(ingress({"cert-manager.io/issuer": "ca"})) == ["IngressClass nginx"]


@pytest.mark.parametrize(
    ("kind", "spec", "secret"),
    [
        ("ExternalSecret", {"target": {"name": "hub"}}, "hub"),
        ("ExternalSecret", {}, "made"),
        ("SealedSecret", {}, "made"),
        ("Certificate", {"secretName": "cert"}, "cert"),
        ("VaultStaticSecret", {"destination": {"name": "hub"}}, "hub"),
    ],
)
def test_operators_provide_secrets(kind: str, spec: Object, secret: str) -> None:
    metadata = {"name": "made", "namespace": "ml"}
    obj = {"apiVersion": "example.com/v1", "kind": kind, "metadata": metadata, "spec": spec}
    assert ("Secret", "ml", secret) in set(list_provided(Manifest("made", obj)))
