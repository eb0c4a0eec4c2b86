"""Foreign objects: what is reported, what is not, and the Pods that they touch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from framework.drift import Finding, FindingKind
from framework.kinds.naming import STACK_LABELS
from framework.plan.rendered import selects
from tests.drift.test_find_drift import Object, build, compare, record, root

__all__ = ["root"]
LABELS = {"app": "a"}
TEMPLATE = {"template": {"metadata": {"labels": {**LABELS, "hash": "1"}}}}
NAMESPACE = build("Namespace", "ml", "")
DEPLOYMENT = build("Deployment", "a", spec=TEMPLATE)
SERVICE = build("Service", "a", spec={"selector": LABELS})
OURS = [NAMESPACE, DEPLOYMENT, SERVICE]


def find_foreign(root: Path, *others: Object, owns_namespace: bool = True) -> list[Finding]:
    recorded = [record(obj, "a") for obj in OURS[0 if owns_namespace else 1 :]]
    report = compare(root, recorded, [*OURS, *others])
    assert all(finding.kind is FindingKind.FOREIGN for finding in report.findings)
    return list(report.findings)


def written(obj: Object, manager: str, **metadata: Any) -> Object:
    entry = {"manager": manager, "operation": "Update", "time": "2026-11-25T03:00:00Z"}
    return {**obj, "metadata": {**obj["metadata"], "managedFields": [entry], **metadata}}


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
        (build("ResourceQuota", "x"), "limits the Pods of a"),
        (build("ConfigMap", "x"), ""),
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
    owner = {"uid": "uid-a", "kind": "ReplicaSet", "name": "a"}
    assert find_foreign(root, written(pod, "x", ownerReferences=[owner])) == []


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
