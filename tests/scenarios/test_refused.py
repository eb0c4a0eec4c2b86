"""Objects that the server refuses are errors of the preview, named by model and position."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from framework.kube.api_error import ApiError
from framework.kube.client import KubeClient
from tests.conformance.both_engines import BothEngines
from tests.conformance.conftest import make_both  # noqa: F401
from tests.conftest import MakeProject, Project

pytestmark = pytest.mark.cluster
Object = dict[str, Any]
RefuseImages = Callable[..., None]


@pytest.fixture
def refuse_images(kube: KubeClient) -> Iterator[RefuseImages]:
    """Makes a ValidatingAdmissionPolicy that refuses images with a text, in one Namespace.

    Further arguments are expressions with their messages.
    """
    made: list[tuple[str, str]] = []

    def refuse(namespace: str, text: str, **others: str) -> None:
        rule = {
            "apiGroups": ["apps"],
            "apiVersions": ["v1"],
            "operations": ["CREATE", "UPDATE"],
            "resources": ["deployments"],
        }
        expression = (
            f"object.spec.template.spec.containers.all(c, !c.image.contains({json.dumps(text)}))"
        )
        policy = {
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [
                {
                    "expression": expression,
                    "message": "spec.template.spec.containers[0].image must not be banned",
                },
                *({"expression": text, "message": message} for message, text in others.items()),
            ],
        }
        selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
        binding = {
            "policyName": namespace,
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": selector},
        }
        for kind, spec in (
            ("ValidatingAdmissionPolicy", policy),
            ("ValidatingAdmissionPolicyBinding", binding),
        ):
            made.append((kind, namespace))
            api = "admissionregistration.k8s.io/v1"
            obj = {"apiVersion": api, "kind": kind, "metadata": {"name": namespace}, "spec": spec}
            kube.create(obj, manager="test")
        _wait_active(kube, namespace, text)

    yield refuse
    for kind, name in reversed(made):
        kube.delete("admissionregistration.k8s.io/v1", kind, name)


def _wait_active(kube: KubeClient, namespace: str, text: str) -> None:
    labels = {"app": "probe"}
    spec = {
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "model", "image": text}]},
        },
    }
    metadata = {"name": "probe", "namespace": namespace}
    probe = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
    for _ in range(100):
        try:
            kube.create(probe, manager="test", dry_run=True)
        except ApiError:
            return
        time.sleep(0.1)
    raise AssertionError("the policy does not become active")


def _unwrapped(text: str) -> str:
    return " ".join(text.split())


def test_every_refused_object_is_named_with_its_line(
    make_quick_project: MakeProject, kube: KubeClient, refuse_images: RefuseImages
) -> None:
    project = make_quick_project("churn", "fraud", "intent")
    project.succeed("up", "dev")
    refuse_images(f"{project.namespace}-dev", "banned")
    for model in ("churn", "fraud"):
        _set_tag(project, model, "banned")
    _set_tag(project, "intent", "9.9.9")
    before = _images(kube, project)
    run = project.run("preview", "dev")
    shown = _unwrapped(run.stdout)
    assert run.returncode == 1, run.stdout + run.stderr
    assert "error: catalog/churn.yaml:4:14: Deployment" in shown
    assert "must not be banned" in shown
    assert "error: catalog/fraud.yaml:" in shown
    assert "9.9.9" in shown
    assert "2 errors; nothing was changed." in shown
    run = project.run("up", "dev", "--yes")
    assert run.returncode == 1, run.stdout + run.stderr
    assert "2 errors; nothing was changed." in _unwrapped(run.stdout)
    assert _images(kube, project) == before


@pytest.mark.grid
def test_words_of_a_policy_lead_to_the_line(
    make_quick_project: MakeProject, kube: KubeClient, refuse_images: RefuseImages
) -> None:
    project = make_quick_project("churn", "intent", "fraud", "whisper")
    project.succeed("up", "dev")
    memory = (
        "object.spec.template.spec.containers.all(c, "
        "quantity(c.resources.limits.memory).compareTo(quantity('20Gi')) < 0)"
    )
    policies = {
        "label tier must be gold": "object.metadata.?labels.?tier.orValue('gold') == 'gold'",
        "at most 6 replicas are allowed": "object.spec.?replicas.orValue(1) <= 6",
        "the memory limit is too high": memory,
    }
    refuse_images(f"{project.namespace}-dev", "banned", **policies)
    overlays = {
        "churn": "labels: {tier: bronze}\n",
        "intent": "replicas: 7\n",
        "fraud": "resources: {limits: {memory: 21Gi}}\n",
        "whisper": "image: {tag: banned}\n",
    }
    for model, text in overlays.items():
        project.write(f"environments/dev/models/{model}.yaml", text)
    run = project.run("preview", "dev", "--json")
    assert run.returncode == 1, run.stderr
    positions = {item["model"]: item["position"] for item in json.loads(run.stdout)["problems"]}
    assert positions == {
        "churn": "environments/dev/models/churn.yaml:1:16",
        "intent": "environments/dev/models/intent.yaml:1:11",
        "fraud": "environments/dev/models/fraud.yaml:1:30",
        "whisper": "environments/dev/models/whisper.yaml:1:14",
    }


def _set_tag(project: Project, model: str, tag: str) -> None:
    file = project.root / f"catalog/{model}.yaml"
    project.succeed("bump", "--model", model, "--tag", tag)
    assert tag in file.read_text()


def _images(kube: KubeClient, project: Project) -> list[str]:
    return [
        item["spec"]["template"]["spec"]["containers"][0]["image"]
        for item in kube.list_objects("apps/v1", "Deployment", f"{project.namespace}-dev")
    ]


@pytest.mark.grid
@pytest.mark.pulumi_cli
def test_both_engines_show_the_same_refusals(
    make_both: Callable[..., BothEngines],  # noqa: F811
    kube: KubeClient,
    refuse_images: RefuseImages,
) -> None:
    both = make_both("churn", "fraud")
    both.up()
    for project in (both.embedded, both.cli):
        refuse_images(f"{project.namespace}-dev", "banned")
        _add_broken_webhook(kube, f"{project.namespace}-dev")
        for model in ("churn", "fraud"):
            _set_tag(project, model, "banned")
        project.write("environments/dev/models/churn.yaml", "service: {type: NodePort}\n")
    try:
        runs = both.run("preview", "dev", "--json", code=1)
        documents = [
            json.loads(run.stdout.replace(project.namespace, "ns"))
            for run, project in zip(runs.values(), (both.embedded, both.cli), strict=True)
        ]
        for key in ("problems", "changes"):
            assert documents[0][key] == documents[1][key]
        problems = documents[0]["problems"]
        assert [problem["object"] for problem in problems] == [
            "Deployment ns-dev/churn",
            "Service ns-dev/churn",
            "Deployment ns-dev/fraud",
        ]
        assert "failed calling webhook" in problems[1]["message"]
        both.run("up", "dev", "--yes", code=1)
    finally:
        for project in (both.embedded, both.cli):
            kube.delete(
                "admissionregistration.k8s.io/v1",
                "ValidatingWebhookConfiguration",
                f"{project.namespace}-dev",
            )


def _add_broken_webhook(kube: KubeClient, namespace: str) -> None:
    rule = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["UPDATE"],
        "resources": ["services"],
    }
    webhook = {
        "name": "down.example.com",
        "rules": [rule],
        "clientConfig": {"url": "https://127.0.0.1:1/"},
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "timeoutSeconds": 1,
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
    }
    configuration = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": namespace},
        "webhooks": [webhook],
    }
    kube.create(configuration, manager="test")
