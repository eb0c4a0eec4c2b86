"""Update, drift and taking over, on a real API server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from framework.core.changes import FieldChange, Op
from framework.core.drift_rules import Injector
from framework.kinds.registry import RULES
from framework.kube.client import KubeClient
from framework.kube.last_applied import compare_with_last_applied
from framework.kube.managed_fields import has_manager
from framework.kube.object_diff import LiveStatus
from framework.kube.objects import ObjectState
from framework.kube.patching import build_patch, take_over
from framework.kube.provider import KubernetesProvider
from tests.kube.objects import config_map, deployment, live_of, scale, service, urn

pytestmark = pytest.mark.cluster

URN = urn("sentiment")


def test_diff_predicts_the_update(
    provider: KubernetesProvider, kube: KubeClient, namespace: str
) -> None:
    state = provider.create(URN, deployment(namespace))
    new = deployment(namespace, image="registry.example.com/ml/sentiment:v2", env={"DEBUG": "1"})
    diff = provider.diff(URN, state, new, ())
    container = "spec.template.spec.containers[model]"
    assert diff.op is Op.UPDATE
    assert diff.fields == (
        FieldChange(f"{container}.env[LOG_LEVEL]", "info", None),
        FieldChange(f"{container}.env[DEBUG]", None, "1"),
        FieldChange(
            f"{container}.image",
            "registry.example.com/ml/sentiment:v1",
            "registry.example.com/ml/sentiment:v2",
        ),
    )
    assert live_of(kube, new)["spec"] == state.outputs["spec"]
    updated = provider.update(URN, state, new, ())
    assert updated.outputs["spec"] == diff.predicted["spec"]
    assert provider.diff(URN, updated, new, ()).op is Op.SAME


@pytest.mark.parametrize("uses_lists", [True, False])
def test_equal_quantities_are_no_change(kube: KubeClient, namespace: str, uses_lists: bool) -> None:
    inputs = deployment(namespace)
    inputs["spec"]["template"]["spec"]["containers"][0]["resources"] = {
        "requests": {"cpu": "1000m", "memory": "1024Mi"}
    }
    provider = KubernetesProvider(kube, rules=RULES)
    provider.uses_lists = uses_lists
    state = provider.create(URN, inputs)
    assert provider.diff(URN, state, inputs, ()).fields == ()


def test_drift_by_kubectl_is_reverted(
    provider: KubernetesProvider, kube: KubeClient, kubectl: Any, namespace: str
) -> None:
    inputs = deployment(namespace)
    state = provider.create(URN, inputs)
    spec = live_of(kube, inputs)["spec"]
    spec["revisionHistoryLimit"] = 3
    spec["template"]["spec"]["containers"][0]["env"].append({"name": "EXTRA", "value": "1"})
    kubectl("edit", inputs, {"spec": spec})
    scale(kube, inputs, 5, "kubectl")
    diff = provider.diff(URN, state, inputs, ())
    assert [(f.path, f.old, f.new, f.manager) for f in diff.fields] == [
        ("spec.replicas", 5, 2, "kubectl"),
        ("spec.revisionHistoryLimit", 3, 10, "kubectl-edit"),
        ("spec.template.spec.containers[model].env[EXTRA]", "1", None, "kubectl-edit"),
    ]
    updated = provider.update(URN, state, inputs, ())
    assert updated.outputs["spec"] == state.outputs["spec"] == diff.predicted["spec"]
    assert not has_manager(updated.outputs, "kubectl-edit")
    assert provider.diff(URN, updated, inputs, ()).op is Op.SAME


@pytest.mark.parametrize("with_additions", [True, False])
def test_object_with_emptied_managed_fields_is_put_back(
    provider: KubernetesProvider, kube: KubeClient, namespace: str, with_additions: bool
) -> None:
    inputs = deployment(namespace)
    state = provider.create(URN, inputs)
    live = live_of(kube, inputs)
    if with_additions:
        live["spec"]["revisionHistoryLimit"] = 3
        container = live["spec"]["template"]["spec"]["containers"][0]
        container["env"].append({"name": "EXTRA", "value": "1"})
        live["metadata"]["labels"]["by"] = "hand"
        live["spec"]["template"]["spec"]["nodeSelector"] = {"disk": "ssd"}
        live["metadata"].pop("resourceVersion")
        kube.replace(live, manager="kubectl-edit")
    empty = [{"op": "replace", "path": "/metadata/managedFields", "value": [{}]}]
    name = inputs["metadata"]["name"]
    kube.json_patch("apps/v1", "Deployment", name, namespace, operations=empty, manager="kubectl")
    assert not live_of(kube, inputs)["metadata"].get("managedFields")
    expected = [
        "metadata.labels.by",
        "spec.revisionHistoryLimit",
        "spec.template.spec.containers[model].env[EXTRA]",
        "spec.template.spec.nodeSelector",
    ]
    found = compare_with_last_applied(state, provider.read(state), ())
    assert sorted(field.path for field in found.fields) == expected * with_additions
    diff = provider.diff(URN, state, inputs, ())
    assert sorted(field.path for field in diff.fields) == expected * with_additions
    updated = provider.update(URN, state, inputs, ())
    assert updated.outputs["spec"] == state.outputs["spec"] == diff.predicted["spec"]
    assert updated.outputs["metadata"]["labels"] == state.outputs["metadata"]["labels"]
    assert provider.diff(URN, updated, inputs, ()).op is Op.SAME
    assert compare_with_last_applied(updated, provider.read(updated), ()).fields == ()


def test_restart_by_kubectl_is_a_field_change(
    provider: KubernetesProvider, kube: KubeClient, kubectl: Any, namespace: str
) -> None:
    inputs = deployment(namespace)
    state = provider.create(URN, inputs)
    spec = live_of(kube, inputs)["spec"]
    mark = {"kubectl.kubernetes.io/restartedAt": "2026-11-22T17:40:00Z"}
    spec["template"]["metadata"]["annotations"] = mark
    kubectl("rollout", inputs, {"spec": spec})
    (field,) = provider.diff(URN, state, inputs, ()).fields
    assert (field.new, field.manager) == (None, "kubectl-rollout")
    provider.update(URN, state, inputs, ())
    assert "annotations" not in live_of(kube, inputs)["spec"]["template"]["metadata"]


def test_fields_of_a_declared_injector_are_kept_and_of_others_removed(
    provider: KubernetesProvider, kube: KubeClient, namespace: str
) -> None:
    inputs = deployment(namespace)
    state = provider.create(URN, inputs)
    theirs = {
        **{key: inputs[key] for key in ("apiVersion", "kind")},
        "metadata": {"name": "sentiment", "namespace": namespace, "labels": {"mesh": "on"}},
    }
    kube.apply(theirs, manager="mesh-injector", force=False, dry_run=False)
    provider.injectors = (Injector(manager="mesh-*", path="metadata.labels.mesh"),)
    assert provider.diff(URN, state, inputs, ()).op is Op.SAME
    new = deployment(namespace, replicas=3)
    state = provider.update(URN, state, new, ())
    assert state.outputs["metadata"]["labels"]["mesh"] == "on"

    provider.injectors = ()
    (field,) = provider.diff(URN, state, new, ()).fields
    assert (field.path, field.old, field.new) == ("metadata.labels.mesh", "on", None)
    assert "mesh" not in provider.update(URN, state, new, ()).outputs["metadata"]["labels"]


def test_injected_container_that_somebody_changed_is_found_and_removed(
    provider: KubernetesProvider, kube: KubeClient, kubectl: Any, namespace: str
) -> None:
    inputs = deployment(namespace)
    state = provider.create(URN, inputs)
    injector = Injector(manager="mesh", path="containers[proxy]")
    provider.injectors = (injector,)

    def inject(image: str, **fields: Any) -> None:
        proxy = {"name": "proxy", "image": image, **fields}
        theirs = {
            **{key: inputs[key] for key in ("apiVersion", "kind")},
            "metadata": {"name": "sentiment", "namespace": namespace},
            "spec": {"template": {"spec": {"containers": [proxy]}}},
        }
        manager = "kubectl-edit" if fields else "mesh"
        kube.apply(theirs, manager=manager, force=True, dry_run=False)
        # A provider serves one operation, and lists the objects once for it.
        provider.forget(inputs)

    inject("proxy:1")
    assert provider.diff(URN, state, inputs, ()).op is Op.SAME
    inject("evil:2", securityContext={"privileged": True})
    fields = provider.diff(URN, state, inputs, ()).fields
    assert [(f.path, f.new) for f in fields] == [("spec.template.spec.containers[proxy]", None)]
    state = provider.update(URN, state, inputs, ())
    containers = state.outputs["spec"]["template"]["spec"]["containers"]
    assert [container["name"] for container in containers] == ["model"]
    inject("proxy:1")
    assert provider.diff(URN, state, inputs, ()).op is Op.SAME


def test_takeover_whose_apply_failed_is_still_drift_after_a_refresh(
    provider: KubernetesProvider, kube: KubeClient, kubectl: Any, namespace: str
) -> None:
    inputs = config_map(namespace, A="1")
    state = provider.create(URN, inputs)
    kubectl("edit", inputs, {"data": {"A": "1", "new": "x"}, "immutable": True})
    # An earlier version took the fields over, and only then met the refusal.
    patch = build_patch(live_of(kube, inputs), inputs, inputs, _manager(state), ())
    take_over(kube, live_of(kube, inputs), patch)
    refreshed = provider.read(state)
    assert refreshed is not None
    found = compare_with_last_applied(refreshed, refreshed, ())
    assert [field.path for field in found.fields] == ["data.new", "immutable"]
    assert provider.diff(URN, refreshed, inputs, ()).op is Op.REPLACE


def _manager(state: ObjectState) -> str:
    return str(state.outputs["__fieldManager"])


def test_object_created_by_the_cli_is_taken_over(
    provider: KubernetesProvider, kube: KubeClient, namespace: str
) -> None:
    """The CLI creates by POST as `pulumi-kubernetes` and records another name."""
    inputs = deployment(namespace)
    live = kube.create(inputs, manager="pulumi-kubernetes")
    recorded = "pulumi-kubernetes-58430e23"
    outputs = {**live, "__fieldManager": recorded, "__inputs": inputs}
    state = ObjectState(f"{namespace}/sentiment", inputs, outputs)
    assert provider.diff(URN, state, inputs, ()).op is Op.SAME
    new = deployment(namespace, env={"OTHER": "1"})
    diff = provider.diff(URN, state, new, ())
    assert [f.path.rpartition(".")[2] for f in diff.fields] == ["env[LOG_LEVEL]", "env[OTHER]"]
    updated = provider.update(URN, state, new, ())
    assert updated.outputs["spec"] == diff.predicted["spec"]
    managers = {e["manager"] for e in updated.outputs["metadata"]["managedFields"]}
    assert recorded in managers
    assert "pulumi-kubernetes" not in managers


@pytest.fixture
def verbs(kube: KubeClient, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The HTTP verb of every request from now on."""
    sent: list[str] = []
    request = kube.connection.request

    def count(verb: str, *rest: Any, **more: Any) -> Any:
        sent.append(verb)
        return request(verb, *rest, **more)

    monkeypatch.setattr(kube.connection, "request", count)
    return sent


