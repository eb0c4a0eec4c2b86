"""Foreign objects: what is reported, what is not, and the Pods that they touch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from framework.core.drift_rules import Injector
from framework.drift import Finding, FindingKind
from framework.drift.custom_kinds import CUSTOM_KINDS
from framework.drift.grouping import Danger, find_danger, group_findings
from framework.drift.report import Unread
from framework.engines.base import RecordedObject
from framework.kinds.naming import NAME_LABEL, STACK_LABELS
from framework.output.drift import render_change
from framework.plan.rendered import selects
from tests.drift.test_find_drift import RELEASE, Object, build, compare, plan_of, record, root

__all__ = ["root"]
LABELS = {"app": "a"}
TEMPLATE = {
    "template": {
        "metadata": {"labels": {**LABELS, "hash": "1"}},
        "spec": {"serviceAccountName": "runner"},
    }
}
NAMESPACE = build("Namespace", "ml", "")
DEPLOYMENT = build("Deployment", "a", spec=TEMPLATE)
DEPLOYMENT["metadata"]["uid"] = "uid-deployment"
SERVICE = build("Service", "a", spec={"selector": LABELS})
OURS = [NAMESPACE, DEPLOYMENT, SERVICE]
TARGET = {"kind": "Deployment", "name": "a"}


def find_foreign(root: Path, *others: Object, owns_namespace: bool = True) -> list[Finding]:
    recorded = [record(obj, "a") for obj in OURS[0 if owns_namespace else 1 :]]
    report = compare(root, recorded, [*OURS, *others])
    assert all(finding.kind is FindingKind.FOREIGN for finding in report.findings)
    return list(report.findings)


@pytest.mark.parametrize(
    ("obj", "danger"),
    [
        (build("AuthorizationPolicy", "x"), Danger.SERVING),
        (build("PeerAuthentication", "x", spec={"mtls": {"mode": "STRICT"}}), Danger.SERVING),
        (build("EnvoyFilter", "x", spec={}), Danger.SERVING),
        (build("CiliumNetworkPolicy", "x", spec={"endpointSelector": {}}), Danger.SERVING),
        (build("NetworkPolicy", "x", spec={"podSelector": {}}), Danger.SERVING),
        (build("Deployment", "x", spec=TEMPLATE), Danger.SERVING),
        (build("Rollout", "x", spec=TEMPLATE), Danger.SERVING),
        (build("ResourceQuota", "x"), Danger.BUDGET),
    ],
    ids=lambda value: value if isinstance(value, str) else value["kind"],
)
def test_object_that_touches_several_models_endangers_what_it_does_for_one(
    root: Path, obj: Object, danger: Danger
) -> None:
    other = build("Deployment", "b", spec=TEMPLATE)
    service = build("Service", "b", spec={"selector": LABELS})
    ours = [DEPLOYMENT, SERVICE, other, service]
    recorded = [record(mine, mine["metadata"]["name"]) for mine in ours]
    (finding,) = compare(root, recorded, [*ours, obj]).findings
    assert finding.touches_several
    assert find_danger(finding) is danger


def test_each_custom_kind_is_ranked_by_how_it_touches_pods() -> None:
    """A kind that is listed and not ranked would be less than a changed replica."""
    for kind in CUSTOM_KINDS:
        type_token = f"kubernetes:{kind.group}/v1:{kind.name}"
        finding = Finding(FindingKind.FOREIGN, type_token, "ml/x", model="a")
        assert find_danger(finding) in (Danger.SERVING, Danger.BUDGET), kind.name


def written(obj: Object, manager: str, **metadata: Any) -> Object:
    entry = {"manager": manager, "operation": "Update", "time": "2026-11-25T03:00:00Z"}
    return {**obj, "metadata": {**obj["metadata"], "managedFields": [entry], **metadata}}


def slice_of(service: str) -> Object:
    obj = build("EndpointSlice", "x")
    obj["metadata"]["labels"] = {"kubernetes.io/service-name": service}
    return obj


@pytest.mark.parametrize(
    ("obj", "effect"),
    [
        (build("Service", "x", spec={"selector": LABELS}), "selects Pods of a"),
        (build("Service", "x", spec={"selector": {"app": "b"}}), ""),
        (build("Service", "x", spec={}), ""),
        (build("NetworkPolicy", "x", spec={"podSelector": {}}), "selects Pods of a"),
        (
            build("PodDisruptionBudget", "x", spec={"selector": {"matchLabels": {"app": "b"}}}),
            "",
        ),
        (
            build(
                "HorizontalPodAutoscaler",
                "x",
                spec={"scaleTargetRef": {"kind": "Deployment", "name": "a"}},
            ),
            "scales Deployment a",
        ),
        (
            build("Ingress", "x", spec={"rules": [{"http": {"paths": [{"backend": {"service": {
                "name": "a"}}}]}}]}),
            "routes to Service a",
        ),
        (build("StatefulSet", "x", spec=TEMPLATE), "its Pods take traffic of Service a"),
        (slice_of("a"), "adds endpoints to Service a"),
        (slice_of("b"), ""),
        (build("ScaledObject", "x", spec={"scaleTargetRef": {"name": "a"}}), "scales Deployment a"),
        (
            build("VerticalPodAutoscaler", "x", spec={"targetRef": TARGET}),
            "sets the resources of Deployment a",
        ),
        (build("Rollout", "x", spec={"workloadRef": TARGET}), "runs further Pods of Deployment a"),
        (
            build("VerticalPodAutoscaler", "x", spec={
                "targetRef": TARGET, "updatePolicy": {"updateMode": "Off"}}),
            "",
        ),
        (build("Rollout", "x", spec=TEMPLATE), "its Pods take traffic of Service a"),
        (build("GRPCRoute", "x", spec={"rules": [{"backendRefs": [{"name": "a"}]}]}),
         "routes to Service a"),
        (build("HTTPRoute", "x", spec={"rules": [{"backendRefs": [
            {"name": "a", "namespace": "other"}]}]}), ""),
        (build("VirtualService", "x", spec={"http": [{"route": [{"destination": {
            "host": "a.ml.svc.cluster.local"}}]}]}), "routes to Service a"),
        (build("DestinationRule", "x", spec={"host": "a"}), "routes to Service a"),
        (build("DestinationRule", "x", spec={"host": "a.other"}), ""),
        (build("DestinationRule", "x", spec={"host": "*.ml.svc.cluster.local"}),
         "routes to Service a"),
        (build("DestinationRule", "x", spec={"host": "a.ml.example.com"}), ""),
        (build("VirtualService", "x", spec={"hosts": ["a"], "http": [{"route": [{"destination": {
            "host": "evil"}}]}]}), "takes traffic of Service a"),
        (build("VirtualService", "x", spec={"http": [{"mirror": {"host": "a"}, "headers": {
            "request": {"set": {"host": "b"}}}}]}), "routes to Service a"),
        (build("VirtualService", "x", spec={"http": [{"headers": {"request": {"set": {
            "host": "a"}}}}]}), ""),
        (build("HTTPRoute", "x", spec={"parentRefs": [{"kind": "Service", "name": "a"}]}),
         "takes traffic of Service a"),
        (build("HTTPRoute", "x", spec={"rules": [{"filters": [{"requestMirror": {"backendRef": {
            "name": "a"}}}]}]}), "routes to Service a"),
        # The host of an Ingress is no Service.
        (build("Ingress", "x", spec={"rules": [{"host": "a.ml.example.com"}]}), ""),
        (build("ResourceQuota", "x"), "limits the Pods of a"),
        (build("ConfigMap", "x"), ""),
        # Without a selector it is for all Pods of the Namespace.
        (build("AuthorizationPolicy", "x", spec={"action": "DENY"}), "selects Pods of a"),
        (build("PeerAuthentication", "x", spec={"selector": {"matchLabels": {"app": "b"}}}), ""),
        (build("EnvoyFilter", "x", spec={"workloadSelector": {"labels": LABELS}}),
         "selects Pods of a"),
        (build("Sidecar", "x", spec={"workloadSelector": {"labels": {"app": "b"}}}), ""),
        (build("CiliumNetworkPolicy", "x", spec={"endpointSelector": {"matchLabels": {
            "k8s:app": "a"}}}), "selects Pods of a"),
        (build("CiliumNetworkPolicy", "x", specs=[{"endpointSelector": {"matchExpressions": [
            {"key": "any:app", "operator": "NotIn", "values": ["a"]}]}}]), ""),
        (build("TCPRoute", "x", spec={"rules": [{"backendRefs": [{"name": "a"}]}]}),
         "routes to Service a"),
        # With targets it is for these alone: here for the Gateway of another team.
        *(
            (build(kind, "x", spec={"targetRefs": [{"kind": "Gateway", "name": "b"}]}), "")
            for kind in ("AuthorizationPolicy", "RequestAuthentication", "EnvoyFilter")
        ),
        (build("AuthorizationPolicy", "x", spec={"targetRef": {"kind": "Service", "name": "b"}}),
         ""),
        (build("AuthorizationPolicy", "x", spec={"targetRefs": [{"kind": "Service", "name": "a"}]}),
         "targets Service a"),
        *(
            (build("CiliumNetworkPolicy", "x", spec={"endpointSelector": selector}), effect)
            for selector, effect in (
                ({"matchLabels": {"k8s:io.kubernetes.pod.namespace": "ml", "app": "a"}},
                 "selects Pods of a"),
                ({"matchLabels": {"k8s:io.kubernetes.pod.namespace": "ml", "app": "b"}}, ""),
                ({"matchLabels": {"io.cilium.k8s.policy.serviceaccount": "runner"}},
                 "selects Pods of a"),
                ({"matchLabels": {"io.cilium.k8s.policy.serviceaccount": "other"}}, ""),
                ({"matchLabels": {"io.cilium.k8s.policy.cluster": "eu", "app": "a"}},
                 "selects Pods of a"),
                ({"matchExpressions": [{"key": "k8s:io.cilium.k8s.namespace.labels.team",
                                        "operator": "In", "values": ["ml"]}]},
                 "selects Pods of a"),
                ({"matchExpressions": [{"key": "io.kubernetes.pod.namespace",
                                        "operator": "NotIn", "values": ["ml"]}]}, ""),
            )
        ),
    ],
)  # fmt: skip
def test_object_that_touches_our_pods_is_foreign_in_a_shared_namespace(
    root: Path, obj: Object, effect: str
) -> None:
    shared = find_foreign(root, obj, owns_namespace=False)
    (own,) = find_foreign(root, obj)
    assert [finding.note.partition(";")[0] for finding in shared] == ([effect] if effect else [])
    assert own.note == (f"{effect}; no stack owns it" if effect else "no stack owns it")
    assert own.model == ("a" if effect else "")


def test_object_that_the_program_only_reads_is_not_foreign(root: Path) -> None:
    read = build("ResourceQuota", "x")
    recorded = [*(record(obj, "a") for obj in OURS), record(read, external=True)]
    assert compare(root, recorded, [*OURS, read]).findings == ()


def test_objects_in_a_namespace_that_the_program_only_reads_are_not_foreign(root: Path) -> None:
    recorded = [record(NAMESPACE, external=True), *(record(obj, "a") for obj in OURS[1:])]
    assert compare(root, recorded, [*OURS, build("ConfigMap", "x")]).findings == ()


def test_kind_of_another_group_hides_no_foreign_object(root: Path) -> None:
    # A Service of Knative, recorded under the name that a foreign Service of Kubernetes has.
    knative = {**build("Service", "x"), "apiVersion": "serving.knative.dev/v1"}
    recorded = [record(obj, "a") for obj in (*OURS, knative)]
    foreign = build("Service", "x", spec={"selector": LABELS})
    report = compare(root, recorded, [*OURS, foreign])
    foreign_objects = {f.object for f in report.findings if f.kind is FindingKind.FOREIGN}
    assert foreign_objects == {"ml/x"}


def test_pods_of_no_model_are_named_by_their_object(root: Path) -> None:
    recorded = [record(obj, "") for obj in OURS]
    report = compare(root, recorded, [*OURS, build("ResourceQuota", "x")])
    (finding,) = report.findings
    assert finding.note == "limits the Pods of Deployment a; no stack owns it"


def test_pod_with_our_labels_takes_traffic_unless_we_own_it(root: Path) -> None:
    pod = build("Pod", "a-1")
    pod["metadata"]["labels"] = {**LABELS, "hash": "1"}
    (finding,) = find_foreign(root, written(pod, "kubectl-run"))
    assert finding.note == "takes traffic of Service a; no stack owns it"
    assert (finding.manager, finding.time) == ("kubectl-run", "2026-11-25T03:00:00Z")
    owner = refer_to(build("ReplicaSet", "a"))
    assert find_foreign(root, written(pod, "x", ownerReferences=[owner])) == []


def refer_to(owner: Object) -> Object:
    """Returns an ownerReference to an object."""
    identity = {key: owner["metadata"][key] for key in ("name", "uid")}
    return {"apiVersion": owner["apiVersion"], "kind": owner["kind"], **identity}


def own_pod(*written: Object) -> list[Object]:
    """Returns a Pod of the Deployment `a` that others have written to, and its ReplicaSet."""
    replicas = build("ReplicaSet", "a-1")
    owner = refer_to(DEPLOYMENT)
    replicas["metadata"]["ownerReferences"] = [owner]
    pod = build("Pod", "a-1-x")
    created = {"manager": "kube-controller-manager", "fieldsV1": {"f:spec": {"f:containers": {}}}}
    owner = refer_to(replicas)
    pod["metadata"] |= {
        "ownerReferences": [owner],
        "labels": {**LABELS, "hash": "1"},
        "managedFields": [created, *written],
    }
    return [replicas, pod]


def written_by(manager: str, spec: Object, subresource: str = "") -> Object:
    time = "2026-11-25T03:00:00Z"
    entry = {"manager": manager, "time": time, "subresource": subresource}
    return {**entry, "fieldsV1": {"f:spec": spec}}


IMAGE: Object = {"f:containers": {'k:{"name":"model"}': {"f:image": {}}}}
DEBUG: Object = {"f:ephemeralContainers": {".": {}, 'k:{"name":"d"}': {".": {}, "f:image": {}}}}


@pytest.mark.parametrize("owns_namespace", [True, False])
@pytest.mark.parametrize(
    ("entry", "part"),
    [
        (written_by("kubectl-set", IMAGE), "containers[model].image"),
        (written_by("kubectl-debug", DEBUG, "ephemeralContainers"), "ephemeralContainers[d]"),
    ],
)
def test_pod_that_somebody_changed_is_reported(
    root: Path, entry: Object, part: str, owns_namespace: bool
) -> None:
    (finding,) = find_foreign(root, *own_pod(entry), owns_namespace=owns_namespace)
    assert finding.note.startswith(
        f"somebody changed {part} of this Pod after Deployment a had created it; `up` does not undo"
    )
    assert (finding.object, finding.model) == ("ml/a-1-x", "a")
    assert (finding.manager, finding.time) == (entry["manager"], "2026-11-25T03:00:00Z")


@pytest.mark.parametrize(
    "entry",
    [
        {"manager": "kwok", "subresource": "status", "fieldsV1": {"f:status": {}}},
        {"manager": "calico", "fieldsV1": {"f:metadata": {"f:annotations": {"f:x": {}}}}},
        written_by("vpa-updater", IMAGE, "resize"),
    ],
    ids=["status", "annotation", "injector"],
)
def test_pod_that_controllers_and_injectors_wrote_is_not_reported(
    root: Path, entry: Object
) -> None:
    injectors = (Injector("vpa-*", "containers[model]", "Pod"),)
    recorded = [record(obj, "a") for obj in OURS]
    plan = plan_of(root, DEPLOYMENT, injectors=injectors)
    report = compare(root, recorded, [*OURS, *own_pod(entry)], plan)
    assert [f for f in report.findings if f.kind is FindingKind.FOREIGN] == []


def test_manager_that_creates_pods_has_not_changed_them(root: Path) -> None:
    """With k3s, and for Pods that an operator creates, it is not kube-controller-manager."""
    created = {"f:metadata": {"f:ownerReferences": {}}, "f:spec": IMAGE}
    replicas, pod = own_pod({"manager": "k3s", "operation": "Update", "fieldsV1": created})
    assert find_foreign(root, replicas, pod) == []


def test_changed_pod_that_is_being_deleted_is_not_reported(root: Path) -> None:
    replicas, pod = own_pod(written_by("kubectl-set", IMAGE))
    pod["metadata"]["deletionTimestamp"] = "2026-11-25T03:00:00Z"
    assert find_foreign(root, replicas, pod) == []


RESOURCES: Object = {"f:containers": {'k:{"name":"model"}': {"f:resources": {"f:requests": {}}}}}


@pytest.mark.parametrize("mode", ["InPlaceOrRecreate", "Off"])
def test_vertical_autoscaler_may_resize_the_pods_of_its_target(root: Path, mode: str) -> None:
    spec = {"targetRef": TARGET, "updatePolicy": {"updateMode": mode}}
    autoscaler = build("VerticalPodAutoscaler", "x", spec=spec)
    found = find_foreign(root, autoscaler, *own_pod(written_by("vpa-updater", RESOURCES)))
    assert [f.object for f in found if f.is_changed_pod] == (["ml/a-1-x"] if mode == "Off" else [])


@pytest.mark.parametrize(("written", "found"), [(RESOURCES, False), (IMAGE, True), (None, False)])
def test_resized_pod_is_unknown_if_vertical_autoscalers_cannot_be_listed(
    root: Path, written: Object | None, found: bool
) -> None:
    pods = own_pod(written_by("vpa-updater", written)) if written else own_pod()
    recorded = [record(obj, "a") for obj in OURS]
    report = compare(root, recorded, [*OURS, *pods], forbidden="VerticalPodAutoscaler")
    assert [f.is_changed_pod for f in report.findings] == ([True] if found else [])
    hidden = [part.object for part in report.unread if part.object_kind == "Pod"]
    assert hidden == (["ml/a-1-x"] if written is RESOURCES else [])


def test_old_object_of_an_unfinished_replacement_is_not_lost(root: Path) -> None:
    """The Pods need the old ConfigMap until the rollout succeeds."""
    old = written(build("ConfigMap", "a-1"), "pulumi-kubernetes-1a2b3c4d", labels=STACK_LABELS)
    recorded = [record(obj, "a") for obj in OURS]
    pending = frozenset({("kubernetes:core/v1:ConfigMap", "ml/a-1")})
    plan = plan_of(root, DEPLOYMENT)
    report = compare(root, recorded, [*OURS, old], plan, pending_deletions=pending)
    assert [f for f in report.findings if f.kind is FindingKind.FOREIGN] == []


def test_own_pods_are_not_foreign_if_replica_sets_cannot_be_listed(root: Path) -> None:
    recorded = [record(obj, "a") for obj in OURS]
    report = compare(root, recorded, [*OURS, *own_pod()], forbidden="ReplicaSet")
    assert report.findings == ()
    (problem,) = report.problems
    assert problem.startswith("list of ReplicaSet in ml")


def control(obj: Object, owner: Object) -> Object:
    reference = {**refer_to(owner), "controller": True}
    return {**obj, "metadata": {**obj["metadata"], "ownerReferences": [reference]}}


RAY = {**build("RayService", "ray"), "apiVersion": "ray.io/v1"}
RAY_CLUSTER = control({**build("RayCluster", "ray-x"), "apiVersion": "ray.io/v1"}, RAY)


@pytest.mark.parametrize(
    ("unlisted", "forbidden", "foreign", "problems"),
    [
        ([RAY_CLUSTER], "", [], 0),
        # Nobody knows, so it is no finding.
        ([RAY_CLUSTER], "RayCluster", [], 1),
        # Of somebody else: the RayCluster itself is not listed, so its Pod is all that is seen.
        ([{**RAY_CLUSTER, "metadata": {"name": "ray-x", "uid": "uid-ray-x"}}], "", ["ml/p"], 0),
        ([{**RAY_CLUSTER, "metadata": {"name": "ray-x", "uid": "another"}}], "", ["ml/p"], 0),
        ([], "", ["ml/p"], 0),
    ],
    ids=["ours", "forbidden", "of-nobody", "recreated", "gone"],
)
def test_object_that_an_operator_made_in_two_steps(
    root: Path, unlisted: list[Object], forbidden: str, foreign: list[str], problems: int
) -> None:
    pod = control(build("Pod", "p"), RAY_CLUSTER)
    recorded = [record(NAMESPACE, ""), record(RAY, "a")]
    report = compare(root, recorded, [NAMESPACE, RAY, pod], unlisted=unlisted, forbidden=forbidden)
    assert [finding.object for finding in report.findings] == foreign
    assert len(report.problems) == problems


def installed(obj: Object, release: str = "redis", manager: str = "helm") -> Object:
    names = {"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": "ml"}
    return written(obj, manager, annotations=names)


HOOK = {"annotations": {"helm.sh/hook": "post-install"}}
KAFKA = {**build("Kafka", "queue"), "apiVersion": "kafka.strimzi.io/v1"}
POLICY = build("NetworkPolicy", "x", spec={"podSelector": {}})
PROVIDER = "pulumi-resource-kubernetes"


@pytest.mark.parametrize(
    ("obj", "is_foreign"),
    [
        (installed(POLICY), False),
        (installed(POLICY, manager=PROVIDER), False),
        (written(build("Job", "x"), PROVIDER, **HOOK), False),
        (control(build("Pod", "x"), KAFKA), False),
        (written(build("Service", "x"), "strimzi", ownerReferences=[refer_to(KAFKA)]), False),
        (installed(POLICY, release="kafka"), True),
        # A copy that somebody edited and applied.
        (installed(POLICY, manager="kubectl-client-side-apply"), True),
        (written(build("Job", "x"), "kubectl-create", **HOOK), True),
    ],
    ids=["helm", "pulumi", "hook", "pod", "not-controller", "another-release", "copy", "hook-copy"],
)
def test_objects_of_a_recorded_helm_release(root: Path, obj: Object, is_foreign: bool) -> None:
    recorded = [RELEASE, *(record(mine, "a") for mine in OURS)]
    report = compare(root, recorded, [*OURS, obj], unlisted=[installed(KAFKA)])
    assert [finding.object for finding in report.findings] == (["ml/x"] if is_foreign else [])


def test_new_pod_is_ours_if_its_replica_set_was_created_after_the_list(root: Path) -> None:
    replicas = control(build("ReplicaSet", "a-2"), DEPLOYMENT)
    pod = control(build("Pod", "a-2-x"), replicas)
    recorded = [record(obj, "a") for obj in OURS]
    assert compare(root, recorded, [*OURS, pod], unlisted=[replicas]).findings == ()
    (finding,) = compare(root, recorded, [*OURS, pod]).findings
    assert finding.note == "no stack owns it; its owner is ReplicaSet a-2"


@pytest.mark.parametrize(
    ("name", "foreign"),
    [("data-queue-0", False), ("data-queue-x", True), ("data-other-0", True), ("queue-0", True)],
)
def test_claim_of_a_stateful_set_is_not_foreign(root: Path, name: str, foreign: bool) -> None:
    templates = [{"metadata": {"name": "data"}}]
    queue = build("StatefulSet", "queue", spec={"volumeClaimTemplates": templates})
    claim = build("PersistentVolumeClaim", name)
    recorded = [record(NAMESPACE, ""), record(queue, "a")]
    found = compare(root, recorded, [NAMESPACE, queue, claim]).findings
    assert [finding.object for finding in found] == ([f"ml/{name}"] if foreign else [])


def test_foreign_object_is_found_while_only_the_namespace_is_recorded(root: Path) -> None:
    deployment = build("Deployment", "evil", spec=TEMPLATE)
    (finding,) = compare(root, [record(NAMESPACE, "")], [NAMESPACE, deployment]).findings
    assert (finding.kind, finding.object) == (FindingKind.FOREIGN, "ml/evil")


def test_kinds_that_may_not_be_listed_are_one_problem(root: Path) -> None:
    recorded = [record(obj, "a") for obj in OURS]
    (problem,) = compare(root, recorded, OURS, forbidden="ReplicaSet Job CronJob").problems
    assert "forbidden as well: Job, ReplicaSet; next: apply the rules of" in problem
    # Rules without it would take away the right to list custom resources.
    assert "`python -m tools.drift_rbac dev --custom`" in problem


@pytest.mark.parametrize(
    ("obj", "effect"),
    [
        (build("PodDisruptionBudget", "x", spec={"selector": {}}), "selects Pods of a"),
        (build("Deployment", "x", spec=TEMPLATE), "its Pods take traffic of Service a"),
        (build("ConfigMap", "x"), ""),
        (build("ReplicaSet", "x", spec=TEMPLATE), ""),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)
def test_object_that_others_made_for_our_deployment(root: Path, obj: Object, effect: str) -> None:
    owner = refer_to(DEPLOYMENT)
    found = find_foreign(root, written(obj, "pdb-controller", ownerReferences=[owner]))
    notes = [finding.note.partition(";")[0] for finding in found]
    assert notes == ([effect] if effect else [])


def test_pods_changed_by_one_actor_are_one_group(root: Path) -> None:
    entry = written_by("kubectl-set", IMAGE)
    replicas, pod = own_pod(entry)
    metadata = {**pod["metadata"], "name": "a-1-y", "uid": "uid-y"}
    findings = find_foreign(root, replicas, pod, {**pod, "metadata": metadata})
    (group,) = group_findings([*findings])
    assert "somebody changed these Pods" in render_change(group)


def test_job_in_a_shared_namespace_is_named_by_what_its_pods_take(root: Path) -> None:
    """Of Jobs only the metadata is read, which does not have the labels of their Pods."""
    job, pod = build("Job", "thief"), build("Pod", "thief-x")
    owner = refer_to(job)
    pod["metadata"] |= {"labels": {**LABELS, "hash": "2"}, "ownerReferences": [owner]}
    (finding,) = find_foreign(root, job, pod, owns_namespace=False)
    assert (finding.object, finding.model) == ("ml/thief", "a")
    assert finding.note.startswith("one of its Pods takes traffic of Service a")


@pytest.mark.parametrize(
    "obj",
    [
        build("ConfigMap", "kube-root-ca.crt"),
        build("ServiceAccount", "default"),
        written(build("ConfigMap", "x"), "pulumi-kubernetes-1a2b3c4d", labels=STACK_LABELS),
        written(build("ConfigMap", "x"), "x", deletionTimestamp="2026-11-25T03:00:00Z"),
        build("Event", "x"),
        build("Lease", "x"),
    ],
    ids=lambda obj: f"{obj['kind']}-{obj['metadata']['name']}",
)
def test_what_belongs_to_somebody_is_not_foreign(root: Path, obj: Object) -> None:
    assert find_foreign(root, obj) == []


@pytest.mark.parametrize("kind", ["Deployment", "PersistentVolumeClaim"])
def test_object_of_pulumi_that_is_neither_planned_nor_recorded_is_reported(
    root: Path, kind: str
) -> None:
    """Somebody restored it from a backup after its model was removed, or the state was lost."""
    lost = written(build(kind, "old"), "pulumi-kubernetes-1a2b3c4d", labels=STACK_LABELS)
    planned = written(build("ConfigMap", "a"), "pulumi-kubernetes-1a2b3c4d", labels=STACK_LABELS)
    plan = plan_of(root, planned)
    recorded = [record(obj, "a") for obj in OURS]

    def find(recorded: list[RecordedObject]) -> list[Finding]:
        report = compare(root, recorded, [*OURS, lost, planned], plan)
        return [f for f in report.findings if f.kind is FindingKind.FOREIGN]

    found = find(recorded)
    # A claim stays when its model is removed, and another stack may own a shared Namespace.
    assert [f.object for f in found] == (["ml/old"] if kind == "Deployment" else [])
    assert all(f.note.startswith("Pulumi created it") for f in found)
    assert find(recorded[1:]) == []


@pytest.mark.parametrize("unplanned", [frozenset({"a"}), None], ids=["model", "all"])
def test_object_of_pulumi_is_a_problem_while_its_files_have_errors(
    root: Path, unplanned: frozenset[str] | None
) -> None:
    """Otherwise an error in a file would resolve that somebody restored it from a backup."""
    labels = {**STACK_LABELS, NAME_LABEL: "a"}
    lost = written(build("Service", "old"), "pulumi-kubernetes-1a2b3c4d", labels=labels)
    recorded = [record(obj, "a") for obj in OURS]
    report = compare(root, recorded, [*OURS, lost], plan_of(root, DEPLOYMENT), unplanned)
    assert report.findings == ()
    assert report.unread == (Unread("Service", "ml/old", is_foreign=True),)
    (problem,) = report.problems
    assert problem.startswith("Service ml/old: created by Pulumi and not recorded")


MESH = "AuthorizationPolicy CiliumNetworkPolicy"


def test_custom_kind_that_may_not_be_listed_is_a_problem(root: Path) -> None:
    report = compare(root, [record(obj, "a") for obj in OURS], OURS, forbidden=MESH)
    (problem,) = report.problems
    assert "AuthorizationPolicy" in problem
    assert "CiliumNetworkPolicy" in problem
    assert "`python -m tools.drift_rbac dev --custom`" in problem
    assert {part.object_kind for part in report.unread} == set(MESH.split())


def test_forbidden_owner_hides_every_foreign_object_of_its_namespace(root: Path) -> None:
    report = compare(root, [record(obj, "a") for obj in OURS], OURS, forbidden="ReplicaSet")
    assert report.unread == (Unread("", "ml/", is_foreign=True),)


def test_copy_of_our_object_is_foreign_although_it_has_our_labels(root: Path) -> None:
    copy = written(build("ConfigMap", "copy"), "kubectl-create", labels=STACK_LABELS)
    (finding,) = find_foreign(root, copy)
    assert (finding.object, finding.manager) == ("ml/copy", "kubectl-create")


@pytest.mark.parametrize(
    ("rule", "selected"),
    [
        ({"operator": "In", "values": ["a", "b"]}, True),
        ({"operator": "NotIn", "values": ["a"]}, False),
        ({"operator": "NotIn", "values": ["b"]}, True),
        ({"operator": "Exists"}, True),
        ({"operator": "DoesNotExist"}, False),
    ],
)
def test_selector_with_expressions(rule: dict[str, Any], selected: bool) -> None:
    assert selects({"matchExpressions": [{"key": "app", **rule}]}, LABELS) is selected
