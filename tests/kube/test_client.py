"""The client against a real server, and its errors without one."""

from __future__ import annotations

import base64
import json
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml

from framework.core.errors import ClusterError
from framework.kube.api_error import ApiError, build_api_error
from framework.kube.client import KindNotServedError, KubeClient
from framework.kube.connection import ApiConnection, encode_body
from tests.kube.objects import config_map, secret


def write_kubeconfig(path: Path, server: str, user: dict[str, Any] | None = None) -> Path:
    document = {
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": user or {}}],
        "contexts": [
            {"name": "here", "context": {"cluster": "c", "user": "u"}},
            {"name": "torn", "context": {"cluster": "gone", "user": "u"}},
        ],
    }
    path.write_text(yaml.safe_dump(document))
    return path


# --- connecting


def test_missing_kubeconfig_is_reported_with_advice(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="kubeconfig file does not exist; start it"):
        KubeClient.connect(tmp_path / "kubeconfig", "local", advice="start it")


@pytest.mark.parametrize(
    ("context", "message"),
    [
        pytest.param("prod", 'there is no context "prod"; it has: here, torn', id="unknown"),
        pytest.param("torn", "names the cluster or user 'gone'", id="torn"),
        pytest.param("here", r"does not answer .*cluster-info", id="unreachable"),
    ],
)
def test_unusable_context_is_a_cluster_error(tmp_path: Path, context: str, message: str) -> None:
    path = write_kubeconfig(tmp_path / "config", "http://127.0.0.1:1")
    with pytest.raises(ClusterError, match=message):
        KubeClient.connect(path, context)


def test_advice_of_the_caller_replaces_the_general_one(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path / "config", "http://127.0.0.1:1")
    with pytest.raises(ClusterError, match=r"does not answer .*; start it"):
        KubeClient.connect(path, "here", advice="start it")


def test_invalid_kubeconfig_is_a_cluster_error(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("[]")
    with pytest.raises(ClusterError, match="is not a usable kubeconfig"):
        KubeClient.connect(path, "local")


def test_failing_credential_plugin_is_a_cluster_error(tmp_path: Path) -> None:
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "false", "args": []}
    path = write_kubeconfig(tmp_path / "config", "http://127.0.0.1:1", {"exec": plugin})
    with pytest.raises(ClusterError, match="getting the credentials failed"):
        KubeClient.connect(path, "here")


def test_credential_plugin_without_a_token_is_named(tmp_path: Path) -> None:
    # Relative to the kubeconfig, as in kubectl. Warnings on stderr do no harm.
    script = tmp_path / "plugin"
    script.write_text('#!/bin/sh\necho old >&2\necho \'{"status": {"clientKeyData": "x"}}\'\n')
    script.chmod(0o755)
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "./plugin"}
    path = write_kubeconfig(tmp_path / "config", "http://127.0.0.1:1", {"exec": plugin})
    with pytest.raises(ClusterError, match="returns no token, and client certificates"):
        KubeClient.connect(path, "here")


@pytest.mark.cluster
def test_credential_plugin_runs_with_its_variable(tmp_path: Path, kubeconfig: Path) -> None:
    """The wrong token of the plugin reaches the server, so the plugin ran."""
    token = '{"status": {"token": "wrong"}}'
    script = f"test -n \"$KUBERNETES_EXEC_INFO\" && echo '{token}'"
    document = yaml.safe_load(kubeconfig.read_text())
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "sh"}
    document["users"][0]["user"] = {"exec": {**plugin, "args": ["-c", script]}}
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(ClusterError, match="does not accept the credentials"):
        KubeClient.connect(path, "local")


# --- bodies

ODD_TEXTS = [
    "wärn ☃",
    "\U0001f600 \U0001d4b3",
    "\\ud83d\\ude00",
    "\\\U0001f600",
    "a\u2028b\x85c\x7f",
]


@pytest.mark.parametrize("text", ODD_TEXTS, ids=ascii)
def test_body_is_the_same_in_json_and_in_yaml(text: str) -> None:
    sent = encode_body({text: text})
    assert json.loads(sent) == yaml.safe_load(sent) == {text: text}


