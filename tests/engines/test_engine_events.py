"""Recorded event logs of the CLI become changes, failures and messages."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from framework.core.changes import Op, Progress
from framework.core.errors import EngineError
from framework.core.stack import Stack
from framework.engines.base import Request
from framework.engines.cli import CliEngine
from framework.engines.cli_events import EventReader, event_to_json
from framework.engines.cli_stack import CliStack
from framework.engines.project import load_project
from tests.engines.fakes import FAKE_CLI, RECORDED
from tests.shipped import SHIPPED


def _read(*steps: str) -> tuple[EventReader, list[Progress]]:
    progress: list[Progress] = []
    reader = EventReader(progress.append)
    for step in steps:
        for line in (RECORDED / step / "events.jsonl").read_text().splitlines():
            reader.read(json.loads(line))
    return reader, progress


def test_update_has_its_field_and_values() -> None:
    reader, progress = _read("2-updated")
    (change,) = [change for change in reader.changes if change.op is not Op.SAME]
    (field,) = change.fields
    assert (change.object, change.component) == ("ml-fixture/sentiment", "sentiment")
    assert field.path == "spec.template.spec.containers[model].image"
    assert field.old.endswith(":v1")
    assert field.new.endswith(":v2")
    assert [event.state for event in progress] == ["started", "done"]


def test_secret_outputs_are_redacted() -> None:
    reader, _ = _read("3-secret")
    assert reader.outputs == {"deployment_name": "sentiment", "token": "[secret]"}


def test_failed_rollout_is_a_failure_of_its_deployment() -> None:
    reader, progress = _read("7-failed-rollout")
    (failure,) = reader.failures
    assert failure.rollout
    assert failure.change.name == "sentiment"
    assert "timed out waiting to be Ready" in failure.reason
    assert progress[-1].state == "failed"


def test_failure_in_both_runs_of_one_up_is_one_failure() -> None:
    once, _ = _read("7-failed-rollout")
    twice, _ = _read("7-failed-rollout", "7-failed-rollout")
    assert twice.failures == once.failures


def test_messages_have_each_warning_once_and_no_failures() -> None:
    reader, _ = _read("7-failed-rollout")
    (message,) = reader.messages
    assert message.startswith("warning: using pulumi-resource-kubernetes from $PATH")


@pytest.mark.parametrize(
    ("severity", "messages"),
    [("error", ("error: t n: mind this",)), ("info", ())],
    ids=["error", "info"],
)
def test_errors_that_the_program_logs_are_messages(
    severity: str, messages: tuple[str, ...]
) -> None:
    reader = EventReader()
    message = {"severity": severity, "message": "mind\nthis", "urn": "urn:pulumi:dev::p::t::n"}
    reader.read({"diagnosticEvent": message})
    assert reader.messages == messages


def test_secrets_of_the_inputs_are_redacted_in_messages_failures_and_progress() -> None:
    progress: list[Progress] = []
    reader = EventReader(progress.append, secrets=["sealed-pw"])
    env = [{"name": "API_TOKEN", "value": "token-pw"}, {"name": "LOG", "value": "info"}]
    args = ["redis-cli", "-a", "option-pw"]
    spec = {"template": {"spec": {"containers": [{"name": "m", "env": env, "args": args}]}}}
    urn = "urn:pulumi:dev::p::kubernetes:apps/v1:Deployment::m"
    step = {
        "op": "create", "urn": urn, "type": "kubernetes:apps/v1:Deployment",
        "new": {"custom": True, "inputs": {"metadata": {"name": "m"}, "spec": spec}},
    }  # fmt: skip
    reader.read({"resourcePreEvent": {"metadata": step}})
    text = 'refused: "token-pw", "option-pw" and "sealed-pw" of info'
    for severity in ("warning", "error"):
        reader.read({"diagnosticEvent": {"severity": severity, "message": text, "urn": urn}})
    reader.read({"resOpFailedEvent": {"metadata": step, "status": 0}})
    shown = 'refused: "[secret]", "[secret]" and "[secret]" of info'
    assert reader.messages == (f"warning: Deployment m: {shown}",)
    assert [failure.reason for failure in reader.failures] == [shown]
    assert progress[-1].message == shown
    assert reader.redact(f"pulumi failed: {text}") == f"pulumi failed: {shown}"
    with pytest.raises(EngineError, match=r"refused: \"\[secret\]"):
        reader.check()


@pytest.mark.parametrize(
    ("urn", "beginning"),
    [
        (
            "ml:catalog:Model$kubernetes:apps/v1:Deployment::sentiment",
            "model sentiment, Deployment",
        ),
        ("ml:catalog:Model::sentiment", "model sentiment: be"),
        ("kubernetes:core/v1:Namespace::ml-fixture", "Namespace ml-fixture: be"),
        ("pulumi:pulumi:Stack::fixture-dev", "be"),
    ],
    ids=["object", "model", "outside", "stack"],
)
def test_messages_name_their_model(urn: str, beginning: str) -> None:
    reader, _ = _read("2-updated")
    urn = f"urn:pulumi:dev::fixture::{urn}"
    reader.read({"diagnosticEvent": {"severity": "warning", "message": "be careful", "urn": urn}})
    (message,) = [text for text in reader.messages if text.endswith("be careful")]
    assert message.startswith(f"warning: {beginning}")


def test_change_list_begins_with_stack_provider_and_namespace() -> None:
    reader, _ = _read("2-updated")
    kinds = [change.kind for change in reader.changes]
    assert kinds[:4] == ["Stack", "kubernetes", "Namespace", "Model"]


def test_component_name_may_contain_colons(monkeypatch: pytest.MonkeyPatch) -> None:
    urns = ["pulumi:pulumi:Stack::p-dev", "t:i:Model::a::b"]
    resources = [
        {"urn": f"urn:pulumi:dev::p::{urn}", "type": urn.rpartition("::")[0]} for urn in urns
    ]
    resources[1]["type"] = "t:i:Model"
    stack = SimpleNamespace(
        export_stack=lambda: SimpleNamespace(deployment={"resources": resources})
    )
    cli_stack = CliStack(FAKE_CLI, load_project(SHIPPED), "dev", stack)
    monkeypatch.setattr(CliEngine, "_open", lambda engine, request: cli_stack)
    assert CliEngine(FAKE_CLI).summarize(Request(SHIPPED, Stack.of("dev"))).components == {"a::b"}


def test_component_targets_everything_in_it() -> None:
    reader, _ = _read("2-updated")
    names = {urn.split("::")[2] for urn in reader.components.find_within(frozenset({"sentiment"}))}
    assert names == {
        "ml:catalog:Model",
        "ml:catalog:Model$kubernetes:core/v1:ConfigMap",
        "ml:catalog:Model$kubernetes:core/v1:Service",
        "ml:catalog:Model$kubernetes:apps/v1:Deployment",
    }


@pytest.mark.parametrize("step", ["2-updated", "3-secret", "7-failed-rollout"])
def test_events_of_the_automation_api_give_the_same_changes(step: str) -> None:
    from pulumi.automation.events import EngineEvent

    expected, _ = _read(step)
    reader = EventReader()
    for line in (RECORDED / step / "events.jsonl").read_text().splitlines():
        reader.read(event_to_json(EngineEvent.from_json(json.loads(line))))
    assert ops_of(reader) == ops_of(expected)
    assert reader.failures == expected.failures


@pytest.mark.parametrize(("operation", "shown"), [("deleting", 0), ("creating", 1)])
def test_only_a_pending_create_is_left_to_the_user(operation: str, shown: int) -> None:
    message = (
        "Attempting to deploy or update resources with 1 pending operations from previous "
        f"deployment.\n  * urn:pulumi:dev::p::T::a, interrupted while {operation}\nThese resources "
        "are in an unknown state because the Pulumi CLI was interrupted [...]"
    )
    reader = EventReader()
    reader.read({"diagnosticEvent": {"severity": "warning", "message": message, "urn": ""}})
    assert len(reader.messages) == shown


def ops_of(reader: EventReader) -> list[object]:
    return [(change.urn, change.op, change.fields) for change in reader.changes]


def _replace_deployment(progress: list[Progress], *, ends: bool) -> EventReader:
    reader = EventReader(progress.append)
    type_, base = (
        "kubernetes:apps/v1:Deployment",
        "urn:pulumi:dev::p::kubernetes:apps/v1:Deployment",
    )
    new, old = (
        {"custom": True, "inputs": {"metadata": {"namespace": "ns", "name": name}}}
        for name in ("new", "old")
    )
    create = {"op": "create-replacement", "urn": f"{base}::new", "type": type_, "new": new}
    delete = {"op": "delete-replaced", "urn": f"{base}::old", "type": type_, "old": old}
    reader.read({"resourcePreEvent": {"metadata": create}})
    message = "[MinimumReplicasUnavailable] Deployment does not have minimum availability."
    warning = {"severity": "warning", "urn": create["urn"], "message": message}
    reader.read({"diagnosticEvent": warning})
    if ends:
        reader.read({"resOutputsEvent": {"metadata": create}})
        reader.read({"resourcePreEvent": {"metadata": delete}})
        reader.read({"resOutputsEvent": {"metadata": delete}})
    return reader


def test_deleted_old_object_of_a_replacement_is_reported() -> None:
    progress: list[Progress] = []
    reader = _replace_deployment(progress, ends=True)
    assert [(event.change.op, event.change.object, event.state) for event in progress] == [
        (Op.REPLACE, "ns/new", "started"),
        (Op.REPLACE, "ns/new", "done"),
        (Op.DELETE, "ns/old", "started"),
        (Op.DELETE, "ns/old", "done"),
    ]
    assert [change.op for change in reader.changes] == [Op.REPLACE]


@pytest.mark.parametrize("ends", [True, False], ids=["ready", "not ready"])
def test_warning_of_a_rollout_is_shown_until_it_is_ready(ends: bool) -> None:
    assert len(_replace_deployment([], ends=ends).messages) == (0 if ends else 1)
