"""An object of others under a recorded name is never deleted."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from framework.core.changes import Change, Op, Preview
from framework.core.errors import ClusterError, EngineError
from framework.engines.live_objects import build_refresh_change, compare_with_cluster
from framework.engines.problems import RefusedError
from framework.engines.recorded import Components, build_recorded_objects
from framework.engines.state.checkpoint import Resource
from framework.kube.api_error import ApiError
from framework.kube.object_diff import compare_with_live
from framework.kube.objects import ObjectState
from framework.kube.provider import KubernetesProvider, RecreatedError
from tests.engines.fakes import FakeCluster, Stack, check_changes, ops

REASON = "is another object than the one recorded: somebody recreated it under that name"


@pytest.fixture
def replaced(stack: Stack) -> Stack:
    """A stack with two ConfigMaps, one of which somebody else has deleted and created."""
    stack.program("config_map('kept')\nconfig_map('going')")
    stack.up()
    stack.cluster.recreated = {"ns/going"}
    return stack


@pytest.mark.parametrize("verb", ["up", "destroy"])
def test_object_of_others_is_refused_before_anything_is_deleted(replaced: Stack, verb: str) -> None:
    replaced.program("config_map('kept', {'a': 'changed'})")
    log = list(replaced.cluster.log)
    with pytest.raises(RefusedError, match=REASON):
        replaced.up() if verb == "up" else replaced.destroy()
    assert replaced.cluster.log == log


def test_preview_names_the_object_of_others(replaced: Stack) -> None:
    replaced.program("config_map('kept')")
    (problem,) = replaced.preview().problems
    assert REASON in problem.message
    assert "make refresh" in problem.message


def test_renamed_object_whose_old_name_others_have_is_refused(replaced: Stack) -> None:
    replaced.program("config_map('kept')\nconfig_map('going', object_name='new')")
    (problem,) = replaced.preview().problems
    assert problem.object == "ConfigMap ns/going"


@pytest.mark.parametrize(
    ("program", "read"),
    [
        pytest.param("config_map('kept')\nconfig_map('going')", [], id="nothing"),
        pytest.param("config_map('kept', {'a': '1'})\nconfig_map('going')", [], id="update"),
        pytest.param("config_map('kept')", ["ns/going"], id="deletion"),
    ],
)
def test_only_deleted_objects_are_read(stack: Stack, program: str, read: list[str]) -> None:
    stack.program("config_map('kept')\nconfig_map('going')")
    stack.up()
    stack.program(program)
    stack.preview()
    assert stack.cluster.looked_at == read


def build_resource(name: str, **fields: Any) -> Resource:
    body = {"kind": "ConfigMap", "metadata": {"name": name, "namespace": "ns"}}
    raw = {"urn": f"urn:pulumi:dev::test::kubernetes:core/v1:ConfigMap::{name}", "custom": True}
    raw |= {"type": "kubernetes:core/v1:ConfigMap", "id": f"ns/{name}", "inputs": body}
    return Resource({**raw, **fields})


@pytest.mark.parametrize(
    ("resource", "op", "object_id", "refused"),
    [
        pytest.param(build_resource("a"), Op.DELETE, "ns/a", True, id="deletion"),
        pytest.param(build_resource("a", retainOnDelete=True), Op.DELETE, "ns/a", False, id="kept"),
        pytest.param(build_resource("a"), Op.REPLACE, "ns/b", True, id="new name"),
        pytest.param(build_resource("a"), Op.REPLACE, "ns/a", False, id="same name"),
        pytest.param(build_resource("a"), Op.UPDATE, "ns/a", False, id="update"),
        pytest.param(
            build_resource("a", type="kubernetes:core/v1:ConfigMapPatch"),
            Op.DELETE,
            "ns/a",
            False,
            id="Patch resource",
        ),
    ],
)
def test_every_object_that_pulumi_would_delete_is_looked_at(
    resource: Resource, op: Op, object_id: str, refused: bool
) -> None:
    cluster = FakeCluster()
    cluster.objects["ConfigMap", "ns/a"] = resource.raw["inputs"]
    cluster.recreated = {"ns/a"}
    change = Change(resource.urn, resource.type, "a", op, object=object_id)
    found = check_changes([change], [resource], cluster)
    assert [problem.object for problem in found.problems] == ["ConfigMap ns/a"] * refused


def test_helm_release_can_be_deleted() -> None:
    """Its inputs are no object that could be looked at."""
    type_, inputs = "kubernetes:helm.sh/v3:Release", {"chart": "redis", "name": "redis"}
    release = build_resource("redis", type=type_, inputs=inputs, outputs=inputs)
    provider = KubernetesProvider(cast(Any, None))
    change = Change(release.urn, type_, "redis", Op.DELETE, object=release.id)
    assert check_changes([change], [release], provider) == Preview((change,))


def test_embedded_refresh_names_what_it_leaves_out(stack: Stack) -> None:
    stack.program("config_map('a')")
    stack.up()
    document = json.loads(stack.state_file.read_text())
    resources = document["checkpoint"]["latest"]["resources"]
    (config_map,) = [raw for raw in resources if raw.get("id") == "ns/a"]
    type_, inputs = "kubernetes:helm.sh/v3:Release", {"chart": "redis", "name": "redis"}
    named = {"urn": config_map["urn"].replace("core/v1:ConfigMap", "helm.sh/v3:Release")}
    named |= {"type": type_, "id": "ns/redis"}
    resources.append({**config_map, **named, "inputs": inputs, "outputs": inputs})
    type_ = "random:index/randomPassword:RandomPassword"
    urn = config_map["urn"].replace("kubernetes:core/v1:ConfigMap", type_)
    resources.append({**config_map, "urn": urn, "type": type_, "id": "none", "provider": ""})
    stack.state_file.write_text(json.dumps(document))
    result = stack.refresh()
    assert ops(result) == {}
    release, password = result.messages
    assert release.startswith("warning: Release ns/redis: is not refreshed, because")
    assert password.startswith("warning: RandomPassword a: is not refreshed, because")


@pytest.mark.parametrize("uid", ["1", "2"], ids=["own", "recreated"])
@pytest.mark.parametrize("change_op", [Op.DELETE, Op.REPLACE])
def test_object_with_a_generated_name_is_looked_up_by_its_recorded_name(
    change_op: Op, uid: str
) -> None:
    """The CLI creates such objects; their inputs have no name."""
    metadata = {"generateName": "migrate-", "namespace": "ns"}
    named = {**metadata, "name": "migrate-x7k2p"}
    job = {"apiVersion": "batch/v1", "kind": "Job"}
    type_ = "kubernetes:batch/v1:Job"
    resource = build_resource(
        "migrate",
        type=type_,
        id="ns/migrate-x7k2p",
        inputs={**job, "metadata": metadata},
        outputs={**job, "metadata": {**named, "uid": "1"}},
    )
    live = {**job, "metadata": {**named, "uid": uid}}
    client = SimpleNamespace(
        served_kind=lambda *_: SimpleNamespace(namespaced=True),
        get=lambda *key: live if "migrate-x7k2p" in key else None,
    )
    provider = KubernetesProvider(cast(Any, client))
    # The name of the new object of a replacement is not known yet.
    object_id = resource.id if change_op is Op.DELETE else "ns/"
    change = Change(resource.urn, type_, "migrate", change_op, object=object_id)
    found = check_changes([change], [resource], provider)
    assert [item.object for item in found.problems] == ["Job ns/migrate-x7k2p"] * (uid == "2")
    expected = {"1": Op.SAME, "2": Op.DELETE}
    assert [item.op for item in refresh(resource, provider)] == [expected[uid]]


def refresh(resource: Resource, provider: KubernetesProvider) -> list[Change]:
    """Returns the changes of a refresh of one resource."""
    recorded = build_recorded_objects([resource], Components(), lambda value: value)
    clusters = SimpleNamespace(connect=lambda _: SimpleNamespace(provider=provider))
    compared = compare_with_cluster(
        recorded.objects, cast(Any, clusters), compare_with_live, listed=False
    )
    return [build_refresh_change(item) for item in compared]


# Old objects, which a failed replacement left behind

LEFT_BEHIND = "a replacement left it behind, and somebody recreated it since"
NAMESPACE = """
def namespace(name):
    inputs = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    options = pulumi.ResourceOptions(provider=provider)
    pulumi.CustomResource("kubernetes:core/v1:Namespace", "namespace", inputs, options)


