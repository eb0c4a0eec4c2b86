"""The records that an interrupted command leaves: of a replacement, and of objects it created."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from framework.core.stack import Stack as PulumiStack
from framework.engines import cli_settlement
from framework.engines.base import Request
from framework.engines.cli_lock import StackLock
from framework.engines.cli_opened_stack import OpenedStack
from framework.engines.cli_stack import CliStack, read_export
from framework.engines.embedded.settlement import restore_wanted
from framework.engines.project import load_project
from framework.engines.state.checkpoint import Checkpoint, Resource
from framework.engines.state.journal import fold
from framework.engines.values import SECRET, SIGNATURE
from framework.kube.objects import ObjectState, object_name
from framework.kube.ownership import AlreadyExistsError
from framework.plan import StackPlan
from tests.shipped import SHIPPED

TYPE = "kubernetes:core/v1:ConfigMap"
URN = f"urn:pulumi:dev::test::{TYPE}::app"
PROVIDER = "urn:pulumi:dev::test::pulumi:providers:kubernetes::cluster"


@dataclass(frozen=True)
class Wanted:
    id: str
    type_token: str = TYPE


@dataclass(frozen=True)
class Plan:
    manifests: tuple[Wanted, ...]


def plan_of(*names: str) -> StackPlan:
    return cast(StackPlan, Plan(tuple(Wanted(f"ns/{name}") for name in names)))


def record(name: str, **fields: Any) -> Resource:
    raw = {"urn": URN, "custom": True, "type": TYPE, "id": f"ns/{name}", **fields}
    return Resource({**raw, "provider": f"{PROVIDER}::1"})


@pytest.fixture
def interrupted() -> Checkpoint:
    """`app-1` was replaced by `app-2`, and is not deleted yet."""
    provider = {"urn": PROVIDER, "custom": True, "type": "pulumi:providers:kubernetes", "id": "1"}
    return Checkpoint(
        "organization/test/dev",
        (Resource(provider), record("app-2"), record("app-1", delete=True)),
    )


def find_ids(checkpoint: Checkpoint) -> dict[str, bool]:
    objects = [resource for resource in checkpoint.resources if resource.is_object]
    return {resource.id: resource.pending_delete for resource in objects}


def test_reverted_change_restores_the_record_of_the_old_object(interrupted: Checkpoint) -> None:
    lines = restore_wanted(interrupted, plan_of("app-1"))
    assert find_ids(fold(interrupted, lines)) == {"ns/app-1": False, "ns/app-2": True}


@pytest.mark.parametrize("names", [("app-2",), ("app-3",), ("app-1", "app-2"), ()], ids=str)
def test_any_other_plan_changes_no_record(interrupted: Checkpoint, names: tuple[str, ...]) -> None:
    assert restore_wanted(interrupted, plan_of(*names)) == ()


@pytest.mark.parametrize("written", [1, 2])
def test_crash_between_the_lines_loses_no_record(interrupted: Checkpoint, written: int) -> None:
    lines = restore_wanted(interrupted, plan_of("app-1"))
    cut = fold(interrupted, lines[:written])
    assert set(find_ids(cut)) == {"ns/app-1", "ns/app-2"}
    live = replace(cut).live[URN]
    assert live.id == ("ns/app-2" if written == 1 else "ns/app-1")


# A state that only the CLI reads

MODEL = "urn:pulumi:dev::test::test:index:Model::app"
DEPLOYMENT = "urn:pulumi:dev::test::test:index:Model$kubernetes:apps/v1:Deployment::app"


def pending(urn: str, kind: str, **fields: Any) -> dict[str, Any]:
    metadata = {"name": "app", "namespace": "ns"}
    inputs = {"kind": kind, "metadata": metadata}
    raw = {"urn": urn, "custom": True, "type": urn.split("::")[2].rpartition("$")[2]}
    return {**raw, "inputs": inputs, "parent": MODEL, "provider": f"{PROVIDER}::1", **fields}


class Remote:
    """A stack with an exported state, and a cluster that has the objects of the kinds in `live`."""

    def __init__(self, operations: list[tuple[str, dict[str, Any]]], *live: str) -> None:
        component = {"urn": MODEL, "custom": False, "type": "test:index:Model"}
        provider = {"urn": PROVIDER, "custom": True, "type": "pulumi:providers:kubernetes"}
        pending = [{"type": type_, "resource": raw} for type_, raw in operations]
        resources = [provider, component]
        self.deployment: dict[str, Any] = {
            "resources": resources,
            "pending_operations": pending,
        }
        self.name, self.lock = "dev", StackLock(load_project(SHIPPED), "dev")
        self._live, self.imported = live, False
        self.taken: AlreadyExistsError | None = None

    def export(self) -> Any:
        return SimpleNamespace(deployment=self.deployment)

    def import_back(self, exported: Any) -> None:
        self.imported = True

    def connect(self, urn: str) -> Any:
        assert urn == PROVIDER
        return SimpleNamespace(provider=self)

    def find_own(self, urn: str, inputs: dict[str, Any]) -> ObjectState | None:
        if self.taken is not None:
            raise self.taken
        if inputs["kind"] not in self._live:
            return None
        metadata = {**inputs["metadata"], "uid": inputs["kind"]}
        outputs = {**inputs, "metadata": metadata, "__fieldManager": "fake"}
        return ObjectState(object_name(metadata), inputs, outputs)

    @property
    def added(self) -> list[dict[str, Any]]:
        return list(self.deployment["resources"][2:])

    def settle(self) -> tuple[bool, tuple[str, ...]]:
        """Returns whether the state was changed, and the warnings."""
        exported, nothing = read_export(self.export(), self.name), cast(Any, None)
        request = Request(SHIPPED, PulumiStack.of(self.name))
        opened = OpenedStack(cast(CliStack, self), request, exported, nothing)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cli_settlement, "read_folder", lambda request: (None, None))
            patch.setattr(cli_settlement, "open_clusters", lambda *_, **options: nullcontext(self))
            patch.setattr(cli_settlement, "read_stack", lambda *_, **options: None)
            settled, messages = cli_settlement.settle_remote(opened, nothing)
        return settled is not opened, messages


def test_objects_of_pending_creates_are_recorded_after_what_they_need() -> None:
    operations = [
        ("creating", pending(DEPLOYMENT, "Deployment", dependencies=[URN, "gone"])),
        ("creating", pending(URN, "ConfigMap")),
        ("creating", pending("urn:pulumi:dev::test::kubernetes:core/v1:Service::x", "Service")),
        ("updating", pending(f"{URN}-2", "ConfigMap")),
    ]
    remote = Remote(operations, "ConfigMap", "Deployment")
    changed, warnings = remote.settle()
    assert changed
    assert remote.imported
    assert len(warnings) == 2
    assert remote.deployment["pending_operations"] == []
    assert [raw["urn"] for raw in remote.added] == [URN, DEPLOYMENT]
    assert remote.added[1]["dependencies"] == [URN]
    assert remote.added[1]["id"] == "ns/app"
    # The next `up` waits for its rollout.
    assert remote.added[1]["initErrors"]
    assert remote.settle() == (False, ())


def test_secrets_of_a_found_object_are_imported_as_secrets() -> None:
    secret = pending("urn:pulumi:dev::test::kubernetes:core/v1:Secret::app", "Secret")
    secret["inputs"]["stringData"] = {"token": "sesame"}
    marked = {SIGNATURE: SECRET, "plaintext": '"open"'}
    config = pending(URN, "ConfigMap")
    config["inputs"]["data"] = {"key": marked}
    remote = Remote([("creating", secret), ("creating", config)], "Secret", "ConfigMap")
    assert remote.settle()[0]
    recorded = {raw["inputs"]["kind"]: raw for raw in remote.added}
    outputs = recorded["Secret"]["outputs"]
    assert outputs["stringData"] == {SIGNATURE: SECRET, "plaintext": '{"token":"sesame"}'}
    # The copy of the inputs, and the inputs themselves.
    sealed = {"key": marked}
    assert recorded["ConfigMap"]["inputs"]["data"] == sealed
    assert recorded["ConfigMap"]["outputs"]["data"] == sealed
    assert recorded["ConfigMap"]["outputs"]["__inputs"]["data"] == sealed
    assert outputs["__inputs"]["stringData"] == outputs["stringData"]
    assert recorded["Secret"]["inputs"]["stringData"] == outputs["stringData"]


def test_new_object_of_a_replacement_is_recorded_beside_the_old_one() -> None:
    new = pending(URN, "ConfigMap")
    new["inputs"]["metadata"] = {"name": "app-2", "namespace": "ns"}
    remote = Remote([("creating", new)], "ConfigMap")
    old = pending(URN, "ConfigMap", id="ns/app-1", outputs={"metadata": {"uid": "old"}})
    remote.deployment["resources"].append(old)
    assert remote.settle()[0]
    ids = {raw["id"]: bool(raw.get("delete")) for raw in remote.added}
    assert ids == {"ns/app-1": True, "ns/app-2": False}


def build_taken(manager: str) -> AlreadyExistsError:
    managed = [{"manager": manager, "operation": "Apply"}]
    metadata = {"name": "app", "namespace": "ns", "managedFields": managed}
    return AlreadyExistsError({"kind": "ConfigMap", "metadata": metadata})


def test_object_of_others_ends_the_pending_create() -> None:
    remote = Remote([("creating", pending(URN, "ConfigMap"))])
    remote.taken = build_taken("kubectl")
    assert remote.settle() == (True, ())
    assert remote.added == []


def test_undecided_create_stays_pending_with_a_warning() -> None:
    remote = Remote([("creating", pending(URN, "ConfigMap"))])
    remote.taken = build_taken("pulumi-kubernetes-1")
    changed, [warning] = remote.settle()
    assert not changed
    assert not remote.imported
    assert len(remote.deployment["pending_operations"]) == 1
    assert "ConfigMap app may be the one that is there now" in warning


@pytest.mark.parametrize(
    ("type_", "inputs"),
    [
        ("aws:s3/bucket:Bucket", {"bucket": "app"}),
        ("kubernetes:helm.sh/v3:Release", {"chart": "app", "name": "app"}),
        ("kubernetes:core/v1:ConfigMapPatch", {"kind": "ConfigMap", "metadata": {"name": "app"}}),
        (TYPE, {"kind": "ConfigMap", "metadata": {"generateName": "app-"}}),
    ],
    ids=["bucket", "release", "patch", "generated name"],
)
def test_create_that_cannot_be_looked_up_stays_pending_with_a_warning(
    type_: str, inputs: dict[str, Any]
) -> None:
    urn = f"urn:pulumi:dev::test::{type_}::app"
    operation = pending(urn, "", inputs=inputs)
    remote = Remote([("creating", operation), ("creating", pending(DEPLOYMENT, "Deployment"))])
    # To look for it by the name in the inputs would be an error.
    remote.taken = build_taken("kubectl")
    changed, [warning] = remote.settle()
    assert not changed
    assert remote.deployment["pending_operations"][0]["resource"] == operation
    assert f"{type_.rpartition(':')[2]} app may exist without a record" in warning
    assert "then drop the pending operation with" in warning
