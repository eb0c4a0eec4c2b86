"""The CLI's recorded event logs, told in our words."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from framework.core.changes import Op, Progress
from framework.core.stack import Stack
from framework.engines.base import Request
from framework.engines.cli import AutomationEngine, EventReader, event_to_json
from tests.engines.fakes import RECORDED
from tests.shipped import SHIPPED


def _read(step: str, *, refreshing: bool = False) -> tuple[EventReader, list[Progress]]:
    progress: list[Progress] = []
    reader = EventReader(progress.append, refreshing=refreshing)
    for line in (RECORDED / step / "events.jsonl").read_text().splitlines():
        reader.read(json.loads(line))
    return reader, progress


def test_an_update_names_its_field() -> None:
    reader, progress = _read("2-updated")
    (change,) = [change for change in reader.changes if change.op is not Op.SAME]
    (field,) = change.fields
    assert (change.object, change.component) == ("ml-fixture/sentiment", "sentiment")
    assert field.path == "spec.template.spec.containers[model].image"
    assert field.old.endswith(":v1")
    assert field.new.endswith(":v2")
    assert [event.state for event in progress] == ["started", "done"]


def test_secrets_stay_masked() -> None:
    reader, _ = _read("3-secret")
    assert reader.outputs == {"deployment_name": "sentiment", "token": "[secret]"}


def test_refresh_tells_what_drifted_and_by_whom() -> None:
    reader, _ = _read("4-drift-refresh-preview", refreshing=True)
    (change,) = [change for change in reader.changes if change.op is not Op.SAME]
    assert {(f.path, f.new, f.manager) for f in change.fields} >= {("spec.replicas", 5, "kubectl")}


def test_a_failed_rollout_is_a_failure_of_its_deployment() -> None:
    reader, progress = _read("7-failed-rollout")
    (failure,) = reader.failures
    assert failure.rollout
    assert failure.change.name == "sentiment"
    assert "timed out waiting to be Ready" in failure.reason
    assert progress[-1].state == "failed"


def test_warnings_are_told_once_and_failures_not_again() -> None:
    reader, _ = _read("7-failed-rollout")
    (message,) = reader.messages
    assert message.startswith("warning: using pulumi-resource-kubernetes from $PATH")


@pytest.mark.parametrize(
    ("severity", "told"), [("error", ("error: mind this",)), ("info", ())], ids=["error", "info"]
)
def test_what_the_program_logs_of_a_sound_resource(severity: str, told: tuple[str, ...]) -> None:
    reader = EventReader()
    said = {"severity": severity, "message": "mind\nthis", "urn": "urn:pulumi:dev::p::t::n"}
    reader.read({"diagnosticEvent": said})
    assert reader.messages == told


def test_the_change_list_is_in_the_order_of_every_engine() -> None:
    reader, _ = _read("2-updated")
    kinds = [change.kind for change in reader.changes]
    assert kinds[:4] == ["Stack", "kubernetes", "Namespace", "Model"]


def test_a_component_may_have_colons_in_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    urns = ["pulumi:pulumi:Stack::p-dev", "t:i:Model::a::b"]
    resources = [
        {"urn": f"urn:pulumi:dev::p::{urn}", "type": urn.rpartition("::")[0]} for urn in urns
    ]
    resources[1]["type"] = "t:i:Model"
    stack = SimpleNamespace(
        export_stack=lambda: SimpleNamespace(deployment={"resources": resources})
    )
    monkeypatch.setattr(AutomationEngine, "_open", lambda engine, request: stack)
    assert AutomationEngine().recorded(Request(SHIPPED, Stack.of("dev"))).components == {"a::b"}


def test_a_component_targets_all_below_it() -> None:
    reader, _ = _read("2-updated")
    names = {urn.split("::")[2] for urn in reader.components.find_within(frozenset({"sentiment"}))}
    assert names == {
        "ml:catalog:Model",
        "ml:catalog:Model$kubernetes:core/v1:ConfigMap",
        "ml:catalog:Model$kubernetes:core/v1:Service",
        "ml:catalog:Model$kubernetes:apps/v1:Deployment",
    }


@pytest.mark.parametrize("step", ["2-updated", "3-secret", "7-failed-rollout"])
def test_events_of_the_automation_api_say_the_same(step: str) -> None:
    from pulumi.automation.events import EngineEvent

    expected, _ = _read(step)
    reader = EventReader()
    for line in (RECORDED / step / "events.jsonl").read_text().splitlines():
        reader.read(event_to_json(EngineEvent.from_json(json.loads(line))))
    assert ops_of(reader) == ops_of(expected)
    assert reader.failures == expected.failures


def ops_of(reader: EventReader) -> list[object]:
    return [(change.urn, change.op, change.fields) for change in reader.changes]