def test_preview_lists_each_kind_once_and_dry_runs_what_was_written_since(
    kube: KubeClient, namespace: str, verbs: list[str]
) -> None:
    objects = [build(namespace, f"m{i}") for i in range(5) for build in (config_map, service)]
    first = KubernetesProvider(kube, rules=RULES)
    states = [first.create(URN, obj) for obj in objects]
    # A label that another manager added, and other inputs.
    label = {"op": "add", "path": "/metadata/labels", "value": {"x": "y"}}
    kube.json_patch("v1", "Service", "m0", namespace, operations=[label], manager="kubectl-label")
    wanted = [state.inputs for state in states]
    wanted[4] = {**wanted[4], "data": {"a": "other"}}
    verbs.clear()
    preview = KubernetesProvider(kube, rules=RULES)
    with ThreadPoolExecutor(10) as pool:
        diffs = list(pool.map(lambda s, new: preview.diff(URN, s, new, ()), states, wanted))
    assert [index for index, diff in enumerate(diffs) if diff.op is not Op.SAME] == [1, 4]
    assert all(diff.live["metadata"]["namespace"] == namespace for diff in diffs)
    # ConfigMaps, Services, and the Namespaces: one that is being deleted takes its objects along.
    assert verbs.count("GET") == 3
    assert verbs.count("PATCH") == 2


