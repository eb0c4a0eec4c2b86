"""The CLI engine settles what an interrupted command left, in any state and also for a preview."""

from __future__ import annotations

import gzip
import json
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from framework.core.changes import Preview
from framework.core.errors import EngineError
from framework.engines.cli import CliEngine
from framework.engines.cli_lock import StackLock
from framework.engines.cli_opened_stack import OpenedStack
from framework.engines.cli_preview import add_pending_deletions
from framework.engines.cli_settlement import (
    forget_old,
    settle_folder,
    settle_in_memory,
    settle_remote,
)
from framework.engines.cli_stack import CliStack
from framework.engines.project import load_project
from framework.engines.state.backend import open_backend
from framework.engines.state.checkpoint import Checkpoint
from framework.engines.state.secrets import write_plaintext
from framework.engines.state.stack_state import StackState
from tests.engines.fakes import EMPTY_PLAN, FAKE_CLI, Stack

_PROGRAM = """
    config_map('x')
    register("core/v1", "Secret", "s", "s", {"stringData": {"a": "sesame"}}, None, {})
"""


@pytest.fixture
def interrupted(stack: Stack) -> Stack:
    """A stack whose last `up` has created ConfigMap x and ended before it could record it."""
    stack.program(_PROGRAM)
    stack.cluster.unanswered.add("ns/x")
    assert stack.up().failures
    stack.cluster.unanswered.clear()
    return stack


class FakeStack:
    """A stack of the CLI: its state in the form of an export, and the imports of it."""

    def __init__(self, stack: Stack) -> None:
        self.project, self.name = load_project(stack.root), "dev"
        self.backend = open_backend(self.project, "dev")
        self.lock = StackLock(self.project, "dev")
        self.imported: list[Any] = []
        self.exported = self._export()

    def _export(self) -> Checkpoint:
        state = StackState(self.project, self.backend)
        resources = tuple(
            found.with_fields(
                inputs=write_plaintext(state.read_inputs(found)),
                outputs=write_plaintext(state.read_outputs(found)),
            )
            for found in state.checkpoint.resources
        )
        return replace(state.checkpoint, resources=resources)

    def export(self) -> Any:
        deployment = {
            "resources": [found.raw for found in self.exported.resources],
            "pending_operations": list(self.exported.pending),
        }
        return SimpleNamespace(version=3, deployment=deployment)

    forget = CliStack.forget

    def import_back(self, exported: Any) -> None:
        with self.lock.released():
            assert self.backend.find_holders() == []
        self.imported.append(exported.deployment)

    def open(self, stack: Stack) -> OpenedStack:
        request = replace(stack.request(), plan=EMPTY_PLAN)
        return OpenedStack(cast(CliStack, self), request, self.exported, cast(Any, None))


def build_engine(stack: Stack) -> CliEngine:
    return CliEngine(FAKE_CLI, stack.cluster.connect)


def read_records(opened: OpenedStack) -> dict[str, Any]:
    return {found.urn: (found.inputs, found.field_manager) for found in opened.recorded.objects}


def compress_state(stack: Stack) -> None:
    """Leaves the state in a form that only the CLI reads."""
    file = stack.state_file
    file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
    file.unlink()
    file.with_name(f"{file.name}.bak").unlink(missing_ok=True)


def test_preview_assumes_what_up_records_in_a_folder(interrupted: Stack) -> None:
    fake, before = FakeStack(interrupted), interrupted.state_file.read_bytes()
    request = interrupted.request()
    in_memory, messages = settle_in_memory(fake.open(interrupted), interrupted.cluster.connect)
    assert interrupted.state_file.read_bytes() == before
    assert in_memory.is_settled_in_memory
    assert in_memory.checkpoint.pending == ()
    assert "ConfigMap x was created and not recorded" in messages[0]

    settle_folder(request, interrupted.cluster.connect)
    settled = FakeStack(interrupted).open(interrupted)
    assert read_records(in_memory) == read_records(settled)
    assert any(urn.endswith("::x") for urn in read_records(settled))
    # With nothing pending, the state of the CLI is used.
    again, messages = settle_in_memory(settled, interrupted.cluster.connect)
    assert again is settled
    assert messages == ()


def leave_old_object(stack: Stack) -> None:
    """Lets the deletion of a replaced ConfigMap, ns/x-1, fail."""
    stack.program("config_map('x', object_name='x-1')")
    stack.up()
    stack.program("config_map('x', object_name='x-2')")
    stack.cluster.refused.add("ns/x-1")
    assert stack.up().failures


