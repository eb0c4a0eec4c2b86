"""Recorded objects compared with live ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from framework.core.stack import Stack
from framework.drift import DriftReport, FindingKind, find_drift
from framework.engines.base import RecordedObject, RecordedObjects, Request
from framework.engines.clusters import Connection
from framework.kube.objects import ObjectState
from framework.kube.provider import KubernetesProvider

Object = dict[str, Any]
DELETED = {"deletionTimestamp": "2026-11-22T17:40:00Z"}


class FakeCluster:
    """A cluster with these objects, by kind and id."""

    def __init__(self, objects: Mapping[tuple[str, str], Object]) -> None:
        self._objects = objects

    def connect(self, inputs: Mapping[str, Any], root: Path) -> Connection:
        provider = cast(KubernetesProvider, self)
        return Connection(provider, "uid", str(inputs["context"]), lambda: None)

    def read(self, state: ObjectState, *, listed: bool) -> ObjectState | None:
        assert listed, "drift reads in bulk"
        live = self._objects.get((state.inputs["kind"], state.id))
        return None if live is None else ObjectState(state.id, state.inputs, live)

    def list_kind(
        self, api_version: str, kind: str, namespace: str, *, whole: bool
    ) -> list[Object]:
        return [
            obj if whole else {key: obj[key] for key in ("apiVersion", "kind", "metadata")}
            for (found, id_), obj in self._objects.items()
            if found == kind and id_.rpartition("/")[0] == namespace
        ]


def build(kind: str, name: str, namespace: str = "ml", **fields: Any) -> Object:
    group = {"Deployment": "apps/v1"}.get(kind, "v1")
    metadata = {"name": name, "uid": f"uid-{name}"} | (
        {"namespace": namespace} if namespace else {}
    )
    managed = [{"manager": "ours", "operation": "Apply", "fieldsV1": {}}]
    return {
        "apiVersion": group,
        "kind": kind,
        "metadata": {**metadata, "managedFields": managed},
        **fields,
    }


def record(obj: Object, model: str = "", **more: Any) -> RecordedObject:
    kind, version, metadata = obj["kind"], obj["apiVersion"], obj["metadata"]
    group = version if "/" in version else f"core/{version}"
    namespace = metadata.get("namespace")
    return RecordedObject(
        urn=f"urn:{kind}:{metadata['name']}",
        type=f"kubernetes:{group}:{kind}",
        id=f"{namespace}/{metadata['name']}" if namespace else metadata["name"],
        component=model,
        provider_urn="urn:provider",
        field_manager="ours",
        ignore_changes=more.pop("ignore_changes", ()),
        inputs=more.pop("inputs", obj),
        outputs={**obj, "__fieldManager": "ours"},
        **more,
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "Pulumi.yaml").write_text(
        "name: test\nruntime: python\nbackend: {url: 'file://./.state'}\n"
    )
    return tmp_path


def compare(root: Path, recorded: list[RecordedObject], live: list[Object]) -> DriftReport:
    objects = {}
    for obj in live:
        namespace, name = obj["metadata"].get("namespace"), obj["metadata"]["name"]
        objects[obj["kind"], f"{namespace}/{name}" if namespace else name] = obj
    providers = {"urn:provider": {"kubeconfig": "kubeconfig", "context": "here"}}
    return find_drift(
        Request(root, Stack.of("dev")),
        RecordedObjects(tuple(recorded), providers),
        FakeCluster(objects).connect,
    )


def findings(report: DriftReport) -> list[tuple[str, FindingKind, str]]:
    return [(finding.object, finding.kind, finding.note) for finding in report.findings]


def test_unchanged_objects_are_counted_and_not_reported(root: Path) -> None:
    objects = [build("Service", "a"), build("ConfigMap", "a"), build("Namespace", "ml", "")]
    recorded = [record(obj, "" if obj["kind"] == "Namespace" else "a") for obj in objects]
    report = compare(root, recorded, objects)
    assert report.clean
    assert (report.objects, report.models, report.differences) == (3, 1, 0)


def test_changed_field_has_both_values_and_its_writer(root: Path) -> None:
    recorded = build("Deployment", "a", spec={"replicas": 2})
    live = build("Deployment", "a", spec={"replicas": 5})
    live["metadata"]["managedFields"].append(
        {
            "manager": "kubectl",
            "operation": "Update",
            "time": "2026-11-22T17:40:00Z",
            "fieldsV1": {"f:spec": {"f:replicas": {}}},
        }
    )
    (finding,) = compare(root, [record(recorded, "a")], [live]).findings
    assert finding.kind is FindingKind.CHANGED
    assert (finding.path, finding.recorded, finding.live) == ("spec.replicas", 2, 5)
    assert (finding.manager, finding.time) == ("kubectl", "2026-11-22T17:40:00Z")


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"inputs": {"kind": "Deployment", "spec": {}}}, id="not-sent"),
        pytest.param({"ignore_changes": ("spec.replicas",)}, id="ignored"),
    ],
)
def test_replicas_of_an_autoscaler_are_no_drift(root: Path, more: dict[str, Any]) -> None:
    recorded = record(build("Deployment", "a", spec={"replicas": 2}), **more)
    assert compare(root, [recorded], [build("Deployment", "a", spec={"replicas": 5})]).clean


def test_missing_objects_come_last(root: Path) -> None:
    changed = build("Service", "b", spec={"type": "ClusterIP"})
    going = build("Service", "c")
    live = [
        build("Service", "b", spec={"type": "NodePort"}),
        {**going, "metadata": going["metadata"] | DELETED},
    ]
    recorded = [record(build("Service", "a")), record(changed), record(going)]
    assert findings(compare(root, recorded, live)) == [
        ("ml/b", FindingKind.CHANGED, ""),
        ("ml/a", FindingKind.MISSING, "is gone from the cluster"),
        ("ml/c", FindingKind.MISSING, "is being deleted"),
    ]


def test_objects_in_a_namespace_being_deleted_are_missing(root: Path) -> None:
    namespace, service = build("Namespace", "ml", ""), build("Service", "a")
    live = [{**namespace, "metadata": namespace["metadata"] | DELETED}, service]
    assert findings(compare(root, [record(service), record(namespace)], live)) == [
        (
            "ml",
            FindingKind.MISSING,
            "is being deleted, and with it everything of the stack in it: 1",
        ),
    ]


def test_recreated_object_names_its_maker(root: Path) -> None:
    live = build("Service", "a")
    live["metadata"] |= {"uid": "other", "managedFields": [{"manager": "kubectl-replace"}]}
    assert findings(compare(root, [record(build("Service", "a"))], [live])) == [
        ("ml/a", FindingKind.RECREATED, "was recreated by kubectl-replace")
    ]


def test_secret_values_are_redacted(root: Path) -> None:
    recorded = record(build("ConfigMap", "a", data={"k": "s3cr3t"}), secrets=frozenset({"s3cr3t"}))
    (finding,) = compare(root, [recorded], [build("ConfigMap", "a", data={"k": "x"})]).findings
    assert "s3cr3t" not in repr(finding)
    assert finding.live == "x"


def written_by(manager: str, **fields: Any) -> Object:
    time = "2026-11-22T17:40:00Z"
    return {"manager": manager, "operation": "Update", "time": time, "fieldsV1": fields} | (
        {"apiVersion": "apps/v1"}
    )


def build_scaled(replicas: int, manager: str, **owned: Any) -> Object:
    live = build("Deployment", "a", spec={"replicas": replicas})
    live["metadata"]["managedFields"].append(written_by(manager, **owned))
    return live


LABELS: Object = {"f:metadata": {"f:labels": {"f:added": {}}}}
REPLICAS: Object = {"f:spec": {"f:replicas": {}}}


def test_addition_that_a_refresh_recorded_is_still_drift(root: Path) -> None:
    live = build_scaled(2, "kubectl-label", **LABELS)
    live["metadata"]["labels"] = {"added": "1"}
    inputs = build("Deployment", "a", spec={"replicas": 2})
    report = compare(root, [record(live, "a", inputs=inputs)], [live])
    assert [(f.path, f.recorded, f.live) for f in report.findings] == [
        ("metadata.labels.added", None, "1")
    ]


def test_value_that_a_refresh_recorded_is_still_drift(root: Path) -> None:
    live = build_scaled(5, "kubectl", **REPLICAS)
    inputs = build("Deployment", "a", spec={"replicas": 2})
    report = compare(root, [record(live, "a", inputs=inputs)], [live])
    assert [(f.path, f.recorded, f.live) for f in report.findings] == [("spec.replicas", 2, 5)]


def test_removal_that_a_refresh_recorded_is_still_drift(root: Path) -> None:
    live = build("Deployment", "a", spec={"replicas": 2})
    owned: Object = {"f:spec": {"f:replicas": {}, "f:minReadySeconds": {}}}
    live["metadata"]["managedFields"] = [
        {"manager": "ours", "operation": "Apply", "fieldsV1": owned}
    ]
    labels: Object = {"metadata": {**live["metadata"], "labels": {"a": "1"}}}
    # The server leaves out the 0 of a field that is still owned; nobody owns the other two.
    spec = {"replicas": 2, "minReadySeconds": 0, "paused": False}
    report = compare(root, [record(live, "a", inputs={**live, **labels, "spec": spec})], [live])
    assert [(f.path, f.recorded, f.live) for f in report.findings] == [
        ("metadata.labels.a", "1", None),
        ("spec.paused", False, None),
    ]


@pytest.mark.parametrize("manager", ["ours", "kube-controller-manager"])
def test_additions_of_controllers_and_own_spellings_are_no_drift(root: Path, manager: str) -> None:
    live = build_scaled(2, manager, **LABELS)
    live["metadata"]["labels"] = {"added": "1"}
    live["spec"]["cpu"] = "1"
    inputs = build("Deployment", "a", spec={"replicas": 2, "cpu": "1000m"})
    outputs = [record(live, "a", inputs=inputs)]
    if manager == "ours":
        live["metadata"]["labels"] = {}
    assert compare(root, outputs, [live]).clean