"""


def fail_and_recreate(stack: Stack, object_id: str) -> None:
    """Runs an `up` that cannot delete an old object, which somebody else then recreates."""
    stack.cluster.refused = {object_id}
    assert stack.up().failures
    stack.cluster.refused.clear()
    stack.cluster.recreated = {object_id}


@pytest.fixture
def renamed(stack: Stack) -> Stack:
    """A stack whose failed renaming left the ConfigMap ns/old, which somebody else recreated."""
    stack.program(f"{NAMESPACE}namespace('ns')\nconfig_map('x', object_name='old')")
    stack.up()
    stack.program(f"{NAMESPACE}namespace('ns')\nconfig_map('x', object_name='new')")
    fail_and_recreate(stack, "ns/old")
    return stack


def list_recorded(stack: Stack) -> list[str]:
    return sorted(raw["id"] for raw in stack.resources if raw["type"].startswith("kubernetes:"))


def test_recreated_old_object_blocks_nothing(renamed: Stack) -> None:
    result = renamed.up()
    assert ops(result) == {}
    assert [LEFT_BEHIND in text for text in result.messages] == [True]
    assert list_recorded(renamed) == ["ns", "ns/new"]
    assert ("ConfigMap", "ns/old") in renamed.cluster.objects
    assert not renamed.preview().messages


def test_recreated_old_object_is_named_before_other_changes(renamed: Stack) -> None:
    renamed.program(f"{NAMESPACE}namespace('ns')\nconfig_map('x', {{'a': '1'}}, object_name='new')")
    preview = renamed.preview()
    assert ops(preview) == {"ConfigMap x": "update"}
    assert LEFT_BEHIND in preview.messages[0]
    assert not renamed.up().failures
    assert list_recorded(renamed) == ["ns", "ns/new"]
    assert ("ConfigMap", "ns/old") in renamed.cluster.objects


def test_record_of_a_recreated_old_object_stays_until_it_was_named(renamed: Stack) -> None:
    before = renamed.state_file.read_bytes()
    renamed.program("raise ValueError('typo')")
    with pytest.raises(EngineError, match="typo"):
        renamed.up()
    renamed.preview_destroy()
    renamed.program(f"{NAMESPACE}namespace('ns')\nconfig_map('x', object_name='new')")
    assert LEFT_BEHIND in renamed.preview().messages[0]
    assert renamed.state_file.read_bytes() == before


def test_only_deletions_read_old_objects(renamed: Stack) -> None:
    """A check reads all objects in a few lists, and needs no call for each old one."""
    renamed.cluster.looked_at.clear()
    renamed.engine.recorded_objects(renamed.request())
    assert not renamed.refresh().messages
    assert renamed.cluster.looked_at == []
    assert "ns/old" in list_recorded(renamed)


def test_outage_ends_the_look_at_old_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each further call would wait for a minute."""
    cluster, with_lists = FakeCluster(), list[bool]()

    def fail(state: ObjectState, **options: bool) -> None:
        with_lists.append(options["listed"])
        time.sleep(0.1)
        raise ClusterError("no answer")

    monkeypatch.setattr(cluster, "find_recreated", fail)
    old = [build_resource(f"old{number}", delete=True) for number in range(100)]
    changes = [Change(found.urn, found.type, "x", Op.DELETE, object=found.id) for found in old]
    with pytest.raises(ClusterError, match="no answer"):
        check_changes(changes, old, cluster)
    assert len(with_lists) < 50
    assert all(with_lists)


