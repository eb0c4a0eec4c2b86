"""A Deployment under an autoscaler keeps its replicas while an `up` deletes and creates it."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from framework.core.changes import Change, Op, Result
from framework.core.errors import ClusterError, StateFileError
from framework.core.stack import Stack as PulumiStack
from framework.engines.base import RecordedObject, Request
from framework.engines.cli_opened_stack import OpenedStack
from framework.engines.cli_steps import CliStep, keep_replicas
from framework.engines.kept_replicas import KeptReplicas
from framework.engines.project import load_project
from framework.engines.stack_tags import StackTags
from framework.engines.state.backend import open_backend
from framework.engines.state.checkpoint import Checkpoint, Resource
from framework.kinds.kind import Manifest
from framework.kube.api_error import ApiError
from framework.kube.objects import ObjectState
from framework.kube.provider import KubernetesProvider
from tests.engines.fakes import FAKE_CLI, FakeCluster, Stack

# A new selector replaces a Deployment: the old one is deleted first.
_AUTOSCALED = """
    spec = {{"replicas": 2, "selector": {{"matchLabels": {{"app": "{0}"}}}}}}
    options = {{"ignore_changes": ["spec.replicas"]}}
    register("apps/v1", "Deployment", "d", "d", {{"spec": spec}}, None, options)
"""
_IN_MODEL = """
    m = Model("m", opts=pulumi.ResourceOptions(provider=provider))
""" + _AUTOSCALED.replace("None", "m")


def find_replicas(cluster: FakeCluster) -> Any:
    return cluster.objects["Deployment", "ns/d"]["spec"]["replicas"]


def refuse_create(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a quota refuse each create."""
    refuse(cluster, monkeypatch, ApiError("ns/d", 403, "Forbidden", "exceeded quota"))