@pytest.mark.parametrize("in_folder", [True, False], ids=["folder", "only the CLI reads it"])
def test_preview_uses_the_list_of_the_cli_beside_an_old_object(
    stack: Stack, in_folder: bool
) -> None:
    """A failed `up` leaves old objects, and the CLI's own change list then is right."""
    leave_old_object(stack)
    opened = FakeStack(stack).open(stack)
    assert any(found.pending_delete for found in opened.resources)
    if not in_folder:
        compress_state(stack)
    in_memory, messages = settle_in_memory(opened, stack.cluster.connect)
    assert in_memory is opened
    assert messages == ()


@pytest.mark.parametrize("locked", [True, False], ids=["up", "destroy"])
def test_cli_does_not_see_the_record_of_a_recreated_old_object(stack: Stack, locked: bool) -> None:
    """The CLI deletes by name, whatever object has the name by then."""
    leave_old_object(stack)
    stack.cluster.recreated = {"ns/x-1"}
    fake, engine = FakeStack(stack), build_engine(stack)
    opened = fake.open(stack)
    preview = add_pending_deletions(Preview(()), opened)
    assert [change.object for change in preview.changes] == ["ns/x-1"]
    checked = engine._check_deletions(opened, preview)
    assert checked.preview.changes == ()
    assert "somebody recreated it since" in checked.preview.messages[0]
    assert fake.imported == []
    with fake.lock if locked else nullcontext():
        opened = forget_old(opened, checked.forgotten)
    assert not any(found.pending_delete for found in opened.resources)
    assert not opened.recorded.pending_deletions
    [deployment] = fake.imported
    assert not any(raw.get("delete") for raw in deployment["resources"])


def test_pending_create_is_a_problem_if_the_record_of_an_old_object_must_go(stack: Stack) -> None:
    """The import that removes the record would drop the create, and the object with it."""
    leave_old_object(stack)
    fake, engine = FakeStack(stack), build_engine(stack)
    pending = {"type": "creating", "resource": fake.exported.resources[-1].raw}
    fake.exported = replace(fake.exported, pending=(pending,))
    opened = fake.open(stack)
    preview = add_pending_deletions(Preview(()), opened)
    assert not engine._check_deletions(opened, preview).preview.problems
    stack.cluster.recreated = {"ns/x-1"}
    [problem] = engine._check_deletions(opened, preview).preview.problems
    assert problem.object == "ConfigMap ns/x-1"
    assert "interrupted while it created ConfigMap x" in problem.message


def test_import_that_drops_pending_creates_is_advised_with_all_their_names(stack: Stack) -> None:
    """One of them is undecided, so the other one is not recorded either."""
    leave_old_object(stack)
    fake, engine = FakeStack(stack), build_engine(stack)
    record = fake.exported.resources[-1]
    pending: list[Any] = []
    for name in ("a", "b"):
        metadata = {"name": name, "namespace": "ns"}
        inputs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
        urn = f"{record.urn.rpartition('::')[0]}::{name}"
        raw = record.with_fields(urn=urn, id="", inputs=inputs, outputs={}, delete=None).raw
        pending.append({"type": "creating", "resource": raw})
    stack.cluster.objects["ConfigMap", "ns/a"] = pending[0]["resource"]["inputs"]
    pending[1]["resource"]["parent"] = f"{record.urn}-gone"
    fake.exported = replace(fake.exported, pending=tuple(pending))
    compress_state(stack)
    stack.cluster.recreated = {"ns/x-1"}
    opened, messages = settle_in_memory(fake.open(stack), stack.cluster.connect)
    assert "ConfigMap a was created and not recorded" in messages[1]
    assert "ConfigMap b cannot be looked up" in messages[2]
    preview = add_pending_deletions(Preview(()), opened)
    [problem] = engine._check_deletions(opened, preview).preview.problems
    assert (
        "interrupted while it created ConfigMap a, ConfigMap b, and it is unknown"
        in problem.message
    )
    assert "delete it if the files no longer have it" in problem.message