@pytest.mark.cluster
def test_any_character_is_applied_as_it_is(kube: KubeClient, namespace: str) -> None:
    wanted = config_map(namespace)
    wanted["data"] = {f"key-{number}": text for number, text in enumerate(ODD_TEXTS)}
    kube.apply(wanted, manager="tests", force=False, dry_run=False)
    live = kube.get("v1", "ConfigMap", wanted["metadata"]["name"], namespace)
    assert live is not None
    assert live["data"] == wanted["data"]


# --- errors


def test_refusal_of_a_secret_does_not_quote_its_values() -> None:
    encoded = base64.b64encode(b"s3cr3t").decode()
    sent = {"kind": "Secret", "data": {"a": encoded}, "stringData": {"b": "pl4in"}}
    message = f"expected string, got {encoded} or s3cr3t or pl4in"
    causes = [{"reason": "x", "field": "data[a]", "message": message}]
    body = {"message": message, "reason": "Invalid", "details": {"causes": causes}}
    error = build_api_error("Secret ml/hub", 422, json.dumps(body).encode(), sent)
    for text in (str(error), error.message, repr(error.causes)):
        assert not any(value in text for value in (encoded, "s3cr3t", "pl4in"))


def test_answer_without_a_status_object_is_quoted() -> None:
    error = build_api_error("Pod x", 502, b"<html>Bad Gateway</html>")
    assert "<html>Bad Gateway</html> (HTTP 502)" in str(error)


@pytest.mark.cluster
def test_invalid_object_is_refused_with_its_field(kube: KubeClient, namespace: str) -> None:
    wrong = config_map(namespace)
    wrong["metadata"]["labels"] = {"a": "not a label!"}
    with pytest.raises(ApiError, match=r"metadata\.labels") as caught:
        kube.apply(wrong, manager="tests", force=False, dry_run=True)
    assert (caught.value.status, caught.value.causes[0].field) == (422, "metadata.labels")


@pytest.mark.cluster
def test_refusal_of_a_mistyped_secret_does_not_quote_its_values(
    kube: KubeClient, namespace: str
) -> None:
    wrong = secret(namespace)
    wrong["data"] = {"token": 123456789}
    with pytest.raises(ApiError) as caught:
        kube.apply(wrong, manager="tests", force=False, dry_run=True)
    assert "123456789" not in str(caught.value)


@pytest.mark.cluster
def test_unserved_kind_is_an_error(kube: KubeClient) -> None:
    with pytest.raises(
        KindNotServedError, match="apps/v1 Deploymint: the server does not serve this kind"
    ):
        kube.get("apps/v1", "Deploymint", "x", "default")


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("group", "kind", "api_version"),
    [
        ("autoscaling", "HorizontalPodAutoscaler", "autoscaling/v2"),
        ("apps", "Deploymint", ""),
        ("keda.sh", "ScaledObject", ""),
    ],
)
def test_version_of_a_kind_is_the_one_that_the_server_prefers(
    kube: KubeClient, group: str, kind: str, api_version: str
) -> None:
    assert kube.find_served_version(group, kind) == api_version


@pytest.mark.cluster
def test_kinds_that_are_deleted_with_a_namespace_are_those_of_the_server(kube: KubeClient) -> None:
    kinds, unknown = kube.list_namespaced_kinds()
    assert unknown == []
    assert kinds["autoscaling", "HorizontalPodAutoscaler"] == "autoscaling/v2"
    assert kinds["rbac.authorization.k8s.io", "RoleBinding"] == "rbac.authorization.k8s.io/v1"
    assert kinds["", "Secret"] == "v1"
    # The first is in no Namespace, and the others are never stored.
    for key in (
        ("", "Node"),
        ("", "Binding"),
        ("authorization.k8s.io", "LocalSubjectAccessReview"),
    ):
        assert key not in kinds


