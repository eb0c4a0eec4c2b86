"""The CLI refreshes the state only if a refresh can change it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from framework.engines.base import RecordedObject, RecordedObjects
from framework.engines.cli_refresh import needs_refresh
from framework.engines.cli_stack import OpenedStack
from framework.engines.state.checkpoint import Checkpoint
from framework.kube.provider import KubernetesProvider
from tests.engines.fakes import FakeCluster

Object = dict[str, Any]


def build_object(name: str) -> Object:
    entry = {"manager": "ours", "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name, "namespace": "ns", "uid": name, "resourceVersion": "1",
            "managedFields": [entry],
        },
        "spec": {"replicas": 2},
        "status": {"readyReplicas": 2},
    }  # fmt: skip


def record(name: str, **more: Any) -> RecordedObject:
    obj = build_object(name)
    return RecordedObject(
        urn=f"urn:{name}",
        type="kubernetes:apps/v1:Deployment",
        id=f"ns/{name}",
        component=name,
        provider_urn="urn:provider",
        field_manager="ours",
        ignore_changes=more.pop("ignore_changes", ()),
        inputs=obj,
        outputs={**obj, "__fieldManager": "ours"},
        **more,
    )


A, B = record("a"), record("b")
STACK = RecordedObjects((A, B), {"urn:provider": {}})


def check(
    recorded: RecordedObjects,
    *live: Object,
    targets: frozenset[str] | None = None,
    updated: frozenset[str] = frozenset(),
) -> bool:
    cluster = FakeCluster()
    for obj in live:
        cluster.objects["Deployment", f"ns/{obj['metadata']['name']}"] = obj
    nothing = cast(Any, None)
    opened = OpenedStack(nothing, Checkpoint("dev"), recorded, nothing, lambda exported: None)
    return needs_refresh(opened, targets, cast(KubernetesProvider, cluster), updated)


def test_nothing_is_refreshed_if_all_objects_are_as_recorded() -> None:
    scaled = {**build_object("b"), "status": {"readyReplicas": 1}}
    scaled["metadata"] = {**scaled["metadata"], "resourceVersion": "2"}
    assert not check(STACK, build_object("a"), scaled)
    assert not check(STACK, build_object("a"), targets=frozenset({"urn:a"}))


@pytest.mark.parametrize("change", ["gone", "field", "owner", "recreated"])
def test_change_by_others_is_refreshed(change: str) -> None:
    live = build_object("b")
    metadata = live["metadata"]
    other = {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": {}}
    changed = {
        "gone": [],
        "field": [{**live, "spec": {"replicas": 3}}],
        "owner": [{**live, "metadata": {**metadata, "managedFields": [other]}}],
        "recreated": [{**live, "metadata": {**metadata, "uid": "new"}}],
    }[change]
    assert check(STACK, build_object("a"), *changed)


def test_unfinished_rollouts_and_updated_autoscaled_objects_are_refreshed() -> None:
    live = (build_object("a"), build_object("b"))
    unfinished = replace(B, init_errors=("did not roll out",))
    assert check(replace(STACK, objects=(A, unfinished)), *live)
    scaled = replace(B, ignore_changes=("spec.replicas",))
    assert check(replace(STACK, objects=(A, scaled)), *live, updated=frozenset({"urn:b"}))
    assert not check(replace(STACK, objects=(A, scaled)), *live, updated=frozenset({"urn:a"}))


def test_state_of_several_clusters_or_with_pending_deletions_is_refreshed() -> None:
    live = (build_object("a"), build_object("b"))
    assert check(replace(STACK, providers={"urn:provider": {}, "urn:other": {}}), *live)
    pending = frozenset({("kubernetes:core/v1:ConfigMap", "ns/old")})
    assert check(replace(STACK, pending_deletions=pending), *live)