def test_pending_create_of_a_release_stops_no_command(stack: Stack) -> None:
    stack.program(_PROGRAM)
    stack.up()
    document = json.loads(stack.state_file.read_text())
    latest = document["checkpoint"]["latest"]
    release = {
        "urn": "urn:pulumi:dev::test::kubernetes:helm.sh/v3:Release::redis",
        "type": "kubernetes:helm.sh/v3:Release",
        "custom": True,
        "provider": latest["resources"][-1]["provider"],
        "inputs": {"chart": "redis", "name": "redis", "namespace": "ns"},
    }
    latest["pending_operations"] = [{"type": "creating", "resource": release}]
    stack.state_file.write_text(json.dumps(document))
    engine, request = build_engine(stack), stack.request()
    opened, messages = settle_in_memory(FakeStack(stack).open(stack), stack.cluster.connect)
    assert not opened.is_settled_in_memory
    for warnings in (
        messages,
        settle_folder(request, stack.cluster.connect),
        engine.recorded_objects(request).messages,
        stack.preview().messages,
        stack.preview_destroy().messages,
    ):
        assert "Release redis may exist without a record" in warnings[0]
    latest = json.loads(stack.state_file.read_text())["checkpoint"]["latest"]
    assert [found["resource"] for found in latest["pending_operations"]] == [release]


def test_preview_names_the_command_that_holds_the_stack(stack: Stack) -> None:
    stack.program(_PROGRAM)
    stack.up()
    fake = FakeStack(stack)
    with fake.backend.lock():
        _, messages = settle_in_memory(fake.open(stack), stack.cluster.connect)
    assert "another command works on this stack, so this may change" in messages[0]


def test_preview_assumes_what_up_imports(interrupted: Stack) -> None:
    fake = FakeStack(interrupted)
    compress_state(interrupted)
    in_memory, _ = settle_in_memory(fake.open(interrupted), interrupted.cluster.connect)
    assert fake.imported == []
    assert in_memory.is_settled_in_memory
    assert any(urn.endswith("::x") for urn in read_records(in_memory))


def test_state_in_a_folder_that_only_the_cli_reads_is_settled(
    interrupted: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeStack(interrupted)
    compress_state(interrupted)
    request = interrupted.request()
    assert settle_folder(request, interrupted.cluster.connect) == ()
    monkeypatch.setattr(
        "framework.engines.cli_settlement.read_stack", lambda *args, **options: "read again"
    )
    with fake.lock:
        opened, messages = settle_remote(fake.open(interrupted), interrupted.cluster.connect)
        # The CLI takes the lock for the import, and this command has it again.
        assert fake.backend.find_holders()
    assert cast(Any, opened) == "read again"
    assert "ConfigMap x was created and not recorded" in messages[0]
    [deployment] = fake.imported
    assert deployment["pending_operations"] == []
    assert any(raw["urn"].endswith("::x") for raw in deployment["resources"])


def with_planned(opened: OpenedStack, urns: frozenset[str]) -> OpenedStack:
    """Returns a copy as a plan with these URNs gives it."""
    copied = replace(opened)
    vars(copied)["planned_urns"] = urns
    return copied


def test_urns_settled_in_memory_are_patterns_for_the_cli(interrupted: Stack) -> None:
    """The CLI refuses a URN that it has not recorded, unless it is a pattern."""
    opened = FakeStack(interrupted).open(interrupted)
    [urn] = [found.urn for found in opened.resources if found.name == "s"]
    planned = frozenset({urn})
    assert with_planned(opened, planned).list_urns([urn]) == [urn]
    pattern = [urn.replace("::", "*::", 1)]
    opened = replace(opened, is_settled_in_memory=True)
    assert with_planned(opened, planned).list_urns([urn]) == pattern


def test_recorded_urns_that_are_not_planned_are_patterns_for_the_cli(interrupted: Stack) -> None:
    """Its refresh drops the record of an object that was deleted by hand."""
    opened = FakeStack(interrupted).open(interrupted)
    [urn] = [found.urn for found in opened.resources if found.name == "s"]
    planned = frozenset[str]()
    assert with_planned(opened, planned).list_urns([urn]) == [urn.replace("::", "*::", 1)]


def test_long_lists_of_urns_get_patterns(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    stack.program("config_map('x')\nregister('core/v1', 'Secret', 'x', 'x', {}, None, {})")
    stack.up()
    opened = FakeStack(stack).open(stack)
    urns = [found.urn for found in opened.resources if found.is_object]
    monkeypatch.setattr("framework.engines.cli_arguments._find_limit", lambda: 120)
    assert with_planned(opened, frozenset()).list_urns(urns) == ["**::x"]
    # A pattern would also match an object of the plan that is not recorded yet.
    planned = frozenset({urns[0].replace("ConfigMap", "Service").replace("Secret", "Service")})
    with pytest.raises(EngineError, match="name 2 resources"):
        with_planned(opened, planned).list_urns(urns)
