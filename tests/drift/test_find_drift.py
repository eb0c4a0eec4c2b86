"""Recorded objects compared with live ones."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from framework.cli.drift import _concerns
from framework.cli.remedies import _describe_limit, _describe_next_up
from framework.core.changes import FieldChange, Op
from framework.core.diagnostics import Position
from framework.core.drift_rules import AcceptRule, Injector
from framework.core.errors import ClusterError
from framework.core.redaction import REDACTED
from framework.core.stack import Stack
from framework.drift import DriftReport, Finding, FindingKind, find_drift
from framework.drift.acceptance import apply_accept_rules, build_accept_rule
from framework.drift.custom_kinds import CUSTOM_KINDS
from framework.drift.fields import find_pending_models
from framework.drift.history import History
from framework.drift.report import Unread
from framework.drift.run import DriftRun
from framework.engines.base import RecordedObject, RecordedObjects, RefreshedRecord, Request
from framework.engines.clusters import Connection
from framework.engines.state.backend import FileBackend
from framework.kube.api_error import ApiError
from framework.kube.lost_owners import with_owners
from framework.kube.managed_fields import entries
from framework.kube.objects import ObjectState
from framework.kube.provider import KubernetesProvider
from framework.kube.reading import NAMESPACED_KINDS
from framework.output.drift import list_commands, render_drift
from framework.output.drift_files import render_reports
from framework.plan import Manifest, ModelPlan, PlanStore
from tests.shipped import SHIPPED

Object = dict[str, Any]
DELETED = {"deletionTimestamp": "2026-11-22T17:40:00Z"}


class FakeCluster:
    """A cluster with these objects, by kind and id. Those named in `replaced` are of others."""

    def __init__(
        self,
        objects: Mapping[tuple[str, str], Object],
        forbidden: str = "",
        replaced: frozenset[str] = frozenset(),
        unlisted: Sequence[Object] = (),
    ) -> None:
        self._objects, self._forbidden, self._replaced = objects, forbidden, replaced
        # Of kinds that the check does not list, or created after the list of their kind.
        self._unlisted = {(obj["kind"], obj["metadata"]["name"]): obj for obj in unlisted}
        self._lists: set[tuple[str, str]] = set()

    def connect(self, inputs: Mapping[str, Any], root: Path) -> Connection:
        provider = cast(KubernetesProvider, self)
        return Connection(provider, "uid", str(inputs["context"]), lambda: None)

    def read(self, state: ObjectState, *, listed: bool) -> ObjectState | None:
        assert listed, "drift reads in bulk"
        self._refuse(state.inputs["kind"])
        live = self._objects.get((state.inputs["kind"], state.id))
        if live is None or live["metadata"]["name"] in self._replaced:
            return None
        return ObjectState(state.id, state.inputs, live)

    def find_replacement(self, state: ObjectState, *, listed: bool) -> Object | None:
        assert listed, "drift reads in bulk"
        return self._objects.get((state.inputs["kind"], state.id))

    def get_live(self, wanted: Object) -> Object | None:
        self._refuse(wanted["kind"])
        metadata = wanted["metadata"]
        return self._unlisted.get((wanted["kind"], metadata["name"]))

    def _refuse(self, kind: str) -> None:
        if self._forbidden == "stopped":
            raise ClusterError("https://here: the API server does not answer")
        if kind in self._forbidden.split():
            raise ApiError(f"list of {kind} in ml", 403, "Forbidden", "no")

    def find_served_version(self, group: str, kind: str) -> str:
        return f"{group}/v1"

    def list_kind(
        self, api_version: str, kind: str, namespace: str, *, metadata_only: bool
    ) -> list[Object]:
        self._refuse(kind)
        is_again = (kind, namespace) in self._lists
        self._lists.add((kind, namespace))
        late = [obj for (found, _), obj in self._unlisted.items() if found == kind and is_again]
        return late + [
            {key: obj[key] for key in ("apiVersion", "kind", "metadata")} if metadata_only else obj
            for (found, id_), obj in self._objects.items()
            if found == kind and id_.rpartition("/")[0] == namespace
        ]


def build(kind: str, name: str, namespace: str = "ml", **fields: Any) -> Object:
    custom = {kind.name: f"{kind.group}/v1" for kind in CUSTOM_KINDS}
    api_version = {**NAMESPACED_KINDS, **custom}.get(kind, "v1")
    metadata = {"name": name, "uid": f"uid-{name}"} | (
        {"namespace": namespace} if namespace else {}
    )
    managed = [{"manager": "ours", "operation": "Apply", "fieldsV1": {}}]
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {**metadata, "managedFields": managed},
        **fields,
    }


def record(obj: Object, model: str = "", **more: Any) -> RecordedObject:
    kind, version, metadata = obj["kind"], obj["apiVersion"], obj["metadata"]
    group = version if "/" in version else f"core/{version}"
    namespace = metadata.get("namespace")
    return RecordedObject(
        urn=f"urn:pulumi:dev::test::kubernetes:{group}:{kind}::{metadata['name']}",
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


RELEASE = replace(
    record(build("Release", "redis"), inputs={"chart": "redis", "name": "redis"}),
    type="kubernetes:helm.sh/v3:Release",
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "Pulumi.yaml").write_text(
        "name: test\nruntime: python\nbackend: {url: 'file://./.state'}\n"
    )
    return tmp_path


def compare(
    root: Path,
    recorded: list[RecordedObject],
    live: list[Object],
    request: Request | None = None,
    unplanned: frozenset[str] | None = frozenset(),
    forbidden: str = "",
    replaced: frozenset[str] = frozenset(),
    pending_deletions: frozenset[tuple[str, str]] = frozenset(),
    unlisted: Sequence[Object] = (),
    others: Mapping[str, str] | None = None,
    refreshed: Mapping[str, Op | RefreshedRecord] | None = None,
) -> DriftReport:
    objects = {}
    for obj in live:
        namespace, name = obj["metadata"].get("namespace"), obj["metadata"]["name"]
        objects[obj["kind"], f"{namespace}/{name}" if namespace else name] = obj
    providers = {"urn:provider": {"kubeconfig": "kubeconfig", "context": "here"}}
    return find_drift(
        request or Request(root, Stack.of("dev")),
        RecordedObjects(
            tuple(recorded), providers, pending_deletions=pending_deletions, others=others or {}
        ),
        FakeCluster(objects, forbidden, replaced, unlisted).connect,
        unplanned=unplanned,
        today=TODAY,
        with_sources=False,
        check_refresh=lambda: {
            urn: RefreshedRecord(found) if isinstance(found, Op) else found
            for urn, found in (refreshed or {}).items()
        },
    )


def build_scaler(name: str) -> Object:
    spec = {"scaleTargetRef": {"name": name}, "maxReplicas": 3}
    return build("HorizontalPodAutoscaler", name, spec=spec)


def findings(report: DriftReport) -> list[tuple[str, FindingKind, str]]:
    return [(finding.object, finding.kind, finding.note) for finding in report.findings]


def test_unchanged_objects_are_counted_and_not_reported(root: Path) -> None:
    objects = [build("Service", "a"), build("ConfigMap", "a"), build("Namespace", "ml", "")]
    recorded = [record(obj, "" if obj["kind"] == "Namespace" else "a") for obj in objects]
    report = compare(root, recorded, objects)
    assert report.clean
    assert (report.objects, report.models, len(report.findings)) == (3, 1, 0)


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
        pytest.param(
            {"inputs": {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {}}}, id="not-sent"
        ),
        pytest.param({"ignore_changes": ("spec.replicas",)}, id="ignored"),
    ],
)
def test_replicas_of_an_autoscaler_are_no_drift(root: Path, more: dict[str, Any]) -> None:
    recorded = record(build("Deployment", "a", spec={"replicas": 2}), **more)
    live = build("Deployment", "a", spec={"replicas": 5})
    assert compare(root, [recorded], [live]).findings == ()


@pytest.mark.parametrize("live", [[], [build("Service", "a", spec={"type": "NodePort"})]])
def test_object_that_the_program_only_reads_is_not_compared(root: Path, live: list[Object]) -> None:
    own, read = build("Service", "b"), build("Service", "a", spec={"type": "ClusterIP"})
    recorded = [record(own, "b"), record(read, "a", external=True)]
    report = compare(root, recorded, [own, *live], plan_of(root, None))
    assert report.findings == ()
    assert (report.objects, report.models) == (1, 1)
    assert (report.pending, report.deletions) == (("b",), ("Service ml/b",))


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


def advise(report: DriftReport) -> dict[str, str]:
    return dict(list_commands(DriftRun("dev", report.checked, (report,))))


def test_missing_object_is_not_offered_to_take(root: Path) -> None:
    report = compare(root, [record(build("Service", "a"), "a")], [])
    assert advise(report).keys() == {"put back", "accept"}
    assert advise(report)["put back"] == "make up ENV=dev MODEL=a"


def test_advice_on_a_renamed_model_names_no_model(root: Path) -> None:
    live = build_scaled(9, "kubectl-scale", **REPLICAS)
    report = compare(
        root, [record(build_scaled(2, "ours"), "old")], [live], plan_of(root, build("Service", "x"))
    )
    assert report.findings
    assert report.deletions
    assert advise(report)["put back"] == "make up ENV=dev"


@pytest.mark.parametrize(
    ("version", "kind", "command"),
    [
        ("v1", "Service", "kubectl --context here delete service x -n ml"),
        (
            "example.com/v1",
            "Widget",
            "kubectl --context here delete widget.example.com x -n ml",
        ),
        ("v1", "PersistentVolumeClaim", None),
    ],
)
def test_advice_to_delete_names_the_cluster_and_the_group(
    root: Path, version: str, kind: str, command: str | None
) -> None:
    namespace = build("Namespace", "ml", "")
    own = {**build(kind, "own"), "apiVersion": version}
    foreign = {**build(kind, "x"), "apiVersion": version}
    report = compare(root, [record(namespace), record(own, "a")], [namespace, own, foreign])
    assert [finding.object for finding in report.findings] == ["ml/x"]
    assert advise(report).get("delete") == command


def test_accept_says_that_up_still_removes_the_difference(root: Path) -> None:
    namespace, own, foreign = (
        build("Namespace", "ml", ""),
        build("Service", "a"),
        build("Service", "x"),
    )
    report = compare(root, [record(namespace), record(own, "a")], [namespace, foreign])
    described = {finding.kind: _describe_next_up(finding) for finding in report.findings}
    assert described == {"missing": "The next `up` still removes the difference.", "foreign": ""}
    scaled = compare(
        root, [record(build_scaled(2, "ours"))], [build_scaled(9, "kubectl-scale", **REPLICAS)]
    )
    [finding] = scaled.findings
    assert f"`make take` with FINDING={finding.id} would keep it" in _describe_next_up(finding)


def test_advice_to_delete_says_that_it_is_one_of_several(root: Path) -> None:
    namespace, own = build("Namespace", "ml", ""), build("Service", "own")
    foreign = [build("Service", name) for name in ("x", "y")]
    report = compare(root, [record(namespace), record(own, "a")], [namespace, own, *foreign])
    command = "kubectl --context here delete service x -n ml"
    assert advise(report).get("delete, 1 of 2") == command


@pytest.mark.parametrize(
    ("live", "selected", "found"),
    [
        (["policy"], "a", ["ml/x"]),
        (["policy"], "c", []),
        # The Namespace is gone, and with it all that is in it.
        ([], "a", ["ml"]),
        ([], "c", []),
    ],
)
def test_finding_about_several_models_concerns_each_of_them(
    root: Path, live: list[str], selected: str, found: list[str]
) -> None:
    namespace = build("Namespace", "ml", "")
    own = [
        build("Deployment", name, spec={"template": {"metadata": {"labels": {"app": name}}}})
        for name in "ab"
    ]
    policy = build("NetworkPolicy", "x", spec={"podSelector": {}})
    recorded = [record(namespace), *(record(obj, obj["metadata"]["name"]) for obj in own)]
    report = compare(root, recorded, [namespace, *own, policy] if live else [])
    shown = [
        f for f in report.findings if _concerns(f, {selected}, RecordedObjects(tuple(recorded), {}))
    ]
    assert [finding.object for finding in shown] == found


@pytest.mark.parametrize("kind", ["Service", "HorizontalPodAutoscaler", "Deployment"])
def test_object_that_others_made_in_place_of_ours_says_how_to_go_on(root: Path, kind: str) -> None:
    live = build(kind, "a")
    live["metadata"]["managedFields"] = [written_by("kubectl-create")]
    recorded = [record(build(kind, "a"), "a"), record(build(kind, "b"), "b")]
    report = compare(root, recorded, [live], replaced=frozenset({"a"}))
    taken, missing = report.findings
    assert (taken.kind, taken.manager, taken.time) == (
        FindingKind.RECREATED,
        "kubectl-create",
        "2026-11-22T17:40:00Z",
    )
    assert taken.note == (
        "was recreated by kubectl-create, so `up` refuses it: delete it, or take it "
        "over with `make adopt`"
    )
    assert missing.kind is FindingKind.MISSING
    run = DriftRun("dev", report.checked, (report,))
    assert list_commands(run)[:2] == [
        ("take over", "make adopt ENV=dev MODEL=a"),
        ("put back", "make up ENV=dev MODEL=b"),
    ]


def test_secret_values_are_redacted(root: Path) -> None:
    recorded = record(build("ConfigMap", "a", data={"k": "s3cr3t"}), secrets=frozenset({"s3cr3t"}))
    (finding,) = compare(root, [recorded], [build("ConfigMap", "a", data={"k": "x"})]).findings
    assert "s3cr3t" not in repr(finding)
    assert finding.live == "x"


def build_pod(**env: str) -> Object:
    variables = [{"name": name, "value": value} for name, value in env.items()]
    pod = {"containers": [{"name": "model", "env": variables}]}
    return build("Deployment", "a", spec={"template": {"spec": pod}})


def test_copy_of_a_plain_secret_is_redacted_in_every_object_of_its_model(root: Path) -> None:
    recorded = [
        record(build_pod(API_TOKEN="qW7_oldtoken", OTHER="x qW7_oldtoken"), "a"),
        record(build("ConfigMap", "a", data={"k": "x qW7_oldtoken"}), "a"),
    ]
    live = [
        build_pod(API_TOKEN="zX9_newtoken", OTHER="y zX9_newtoken"),
        build("ConfigMap", "a", data={"k": "zX9_newtoken qW7_oldtoken"}),
    ]
    report = compare(root, recorded, live)
    found = {f.path.rpartition(".")[2]: (f.desired, f.recorded, f.live) for f in report.findings}
    assert found["env[OTHER]"] == ("x [secret]", "x [secret]", "y [secret]")
    assert found["k"] == ("x [secret]", "x [secret]", "[secret] [secret]")
    run = DriftRun("dev", report.checked, (report,))
    texts = [render_drift(run), *render_reports(run, History().add(run)).values()]
    assert not [text for text in texts if re.search("oldtoken|newtoken", text)]


def test_secret_of_an_object_that_cannot_be_read_is_redacted_in_its_copies(root: Path) -> None:
    recorded = [
        record(build_pod(API_TOKEN="qW7_oldtoken"), "a"),
        record(build("ConfigMap", "a", data={"k": "x qW7_oldtoken"}), "a"),
    ]
    live = [build("ConfigMap", "a", data={"k": "y qW7_oldtoken"})]
    report = compare(root, recorded, live, forbidden="Deployment")
    assert report.problems
    assert [(f.recorded, f.live) for f in report.findings] == [("x [secret]", "y [secret]")]


def test_secret_of_an_object_that_is_not_recorded_yet_is_redacted_in_its_copies(
    root: Path,
) -> None:
    recorded = [record(build("ConfigMap", "b", data={"k": "x qW7_oldtoken"}), "a")]
    live = [build("ConfigMap", "b", data={"k": "y qW7_oldtoken"})]
    report = compare(root, recorded, live, plan_of(root, build_pod(API_TOKEN="qW7_oldtoken")))
    assert [(f.recorded, f.live) for f in report.findings] == [("x [secret]", "y [secret]")]


def test_word_that_is_also_a_secret_is_shown_elsewhere(root: Path) -> None:
    """Without its image, a finding could neither be taken nor accepted."""
    recorded = [record(build_pod(DB_PASSWORD="postgres", IMAGE="postgres:16"), "a")]
    report = compare(root, recorded, [build_pod(DB_PASSWORD="redis", IMAGE="postgres:17")])
    found = {(f.recorded, f.live) for f in report.findings}
    assert found == {("[secret]", "[secret]"), ("postgres:16", "postgres:17")}


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


def build_redis(*args: str, writers: Sequence[str] = ()) -> Object:
    container: Object = {"name": "model", "command": ["redis-cli"]}
    container |= {"args": [*args]} if args else {}
    obj = build("Deployment", "a", spec={"template": {"spec": {"containers": [container]}}})
    path: Object = {
        "f:template": {"f:spec": {"f:containers": {'k:{"name":"model"}': {"f:args": {}}}}}
    }
    for manager in writers:
        entry = {"manager": manager, "operation": "Update", "fieldsV1": {"f:spec": path}}
        obj["metadata"]["managedFields"].append(entry)
    return obj


def test_desired_secret_inside_a_pending_change_is_redacted(root: Path) -> None:
    # The files set the whole template anew, and somebody changed one argument of it.
    found = record(build_redis("-a", "recorded-pw"), "a", inputs=build("Deployment", "a", spec={}))
    live = build_redis("-a", "live-pw", writers=["kubectl-edit"])
    (finding,) = compare(root, [found], [live], plan_of(root, build_redis("-a", "new-pw"))).findings
    assert (finding.desired, finding.recorded, finding.live) == (REDACTED, REDACTED, REDACTED)


def test_part_that_others_added_is_redacted_by_the_command_beside_it(root: Path) -> None:
    live = build_redis("-a", "hunter22", writers=["kubectl-edit"])
    (finding,) = compare(root, [record(build_redis(), "a")], [live]).findings
    assert finding.live == ["-a", REDACTED]


def test_addition_that_a_refresh_recorded_is_still_drift(root: Path) -> None:
    live = build_scaled(2, "kubectl-label", **LABELS)
    live["metadata"]["labels"] = {"added": "1"}
    inputs = build("Deployment", "a", spec={"replicas": 2})
    report = compare(root, [record(live, "a", inputs=inputs)], [live])
    assert [(f.path, f.recorded, f.live) for f in report.findings] == [
        ("metadata.labels.added", None, "1")
    ]


def test_volume_of_a_claim_without_managed_fields_is_no_drift(root: Path) -> None:
    claim = build("PersistentVolumeClaim", "a", spec={"accessModes": ["ReadWriteOnce"]})
    live = {**claim, "spec": {**claim["spec"], "volumeName": "pv-1"}}
    live["metadata"] = {**claim["metadata"], "annotations": {"bound": "yes"}, "managedFields": []}
    assert compare(root, [record(claim, "a")], [live]).findings == ()


@pytest.mark.parametrize(
    ("manager", "emptied", "drift"),
    [("keda", False, []), ("kubectl-edit", False, ["metadata.finalizers"]), ("", True, [])],
)
def test_finalizers_are_drift_only_if_up_removes_them(
    root: Path, manager: str, emptied: bool, drift: list[str]
) -> None:
    live = build("Service", "a")
    live["metadata"]["finalizers"] = ["x.example.com/y"]
    owned: Object = {"f:metadata": {"f:finalizers": {".": {}, 'v:"x.example.com/y"': {}}}}
    entry = {"manager": manager, "operation": "Update", "apiVersion": "v1", "fieldsV1": owned}
    live["metadata"]["managedFields"] = (
        [] if emptied else [*live["metadata"]["managedFields"], entry]
    )
    report = compare(root, [record(build("Service", "a"), "a")], [live])
    assert [finding.path for finding in report.findings] == drift


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
    # The server leaves out the 0 of a field that is still owned. Nobody owns the other three, but
    # `paused: false` means the same as no value.
    spec = {"replicas": 2, "minReadySeconds": 0, "paused": False, "progressDeadlineSeconds": 0}
    report = compare(root, [record(live, "a", inputs={**live, **labels, "spec": spec})], [live])
    assert [(f.path, f.recorded, f.live) for f in report.findings] == [
        ("metadata.labels.a", "1", None),
        ("spec.progressDeadlineSeconds", 0, None),
    ]


def test_emptied_managed_fields_alone_are_no_drift(root: Path) -> None:
    """Some tools drop them: nobody owns a 0 that was sent and left out by the server."""
    live = build("Deployment", "a", spec={"replicas": 2})
    inputs = build("Deployment", "a", spec={"replicas": 2, "minReadySeconds": 0, "paused": False})
    emptied = {**live, "metadata": {**live["metadata"], "managedFields": []}}
    found = with_owners(emptied, inputs, live)
    assert entries(found)
    assert compare(root, [record(live, "a", inputs=inputs)], [found]).findings == ()


@pytest.mark.parametrize("manager", ["ours", "kube-controller-manager", "k3s", "kubelite"])
def test_additions_of_controllers_and_own_spellings_are_no_drift(root: Path, manager: str) -> None:
    live = build_scaled(2, manager, **LABELS)
    live["metadata"]["labels"] = {"added": "1"}
    live["spec"]["cpu"] = "1"
    inputs = build("Deployment", "a", spec={"replicas": 2, "cpu": "1000m"})
    outputs = [record(live, "a", inputs=inputs)]
    if manager == "ours":
        live["metadata"]["labels"] = {}
    assert compare(root, outputs, [live]).clean


def plan_of(root: Path, inputs: Object | None, **more: Any) -> Request:
    """A request whose plan desires these inputs of the object `a` of model `a`; None for none."""
    plan = replace(
        PlanStore(SHIPPED).load_one(Stack.of("dev")).require(), models=(), namespace=NAMESPACE
    )
    manifests = (Manifest("a", inputs),) if inputs else ()
    model = ModelPlan("a", {}, (), manifests, "")
    return Request(root, Stack.of("dev"), plan=replace(plan, models=(model,), **more))


NAMESPACE = Manifest("ml", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ml"}})


def scaled(replicas: int) -> Object:
    return build("Deployment", "a", spec={"replicas": replicas})


@pytest.mark.parametrize(
    ("desired", "recorded", "live", "drift", "pending"),
    [
        pytest.param(2, 2, 2, [], (), id="clean"),
        pytest.param(3, 2, 2, [], ("a",), id="pending"),
        pytest.param(3, 2, 3, [], ("a",), id="done by hand already"),
        pytest.param(2, 2, 5, [(2, 2, 5)], (), id="drift"),
        pytest.param(3, 2, 5, [(3, 2, 5)], ("a",), id="drift beside a change"),
        pytest.param(None, 2, 2, [], ("a",), id="pending deletion"),
    ],
)
def test_field_has_three_values(
    root: Path,
    desired: int | None,
    recorded: int,
    live: int,
    drift: list[tuple[int, int, int]],
    pending: tuple[str, ...],
) -> None:
    request = plan_of(root, None if desired is None else scaled(desired))
    found = record(scaled(recorded), "a")
    report = compare(root, [found], [scaled(live)], request)
    assert [(f.desired, f.recorded, f.live) for f in report.findings] == drift
    assert report.pending == pending
    assert report.deletions == (("Deployment ml/a",) if desired is None else ())


@pytest.mark.parametrize("live", ["1Gi", "2Gi"], ids=["same", "changed"])
def test_kept_object_that_left_the_files_is_pending_and_not_a_deletion(
    root: Path, live: str
) -> None:
    def claim(size: str) -> Object:
        return build("PersistentVolumeClaim", "a", spec={"size": size})

    found = record(claim("1Gi"), "a", retain_on_delete=True)
    report = compare(root, [found], [claim(live)], plan_of(root, None))
    assert (report.pending, report.deletions) == (("a",), ())
    assert len(report.findings) == (live != "1Gi")


def test_secret_that_differs_is_drift_although_its_values_are_redacted(root: Path) -> None:
    def secret(value: str) -> Object:
        return build("Secret", "a", data={"k": value})

    found = record(secret("b25l"), "a")
    report = compare(root, [found], [secret("dHdv")], plan_of(root, secret("b25l")))
    assert [(f.path, f.live) for f in report.findings] == [("data.k", REDACTED)]


@pytest.mark.parametrize(
    ("spec", "pending"),
    [
        pytest.param({"minReadySeconds": 0, "paused": False}, (), id="means the same as nothing"),
        pytest.param({"minReadySeconds": 5}, ("a",), id="another value"),
        pytest.param(
            {"template": {"spec": {"automountServiceAccountToken": False}}},
            ("a",),
            id="false is not the default",
        ),
    ],
)
def test_zero_that_the_cli_does_not_record_is_not_pending(
    root: Path, spec: Object, pending: tuple[str, ...]
) -> None:
    pod: Object = {"template": {"spec": {}}}
    recorded = record(build("Deployment", "a", spec={"replicas": 2, **pod}), "a")
    wanted = build("Deployment", "a", spec={"replicas": 2, **pod, **spec})
    live = build("Deployment", "a", spec={"replicas": 2, **pod})
    assert compare(root, [recorded], [live], plan_of(root, wanted)).pending == pending


def test_model_with_errors_counts_as_recorded(root: Path) -> None:
    found = record(scaled(2), "a")
    report = compare(root, [found], [scaled(5)], plan_of(root, None), frozenset({"a"}))
    assert [(f.desired, f.live) for f in report.findings] == [(2, 5)]
    assert report.pending == ()


@pytest.mark.parametrize(
    ("wanted", "pending"),
    [(["--a", "--b"], False), (["--a", "--b", "--new"], True), (["--new", "--a", "--b"], True)],
    ids=["same", "appended", "inserted"],
)
def test_items_by_index_tell_how_much_of_their_list_differs(
    root: Path, wanted: list[str], pending: bool
) -> None:
    recorded, live = build_redis("--a", "--b"), build_redis("--v", "--a", "--b")
    request = plan_of(root, build_redis(*wanted))
    report = compare(root, [record(recorded, "a")], [live], request)
    lists = {(f.list_differences, f.list_is_pending) for f in report.findings}
    assert lists == {(3, pending)}
    scaled_by_hand = compare(root, [record(scaled(2), "a")], [scaled(5)])
    assert [f.list_differences for f in scaled_by_hand.findings] == [0]


TODAY = date(2026, 11, 26)


@pytest.mark.parametrize(
    ("until", "accepted"), [(None, True), (TODAY, True), (date(2026, 11, 25), False)]
)
def test_accepted_finding_is_listed_until_its_rule_expires(
    root: Path, until: date | None, accepted: bool
) -> None:
    rule = AcceptRule("a test", kind="Deployment", path="spec.replicas", until=until)
    unused = AcceptRule("nothing", kind="Service", position=Position("e.yaml", 3, 7))
    request = plan_of(root, scaled(2), accept=(rule, unused))
    report = compare(root, [record(scaled(2), "a")], [scaled(5)], request)
    assert [f.accepted_by for f in report.accepted] == ([rule] if accepted else [])
    assert len(report.findings) == (0 if accepted else 1)
    assert "warning: e.yaml:3:7: this rule of drift.accept covers nothing: remove it" in (
        report.warnings
    )
    assert accepted or any("expired on 2026-11-25" in text for text in report.warnings)


@pytest.mark.parametrize(
    ("unread", "warns"), [("", False), ("Service", False), ("CiliumNetworkPolicy", True)]
)
def test_rule_without_effect_is_reported_unless_its_kind_could_not_be_read(
    unread: str, warns: bool
) -> None:
    rules = [AcceptRule("nothing", kind="Serv*")]
    missing = [Unread(unread, "ml/")]
    *_, warnings = apply_accept_rules((), rules, date(2026, 11, 26), unread=missing)
    assert bool(warnings) is warns


@pytest.mark.parametrize("unplanned", [frozenset({"a"}), None], ids=["model", "all"])
def test_replicas_whose_range_is_in_files_with_errors_are_a_problem(
    root: Path, unplanned: frozenset[str] | None
) -> None:
    """Otherwise an error in a file would resolve that somebody scaled the model to 0."""
    deployment, scaler = build("Deployment", "a", spec={"template": {}}), build_scaler("b")
    other = build("Deployment", "b", spec={"template": {}})
    recorded = [
        record(deployment, "a", ignore_changes=("spec.replicas",)),
        record(other, "b", ignore_changes=("spec.replicas",)),
        record(scaler, "b"),
    ]
    live = build("Deployment", "a", spec={"replicas": 0, "template": {}})
    report = compare(root, recorded, [live, other, scaler], plan_of(root, other), unplanned)
    assert report.unread == (Unread("Deployment", "ml/a", path="spec.replicas"),)
    (problem,) = report.problems
    assert problem.startswith("Deployment ml/a: spec.replicas cannot be checked")
    assert "make validate ENV=dev" in problem
    assert compare(root, recorded, [live, other, scaler], plan_of(root, deployment)).problems == ()


def test_unreadable_object_hides_only_its_own_findings(root: Path) -> None:
    scaler = build_scaler("a")
    objects = [scaler, build("Service", "a"), build("Namespace", "ml", "")]
    forbidden = "HorizontalPodAutoscaler ConfigMap"
    report = compare(root, [record(obj, "a") for obj in objects], objects, forbidden=forbidden)
    assert set(report.unread) == {
        Unread("HorizontalPodAutoscaler", "ml/a"),
        # Without the autoscaler, its replicas may be drift.
        Unread("Deployment", "ml/a", path="spec.replicas"),
        Unread("HorizontalPodAutoscaler", "ml/", is_foreign=True),
        Unread("ConfigMap", "ml/", is_foreign=True),
    }
    # One for all forbidden kinds, whether an object of them is recorded or not.
    (problem,) = report.problems
    assert "forbidden as well: HorizontalPodAutoscaler; next: apply" in problem


TOKEN = "urn:pulumi:dev::test::random:index/randomPassword:RandomPassword::token"


def test_what_only_the_cli_can_read_is_named_and_fails_no_check(root: Path) -> None:
    namespace = build("Namespace", "ml", "")
    recorded = [record(namespace), RELEASE]
    report = compare(root, recorded, [namespace], others={TOKEN: ""})
    assert (report.clean, report.objects) == (True, 1)
    names = [finding.label for finding in report.uncompared]
    assert names == ["RandomPassword token", "Release ml/redis"]
    assert report.unread == (Unread("Release", "ml/redis"), Unread("RandomPassword", "token"))
    (warning,) = report.list_warnings()
    assert "RandomPassword token, Release ml/redis: not compared" in warning
    run = DriftRun("dev", report.checked, (report,))
    assert "No differences in what was compared." in render_drift(run)
    for name, text in render_reports(run, History()).items():
        shown = 'uncompared_resources{environment="dev",stack="dev"} 2'
        assert (shown if name.endswith(".prom") else "Release ml/redis") in text, name


def test_what_the_cli_finds_changed_is_drift(root: Path) -> None:
    namespace = build("Namespace", "ml", "")
    recorded = [record(namespace), RELEASE]
    same = {RELEASE.urn: Op.SAME, TOKEN: Op.SAME}
    report = compare(root, recorded, [namespace], others={TOKEN: "a"}, refreshed=same)
    assert (report.clean, report.objects, report.list_warnings()) == (True, 3, ())
    changed = {RELEASE.urn: Op.UPDATE, TOKEN: Op.DELETE}
    report = compare(root, recorded, [namespace], others={TOKEN: "a"}, refreshed=changed)
    release, token = report.findings
    assert (release.label, release.kind) == ("Release ml/redis", FindingKind.CHANGED)
    assert (token.label, token.kind, token.model) == (
        "RandomPassword token", FindingKind.MISSING, "a",
    )  # fmt: skip
    assert "DRIFT  Release ml/redis" in render_drift(DriftRun("dev", report.checked, (report,)))
    # A run for one model reads only what is in it.
    partial = compare(root, recorded, [namespace], others={TOKEN: "a"}, refreshed={TOKEN: Op.SAME})
    assert [finding.label for finding in partial.uncompared] == ["Release ml/redis"]
    # An old CLI, or a refresh that failed: another message has what to do.
    [warning] = replace(partial, uses_cli=True).list_warnings()
    assert warning.endswith("because `pulumi refresh --preview-only` did not read it")


def test_rule_for_a_change_that_only_the_cli_can_read_covers_no_other_change(root: Path) -> None:
    def find(replicas: int, note: str) -> tuple[Finding, ...]:
        fields = FieldChange("values.replicas", 2, replicas), FieldChange("values.note", None, note)
        refreshed = {RELEASE.urn: RefreshedRecord(Op.UPDATE, fields)}
        recorded = [record(namespace), replace(RELEASE, secrets=frozenset({"hunter2"}))]
        return compare(root, recorded, [namespace], refreshed=refreshed).findings

    namespace = build("Namespace", "ml", "")
    replicas, note = find(9, "was hunter2")
    assert (replicas.label, replicas.path, replicas.desired) == (
        "Release ml/redis", "values.replicas", 2,
    )  # fmt: skip
    assert (note.kind, note.live) == (FindingKind.ADDED, f"was {REDACTED}")
    rules = [build_accept_rule(finding, "load test", None) for finding in (replicas, note)]
    assert [rule.live for rule in rules] == ["9", f"was {REDACTED}"]
    drift, accepted, _ = apply_accept_rules(find(0, "was hunter2"), rules, TODAY)
    assert [finding.live for finding in drift] == [0]
    assert [finding.path for finding in accepted] == ["values.note"]


def test_rule_for_a_change_without_known_fields_says_that_it_covers_every_change(
    root: Path,
) -> None:
    namespace = build("Namespace", "ml", "")
    refreshed = {RELEASE.urn: Op.UPDATE}
    report = compare(root, [record(namespace), RELEASE], [namespace], refreshed=refreshed)
    rule = build_accept_rule(report.findings[0], "load test", None)
    assert "covers every change of the resource" in _describe_limit(rule)


def test_what_an_injector_adds_is_no_drift(root: Path) -> None:
    live = build_scaled(2, "mesh", **LABELS)
    live["metadata"]["labels"] = {"added": "1"}
    found = record(scaled(2), "a")
    assert len(compare(root, [found], [live], plan_of(root, scaled(2))).findings) == 1
    injectors = (Injector(manager="mesh", path="metadata.labels"),)
    assert compare(root, [found], [live], plan_of(root, scaled(2), injectors=injectors)).clean


def test_change_inside_what_an_injector_added_is_drift_also_if_the_injector_wrote_later(
    root: Path,
) -> None:
    live, item = scaled(2), 'k:{"name":"proxy"}'
    live["spec"]["containers"] = [{"name": "proxy", "image": "evil:2"}]

    def own(manager: str, minute: int, **fields: Any) -> Object:
        tree = {"f:spec": {"f:containers": {item: fields}}}
        time = f"2026-11-22T17:{minute}:00Z"
        return {"manager": manager, "operation": "Update", "time": time, "fieldsV1": tree}

    live["metadata"]["managedFields"] += [
        own("mesh", 50, **{".": {}, "f:name": {}}),
        own("kubectl-edit", 40, **{"f:image": {}}),
    ]
    for entry in live["metadata"]["managedFields"]:
        entry["apiVersion"] = live["apiVersion"]
    injectors = (Injector(manager="mesh", path="spec.containers[proxy]"),)
    plan = plan_of(root, scaled(2), injectors=injectors)
    (finding,) = compare(root, [record(scaled(2), "a")], [live], plan).findings
    assert (finding.path, finding.live) == ("spec.containers[proxy].image", "evil:2")
    assert (finding.manager, finding.time) == ("kubectl-edit", "2026-11-22T17:40:00Z")


@pytest.mark.parametrize(
    ("replicas", "time", "found"),
    [
        (0, "2026-11-22T17:40:00Z", True),
        (1, "2026-11-22T17:40:00Z", True),
        (2, "2026-11-22T17:40:00Z", False),
        (9, "2026-11-22T17:40:00Z", True),
        # A moment ago; not the time at which pytest collects the tests.
        (9, "", False),
    ],
    # Without ids the time of the collection would be a part of one, and no two workers of xdist
    # would collect the same tests.
    ids=["zero", "below", "within", "above", "above-just-now"],
)
def test_replicas_outside_the_range_of_the_autoscaler_are_drift(
    root: Path, replicas: int, time: str, found: bool
) -> None:
    target = {"kind": "Deployment", "name": "a"}
    scaler = build(
        "HorizontalPodAutoscaler",
        "a",
        spec={"minReplicas": 2, "maxReplicas": 4, "scaleTargetRef": target},
    )
    live = build_scaled(replicas, "kubectl", **REPLICAS)
    changed = time or datetime.now(UTC).isoformat()
    live["metadata"]["managedFields"][-1] |= {"subresource": "scale", "time": changed}
    ignored = record(scaled(2), "a", ignore_changes=("spec.replicas",))
    report = compare(root, [ignored, record(scaler, "a")], [live, scaler])
    assert [(f.path, f.live, f.manager) for f in report.findings] == (
        [("spec.replicas", replicas, "kubectl")] if found else []
    )


def test_replicas_of_a_foreign_autoscaler_name_its_maker(root: Path) -> None:
    target = {"kind": "Deployment", "name": "a"}
    scaler = build("HorizontalPodAutoscaler", "other", spec={"scaleTargetRef": target})
    scaler["metadata"]["managedFields"] = [written_by("kubectl-autoscale")]
    live = build_scaled(5, "kube-controller-manager", **REPLICAS)
    changed, foreign = compare(root, [record(scaled(2), "a")], [live, scaler]).findings
    assert (changed.path, changed.manager) == ("spec.replicas", "kubectl-autoscale")
    assert foreign.kind is FindingKind.FOREIGN


def test_kind_that_cannot_be_read_is_a_problem_and_the_rest_is_reported(root: Path) -> None:
    objects = [build("Service", "a"), scaled(2)]
    recorded = [record(obj, "a") for obj in objects]
    live = [objects[0], scaled(5)]
    report = compare(root, recorded, live, forbidden="Service")
    assert [f.object_kind for f in report.findings] == ["Deployment"]
    (problem,) = report.problems
    assert problem.startswith("list of Service in ml: no (HTTP 403 Forbidden); next: apply")
    assert not report.clean


def test_check_whose_server_stops_is_never_reported_as_clean(root: Path) -> None:
    objects = [build("Service", "a"), scaled(2)]
    report = compare(root, [record(obj, "a") for obj in objects], objects, forbidden="stopped")
    assert report.problems == ("https://here: the API server does not answer",)
    assert (report.findings, report.clean) == ((), False)


def test_running_command_is_named(root: Path) -> None:
    with FileBackend(root / ".state/.pulumi", "test", "dev").lock():
        report = compare(root, [record(scaled(2), "a")], [scaled(2)])
    assert report.clean
    assert any("another command works on this stack" in text for text in report.warnings)


@pytest.mark.parametrize(
    ("desired", "unplanned", "pending"),
    [
        pytest.param(2, frozenset(), (), id="same"),
        pytest.param(3, frozenset(), ("a",), id="changed"),
        pytest.param(None, frozenset(), ("a",), id="removed"),
        pytest.param(3, frozenset({"a"}), (), id="with errors"),
    ],
)
def test_pending_models_are_found_without_a_cluster(
    root: Path, desired: int | None, unplanned: frozenset[str], pending: tuple[str, ...]
) -> None:
    plan = plan_of(root, None if desired is None else scaled(desired)).plan
    assert plan is not None
    recorded = [record(NAMESPACE.object), record(scaled(2), "a")]
    assert find_pending_models(recorded, plan, unplanned) == pending


def test_new_model_is_pending(root: Path) -> None:
    plan = plan_of(root, scaled(2)).plan
    assert plan is not None
    assert find_pending_models([record(NAMESPACE.object)], plan, frozenset()) == ("a",)


def test_change_of_a_field_that_the_files_no_longer_set_is_no_addition(root: Path) -> None:
    """The model is switched off, and somebody has changed its Deployment before the next `up`."""
    report = compare(root, [record(scaled(2), "a")], [scaled(5)], plan_of(root, None))
    (finding,) = report.findings
    assert (finding.desired, finding.recorded, finding.live) == (None, 2, 5)
    shown = render_drift(DriftRun("dev", report.checked, (report,)))
    assert "spec.replicas  2 -> 5" in shown
    assert "the files no longer set it" in shown


def test_differences_of_a_long_list_are_counted_in_linear_time(root: Path) -> None:
    """One item in front of a list without keys moves all others."""
    ranges = [f"10.{n // 250}.{n % 250}.0/24" for n in range(3000)]
    before = build("Service", "a", spec={"loadBalancerSourceRanges": ranges, "type": "ClusterIP"})
    live = build(
        "Service",
        "a",
        spec={"loadBalancerSourceRanges": ["10.99.0.0/24", *ranges], "type": "LoadBalancer"},
    )
    started = time.process_time()
    found = compare(root, [record(before, "a")], [live]).findings
    # It took 90 s when each finding counted for itself.
    assert time.process_time() - started < 20
    counts = {finding.path: finding.list_differences for finding in found}
    assert counts.pop("spec.type") == 0
    assert set(counts.values()) == {len(counts)}
    assert not any(finding.list_is_pending for finding in found)
