"""The CLI's recorded event logs, told in our words."""

from __future__ import annotations

import json

import pytest

from framework.changes import Op, Progress
from framework.engines.automation import _as_json
from framework.engines.engine_events import EventReader
from tests.engines.fakes import RECORDED


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


def test_a_component_targets_all_below_it() -> None:
    reader, _ = _read("2-updated")
    names = {urn.split("::")[2] for urn in reader.within(frozenset({"sentiment"}))}
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
        reader.read(_as_json(EngineEvent.from_json(json.loads(line))))
    assert ops_of(reader) == ops_of(expected)
    assert reader.failures == expected.failures


def ops_of(reader: EventReader) -> list[object]:
    return [(change.urn, change.op, change.fields) for change in reader.changes]