def test_field_that_somebody_removed_is_put_back_after_a_refresh(
    provider: KubernetesProvider, kube: KubeClient, namespace: str
) -> None:
    pod = {"automountServiceAccountToken": False}
    inputs = deployment(namespace, minReadySeconds=0, pod=pod)
    state = provider.create(URN, inputs)
    assert "minReadySeconds" not in state.outputs["spec"]
    for path, field in (
        ("/metadata/labels", 'metadata.labels["app.kubernetes.io/name"]'),
        (
            "/spec/template/spec/automountServiceAccountToken",
            "spec.template.spec.automountServiceAccountToken",
        ),
    ):
        # A removed field leaves no other manager behind.
        removal = {"op": "remove", "path": path}
        name = inputs["metadata"]["name"]
        kube.json_patch(
            "apps/v1", "Deployment", name, namespace, operations=[removal], manager="kubectl-edit"
        )
        refreshed = provider.read(state)
        assert refreshed is not None
        diff = provider.diff(URN, refreshed, inputs, ())
        assert [change.path for change in diff.fields] == [field]
        assert compare_with_last_applied(refreshed, refreshed, ()).status is LiveStatus.CHANGED
        state = provider.update(URN, state, inputs, ())
        assert compare_with_last_applied(state, state, ()).status is LiveStatus.SAME


