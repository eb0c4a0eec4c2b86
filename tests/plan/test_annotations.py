"""Annotations that the API server reads are compared with the finished object, patches included."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plan.small_catalog import check, write_files

A = "catalog/a.yaml"
ARMOR = "container.apparmor.security.beta.kubernetes.io"
RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"
OF_AGENT = f"podAnnotations: {{{ARMOR}/agent: unconfined}}\n"
AGENT = "{spec: {template: {spec: {containers: [{name: %s, image: 'ghcr.io/a/b:1'}]}}}}"
PUBLIC = f"services: {{public: {{ports: {{http: 80}}, annotations: {{{RANGES}: 10.0.0.0/8}}}}}}\n"
CLASSES = "ingress: {host: a.b, className: x, annotations: {kubernetes.io/ingress.class: y}}\n"


def _find(tmp_path: Path, text: str) -> list[tuple[str, str]]:
    checked = check(write_files(tmp_path, {A: f"+{text}"}))
    return [(error.position, error.message) for error in checked.errors]


@pytest.mark.parametrize(
    "text",
    [
        f"{OF_AGENT}patch: {{Deployment: {AGENT % 'agent'}}}",
        f"canary: {{size: 1, candidate: {{{OF_AGENT.strip()}, "
        f"patch: {{Deployment/canary: {AGENT % 'agent'}}}}}}}",
        f"service: {{annotations: {{{RANGES}: 10.0.0.0/8}}}}\n"
        "patch: {Service: {spec: {type: LoadBalancer}}}",
        f"{PUBLIC}patch: {{Service/public: {{spec: {{type: LoadBalancer}}}}}}",
        f"{CLASSES}patch: {{Ingress: {{spec: {{ingressClassName: y}}}}}}",
        f"{CLASSES}patch: {{Ingress: {{spec: {{ingressClassName: null}}}}}}",
        f"{CLASSES}patch: {{Ingress: {{metadata: {{annotations: {{kubernetes.io/ingress.class: null"
        "}}}}",
        "podAnnotations: {kubernetes.io/config.mirror: a}\n"
        "patch: {Deployment: {spec: {template: {spec: {nodeName: n}}}}}",
    ],
    ids=["container", "candidate", "type", "service", "class", "no-class", "removed", "node"],
)
def test_an_annotation_that_a_patch_makes_valid_is_accepted(text: str, tmp_path: Path) -> None:
    assert _find(tmp_path, text + "\n") == []


@pytest.mark.parametrize(
    ("text", "value", "message"),
    [
        (f"{OF_AGENT}patch: {{Deployment: {AGENT % 'other'}}}", "unconfined",
         "names no container of the Pod; expected one of model, other"),
        (f"{PUBLIC}patch: {{Service/public: {{spec: {{type: NodePort}}}}}}", "10.0.0.0/8",
         "LoadBalancer only, not NodePort"),
        (f"{CLASSES}patch: {{Ingress: {{spec: {{ingressClassName: z}}}}}}", "y}}",
         'another class than spec.ingressClassName ("z")'),
        (f"{PUBLIC}replicas: 2", "10.0.0.0/8", "LoadBalancer only, not ClusterIP"),
    ],
    ids=["container", "type", "class", "no-patch"],
)  # fmt: skip
def test_an_annotation_that_is_wrong_with_the_patch_too_is_one_error_at_the_setting(
    text: str, value: str, message: str, tmp_path: Path
) -> None:
    ((position, found),) = _find(tmp_path, text + "\n")
    assert position == f"{A}:4:{text.index(value) + 1}"
    assert message in found


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (f"service: {{annotations: {{{RANGES}: 10.0.0.0/8}}}}\n"
         f"patch: {{Service: {{spec: {{type: LoadBalancer}}, metadata: {{annotations: {{{RANGES}: "
         "y}}}}", "y}"),
        ("podAnnotations: {controller.kubernetes.io/pod-deletion-cost: '7'}\n"
         "patch: {Deployment: {spec: {template: {metadata: {annotations: {"
         "controller.kubernetes.io/pod-deletion-cost: 'y'}}}}}}", "'y'"),
        (f"{CLASSES}patch: {{Ingress: {{metadata: {{annotations: {{kubernetes.io/ingress.class: z"
         "}}}}", "z}"),
    ],
    ids=["ranges", "cost", "class"],
)  # fmt: skip
def test_a_wrong_value_that_a_patch_writes_is_reported_at_the_patch(
    text: str, value: str, tmp_path: Path
) -> None:
    ((position, message),) = _find(tmp_path, text + "\n")
    patch = text.splitlines()[-1]
    assert position == f"{A}:5:{patch.index(value) + 1}"
    assert message.startswith("patch.")


def test_a_patch_with_an_error_is_the_only_error(tmp_path: Path) -> None:
    patch = "{spec: {template: {spec: {containers: [{name: agent, image: a, tyy: true}]}}}}"
    ((position, found),) = _find(tmp_path, f"{OF_AGENT}patch: {{Deployment: {patch}}}\n")
    assert position.startswith(f"{A}:5:")
    assert "tyy" in found
