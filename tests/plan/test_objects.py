"""The setting `objects`: built with name, namespace and labels, and checked at its lines."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from framework.core.diagnostics import Code
from framework.kinds.objects import CLUSTER_SCOPED
from framework.plan.manifest import ModelPlan
from tests.plan.small_catalog import PROD, check, first_model, write_files

MONITOR = (
    "objects:\n  monitor:\n    apiVersion: monitoring.coreos.com/v1\n    kind: ServiceMonitor\n"
    "    metadata: {labels: {release: prometheus}}\n"
    "    spec: {selector: {matchLabels: {app: '${name}'}}, endpoints: [{port: http}]}\n"
)
ROLE = "apiVersion: rbac.authorization.k8s.io/v1, kind: Role"
SERVICE = "apiVersion: v1, kind: Service, spec: {ports: [{port: 1}]}"
LABELS = {
    "app.kubernetes.io/name": "a",
    "modelcatalog/owner": "team-a",
    "app.kubernetes.io/part-of": "modelcatalog",
    "app.kubernetes.io/managed-by": "pulumi",
}


def _plan(root: Path, own: str, environment: str = "") -> ModelPlan:
    loaded = check(write_files(root, {"catalog/a.yaml": f"+{own}\n", PROD: f"+{environment}\n"}))
    assert [error.message for error in loaded.errors] == []
    return first_model(loaded)


def _find(plan: ModelPlan, key: str) -> dict[str, Any]:
    return next(m.object for m in plan.manifests if m.object_key == key)


def test_a_custom_resource_gets_name_namespace_and_labels(tmp_path: Path) -> None:
    assert _find(_plan(tmp_path, MONITOR), "monitor") == {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": {
            "name": "a-monitor",
            "namespace": "ml-prod",
            "labels": {"release": "prometheus", **LABELS},
        },
        "spec": {"selector": {"matchLabels": {"app": "a"}}, "endpoints": [{"port": "http"}]},
    }


def test_layers_merge_objects_and_null_removes_one(tmp_path: Path) -> None:
    files = {
        "catalog/_profiles/server.yaml": f"+{MONITOR}  role: {{{ROLE}}}\n",
        "environments/prod/models/a.yaml": (
            "objects: {role: null, monitor: {metadata: {name: own}, spec: {selector: null}}}\n"
        ),
    }
    plan = first_model(check(write_files(tmp_path, files)))
    (key,) = [manifest.object_key for manifest in plan.manifests if manifest.object_key]
    monitor = _find(plan, key)
    assert (key, monitor["metadata"]["name"]) == ("monitor", "own")
    assert monitor["spec"] == {"endpoints": [{"port": "http"}]}


def test_objects_come_before_the_deployment_which_waits_for_those_that_pods_need(
    tmp_path: Path,
) -> None:
    claim = (
        "{apiVersion: v1, kind: PersistentVolumeClaim, spec: {accessModes: [ReadWriteMany], "
        "resources: {requests: {storage: 1Gi}}}}"
    )
    plan = _plan(tmp_path, f"{MONITOR}  role: {{{ROLE}}}\n  data: {claim}\n")
    kinds = [manifest.kind for manifest in plan.manifests]
    assert kinds.index("Deployment") > max(kinds.index("Role"), kinds.index("ServiceMonitor"))
    needed = {m.object_key: (m.used_by_pods, m.retain) for m in plan.manifests if m.object_key}
    assert needed == {"data": (True, True), "monitor": (False, False), "role": (True, False)}


def test_a_canary_shares_the_objects(tmp_path: Path) -> None:
    plan = _plan(tmp_path, f"{MONITOR}canary: {{candidate: {{image: {{tag: v2}}}}}}\n")
    assert [m.kind for m in plan.manifests].count("Deployment") == 2
    assert [m.kind for m in plan.manifests].count("ServiceMonitor") == 1


def test_a_candidate_cannot_have_objects(tmp_path: Path) -> None:
    own = f"+canary: {{candidate: {{objects: {{x: {{{ROLE}}}}}}}}}\n"
    (error,) = check(write_files(tmp_path, {"catalog/a.yaml": own})).errors
    assert error.position == "catalog/a.yaml:4:22"


def test_a_second_service_is_not_taken_for_the_service_of_the_model(tmp_path: Path) -> None:
    service = "{apiVersion: v1, kind: Service, spec: {ports: [{port: 80, targetPort: http}]}}"
    patch = "patch: {Service: {spec: {publishNotReadyAddresses: true}}}"
    plan = _plan(tmp_path, f"objects: {{inner: {service}}}\n{patch}")
    own = plan.find("Service")
    assert own
    assert (own.name, own.object["spec"]["publishNotReadyAddresses"]) == ("a", True)
    assert "publishNotReadyAddresses" not in _find(plan, "inner")["spec"]


@pytest.mark.parametrize(
    ("kind", "policy", "name"),
    [
        ("apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, value: 1", "PriorityClass", True),
        ("apiVersion: kueue.x-k8s.io/v1beta1, kind: ClusterQueue", "ClusterQueue", True),
        ("apiVersion: kueue.x-k8s.io/v1beta1, kind: LocalQueue", "ClusterQueue", False),
    ],
    ids=["of Kubernetes", "custom", "namespaced"],
)
def test_a_kind_that_the_policy_names_is_in_no_namespace(
    kind: str, policy: str, name: bool, tmp_path: Path
) -> None:
    environment = f"policy: {{clusterScopedKinds: [{policy}]}}"
    metadata = _find(_plan(tmp_path, f"objects: {{x: {{{kind}}}}}", environment), "x")["metadata"]
    expected = ("ml-prod-a-x", None) if name else ("a-x", "ml-prod")
    assert (metadata["name"], metadata.get("namespace")) == expected


REFUSED = [
    ("Secret", "apiVersion: v1, kind: §Secret", "would be in Git as plain text"),
    ("Deployment", "apiVersion: apps/v1, kind: §Deployment", "is a model of its own"),
    ("Pod", "apiVersion: v1, kind: §Pod", "expected a Job, a sidecar or a model"),
    ("Namespace", "apiVersion: v1, kind: §Namespace", "is created for the environment"),
    ("unknown kind", "apiVersion: v1, kind: §ConfigMapp", 'did you mean "ConfigMap"?'),
    ("old version", "apiVersion: §apps/v1beta1, kind: StatefulSet", "expected apps/v1"),
    ("cluster", "apiVersion: storage.k8s.io/v1, kind: §StorageClass", "policy.clusterScopedKinds"),
    ("field", f"{ROLE}, §rulez: []", 'rulez is not a field of a Role; did you mean "rules"?'),
    ("type", f"{ROLE}, rules: §x", "rules is \"x\"; expected a list"),
    ("missing field", "apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding§", "roleRef"),
    ("missing in an item",
     "apiVersion: v1, kind: Service, spec: {ports: [§{name: x}]}", "lacks port"),
    ("container", "apiVersion: batch/v1, kind: Job, spec: {template: {spec: {containers: "
     "[§{name: x}]}}}", "lacks image"),
    ("namespace", f"{ROLE}, metadata: {{namespace: §other}}", "remove it: ml-prod is added"),
    ("own label", f"{ROLE}, metadata: {{labels: {{§app.kubernetes.io/name: x}}}}", "is set by the"),
    ("label", "apiVersion: x.io/v1, kind: Foo, metadata: {labels: {a: §1}}", 'quote it, "1"'),
    ("metadata", "apiVersion: x.io/v1, kind: Foo, metadata: {§nme: x}", 'did you mean "name"?'),
    ("uid", "apiVersion: x.io/v1, kind: Foo, metadata: {uid: §x}", "the server writes it"),
    ("generateName", f"{ROLE}, metadata: {{generateName: §x}}", "a name must be known"),
    ("status", "apiVersion: x.io/v1, kind: Foo, status: §{}", "the server writes it"),
    ("name", "apiVersion: x.io/v1, kind: Foo, metadata: {name: §A_b}", "expected lower-case"),
    ("name of a Service", f"{SERVICE}, metadata: {{name: §1a}}", "a letter, then"),
    ("name taken", f"{SERVICE}, metadata: {{name: §a}}", "exists twice"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "words"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_what_the_server_refuses_is_an_error_at_its_line(
    content: str, words: str, tmp_path: Path
) -> None:
    text = f"objects: {{x: {{{content}}}}}\n"
    column = text.index("§") + 1 if "§}" not in text else text.index("{apiVersion") + 1
    files = {"catalog/a.yaml": f"+{text.replace('§', '')}"}
    (error,) = check(write_files(tmp_path, files)).errors
    assert (error.position, words in error.message) == (f"catalog/a.yaml:4:{column}", True), error
    assert error.code in (Code.BAD_OBJECT, Code.POLICY, Code.NAME_CLASH)


@pytest.mark.parametrize(
    ("content", "setting", "code"),
    [
        ("{kind: Foo}", "apiVersion is missing", Code.MISSING_KEY),
        ("{apiVersion: v1}", "kind is missing", Code.MISSING_KEY),
        ("{apiVersion: 1, kind: Foo}", "apiVersion is not text", Code.BAD_VALUE),
        (
            "{apiVersion: x/v1, kind: Foo, metadata: []}",
            "metadata has the wrong type",
            Code.BAD_VALUE,
        ),
        (
            "{apiVersion: x/v1, kind: Foo, metadata: {labels: x}}",
            "labels has the wrong type",
            Code.BAD_VALUE,
        ),
    ],
)
def test_an_object_that_cannot_be_built_is_an_error(
    content: str, setting: str, code: Code, tmp_path: Path
) -> None:
    files = {"catalog/a.yaml": f"+objects: {{x: {content}}}\n"}
    (error,) = check(write_files(tmp_path, files)).errors
    assert (error.code, setting in error.message) == (code, True), error.message


def test_two_models_cannot_have_one_object(tmp_path: Path) -> None:
    own = f"+objects: {{x: {{{ROLE}, metadata: {{name: reader}}}}}}\n"
    errors = check(write_files(tmp_path, {f"catalog/{name}.yaml": own for name in "ab"})).errors
    assert {error.code for error in errors} == {Code.NAME_CLASH}


def test_the_value_of_a_secret_field_is_not_quoted(tmp_path: Path) -> None:
    own = (
        "+objects: {x: {apiVersion: v1, kind: Service, spec: {ports: [{port: 1, password: 7}]}}}\n"
    )
    own += "env: {TOKEN: abcd}\n"
    own = own.replace("port: 1,", "port: '${env.TOKEN}',")
    errors = check(write_files(tmp_path, {"catalog/a.yaml": own})).errors
    assert errors
    assert all("abcd" not in error.message for error in errors)


def test_cluster_scoped_kinds_are_those_of_kubernetes() -> None:
    import lightkube.resources

    folder = Path(inspect.getfile(lightkube.resources)).parent
    scoped: dict[str, set[str]] = {}
    for path in folder.glob("*_v1.py"):
        for value in vars(import_module(f"lightkube.resources.{path.stem}")).values():
            info = getattr(value, "_api_info", None)
            is_global = any(
                cls.__name__ == "GlobalResource" for cls in getattr(value, "__mro__", ())
            )
            if info and info.parent is None and is_global and "patch" in info.verbs:
                scoped.setdefault(info.resource.group, set()).add(info.resource.kind)
    for group, kinds in scoped.items():
        assert kinds <= CLUSTER_SCOPED[group], group
