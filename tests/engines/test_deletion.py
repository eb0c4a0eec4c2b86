"""Deletions of the embedded engine: slow and interrupted ones, and those of the CLI alone."""

from __future__ import annotations

import json
from concurrent.futures import wait
from typing import Any

import pytest

from framework.engines.problems import RefusedError
from tests.engines.fakes import Stack, ops


@pytest.fixture
def held(stack: Stack) -> Stack:
    """A stack with a ConfigMap whose deletion never ends."""
    stack.program("config_map('kept')\nconfig_map('going')")
    stack.up()
    stack.cluster.held = {"ns/going"}
    stack.progress.clear()
    return stack


@pytest.mark.parametrize("verb", ["up", "destroy"])
def test_interrupted_deletion_shows_its_holders_and_is_not_a_failure(
    held: Stack, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(futures: Any, **options: Any) -> Any:
        if held.cluster.waiting.is_set() and "return_when" in options:
            raise KeyboardInterrupt
        return wait(futures, **options)

    monkeypatch.setattr("framework.engines.embedded.deletion.wait", interrupted)
    held.program("config_map('kept')")
    with pytest.raises(KeyboardInterrupt):
        held.up() if verb == "up" else held.destroy()
    events = [event for event in held.progress if event.change.object == "ns/going"]
    assert [(event.state, event.message) for event in events] == [
        ("started", ""),
        ("waiting", "finalizer example.com/hold"),
    ]

    monkeypatch.undo()
    held.cluster.held.clear()
    assert not held.destroy().failures
    assert held.cluster.ids() == []


_BUCKET = {"type": "aws:s3/bucket:Bucket", "id": "models-7f3"}
_RELEASE = {"type": "kubernetes:helm.sh/v3:Release", "id": "ns/models", "inputs": {"chart": "x"}}
_PATCH = {
    "type": "kubernetes:core/v1:ConfigMapPatch",
    "id": "ns/models",
    "inputs": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}},
}


@pytest.mark.parametrize(
    ("recorded", "name"),
    [
        (_BUCKET, "Bucket models"),
        (_RELEASE, "Release ns/models"),
        (_PATCH, "ConfigMapPatch ns/models"),
    ],
    ids=["bucket", "release", "patch"],
)
@pytest.mark.parametrize(
    ("verb", "targets"),
    [("up", ()), ("up", ("m",)), ("destroy", ())],
    ids=["up", "up of one model", "destroy"],
)
def test_resource_that_only_the_cli_deletes_is_refused_and_stays_recorded(
    stack: Stack, recorded: dict[str, Any], name: str, verb: str, targets: tuple[str, ...]
) -> None:
    stack.program("config_map('going', parent=Model('m'))\nconfig_map('other')")
    stack.up()
    record(stack, recorded)
    stack.program("Model('m')\nconfig_map('other')")
    before = (stack.resources, stack.cluster.ids())
    with pytest.raises(RefusedError) as error:
        stack.up(*targets) if verb == "up" else stack.destroy()
    [problem] = error.value.preview.problems
    assert problem.object == name
    assert str(problem) == (
        f"{name}: only the pulumi CLI can delete it; run this again with ENGINE=cli"
    )
    assert (stack.resources, stack.cluster.ids()) == before


def test_deletion_by_a_provider_that_only_the_cli_can_use_is_refused(stack: Stack) -> None:
    stack.program("config_map('going', parent=Model('m'))\nconfig_map('other')")
    stack.up()
    urn = "urn:pulumi:dev::test::pulumi:providers:kubernetes::default"
    provider = {"type": "pulumi:providers:kubernetes", "id": "1", "provider": "", "parent": ""}
    record(stack, {**provider, "urn": urn})
    inputs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}
    config = {"type": "kubernetes:core/v1:ConfigMap", "id": "ns/x", "inputs": inputs}
    record(stack, {**config, "provider": f"{urn}::1"})
    stack.program("config_map('other')")
    before = stack.cluster.ids()
    with pytest.raises(RefusedError) as error:
        stack.up()
    [problem] = error.value.preview.problems
    assert str(problem).startswith("ConfigMap ns/x: only the pulumi CLI can delete it")
    assert stack.cluster.ids() == before


@pytest.mark.parametrize("option", ["retainOnDelete", "external"])
def test_only_the_record_of_a_retained_resource_goes(stack: Stack, option: str) -> None:
    stack.program("config_map('going', parent=Model('m'))")
    stack.up()
    record(stack, {**_BUCKET, option: True})
    assert not stack.destroy().failures
    assert stack.resources == []