def test_old_object_that_may_not_be_read_is_deleted(
    renamed: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **options: Any) -> None:
        raise ApiError("ns/old", 403, "Forbidden", "may not read")

    monkeypatch.setattr(renamed.cluster, "find_recreated", refuse)
    preview = renamed.preview()
    assert ops(preview) == {"ConfigMap x": "delete"}
    assert not preview.messages


def test_destroy_names_a_recreated_old_object_that_goes_with_its_namespace(renamed: Stack) -> None:
    notes = {change.object: change.note for change in renamed.preview_destroy().changes}
    assert notes["ns/old"].endswith("recreated; is deleted with its Namespace")
    assert not renamed.destroy().failures
    assert ("delete", "ConfigMap ns/old") not in renamed.cluster.log
    assert renamed.resources == []


def test_other_namespace_is_refused_while_a_recreated_old_object_is_in_the_first(
    renamed: Stack,
) -> None:
    renamed.program(f"{NAMESPACE}namespace('other')")
    [problem] = renamed.preview().problems
    assert problem.object == "ConfigMap ns/old"
    assert "another `namespace` deletes the Namespace ns" in problem.message
    assert problem.next_step.startswith("move the object to another Namespace, or delete it")


@pytest.mark.parametrize("verb", ["up", "destroy"])
def test_object_whose_record_was_removed_is_named_before_it_goes_with_its_namespace(
    renamed: Stack, verb: str
) -> None:
    renamed.up()
    renamed.program(f"{NAMESPACE}namespace('other')")
    preview = renamed.preview() if verb == "up" else renamed.preview_destroy()
    [message] = preview.messages
    assert (
        "Namespace ns is deleted with objects that this stack does not manage: ConfigMap old"
        in message
    )