def test_update_that_was_not_recorded_is_reverted_after_a_refresh(
    provider: KubernetesProvider, namespace: str
) -> None:
    inputs = deployment(namespace)
    state = provider.create(URN, inputs)
    labels = {**inputs["metadata"]["labels"], "added": "1"}
    added = {**inputs, "metadata": {**inputs["metadata"], "labels": labels}}
    for changed in (deployment(namespace, image="other:v2"), added):
        # Killed between the server's answer and the record of it.
        provider.update(URN, state, changed, ())
        refreshed = provider.read(state)
        assert refreshed is not None
        assert provider.diff(URN, refreshed, inputs, ()).op is Op.UPDATE


def test_listed_reads_list_each_kind_once(
    kube: KubeClient, namespace: str, verbs: list[str]
) -> None:
    objects = [build(namespace, f"m{i}") for i in range(5) for build in (config_map, service)]
    first = KubernetesProvider(kube, rules=RULES)
    states = [first.create(URN, obj) for obj in objects]
    verbs.clear()
    reader = KubernetesProvider(kube, rules=RULES)
    with ThreadPoolExecutor(10) as pool:
        live = list(pool.map(lambda state: reader.read(state, listed=True), states))
    assert [state and state.outputs["metadata"]["uid"] for state in live] == [
        state.outputs["metadata"]["uid"] for state in states
    ]
    assert verbs == ["GET", "GET"]


def test_object_being_deleted_is_recreated(
    provider: KubernetesProvider, kube: KubeClient, namespace: str
) -> None:
    inputs = config_map(namespace)
    inputs["metadata"]["finalizers"] = ["tests/hold"]
    state = provider.create(URN, inputs)
    kube.delete("v1", "ConfigMap", "settings", namespace)
    diff = provider.diff(URN, state, inputs, ())
    assert diff.op is Op.CREATE
    assert diff.note == "is being deleted: recreated once it is gone"
    hold = [{"op": "remove", "path": "/metadata/finalizers"}]
    kube.json_patch("v1", "ConfigMap", "settings", namespace, operations=hold, manager="tests")
    made = provider.update(URN, state, inputs, ())
    assert made.outputs["metadata"]["uid"] != state.outputs["metadata"]["uid"]


def test_object_in_a_namespace_being_deleted_is_a_create(
    provider: KubernetesProvider, kube: KubeClient, namespace: str
) -> None:
    inputs = config_map(namespace)
    inputs["metadata"]["finalizers"] = ["tests/hold"]
    state = provider.create(URN, inputs)
    kube.delete("v1", "Namespace", namespace, propagation="Background")
    diff = provider.diff(URN, state, inputs, ())
    assert diff.op is Op.CREATE
    assert f"Namespace {namespace} is being deleted" in diff.note
    hold = [{"op": "remove", "path": "/metadata/finalizers"}]
    kube.json_patch("v1", "ConfigMap", "settings", namespace, operations=hold, manager="tests")