@pytest.mark.parametrize("verb", ["up", "destroy"])
def test_object_that_the_program_only_read_stays_in_the_cluster(stack: Stack, verb: str) -> None:
    """The CLI records what a program reads with `get`, and its deletion is none."""
    stack.program("config_map('going', parent=Model('m'))")
    stack.up()
    inputs = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system"}}
    namespace = {"type": "kubernetes:core/v1:Namespace", "id": "kube-system", "inputs": inputs}
    record(stack, {**namespace, "external": True})
    stack.cluster.objects["Namespace", "kube-system"] = inputs
    stack.program("Model('m')")
    preview = stack.preview() if verb == "up" else stack.preview_destroy()
    notes = {change.object: change.note for change in preview.changes}
    assert notes["kube-system"] == "stays in the cluster (the program only reads it)"
    result = stack.up() if verb == "up" else stack.destroy()
    assert not result.failures
    assert stack.cluster.ids() == ["Namespace kube-system"]
    assert not any(raw.get("external") for raw in stack.resources)


@pytest.mark.parametrize("option", ["retainOnDelete", "external"])
def test_record_of_a_retained_namespace_goes_although_objects_are_in_it(
    stack: Stack, option: str
) -> None:
    stack.program("config_map('going', parent=Model('m'))")
    stack.up()
    inputs = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ns"}}
    record(
        stack, {"type": "kubernetes:core/v1:Namespace", "id": "ns", "inputs": inputs, option: True}
    )
    stack.cluster.objects["Namespace", "ns"] = inputs
    assert not stack.up().failures
    assert stack.cluster.ids() == ["ConfigMap ns/going", "Namespace ns"]
    assert stack.preview().clean


def test_object_that_the_program_read_before_is_created_as_its_own(stack: Stack) -> None:
    stack.program("config_map('x')")
    stack.up()
    document = json.loads(stack.state_file.read_text())
    [config] = [
        raw for raw in document["checkpoint"]["latest"]["resources"] if raw.get("id") == "ns/x"
    ]
    config["external"] = True
    stack.state_file.write_text(json.dumps(document))
    assert ops(stack.up()) == {"ConfigMap x": "create"}
    assert stack.preview().clean
    assert not stack.destroy().failures
    assert stack.cluster.ids() == []


_ADD = """
def add(kind, name, metadata, **options):
    inputs = {"apiVersion": "v1", "kind": kind, "metadata": metadata}
    options = pulumi.ResourceOptions(provider=provider, **options)
    pulumi.CustomResource(f"kubernetes:core/v1:{kind}", name, inputs, options)

"""


@pytest.mark.parametrize(
    ("next_name", "protect"),
    [("", False), ("", True), ("new", False)],
    ids=["removed", "protected and removed", "renamed"],
)
def test_namespace_that_stays_in_the_preview_stays_if_its_user_fails(
    stack: Stack, next_name: str, protect: bool
) -> None:
    """Nobody has confirmed its deletion, and nothing has checked what would go with it."""
    namespace = 'add("Namespace", "namespace", {{"name": "{}"}}, protect={})\n'
    stack.program(_ADD + namespace.format("old", protect))
    stack.up()
    metadata = {"name": "precious", "namespace": "old"}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata}
    stack.cluster.objects["PersistentVolumeClaim", "old/precious"] = claim
    renamed = namespace.format(next_name, False) if next_name else ""
    user = 'add("ConfigMap", "extra", {"name": "extra", "namespace": "old"})'
    stack.program(_ADD + renamed + user)
    stack.cluster.refused = {"old/extra"}
    stack.cluster.log.clear()
    result = stack.up()
    assert [failure.change.name for failure in result.failures] == ["extra"]
    assert "Namespace old" in stack.cluster.ids()
    assert not any(verb == "delete" for verb, _ in stack.cluster.log)


def test_namespace_that_its_objects_keep_can_come_and_go(stack: Stack) -> None:
    """Two records have its URN then: the new Namespace, and the old one that is still needed."""
    namespace = 'add("Namespace", "namespace", {"name": "%s"})\n'
    user = 'add("ConfigMap", "x", {"name": "x", "namespace": "old"})'
    for name in ("old", "new", "", "new"):
        stack.program(_ADD + (namespace % name if name else "") + user)
        assert not stack.up().failures
    assert not stack.destroy().failures
    assert stack.cluster.ids() == []


def record(stack: Stack, resource: dict[str, Any]) -> None:
    """Adds a resource of model `m` to the state, as the CLI records it."""
    document = json.loads(stack.state_file.read_text())
    resources = document["checkpoint"]["latest"]["resources"]
    urn = f"urn:pulumi:dev::test::test:index:Model${resource['type']}::models"
    [config] = [found for found in resources if found["urn"].endswith("::going")]
    options = {key: config[key] for key in ("parent", "provider")}
    if not resource["type"].startswith("kubernetes:"):
        del options["provider"]
    resources.append({"urn": urn, "custom": True, "inputs": {}, **options, **resource})
    stack.state_file.write_text(json.dumps(document))