@pytest.mark.parametrize("verb", ["up", "destroy"])
def test_old_namespace_of_a_recreated_object_stays(stack: Stack, verb: str) -> None:
    stack.program(f"{NAMESPACE}namespace('ns')\nconfig_map('x', object_name='x')")
    stack.up()
    stack.program(f"{NAMESPACE}namespace('other')\nconfig_map('x', object_name='y')")
    fail_and_recreate(stack, "ns/x")
    assert list_recorded(stack) == ["ns", "ns/x", "ns/y", "other"]
    preview = stack.preview() if verb == "up" else stack.preview_destroy()
    assert not {"ns", "ns/x"} & {change.object for change in preview.changes}
    left_behind = [text for text in preview.messages if "a replacement left it behind" in text]
    assert [text.split(":")[1] for text in left_behind] == [" ConfigMap ns/x", " Namespace ns"]
    result = stack.up() if verb == "up" else stack.destroy()
    assert not result.failures
    assert {("ConfigMap", "ns/x"), ("Namespace", "ns")} <= stack.cluster.objects.keys()
    assert list_recorded(stack) == (["ns/y", "other"] if verb == "up" else [])


def test_old_namespace_stays_after_an_up_of_the_model_of_a_recreated_object(stack: Stack) -> None:
    """The Namespace belongs to no model, so this `up` does not delete it; the next one may."""
    program = f"{NAMESPACE}m = Model('m')\n"
    stack.program(f"{program}namespace('ns')\nconfig_map('x', parent=m)")
    stack.up()
    stack.program(f"{program}namespace('other')\nconfig_map('x', parent=m, object_name='y')")
    fail_and_recreate(stack, "ns/x")
    result = stack.up("m")
    assert [text.split(":")[1] for text in result.messages] == [" ConfigMap ns/x", " Namespace ns"]
    assert not {"ns", "ns/x"} & set(list_recorded(stack))
    stack.up()
    assert {("ConfigMap", "ns/x"), ("Namespace", "ns")} <= stack.cluster.objects.keys()


# The advice for an object of others


class Client:
    """A server with one ConfigMap, which somebody else created with the labels of ours."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        written = {"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:data": {}}}
        self.metadata: dict[str, Any] = {
            "name": "a",
            "namespace": "ns",
            "uid": "new",
            "labels": dict(labels),
            "managedFields": [{**written, "fieldsType": "FieldsV1", "apiVersion": "v1"}],
        }

    def served_kind(self, api_version: str, kind: str) -> Any:
        return SimpleNamespace(namespaced=True)

    def get(self, *args: str) -> dict[str, Any]:
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": self.metadata, "data": {}}


@pytest.mark.parametrize(
    ("labels", "named"),
    [
        pytest.param({"app": "a", "tier": "b"}, "app", id="own labels"),
        pytest.param(
            {"app": "a", "app.kubernetes.io/name": "b"},
            "app.kubernetes.io/name",
            id="labels of a model",
        ),
    ],
)
def test_advice_leaves_the_object_to_others(labels: dict[str, str], named: str) -> None:
    """With all labels of ours, `refresh` records it as ours, and the next `up` deletes it."""
    client = Client(labels)
    provider = KubernetesProvider(cast(Any, client))
    metadata = {"name": "a", "namespace": "ns", "labels": labels}
    inputs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    recorded = ObjectState("ns/a", inputs, {**inputs, "metadata": {**metadata, "uid": "old"}})
    live = provider.find_recreated(recorded)
    assert live is not None
    assert provider.read(recorded) is not None
    assert f"remove its label {named}, so that" in str(RecreatedError(live, recorded))
    del client.metadata["labels"][named]
    assert provider.read(recorded) is None
    assert "label" not in str(RecreatedError(live, recorded))