def lose_create(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the create stay pending in the journal, as after a kill before it."""
    refuse(cluster, monkeypatch, ApiError("ns/d", 504, "", "gateway timeout"))


def refuse(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, error: ApiError) -> None:
    def fail(*args: Any) -> ObjectState:
        raise error

    monkeypatch.setattr(cluster, "create", fail)
    monkeypatch.setattr(cluster, "update", fail)


def exceed_deletion(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a deletion end only after the command has given it up."""

    def delete(state: ObjectState, **options: Any) -> None:
        cluster.objects.pop(("Deployment", state.id))
        raise ClusterError("still being deleted after 600 s")

    monkeypatch.setattr(cluster, "delete", delete)


Break = Callable[[FakeCluster, pytest.MonkeyPatch], None]


@pytest.mark.parametrize("again", [None, refuse_create, lose_create])
@pytest.mark.parametrize("first", [refuse_create, lose_create, exceed_deletion])
def test_replacement_that_was_cut_keeps_the_live_replicas(
    stack: Stack, first: Break, again: Break | None
) -> None:
    stack.program(_AUTOSCALED.format(1))
    stack.up()
    stack.cluster.objects["Deployment", "ns/d"]["spec"]["replicas"] = 8
    stack.program(_AUTOSCALED.format(2))
    for break_ in (first, again):
        if break_ is not None:
            with pytest.MonkeyPatch.context() as patched:
                break_(stack.cluster, patched)
                assert stack.up().failures
            assert not stack.cluster.objects
    assert not stack.up().failures
    assert find_replicas(stack.cluster) == 8
    # Deleted by somebody else, it starts with the minimum of its autoscaler.
    stack.cluster.objects.clear()
    stack.up()
    assert find_replicas(stack.cluster) == 2


def test_destroyed_deployment_starts_with_the_minimum(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.program(_IN_MODEL.format(1))
    stack.up()
    stack.cluster.objects["Deployment", "ns/d"]["spec"]["replicas"] = 8
    stack.program(_IN_MODEL.format(2))
    with monkeypatch.context() as patched:
        refuse_create(stack.cluster, patched)
        stack.up()
    stack.destroy()
    stack.up()
    assert find_replicas(stack.cluster) == 2


# The CLI


class MemoryRecord:
    """Entries in memory, for what a file or tags would keep."""

    def __init__(self) -> None:
        self.entries: Any = {}

    def read_replicas(self) -> Any:
        return self.entries

    def write_replicas(self, entries: Any) -> None:
        self.entries = dict(entries)


def build_deployment(uid: str, replicas: int) -> dict[str, Any]:
    metadata = {"name": "d", "namespace": "ns", "uid": uid}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {"replicas": replicas},
    }


class CliRuns:
    """The steps of one Deployment in several runs of the CLI engine, each a new command."""

    def __init__(self) -> None:
        self.cluster, self.record = FakeCluster(), MemoryRecord()
        body = build_deployment("", 0) | {"spec": {}}
        self.manifest = Manifest("d", body, initial_replicas=2)

    def start(self, op: Op, cli_op: Op, recorded_uid: str = "") -> int | None:
        """Returns the replicas with which a command would create the Deployment."""
        outputs = build_deployment(recorded_uid, 2)
        recorded = SimpleNamespace(state=ObjectState("ns/d", outputs, outputs))
        type_ = "kubernetes:apps/v1:Deployment"
        change = Change("urn", type_, "d", op, object="ns/d", component="m")
        known = cast(RecordedObject, recorded) if recorded_uid else None
        step = CliStep(change, self.manifest, known, cli_op)
        provider, kept = cast(KubernetesProvider, self.cluster), KeptReplicas(self.record)
        [step] = keep_replicas([step], provider, kept)
        return step.manifest.initial_replicas

    def lose(self) -> None:
        """Deletes the Deployment; the command then ends before it creates the new one."""
        self.cluster.objects.clear()


@pytest.mark.parametrize("cli_op", [Op.REPLACE, Op.SAME, Op.UPDATE])
def test_cli_keeps_the_replicas_of_what_it_has_deleted(cli_op: Op) -> None:
    runs = CliRuns()
    runs.cluster.objects["Deployment", "ns/d"] = build_deployment("1", 8)
    assert runs.start(Op.REPLACE, cli_op, "1") == 8
    runs.lose()
    # Killed before the CLI ran: the record is still there. After a pending replacement the CLI
    # replaces once more.
    assert runs.start(Op.CREATE, Op.SAME, "1") == 8
    assert runs.start(Op.CREATE, Op.REPLACE, "1") == 8
    # The refresh has dropped the record, and the create failed, twice.
    assert runs.start(Op.CREATE, Op.CREATE) == 8
    assert runs.start(Op.CREATE, Op.CREATE) == 8
    # Somebody has deleted the one that was created in the end.
    assert runs.start(Op.CREATE, Op.SAME, "2") == 2


def test_replacement_with_few_pods_forgets_an_older_number() -> None:
    runs = CliRuns()
    for uid, replicas in (("1", 8), ("2", 2)):
        runs.cluster.objects["Deployment", "ns/d"] = build_deployment(uid, replicas)
        runs.start(Op.REPLACE, Op.REPLACE, uid)
    runs.lose()
    assert runs.start(Op.CREATE, Op.CREATE) == 2


@pytest.mark.parametrize(
    ("model", "failures", "kept"),
    [("m", (), 0), ("other", (), 8), ("m", ("failure",), 8), (None, (), 0)],
    ids=["its model", "another model", "failed", "whole stack"],
)
def test_destroy_of_the_cli_forgets_the_replicas_of_its_models(
    tmp_path: Path, model: str | None, failures: Any, kept: int
) -> None:
    runs = CliRuns()
    runs.cluster.objects["Deployment", "ns/d"] = build_deployment("1", 8)
    runs.start(Op.REPLACE, Op.REPLACE, "1")
    runs.lose()
    replicas = KeptReplicas(runs.record)
    models = None if model is None else frozenset({model})
    request = Request(tmp_path, PulumiStack.of("dev"), models)
    opened = OpenedStack(cast(Any, None), request, Checkpoint("dev"), replicas)
    assert opened.forget_replicas((), Result((), failures)).messages == ()
    assert replicas.find("ns/d", None) == kept


# Where they are kept


def test_entries_are_tags_where_the_state_is_not_in_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tags: dict[str, str] = {"modelcatalog:cluster-uid": "u"}

    def run(cli: Any, root: Path, *arguments: str) -> str:
        match arguments:
            case "stack", "tag", "ls", *_:
                return json.dumps(tags)
            case "stack", "tag", "set", name, value, *_:
                assert len(name) <= 40
                tags[name] = value
            case "stack", "tag", "rm", name, *_:
                del tags[name]
        return ""

    monkeypatch.setattr("framework.engines.stack_tags.run_pulumi", run)

    def open_tags() -> KeptReplicas:
        return KeptReplicas(StackTags(FAKE_CLI, tmp_path, PulumiStack.of("prod")))

    live = build_deployment("1", 8)
    open_tags().keep(ObjectState("ns/d", live, live), 8, "m")
    assert open_tags().find("ns/d", None) == 8
    assert len(tags) == 2
    assert open_tags().forget((), finished={"other"}) == ()
    assert open_tags().find("ns/d", None) == 8
    assert open_tags().forget((), finished={"m"}) == ()
    assert open_tags().find("ns/d", None) == 0
    assert tags == {"modelcatalog:cluster-uid": "u"}


def test_damaged_file_is_refused_with_its_path(stack: Stack) -> None:
    backend = open_backend(load_project(stack.root), "dev")
    backend.replicas_path.parent.mkdir(parents=True)
    backend.replicas_path.write_text('{"ns/d": {"uid": "1"}}')
    with pytest.raises(StateFileError, match=r"ns/d\.replicas is missing"):
        KeptReplicas(backend).find("ns/d", None)


def record_deployment(uid: str, **fields: Any) -> Resource:
    raw = {"urn": "urn:pulumi:dev::test::kubernetes:apps/v1:Deployment::d", "custom": True}
    raw |= {"type": "kubernetes:apps/v1:Deployment", "id": "ns/d", **fields}
    return Resource({**raw, "outputs": build_deployment(uid, 2)})


@pytest.mark.parametrize(
    ("resources", "wanted", "kept"),
    [
        pytest.param([record_deployment("2")], None, 0, id="created again"),
        pytest.param([record_deployment("1")], {"ns/d"}, 8, id="still recorded"),
        pytest.param([record_deployment("2", delete=True)], {"ns/d"}, 8, id="left behind"),
        pytest.param([], {"ns/d"}, 8, id="not created yet"),
        pytest.param([], None, 8, id="no plan"),
        pytest.param([], {"ns/other"}, 0, id="left the plan"),
    ],
)
def test_replicas_are_forgotten_once_the_deployment_exists_again(
    resources: list[Resource], wanted: set[str] | None, kept: int
) -> None:
    replicas, live = KeptReplicas(MemoryRecord()), build_deployment("1", 8)
    replicas.keep(ObjectState("ns/d", live, live), 8, "m")
    assert replicas.forget(resources, wanted) == ()
    assert replicas.find("ns/d", None) == kept


def give_uids(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives each created object a UID of its own, as the API server does."""
    create, uids = cluster.create, count()

    def create_with_uid(urn: str, inputs: Any, *args: Any) -> ObjectState:
        inputs = {**inputs, "metadata": {**inputs["metadata"], "uid": f"uid-{next(uids)}"}}
        return create(urn, inputs, *args)

    monkeypatch.setattr(cluster, "create", create_with_uid)


def test_replicas_are_forgotten_although_something_else_fails(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_uids(stack.cluster, monkeypatch)
    other = "config_map('x', {'a': '%s'})"
    stack.program(_AUTOSCALED.format(1) + "\n    " + other % 1)
    stack.up()
    stack.cluster.objects["Deployment", "ns/d"]["spec"]["replicas"] = 8
    stack.program(_AUTOSCALED.format(2) + "\n    " + other % 1)
    with monkeypatch.context() as patched:
        refuse_create(stack.cluster, patched)
        assert stack.up().failures
    path = open_backend(load_project(stack.root), "dev").replicas_path
    assert path.exists()
    stack.program(_AUTOSCALED.format(2) + "\n    " + other % 2)
    stack.cluster.refused = {"ns/x"}
    assert stack.up().failures
    assert find_replicas(stack.cluster) == 8
    assert not path.exists()


def test_file_that_cannot_be_read_does_not_hide_the_result(stack: Stack) -> None:
    stack.program("config_map('x')")
    backend = open_backend(load_project(stack.root), "dev")
    backend.replicas_path.parent.mkdir(parents=True)
    backend.replicas_path.write_text("{")
    for result in (stack.up(), stack.up(), stack.destroy()):
        assert not result.failures
        assert str(backend.replicas_path) in result.messages[-1]
