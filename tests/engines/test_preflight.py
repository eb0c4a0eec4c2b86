"""Checks before the first write, against a server in memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from framework.core.changes import Change, FieldChange, Op, Preview, Problem, Severity
from framework.core.stack import Stack
from framework.engines.preflight import add_preflight
from framework.engines.recorded import KEPT_NOTE
from framework.kinds.kind import Manifest
from framework.kube.api_error import ApiError, build_api_error
from framework.kube.client import ServedKind
from framework.kube.reading import ObjectReader
from framework.plan import PlanStore, StackPlan, TrackPlan
from tests.engines.fakes import FakeClient
from tests.shipped import SHIPPED

CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"


class Server(FakeClient):
    """A server with objects of these names, where the user may do what is not in `forbidden`."""

    def __init__(self, names: Collection[str], forbidden: Collection[str] = ()) -> None:
        self.names, self.forbidden = frozenset(names), forbidden
        self.connection = self
        self.hard: dict[str, str] = {}
        self.ranges: list[Any] = []
        self.classes: list[Any] = []

    def list_objects(self, api_version: str, kind: str, namespace: str = "") -> list[Any]:
        if kind == "StorageClass":
            if "list" in self.forbidden:
                raise forbid("list")
            return self.classes
        if kind == "LimitRange":
            return self.ranges
        metadata = {"name": "pods", "namespace": namespace}
        status = {"used": {"pods": "0"}}
        return [{"metadata": metadata, "spec": {"hard": self.hard}, "status": status}]

    def list_names(self, api_version: str, kind: str, namespace: str = "") -> frozenset[str]:
        if "list" in self.forbidden:
            raise forbid("list")
        return self.names

    def get(
        self, api_version: str, kind: str, name: str, namespace: str = ""
    ) -> dict[str, Any] | None:
        if "get" in self.forbidden:
            raise forbid("get")
        return {"data": {"token": "x"}} if name in self.names else None

    def request(self, verb: str, path: str, where: str, query: Any, body: Any, media: str) -> Any:
        attributes = body["spec"].get("resourceAttributes")
        allowed = attributes is None or attributes["verb"] not in self.forbidden
        return {"status": {"allowed": allowed, "resourceRules": []}}


class ServerWithKinds(Server):
    """A server whose permissions are checked, too."""

    def served_kind(self, api_version: str, kind: str) -> ServedKind:  # type: ignore[override]
        return ServedKind("", f"{kind.lower()}s", namespaced=True)


def forbid(verb: str) -> ApiError:
    return build_api_error(verb, 403, b'{"reason": "Forbidden", "message": "no"}', None)


def plan_of(pod: Mapping[str, Any]) -> StackPlan:
    """Returns a plan of one Deployment with this Pod."""
    plan = PlanStore(SHIPPED).load_one(Stack.of("dev")).require().narrowed_to({"churn"})
    (model,) = plan.models
    containers = [{"name": "model", "image": "x"}]
    obj = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "churn", "namespace": "ml"},
        "spec": {"template": {"spec": {"containers": containers, **pod}}},
    }
    return replace(plan, models=(replace(model, tracks=(), manifests=(Manifest("churn", obj),)),))


def model_tracks() -> tuple[TrackPlan, ...]:
    """Returns the tracks of the shipped model that `plan_of` is about."""
    plan = PlanStore(SHIPPED).load_one(Stack.of("dev")).require().narrowed_to({"churn"})
    return plan.models[0].tracks


def check(plan: StackPlan, server: Server, *others: Change) -> tuple[Problem, ...]:
    (manifest,) = plan.models[0].manifests
    update = Change("urn", manifest.type_token, "churn", Op.UPDATE, "ml/churn", "churn")
    reader = cast(ObjectReader, SimpleNamespace(client=server, find_listed=lambda wanted: None))
    return add_preflight(Preview((update, *others)), plan, reader).problems


@pytest.mark.parametrize(
    ("note", "expected"),
    [
        pytest.param("", ["PersistentVolumeClaim ml/weights is deleted by this change"], id="gone"),
        pytest.param(KEPT_NOTE, [], id="kept"),
    ],
)
def test_claim_that_leaves_the_plan_is_missing_unless_it_stays_in_the_cluster(
    note: str, expected: list[str]
) -> None:
    volume = {"name": "weights", "persistentVolumeClaim": {"claimName": "weights"}}
    leaving = Change("old", CLAIM, "weights", Op.DELETE, "ml/weights", "other", note=note)
    problems = check(plan_of({"volumes": [volume]}), Server({"weights"}), leaving)
    assert [problem.message.partition(":")[0] for problem in problems] == expected


DEFAULT = {"storageclass.kubernetes.io/is-default-class": "true"}


@pytest.mark.parametrize(
    ("spec", "annotations", "expected"),
    [
        ({}, {}, ["the claim names no StorageClass, and the cluster has no default one"]),
        ({}, DEFAULT, []),
        ({"storageClassName": ""}, {}, []),
        ({"volumeName": "models"}, {}, []),
    ],
    ids=["no default", "default", "without a class", "named volume"],
)
def test_claim_without_a_class_needs_a_default_class(
    spec: dict[str, str], annotations: dict[str, str], expected: list[str]
) -> None:
    template = {"volumeClaimTemplate": {"spec": spec}}
    server = Server(())
    server.classes = [{"metadata": {"name": "standard", "annotations": annotations}}]
    problems = check(plan_of({"volumes": [{"name": "w", "ephemeral": template}]}), server)
    assert [problem.message.partition(":")[0] for problem in problems] == expected
    assert all(problem.severity is Severity.WARNING for problem in problems)


def test_default_class_that_cannot_be_read_is_a_note() -> None:
    template: dict[str, Any] = {"volumeClaimTemplate": {"spec": {}}}
    plan = plan_of({"volumes": [{"name": "w", "ephemeral": template}]})
    (problem,) = check(plan, Server((), {"list"}))
    assert problem.severity is Severity.NOTE


@pytest.mark.parametrize(
    ("op", "model", "lacks"),
    [
        pytest.param(Op.SAME, "other", False, id="whole stack"),
        pytest.param(Op.SAME, "churn", True, id="another model"),
        pytest.param(Op.CREATE, "churn", False, id="created by this command"),
    ],
)
def test_object_of_a_model_that_is_left_out_counts_as_it_is_in_the_cluster(
    op: Op, model: str, lacks: bool
) -> None:
    """MODEL=churn does not apply the new key of the ConfigMap, which the catalog already has."""
    variable = {"name": "X", "valueFrom": {"configMapKeyRef": {"name": "shared", "key": "NEW"}}}
    plan = plan_of({"containers": [{"name": "model", "image": "x", "env": [variable]}]})
    metadata = {"name": "shared", "namespace": "ml"}
    shared = Manifest(
        "shared",
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"NEW": "1"}},
    )
    other = replace(plan.models[0], name="other", manifests=(shared,))
    plan = replace(plan, models=(*plan.models, other))
    update = Change(
        "urn", plan.models[0].manifests[0].type_token, "churn", Op.UPDATE, "ml/churn", "churn"
    )
    provided = Change("shared", shared.type_token, "shared", op, "ml/shared", "other")
    reader = cast(
        ObjectReader, SimpleNamespace(client=Server({"shared"}), find_listed=lambda wanted: None)
    )
    components = None if model == "other" else {model}
    problems = add_preflight(Preview((update, provided)), plan, reader, components).problems
    assert ['has no key "NEW"' in problem.message for problem in problems] == [True] * lacks


@pytest.mark.parametrize(("note", "denied"), [("", True), (KEPT_NOTE, False)])
def test_object_that_stays_in_the_cluster_needs_no_permission_to_delete(
    note: str, denied: bool
) -> None:
    leaving = Change("old", CLAIM, "weights", Op.DELETE, "ml/weights", "other", note=note)
    problems = check(plan_of({}), ServerWithKinds((), {"delete"}), leaving)
    text = "this user is not allowed to delete persistentvolumeclaims in ml; needed by other"
    assert [problem.message for problem in problems] == ([text] if denied else [])


@pytest.mark.parametrize(("pods", "fits"), [("2", True), ("1", False)])
def test_new_autoscaled_deployment_needs_quota_for_its_fewest_pods(pods: str, fits: bool) -> None:
    plan = PlanStore(SHIPPED).load_one(Stack.of("dev")).require().narrowed_to({"fraud"})
    deployment = plan.models[0].find("Deployment")
    assert deployment is not None
    assert (deployment.initial_replicas, plan.models[0].tracks[0].budget.replicas) == (2, 12)
    created = Change("urn", deployment.type_token, "fraud", Op.CREATE, component="fraud")
    server = Server({"fraud"})
    server.hard = {"pods": pods}
    reader = cast(ObjectReader, SimpleNamespace(client=server, find_listed=lambda wanted: None))
    problems = add_preflight(Preview((created,)), plan, reader).problems
    assert ["pods" in problem.message for problem in problems] == ([] if fits else [True])


@pytest.mark.parametrize("live", [None, {"kind": "Deployment"}], ids=["new", "kept"])
def test_quota_counts_only_objects_that_do_not_exist(live: dict[str, Any] | None) -> None:
    plan = plan_of({})
    (manifest,) = plan.models[0].manifests
    created = Change("urn", manifest.type_token, "churn", Op.CREATE, "ml/churn", "churn")
    server = ServerWithKinds(())
    server.hard = {"count/deployments.apps": "0"}
    reader = cast(ObjectReader, SimpleNamespace(client=server, find_listed=lambda wanted: live))
    problems = add_preflight(Preview((created,)), plan, reader).problems
    assert len(problems) == (0 if live else 1)


def build_range(name: str, **amounts: dict[str, str]) -> dict[str, Any]:
    """Returns a LimitRange with these amounts for containers."""
    return {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": name, "namespace": "ml"},
        "spec": {"limits": [{"type": "Container", **amounts}]},
    }


DEFAULTS = build_range("defaults", default={"cpu": "1"})
EMPTY = build_range("defaults", default={"memory": "1Gi"})


@pytest.mark.parametrize(
    ("live", "planned", "op", "lacks"),
    [
        pytest.param([], [], Op.SAME, True, id="none"),
        pytest.param([DEFAULTS], [], Op.SAME, False, id="live"),
        pytest.param([], [DEFAULTS], Op.CREATE, False, id="created"),
        pytest.param([], [build_range("a", max={"cpu": "1"})], Op.CREATE, False, id="from max"),
        pytest.param([EMPTY], [DEFAULTS], Op.UPDATE, False, id="replaces live"),
        pytest.param([DEFAULTS], [EMPTY], Op.UPDATE, True, id="loses its default"),
        pytest.param([DEFAULTS], [], Op.DELETE, True, id="deleted"),
    ],
)
def test_limit_ranges_count_as_they_are_after_the_command(
    live: list[dict[str, Any]], planned: list[dict[str, Any]], op: Op, lacks: bool
) -> None:
    plan = plan_of({})
    (model,) = plan.models
    (deployment,) = model.manifests
    others = tuple(Manifest(obj["metadata"]["name"], obj) for obj in planned)
    manifests = (deployment, *others)
    plan = replace(plan, models=(replace(model, manifests=manifests, tracks=model_tracks()),))
    token = "kubernetes:core/v1:LimitRange"
    names = [m.logical_name for m in others] or ["gone"]
    changes = [Change(n, token, n, op, "ml/defaults", "churn") for n in names]
    update = Change("urn", deployment.type_token, "churn", Op.UPDATE, "ml/churn", "churn")
    field = FieldChange("spec.template.spec.containers[model].image", "x", "y")
    update = replace(update, fields=(field,))
    server = Server(())
    server.hard, server.ranges = {"limits.cpu": "99"}, live
    reader = cast(ObjectReader, SimpleNamespace(client=server, find_listed=lambda wanted: None))
    problems = add_preflight(Preview((update, *changes)), plan, reader).problems
    assert ["has no limits.cpu" in problem.message for problem in problems] == [True] * lacks


@pytest.mark.parametrize(("pods", "fits"), [("9", True), ("1", False)])
def test_quota_counts_as_the_command_leaves_it(pods: str, fits: bool) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "pods", "namespace": "ml"},
        "spec": {"hard": {"pods": pods}},
    }
    plan = plan_of({})
    (model,) = plan.models
    manifests = (*model.manifests, Manifest("pods", quota))
    plan = replace(plan, models=(replace(model, manifests=manifests, tracks=model_tracks()),))
    changes = [
        Change(m.name, m.type_token, m.logical_name, Op.UPDATE, f"ml/{m.name}", "churn")
        for m in manifests
    ]
    server = Server(())
    server.hard = {"pods": "2"}
    reader = cast(ObjectReader, SimpleNamespace(client=server, find_listed=lambda wanted: None))
    problems = add_preflight(Preview(tuple(changes)), plan, reader).problems
    assert ["are allowed" in problem.message for problem in problems] == [True] * (not fits)


@pytest.mark.parametrize("forbidden", [{"get"}, {"list", "get"}], ids=["keys", "all"])
def test_what_the_user_may_not_read_is_a_note(forbidden: set[str]) -> None:
    variable = {"name": "T", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "nokey"}}}
    container = {"name": "model", "image": "x", "env": [variable]}
    problems = check(plan_of({"containers": [container]}), Server({"hub"}, forbidden))
    text = "not checked, because this user is not allowed to read it: Secret hub in ml"
    assert [(p.severity, p.message) for p in problems] == [(Severity.NOTE, text)]
