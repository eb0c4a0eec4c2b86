"""The CLI refreshes the state only if a refresh can change it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from framework.core.changes import FieldChange, Op, Preview
from framework.core.errors import EngineError
from framework.core.redaction import REDACTED
from framework.core.stack import Stack
from framework.engines import cli_refresh
from framework.engines.base import RecordedObject, RecordedObjects, RefreshedRecord, Request
from framework.engines.cli import CliEngine
from framework.engines.cli_opened_stack import OpenedStack
from framework.engines.cli_refresh import needs_refresh, preview_refresh
from framework.engines.cli_stack import CliStack
from framework.engines.project import load_project
from framework.engines.recorded import Components, build_recorded_objects
from framework.engines.state.checkpoint import Resource
from framework.engines.values import SECRET, SIGNATURE, Secret
from framework.kube.provider import KubernetesProvider
from tests.engines.fakes import FAKE_CLI, FakeCluster

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
    opened = cast(OpenedStack, SimpleNamespace(recorded=recorded))
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


def test_resource_that_is_not_of_kubernetes_is_refreshed() -> None:
    stack = replace(STACK, others={"urn:token": "a"})
    live = (build_object("a"), build_object("b"))
    assert check(stack, *live)
    assert check(stack, *live, targets=frozenset({"urn:a", "urn:token"}))
    assert not check(stack, *live, targets=frozenset({"urn:b"}))


# What only the CLI can compare

_PREFIX = "urn:pulumi:dev::test::"
_PROVIDER = f"{_PREFIX}pulumi:providers:kubernetes::cluster"


def build_raw(type_: str, name: str) -> Object:
    inputs = {"chart": name}
    raw = {"urn": f"{_PREFIX}{type_}::{name}", "type": type_, "custom": True, "id": f"ns/{name}"}
    return {**raw, "provider": f"{_PROVIDER}::1", "inputs": inputs, "outputs": inputs}


RELEASE = build_raw("kubernetes:helm.sh/v3:Release", "redis")
PASSWORD = build_raw("random:index/randomPassword:RandomPassword", "token")


class Automation:
    """A stack with a Helm Release and a password. `changed` are the steps of a refresh by URN."""

    def __init__(self, changed: dict[str, str]) -> None:
        self._changed, self.refreshed = changed, False

    def export_stack(self) -> SimpleNamespace:
        provider = {"urn": _PROVIDER, "type": "pulumi:providers:kubernetes", "custom": True}
        resources = [{**provider, "id": "1"}, RELEASE, PASSWORD]
        return SimpleNamespace(version=3, deployment={"resources": resources})

    def preview_refresh(
        self, on_event: Callable[[Any], None], target: list[str], **options: Any
    ) -> None:
        assert target == [RELEASE["urn"], PASSWORD["urn"]]
        assert options["expect_no_changes"]
        nothing = dict.fromkeys(("old", "new", "diffs", "detailed_diff"))
        others = dict.fromkeys(("resource_pre_event", "res_op_failed_event", "diagnostic_event"))
        for urn, op in self._changed.items():
            metadata = SimpleNamespace(urn=urn, type="", op=SimpleNamespace(value=op), **nothing)
            step = SimpleNamespace(metadata=metadata)
            on_event(SimpleNamespace(timestamp=0, res_outputs_event=step, **others))
        if self._changed:
            raise EngineError("error: no changes were expected but changes were proposed")

    def refresh(self, **options: Any) -> None:
        self.refreshed = True


def test_refresh_shows_no_copy_of_a_marked_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    field = FieldChange("values.note", "x", "is plain-one")
    record = RefreshedRecord(Op.UPDATE, (field,))
    monkeypatch.setattr(
        cli_refresh, "preview_refresh", lambda stack, target: {RELEASE["urn"]: record}
    )
    release = Resource({**RELEASE, "inputs": {"values": {"phrase": Secret("plain-one")}}})
    recorded = build_recorded_objects([release], Components(), lambda tree: dict(tree))
    opened = SimpleNamespace(
        resources=[release], recorded=recorded, stack=None, build_components=Components
    )
    [change] = cli_refresh.find_other_changes(cast(OpenedStack, opened), [])
    assert change.fields == (FieldChange("values.note", "x", f"is {REDACTED}"),)


@pytest.mark.parametrize(
    ("changed", "ops"),
    [
        ({}, []),
        ({RELEASE["urn"]: "delete"}, [("Release", Op.DELETE)]),
        ({PASSWORD["urn"]: "update"}, [("RandomPassword", Op.UPDATE)]),
    ],
    ids=["none", "Release", "not of Kubernetes"],
)
def test_refresh_shows_what_only_the_cli_can_compare(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changed: dict[str, str],
    ops: list[tuple[str, Op]],
) -> None:
    (tmp_path / "Pulumi.yaml").write_text(
        "name: test\nruntime: python\nbackend: {url: 'file://./.state'}\n"
    )
    automation = Automation(changed)
    opened = CliStack(FAKE_CLI, load_project(tmp_path), "dev", automation)
    monkeypatch.setattr(CliEngine, "_open", lambda engine, request: opened)
    shown: list[Preview] = []

    def confirm(preview: Preview) -> bool:
        shown.append(preview)
        return True

    request = Request(tmp_path, Stack.of("dev"))
    result = CliEngine(FAKE_CLI).refresh(request, confirm, lambda progress: None)
    assert result is not None
    changes = [(change.kind, change.op) for change in result.changes if change.op is not Op.SAME]
    assert changes == ops
    assert automation.refreshed is bool(ops)
    assert [preview.changes for preview in shown] == [result.changes] * bool(ops)


def test_preview_of_a_refresh_tells_also_what_it_read_and_would_not_change(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: test\nruntime: python\n")
    urns = [RELEASE["urn"], PASSWORD["urn"]]
    automation = Automation({urns[0]: "same", urns[1]: "update"})
    stack = CliStack(FAKE_CLI, load_project(tmp_path), "dev", automation)
    assert preview_refresh(stack, target=urns) == {
        urns[0]: RefreshedRecord(Op.SAME),
        urns[1]: RefreshedRecord(Op.UPDATE),
    }


def build_state(inputs: Object, outputs: Object) -> Object:
    return {"inputs": inputs, "outputs": outputs}


_SEALED = {SIGNATURE: SECRET, "ciphertext": "[secret]"}
_BUCKET = "aws:s3/bucket:Bucket"


@pytest.mark.parametrize(
    ("type_", "old", "new", "paths", "expected"),
    [
        (
            RELEASE["type"],
            # The provider records the declared inputs again: only the outputs are live.
            build_state({"values": {"replicas": 2}}, {"values": {"replicas": 2}}),
            build_state({"values": {"replicas": 2}}, {"values": {"replicas": 0, "a": [1]}}),
            ["values.replicas", "values.a[0]"],
            [("values.a[0]", None, 1), ("values.replicas", 2, 0)],
        ),
        (
            _BUCKET,
            build_state({"tags": {"a.b": "x"}}, {"versioning": {"enabled": True}}),
            build_state({"tags": {}}, {"versioning": {"enabled": False}}),
            ['tags["a.b"]', "versioning.enabled"],
            [('tags["a.b"]', "x", None), ("versioning.enabled", True, False)],
        ),
        (
            _BUCKET,
            build_state({"tags": {"a": "x"}, "acl": "private"}, {}),
            build_state({"tags": {"a": "y"}, "acl": "private"}, {}),
            ["acl", "tags.a"],
            [],
        ),
        (
            RELEASE["type"],
            build_state({"values": {"replicas": 2, "password": "hunter2"}}, {}),
            build_state(
                {"values": {"replicas": 2, "password": "hunter2"}},
                {"values": {"replicas": 0, "password": "hunter2"}},
            ),
            ["values"],
            [
                (
                    "values",
                    {"replicas": 2, "password": REDACTED},
                    {"replicas": 0, "password": REDACTED},
                )
            ],
        ),
        (
            RELEASE["type"],
            build_state({"values": _SEALED, "more": {"auth": _SEALED}}, {}),
            build_state(
                {"values": _SEALED, "more": {"auth": "plain"}},
                {"values": {"a": "plain"}, "more": {"auth": "plain"}},
            ),
            ["values.a", "more"],
            [("more", REDACTED, REDACTED), ("values.a", REDACTED, REDACTED)],
        ),
        (
            _BUCKET,
            build_state({"auth": {"password": "hunter2"}, "note": "none"}, {}),
            build_state(
                {
                    "auth": {"password": "other"},
                    "note": "it is hunter3",
                    "env": [{"name": "API_TOKEN", "value": "hunter3"}],
                },
                {},
            ),
            ["auth.password", "note"],
            [("auth.password", REDACTED, REDACTED), ("note", "none", f"it is {REDACTED}")],
        ),
    ],
    ids=["Release", "other", "unknown value", "beside a secret", "marked secret", "by its name"],
)
def test_preview_of_a_refresh_has_the_fields_and_no_secrets(
    tmp_path: Path, type_: str, old: Object, new: Object, paths: list[str], expected: list[Any]
) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: test\nruntime: python\n")

    def refresh(on_event: Callable[[Any], None], **options: Any) -> None:
        metadata = SimpleNamespace(
            urn="urn", type=type_, op=SimpleNamespace(value="update"), diffs=None,
            old=SimpleNamespace(**old), new=SimpleNamespace(**new),
            detailed_diff=dict.fromkeys(paths, "update"),
        )  # fmt: skip
        others = dict.fromkeys(("resource_pre_event", "res_op_failed_event", "diagnostic_event"))
        step = SimpleNamespace(metadata=metadata)
        on_event(SimpleNamespace(timestamp=0, res_outputs_event=step, **others))
        raise EngineError("error: no changes were expected but changes were proposed")

    automation = SimpleNamespace(preview_refresh=refresh)
    stack = CliStack(FAKE_CLI, load_project(tmp_path), "dev", automation)
    [record] = preview_refresh(stack).values()
    assert [(field.path, field.old, field.new) for field in record.fields] == expected