def test_kinds_of_a_server_behind_the_api_server_may_be_unknown() -> None:
    def describe(kind: str, *verbs: str) -> dict[str, Any]:
        response = {"responseKind": {"kind": kind}} if kind else {}
        return {**response, "resource": "x", "scope": "Namespaced", "verbs": [*verbs]}

    def answer(verb: str, path: str, where: str, **options: Any) -> dict[str, Any]:
        if path == "/api":
            return {"items": []}
        resources = [describe("PodMetrics", "get", "list"), describe("Rule", "list", "delete")]
        versions = [{"version": version, "resources": resources} for version in ("v1", "v1beta1")]
        old = [{"version": "v1beta1", "resources": [describe("")], "freshness": "Stale"}]
        current = {"metadata": {"name": "example.com"}, "versions": versions}
        return {"items": [current, {"metadata": {"name": "metrics.k8s.io"}, "versions": old}]}

    client = KubeClient(cast(ApiConnection, SimpleNamespace(request=answer)))
    kinds = {("example.com", "Rule"): "example.com/v1"}
    assert client.list_namespaced_kinds() == (kinds, ["metrics.k8s.io/v1beta1"])


@pytest.mark.parametrize(
    "version",
    [
        {},
        {"resources": None},
        {"resources": [{"resource": "x", "scope": "Namespaced", "verbs": None}]},
    ],
    ids=str,
)
def test_api_without_resources_has_no_kinds(version: dict[str, Any]) -> None:
    def answer(verb: str, path: str, where: str, **options: Any) -> dict[str, Any]:
        if path != "/apis":
            return {"items": [], "resources": None}
        named = {"version": "v1beta1", "freshness": "Current", **version}
        empty = {"metadata": {"name": "example.com"}}
        group = {"metadata": {"name": "external.metrics.k8s.io"}, "versions": [named]}
        return {"items": [empty, group]}

    client = KubeClient(cast(ApiConnection, SimpleNamespace(request=answer)))
    assert client.list_namespaced_kinds() == ({}, [])
    with pytest.raises(KindNotServedError):
        client.served_kind("custom.metrics.k8s.io/v1beta2", "MetricValueList")


def test_other_form_of_the_kinds_is_an_api_error() -> None:
    answer = {"kind": "APIVersions", "versions": ["v1"]}
    connection = SimpleNamespace(request=lambda *args, **options: answer)
    with pytest.raises(ApiError, match="does not have the kinds"):
        KubeClient(cast(ApiConnection, connection)).list_namespaced_kinds()


@pytest.mark.cluster
def test_missing_permission_is_an_api_error(
    kube: KubeClient, kubeconfig: Path, tmp_path: Path
) -> None:
    made = kube.connection.request(
        "POST",
        "/api/v1/namespaces/default/serviceaccounts/default/token",
        "token",
        body={"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}},
        media="application/json",
    )
    document = yaml.safe_load(kubeconfig.read_text())
    document["users"][0]["user"] = {"token": made["status"]["token"]}
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(document))
    with (
        KubeClient.connect(path, "local") as client,
        pytest.raises(ApiError, match='cannot list resource "pods"') as caught,
    ):
        client.list_objects("v1", "Pod", "default")
    assert caught.value.status == 403


# --- reading and watching


@pytest.mark.cluster
def test_server_version_and_cluster_uid(kube: KubeClient) -> None:
    major, minor = kube.server_version()
    assert (major, minor) >= (1, 30)
    assert len(kube.cluster_uid()) == 36


@pytest.mark.cluster
def test_listed_objects_have_apiversion_and_kind(kube: KubeClient, namespace: str) -> None:
    kube.create(config_map(namespace, "a"), manager="tests")
    items = kube.list_objects("v1", "ConfigMap", namespace, fields="metadata.name=a")
    assert [(i["kind"], i["apiVersion"], i["metadata"]["name"]) for i in items] == [
        ("ConfigMap", "v1", "a")
    ]


@pytest.mark.cluster
def test_missing_object_reads_as_none_and_deletes_without_error(
    kube: KubeClient, namespace: str
) -> None:
    assert kube.get("v1", "ConfigMap", "nothing", namespace) is None
    kube.delete("v1", "ConfigMap", "nothing", namespace)


@pytest.mark.cluster
def test_closing_ends_a_watch(kubeconfig: Path) -> None:
    client = KubeClient.connect(kubeconfig, "local")
    seen: list[str] = []
    first = threading.Event()

    def follow() -> None:
        for event, _ in client.watch("v1", "Namespace", timeout_s=60):
            seen.append(event)
            first.set()

    thread = threading.Thread(target=follow)
    thread.start()
    assert first.wait(10)
    client.close()
    thread.join(5)
    assert not thread.is_alive()
